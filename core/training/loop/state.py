"""The state of a fine-tuning on disk: all that a resumed run needs to give the same bits.

One file, written atomically, and read with `weights_only`: nothing in it is ever executed.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from core.errors import RunError
from core.system import atomic_files
from core.training.loop.loop import FineTuneProgress
from core.training.loop.model import FineTunedModel

_NAME = "state.pt"
_FORMAT = 2


def has_state(folder: Path) -> bool:
    """Whether a run can be resumed from this folder."""
    return (folder / _NAME).is_file()


def save_state(
    folder: Path,
    model: FineTunedModel,
    optimizer: torch.optim.Optimizer,
    progress: FineTuneProgress,
) -> None:
    """Write the state. Raises: OSError, e.g. for a full disk; the state from before is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    saved = {  # the keys are those of states that older versions wrote
        "format": _FORMAT,
        "trainee": model.state(),
        "optimizer": optimizer.state_dict(),
        "progress": progress.to_dict(),
    }
    try:
        with atomic_files.replacing(folder / _NAME) as temporary:
            torch.save(saved, temporary)
    except RuntimeError as error:  # torch's zip writer wraps the operating system's errors
        raise OSError(str(error).splitlines()[0]) from error


def load_state(
    folder: Path, model: FineTunedModel, optimizer: torch.optim.Optimizer
) -> FineTuneProgress:
    """Load weights and optimizer in place; returns how far the run was.

    Raises: RunError where the state is missing, damaged or of another model.
    """
    run = folder.parent.parent.name
    try:
        # Not mapped: the optimizer keeps these very tensors, and Windows replaces no mapped file.
        saved: dict[str, Any] = torch.load(folder / _NAME, map_location="cpu", weights_only=True)
        if saved["format"] != _FORMAT:
            raise RunError(
                f"The state of the run {run} was written by another version of Graftwork.",
                "Its best model can still be used; train again with its settings.",
            )
        model.load_state(saved["trainee"])
        optimizer.load_state_dict(saved["optimizer"])
        progress = FineTuneProgress.from_dict(saved["progress"])
    except FileNotFoundError as error:
        raise RunError(
            f"The run {run} keeps no state to go on from.", "Train again with its settings."
        ) from error
    except (
        OSError,
        KeyError,
        TypeError,
        ValueError,
        RuntimeError,
        EOFError,
        pickle.UnpicklingError,
    ) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunError(
            f"The state of the run {run} is damaged: {first_line}",
            "Its best model can still be used; train again with its settings.",
        ) from error
    progress.was_stopped = False
    return progress
