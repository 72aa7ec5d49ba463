"""The jobs of the queue. Core is imported inside: it takes seconds to load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from core.errors import AppError
from gui.kit.workers import JobContext
from gui.train.jobs import ProgressFromEvents

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex
    from core.runs.queue import EntryState, QueueEntry
    from core.runs.report import RunResult

Change = Literal["up", "down", "remove", "again"]


@dataclass(frozen=True, slots=True)
class QueueRow:
    """An entry as it is shown."""

    id: int
    name: str
    strategy: str
    model: str
    state: EntryState
    failure: str
    """The reason of a failure."""


def list_queue(context: JobContext) -> tuple[QueueRow, ...]:
    from core.runs.queue import Queue

    return tuple(_row(entry) for entry in Queue().entries())


def _row(entry: QueueEntry) -> QueueRow:
    try:
        recipe = entry.recipe()
        strategy, model, failure = str(recipe.strategy), recipe.model, entry.error
    except AppError as error:  # of another version
        strategy, model, failure = "", "", str(error)
    return QueueRow(entry.id, entry.name, strategy, model, entry.state, failure)


def add_to_queue(
    values: dict[str, Any], dataset: DatasetIndex, context: JobContext
) -> tuple[QueueRow, ...]:
    """Add a training at the end of the queue. Raises: AppError for what cannot be trained."""
    from core.plan.check import check
    from core.recipe.recipe import new_recipe
    from core.runs.queue import Queue

    recipe = new_recipe(values)
    check(recipe, dataset)
    Queue().add(dataset.opened, dataset.name or dataset.root.name, recipe)
    return list_queue(context)


def change_queue(entry: int, change: Change, context: JobContext) -> tuple[QueueRow, ...]:
    from core.runs.queue import Queue

    queue = Queue()
    if change == "remove":
        queue.remove(entry)
    elif change == "again":
        queue.requeue(entry)
    else:
        order = [known.id for known in queue.entries()]
        if entry in order:
            queue.move(entry, order.index(entry) + (1 if change == "down" else -1))
    return list_queue(context)


def clear_ended(context: JobContext) -> tuple[QueueRow, ...]:
    from core.runs.queue import Queue

    Queue().clear_ended()
    return list_queue(context)


def take_from_queue(context: JobContext) -> QueueEntry | None:
    """The next entry, reserved for this window; None where none waits."""
    from core.runs.queue import Queue

    return Queue().start_next()


def train_entry(entry: QueueEntry, context: JobContext) -> RunResult:
    """Train an entry; the queue on the disk records how it ended."""
    from core.runs.queue import Queue
    from core.training import queue_runner

    listener = ProgressFromEvents(context)
    return queue_runner.train_entry(
        Queue(),
        entry,
        on_progress=context.on_progress,
        sink=listener.on_event,
        should_stop=context.should_stop,
        between_steps=listener.answer,
    )
