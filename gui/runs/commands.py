"""What a person can ask of the Runs page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from gui.base.commands import CommandSet
from gui.base.session import Session
from gui.kit.words import count
from gui.kit.workers import JobRunner
from gui.runs import jobs
from gui.runs.jobs import Trashed

if TYPE_CHECKING:
    from core.runs.run_folder import RunSummary


class RunsCommands(CommandSet):
    """Main thread only."""

    refreshed = Signal()
    """The runs on the disk were read again."""
    refresh_failed = Signal(object)
    details_read = Signal(object)
    """`RunDetails`."""
    curves_read = Signal(object)
    """A tuple of `RunCurves`."""

    def __init__(
        self,
        session: Session,
        runner: JobRunner,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(session, runner, parent)
        self._done_text = ""

    def refresh(self) -> None:
        """Read which runs there are, of the command line and of other windows too."""
        self._runner.start(
            jobs.list_runs,
            title="Reading the runs", key="runs", on_done=self._listed,
            on_failed=self.refresh_failed.emit, quiet=True,
        )  # fmt: skip

    def _listed(self, runs: tuple[RunSummary, ...]) -> None:
        self._session.set_runs(runs)
        self.refreshed.emit()

    def read_details(self, path: Path, other: Path | None) -> None:
        """What the table does not say of a run, compared with another; the answer is a signal."""
        self._runner.start(
            jobs.read_details, path, other,
            title="Reading a run", on_done=self.details_read.emit, page="runs", quiet=True,
        )  # fmt: skip

    def read_curves(self, paths: Sequence[Path]) -> None:
        """What the epochs of these runs recorded; the answer is a signal."""
        self._runner.start(
            jobs.read_curves, tuple(paths),
            title="Reading curves", on_done=self.curves_read.emit, page="runs", quiet=True,
        )  # fmt: skip

    def write_note(self, path: Path, text: str) -> None:
        """Keep a person's note with a run."""
        self._change("Writing a note", jobs.write_note, path, text)

    def set_archived(self, paths: Sequence[Path], *, is_archived: bool) -> None:
        """Put runs aside, or bring them back."""
        self._session.notice("runs", "")
        what = count(len(paths), "run")
        self._done_text = f"{what} archived." if is_archived else f"{what} brought back."
        self._change("Archiving", jobs.set_archived, tuple(paths), is_archived)

    def _change(self, title: str, function: Callable[..., object], *args: Any) -> None:
        self._runner.start(
            function, *args,
            title=title, on_done=self._changed, page="runs", quiet=True, queue_up=True,
        )  # fmt: skip

    def _changed(self, _result: object) -> None:
        if self._done_text:
            self._session.notice("runs", self._done_text)
        self._done_text = ""
        self.refresh()

    def use_settings(self, path: Path) -> None:
        """Let the next run do what this one did."""
        self._session.notice("runs", "")
        self._runner.start(
            jobs.read_settings, path,
            title="Reading a recipe", on_done=self._settings_read, page="runs", quiet=True,
        )  # fmt: skip

    def move_to_trash(self, paths: Sequence[Path]) -> None:
        """Move these runs to the trash; the page has asked whether to."""
        self._session.notice("runs", "")
        self._runner.start(
            jobs.move_to_trash, tuple(paths),
            title=f"Moving {count(len(paths), 'run')} to the trash", on_done=self._trashed,
            page="runs", queue_up=True,
        )  # fmt: skip

    def _settings_read(self, values: dict[str, Any]) -> None:
        self._session.set_recipe_values(values)
        self._session.show_page("train")

    def _trashed(self, trashed: Trashed) -> None:
        session = self._session
        moved_paths = set(trashed.paths)
        if session.shown_run in moved_paths:
            session.show_run(None)
        if session.classifier and Path(session.classifier) in moved_paths:
            session.set_classifier("")
        session.set_runs(tuple(run for run in session.runs if run.path not in moved_paths))
        text = f"{count(len(moved_paths), 'run')} moved to the trash."
        if trashed.problem:
            session.notice(
                "runs", f"{text} {trashed.problem}" if moved_paths else trashed.problem, "warning"
            )
        else:
            session.notice("runs", text)
        self.refresh()
