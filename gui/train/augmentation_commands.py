"""The preview of the augmentation: pictures varied as the recipe says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from core.errors import AppError
from gui.base.commands import CommandSet
from gui.base.session import Session
from gui.kit.basics import delayed
from gui.kit.workers import JobRunner
from gui.train import augmentation_jobs

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex

_WAIT_MS = 0
"""Several changes of one moment are one question; more waiting would be seen."""


class PreviewCommands(CommandSet):
    """Only the newest request is answered."""

    made = Signal(object)
    refused = Signal(str)

    def __init__(self, session: Session, runner: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(session, runner, parent)
        self._question: tuple[dict[str, Any], int, int] | None = None
        self._asked: tuple[DatasetIndex, tuple[dict[str, Any], int, int]] | None = None
        self._timer = delayed(self, _WAIT_MS, self._submit)

    def ask(self, values: dict[str, Any], pick: int, roll: int) -> None:
        """Vary pictures; `made` or `refused` is emitted, unless nothing has changed."""
        self._question = (values, pick, roll)
        self._timer.start()

    def _submit(self) -> None:
        dataset, question = self._session.dataset, self._question
        if dataset is None or question is None:
            return
        # The arrays of a dataset make no truth value: it is compared as an object.
        if self._asked is not None and self._asked[0] is dataset and self._asked[1] == question:
            return
        self._asked = dataset, question
        values, pick, roll = question
        self._runner.start(
            augmentation_jobs.vary, dataset, values, pick, roll,
            title="Varying pictures", on_done=self.made.emit, on_failed=self._failed, quiet=True,
        )  # fmt: skip

    def _failed(self, error: AppError) -> None:
        self._asked = None
        self.refused.emit(str(error))
