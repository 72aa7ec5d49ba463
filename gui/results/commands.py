"""Which run Results shows, read in the background, and what can be asked of it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, Signal

from core.errors import AppError
from gui.base.commands import CommandSet
from gui.base.session import Session
from gui.kit import jobs as kit_jobs
from gui.kit.workers import JobRunner
from gui.results import jobs
from gui.results.jobs import RunResults

ResultsState = Literal["none", "busy", "ready", "failed"]
_READ, _EVALUATE = "results", "evaluate"


class ResultsCommands(CommandSet):
    """Follows the session's shown run. Main thread only."""

    changed = Signal()
    progressed = Signal()

    def __init__(self, session: Session, runner: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(session, runner, parent)
        self.state: ResultsState = "none"
        self.results: RunResults | None = None
        self.failure = ""
        self._was_on = False
        self.progress: tuple[int, int, str] = (0, 0, "")
        session.shown_run_changed.connect(self._show_run)
        session.run_changed.connect(self._follow_run)
        runner.jobs_changed.connect(self.progressed)
        self._read()  # clears no notice: the page that would show it is being built

    # -- reading -----------------------------------------------------------------------------

    def _show_run(self) -> None:
        self._session.notice("results", "")
        self._read()

    def _read(self) -> None:
        """The shown run, once more where it is the same: it may have ended since."""
        path = self._session.shown_run
        self._was_on = self._is_on()
        if self._runner.find(_EVALUATE) is not None:
            self._runner.supersede(_EVALUATE)
        if path is None:
            self._runner.supersede(_READ)
            self._set_state("none", None)
            return
        kept = self.results if self.results is not None and self.results.path == path else None
        self._set_state("busy", kept)
        self._runner.start(
            jobs.read_results, path,
            title="Reading the results", key=_READ, on_done=self._has_read, on_failed=self._failed,
            quiet=True,
        )  # fmt: skip

    def _follow_run(self) -> None:
        """Once the run that is shown has ended it has more to tell than when it was read."""
        if self._was_on and not self._is_on():
            self._read()

    def _is_on(self) -> bool:
        """Whether the run that is shown is the one that trains now."""
        live, shown = self._session.live_run, self._session.shown_run
        return live is not None and live.is_on and shown is not None and live.path == shown

    def _has_read(self, results: RunResults) -> None:
        self._set_state("ready", results)
        if results.note:
            self._session.notice("results", results.note)

    def _failed(self, error: AppError) -> None:
        self.failure = str(error)
        self._set_state("failed", None)

    def _set_state(self, state: ResultsState, results: RunResults | None) -> None:
        self.state = state
        self.results = results
        self.changed.emit()

    # -- asking ------------------------------------------------------------------------------

    def evaluate_again(self) -> None:
        """For a run that keeps no predictions: ask its model again and keep what it says."""
        results = self.results
        if results is None or self.is_evaluating:
            return
        split = results.report.split if results.report is not None else None
        self._session.notice("results", "")
        self._runner.start(
            jobs.evaluate_again, results.path, split,
            title=f"Evaluating {results.summary.name}", key=_EVALUATE, on_done=self._has_read,
            on_failed=self._evaluation_failed, on_cancel=self._evaluation_cancelled,
            on_progress=self._evaluation_progressed, needs_compute=True,
        )  # fmt: skip
        self.progressed.emit()

    def cancel_evaluation(self) -> None:
        self._runner.cancel(_EVALUATE)

    @property
    def is_evaluating(self) -> bool:
        return self._runner.find(_EVALUATE) is not None

    @property
    def is_waiting(self) -> bool:
        """The evaluation waits for another job to leave the compute slot."""
        job = self._runner.find(_EVALUATE)
        return job is not None and self._runner.is_waiting(job)

    def _evaluation_progressed(self, done: int, total: int, note: str) -> None:
        self.progress = (done, total, note)
        self.progressed.emit()

    def _evaluation_failed(self, error: AppError) -> None:
        self._session.notice_error("results", error)
        self.progressed.emit()

    def _evaluation_cancelled(self) -> None:
        self._session.notice("results", "The evaluation was cancelled; nothing was changed.")
        self.progressed.emit()

    def save(self, path: Path, text: str) -> None:
        self._runner.start(
            kit_jobs.save_text, path, text,
            title=f"Writing {path.name}", on_done=self._saved, page="results", quiet=True,
        )  # fmt: skip

    def _saved(self, path: Path) -> None:
        self._session.notice("results", f"The per-class table is saved as {path}.")
