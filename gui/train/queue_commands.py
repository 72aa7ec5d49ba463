"""What a person can ask of the queue of trainings.

The queue itself lives on the disk; here stands whether this window works it off.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from core.errors import AppError
from gui.base.live_run import LiveRun
from gui.base.session import Session
from gui.kit.words import count, quote
from gui.kit.workers import JobContext, JobRunner, JobSpec
from gui.train import queue_jobs
from gui.train.queue_jobs import Change, QueueRow

if TYPE_CHECKING:
    from core.runs.queue import QueueEntry
    from core.runs.run_folder import RunResult

    SubmitTraining = Callable[[str, Callable[[JobContext], RunResult]], None]


class QueueCommands(QObject):
    """Main thread only."""

    changed = Signal()

    def __init__(
        self,
        session: Session,
        runner: JobRunner,
        submit_training: SubmitTraining,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._runner = runner
        self._submit_training = submit_training
        self.rows: tuple[QueueRow, ...] = ()
        self.is_going = False
        """The next entry is trained as soon as no run is on."""
        self.held = ""
        """Why it went no further, to be said with the end of the run; empty where it goes on."""
        self._was_on = False
        session.run_changed.connect(self._follow_run)

    @property
    def waiting(self) -> int:
        return sum(row.state == "waiting" for row in self.rows)

    # -- asking ------------------------------------------------------------------------------

    def refresh(self) -> None:
        self._submit("queue", "Reading the queue", queue_jobs.list_queue)

    def add(self, values: dict[str, Any]) -> None:
        """Let a training on the session's dataset wait; `values` are the recipe's."""
        dataset = self._session.dataset
        if dataset is None:
            self._session.notice("train", "There is nothing to train on yet. Open a folder first.")
            return
        name = dataset.name or dataset.root.name
        function = partial(queue_jobs.add_to_queue, values, dataset.opened, name)
        self._submit("queue-change", "Adding to the queue", function)

    def change(self, entry: int, change: Change) -> None:
        self._submit(
            "queue-change", "Changing the queue", partial(queue_jobs.change_queue, entry, change)
        )

    def clear_ended(self) -> None:
        self._submit("queue-change", "Clearing the queue", queue_jobs.clear_ended)

    def start(self) -> None:
        """Work the queue off, from now or from the end of the run that is on."""
        self.is_going = True
        self.changed.emit()
        self._take_next()

    def hold(self) -> None:
        """The run that is on goes on; after it nothing starts."""
        self.is_going = False
        self.changed.emit()

    # -- working it off ----------------------------------------------------------------------

    @property
    def _is_run_on(self) -> bool:
        live = self._session.live_run
        return live is not None and live.is_on

    def _follow_run(self) -> None:
        """A run has ended: the next entry's turn, unless a person stopped it."""
        is_on, live = self._is_run_on, self._session.live_run
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
        if not self.is_going or self._is_run_on or self._runner.find("queue-take") is not None:
            return
        self._runner.submit(
            JobSpec(
                "queue-take",
                "Looking at the queue",
                queue_jobs.take_from_queue,
                on_success=self._taken,
                on_failure=self._failed,
                is_quiet=True,
            )
        )

    def _taken(self, entry: QueueEntry | None) -> None:
        if entry is None:
            self.hold()
            self.refresh()
            return
        self._session.begin_run(LiveRun(entry.name))
        self._submit_training(entry.name, partial(queue_jobs.train_entry, entry))
        self.refresh()

    # -- hearing -----------------------------------------------------------------------------

    def _submit(self, key: str, title: str, function: Callable[[JobContext], Any]) -> None:
        self._runner.submit(
            JobSpec(
                key,
                title,
                function,
                on_success=self._listed,
                on_failure=self._failed,
                is_quiet=True,
                queues_up=key == "queue-change",
            )
        )

    def _listed(self, rows: tuple[QueueRow, ...]) -> None:
        if rows == self.rows:
            return
        self.rows = rows
        self.changed.emit()
        self._take_next()

    def _failed(self, error: AppError) -> None:
        self._session.notice_error("train", error)


def describe(row: QueueRow) -> str:
    """An entry in words, for those who listen to the screen."""
    said = f": {row.said}" if row.said else ""
    return f"{quote(row.name)}, {row.strategy}, {row.state}{said}"
