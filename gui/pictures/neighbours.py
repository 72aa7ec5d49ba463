"""Asks for pictures like the one in the inspector, and keeps what they are compared by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from core.errors import AppError
from gui.base.commands import CommandSet
from gui.base.session import Session
from gui.kit.workers import JobRunner
from gui.pictures import neighbours_jobs
from gui.pictures.neighbours_jobs import Likeness, Neighbours

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex

_KEY = "neighbours"


class NeighbourFinder(CommandSet):
    """Finds pictures similar to one; only the newest question is answered. Main thread only."""

    found = Signal(object)

    def __init__(self, session: Session, runner: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(session, runner, parent)
        self._likeness: Likeness | None = None
        self._scanned: DatasetIndex | None = None
        self._model = ""

    def forget(self) -> None:
        """Drop the features kept for comparison: newer ones are there."""
        self._likeness = None

    def ask(self, dataset: DatasetIndex, file: str) -> None:
        """Look for similar pictures; `found` carries `Neighbours`."""
        if dataset.scanned is not self._scanned or self._session.model_id != self._model:
            self._likeness = None
        self._scanned, self._model = dataset.scanned, self._session.model_id
        values: dict[str, Any] | None = None
        # Before the libraries are loaded, and beside a run, no model is opened for this.
        if self._session.machine is not None and not self._session.is_run_on:
            values = {"model": self._model} if self._model else None
        self._runner.start(
            neighbours_jobs.find_neighbours, dataset.scanned, file, self._likeness, values,
            title="Looking for pictures like it", key=_KEY, on_done=self._found,
            on_failed=self._failed, needs_compute=values is not None and self._likeness is None,
            quiet=True,
        )  # fmt: skip

    def _found(self, neighbours: Neighbours) -> None:
        self._likeness = neighbours.likeness
        self.found.emit(neighbours)

    def _failed(self, _error: AppError) -> None:
        """Without neighbours the inspector is as useful as before."""
