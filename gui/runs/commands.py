"""What a person can ask of the Runs page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from core.errors import AppError
from gui.base.session import Session
from gui.kit.words import count
from gui.kit.workers import JobContext, JobRunner, JobSpec
from gui.runs import jobs
from gui.runs.jobs import RunCurves, RunDetails, Trashed

if TYPE_CHECKING:
    from core.runs.run_folder import RunSummary


class RunsCommands(QObject):
    """Main thread only."""

    refreshed = Signal()
    """The runs on the disk were read again."""
    refresh_failed = Signal(object)
    details_read = Signal(object)
    curves_read = Signal(object)

    def __init__(
        self,
        session: Session,
        runner: JobRunner,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._runner = runner
        self._said = ""

    def refresh(self) -> None:
        """Read which runs there are, of the command line and of other windows too."""
        self._runner.submit(
            JobSpec(
                "runs",
                "Reading the runs",
                jobs.list_runs,
                on_success=self._listed,
                on_failure=self.refresh_failed.emit,
                is_quiet=True,
            )
        )

    def _listed(self, runs: tuple[RunSummary, ...]) -> None:
        self._session.set_runs(runs)
        self.refreshed.emit()

    def read_details(self, path: Path, other: Path | None) -> None:
        """What the table does not say of a run, compared with another; the answer is a signal."""
        self._runner.submit(
            JobSpec(
                "run-details",
                "Reading a run",
                partial(jobs.read_details, path, other),
                on_success=self._details_read,
                on_failure=self._failed,
                is_quiet=True,
            )
        )

    def read_curves(self, paths: Sequence[Path]) -> None:
        """What the epochs of these runs said; the answer is a signal."""
        self._runner.submit(
            JobSpec(
                "run-curves",
                "Reading curves",
                partial(jobs.read_curves, tuple(paths)),
                on_success=self._curves_read,
                on_failure=self._failed,
                is_quiet=True,
            )
        )

    def write_note(self, path: Path, text: str) -> None:
        self._change("Writing a note", partial(jobs.write_note, path, text))

    def set_archived(self, paths: Sequence[Path], *, is_archived: bool) -> None:
        self._session.notice("runs", "")
        what = count(len(paths), "run")
        self._said = f"{what} archived." if is_archived else f"{what} brought back."
        self._change("Archiving", partial(jobs.set_archived, tuple(paths), is_archived))

    def _change(self, title: str, function: Callable[[JobContext], Any]) -> None:
        self._runner.submit(
            JobSpec(
                "run-change",
                title,
                function,
                on_success=self._changed,
                on_failure=self._failed,
                is_quiet=True,
                queues_up=True,
            )
        )

    def _changed(self, _result: object) -> None:
        if self._said:
            self._session.notice("runs", self._said)
        self._said = ""
        self.refresh()

    def _curves_read(self, curves: tuple[RunCurves, ...]) -> None:
        self.curves_read.emit(curves)

    def use_settings(self, path: Path) -> None:
        """Let the next run do what this one did."""
        self._session.notice("runs", "")
        self._runner.submit(
            JobSpec(
                "run-settings",
                "Reading a recipe",
                partial(jobs.read_settings, path),
                on_success=self._settings_read,
                on_failure=self._failed,
                is_quiet=True,
            )
        )

    def move_to_trash(self, paths: Sequence[Path]) -> None:
        """Asked and answered: the page did."""
        self._session.notice("runs", "")
        self._runner.submit(
            JobSpec(
                "trash",
                f"Moving {count(len(paths), 'run')} to the trash",
                partial(jobs.move_to_trash, tuple(paths)),
                on_success=self._trashed,
                on_failure=self._failed,
                queues_up=True,
            )
        )

    def _details_read(self, details: RunDetails) -> None:
        self.details_read.emit(details)

    def _settings_read(self, values: dict[str, Any]) -> None:
        self._session.set_recipe_values(values)
        self._session.show_page("train")

    def _trashed(self, trashed: Trashed) -> None:
        session = self._session
        gone = set(trashed.paths)
        if session.shown_run in gone:
            session.show_run(None)
        if session.classifier and Path(session.classifier) in gone:
            session.set_classifier("")
        session.set_runs(tuple(run for run in session.runs if run.path not in gone))
        moved = f"{count(len(gone), 'run')} moved to the trash."
        if trashed.problem:
            session.notice(
                "runs", f"{moved} {trashed.problem}" if gone else trashed.problem, "warning"
            )
        else:
            session.notice("runs", moved)
        self.refresh()

    def _failed(self, error: AppError) -> None:
        self._session.notice_error("runs", error)
