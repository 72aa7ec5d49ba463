"""Which run Results shows, read in the background, and what can be asked of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, Signal

from core.errors import AppError
from gui.base.session import Session
from gui.kit import jobs as kit_jobs
from gui.kit.workers import Job, JobRunner, JobSpec
from gui.results import jobs
from gui.results.jobs import RunResults

ResultsState = Literal["none", "busy", "ready", "failed"]
_READ, _EVALUATE, _SAVE = "results", "evaluate", "save results"


class ResultsCommands(QObject):
    """Follows the session's shown run. Main thread only."""

    changed = Signal()
    progressed = Signal()

    def __init__(self, session: Session, runner: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._runner = runner
        self.state: ResultsState = "none"
        self.results: RunResults | None = None
        self.failure = ""
        self._was_on = False
        self.progress: tuple[int, int, str] = (0, 0, "")
        session.shown_run_changed.connect(self._show_run)
        session.run_changed.connect(self._follow_run)
        runner.progressed.connect(self._job_progressed)
        runner.jobs_changed.connect(self.progressed)
        self._read()  # tells no notice: the page that would show it is being built

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
        self._runner.submit(
            JobSpec(
                _READ,
                "Reading the results",
                partial(jobs.read_results, path),
                on_success=self._has_read,
                on_failure=self._failed,
                is_quiet=True,
            )
        )

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
        self._runner.submit(
            JobSpec(
                _EVALUATE,
                f"Evaluating {results.summary.name}",
                partial(jobs.evaluate_again, results.path, split),
                on_success=self._has_read,
                on_failure=self._evaluation_failed,
                on_cancel=self._evaluation_cancelled,
                needs_compute=True,
            )
        )
        self.progressed.emit()

    def cancel_evaluation(self) -> None:
        job = self._runner.find(_EVALUATE)
        if job is not None:
            self._runner.cancel(job)

    @property
    def is_evaluating(self) -> bool:
        return self._runner.find(_EVALUATE) is not None

    @property
    def is_waiting(self) -> bool:
        """The evaluation waits for another job to leave the compute slot."""
        job = self._runner.find(_EVALUATE)
        return job is not None and self._runner.is_waiting(job)

    def _job_progressed(self, job: Job) -> None:
        if job is self._runner.find(_EVALUATE):
            self.progress = job.progress
            self.progressed.emit()

    def _evaluation_failed(self, error: AppError) -> None:
        self._session.notice_error("results", error)
        self.progressed.emit()

    def _evaluation_cancelled(self) -> None:
        self._session.notice("results", "The evaluation was cancelled; nothing was changed.")
        self.progressed.emit()

    def save(self, path: Path, text: str) -> None:
        self._runner.submit(
            JobSpec(
                _SAVE,
                f"Writing {path.name}",
                partial(kit_jobs.save_text, path, text),
                on_success=self._saved,
                on_failure=self._save_failed,
                is_quiet=True,
            )
        )

    def _saved(self, path: Path) -> None:
        self._session.notice("results", f"The per-class table is saved as {path}.")

    def _save_failed(self, error: AppError) -> None:
        self._session.notice_error("results", error)
