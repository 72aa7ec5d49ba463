"""The errors that a user can act on.

The window and the command line show an `AppError` unchanged: one sentence with the offending
value, and what to do. Every other exception is a bug and is logged with its traceback. Cancelling
is not an error.
"""

from __future__ import annotations

from pathlib import Path


class AppError(Exception):
    """A problem that the user can solve.

    `message` says in one sentence what is wrong, with the offending value; `hint` says what to do.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class DatasetError(AppError):
    """A path that is not a usable dataset."""


class DecodeError(AppError):
    """A file that cannot be read as a picture; `reason` is a clause without a full stop."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{Path(path).name} cannot be read as a picture: {reason}.")
        self.path = str(path)
        self.reason = reason


class ModelError(AppError):
    """A model id that is unknown, ambiguous or cannot be built."""


class WeightsError(AppError):
    """Pretrained weights that are not on this machine, cannot be downloaded, or do not fit."""


class RunError(AppError):
    """A run folder that is missing, incomplete or from another version."""


class DivergedError(RunError):
    """Training stopped because the loss or a gradient is infinite or NaN.

    The last saved state is kept.
    """


class MemoryShortError(RunError):
    """Training that does not fit into the available memory."""


class Cancelled(Exception):  # noqa: N818 - not an error
    """Raised by `check_stop` when the caller has asked the job to stop."""
