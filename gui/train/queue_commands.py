"""What a person can ask of the queue of trainings.

The queue itself lives on the disk; here stands whether this window works it off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from gui.base.commands import CommandSet
from gui.base.live_run import LiveRun
from gui.base.session import Session
from gui.kit.words import count, quote
from gui.kit.workers import JobRunner
from gui.train import queue_jobs
from gui.train.queue_jobs import Change, QueueRow

if TYPE_CHECKING:
    from core.runs.queue import QueueEntry
    from core.runs.report import RunResult

    BeginRun = Callable[[LiveRun, Callable[..., RunResult], QueueEntry], None]


class QueueCommands(CommandSet):
    """Which trainings wait, and whether this window trains them one after the other."""

    changed = Signal()

    def __init__(
        self,
        session: Session,
        runner: JobRunner,
        begin_run: BeginRun,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(session, runner, parent)
        self._begin_run = begin_run
        self.rows: tuple[QueueRow, ...] = ()
        self.is_going = False
        """Whether the next entry is trained as soon as no run is on."""
        self.held = ""
        """Why the queue stopped, for the notice at the end of the run; empty where it goes on."""
        self._was_on = False
        session.run_changed.connect(self._follow_run)

    @property
    def waiting(self) -> int:
        return sum(row.state == "waiting" for row in self.rows)

    # -- asking ------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read the queue, which other windows and the command line write as well."""
        self._start("Reading the queue", queue_jobs.list_queue, key="queue")

    def add(self, values: dict[str, Any]) -> None:
        """Let a training on the session's dataset wait; `values` are the recipe's."""
        dataset = self._session.dataset
        if dataset is None:
            self._session.notice("train", "There is nothing to train on yet. Open a folder first.")
            return
        self._start("Adding to the queue", queue_jobs.add_to_queue, values, dataset)

    def change(self, entry: int, change: Change) -> None:
        """Move an entry up or down, remove it, or let it wait again."""
        self._start("Changing the queue", queue_jobs.change_queue, entry, change)

    def clear_ended(self) -> None:
        """Remove the entries that have ended."""
        self._start("Clearing the queue", queue_jobs.clear_ended)

    def start(self) -> None:
        """Train what waits, from now or from the end of the run that is on."""
        self.is_going = True
        self.changed.emit()
        self._take_next()

    def hold(self) -> None:
        """The run that is on goes on; after it nothing starts."""
        self.is_going = False
        self.changed.emit()

    # -- training what waits -----------------------------------------------------------------

    def _follow_run(self) -> None:
        """A run has ended: the next entry's turn, unless a person stopped it."""
        is_on, live = self._session.is_run_on, self._session.live_run
        ended, self._was_on = self._was_on and not is_on, is_on
        if not ended:
            return
        self.held = ""
        if self.is_going and (live is None or live.phase == "stopped"):
            self.hold()
            if self.waiting:
                still = count(self.waiting, "training")
                self.held = f" The queue holds: {still} still waiting."
        self.refresh()
        self._take_next()

    def _take_next(self) -> None:
        is_taking = self._runner.find("queue-take") is not None
        if not self.is_going or self._session.is_run_on or is_taking:
            return
        self._runner.start(
            queue_jobs.take_from_queue,
            title="Looking at the queue", key="queue-take", on_done=self._taken, page="train",
            quiet=True,
        )  # fmt: skip

    def _taken(self, entry: QueueEntry | None) -> None:
        if entry is None:
            self.hold()
            self.refresh()
            return
        self._begin_run(LiveRun(entry.name), queue_jobs.train_entry, entry)
        self.refresh()

    def _start(
        self, title: str, function: Callable[..., Any], *args: Any, key: str = "queue-change"
    ) -> None:
        """Every change answers with the rows of the queue after it."""
        self._runner.start(
            function, *args,
            title=title, key=key, on_done=self._listed, page="train", quiet=True,
            queue_up=key == "queue-change",
        )  # fmt: skip

    def _listed(self, rows: tuple[QueueRow, ...]) -> None:
        if rows == self.rows:
            return
        self.rows = rows
        self.changed.emit()
        self._take_next()


def describe(row: QueueRow) -> str:
    """An entry in words, for a screen reader."""
    reason = f": {row.failure}" if row.failure else ""
    return f"{quote(row.name)}, {row.strategy}, {row.state}{reason}"
