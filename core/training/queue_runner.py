"""Trains one entry of the queue: opens its dataset, trains its run and records how it ended."""

from __future__ import annotations

from core.data.open_dataset import open_dataset
from core.errors import AppError, Cancelled
from core.events import OnProgress, ShouldStop, Sink, never_stop, no_progress, no_sink
from core.plan.check import check
from core.runs.queue import Queue, QueueEntry
from core.runs.report import RunResult
from core.runs.store import RunStore
from core.training.fit import fit
from core.training.live_model import BetweenSteps


def train_entry(
    queue: Queue,
    entry: QueueEntry,
    *,
    store: RunStore | None = None,
    on_progress: OnProgress = no_progress,
    sink: Sink = no_sink,
    should_stop: ShouldStop = never_stop,
    between_steps: BetweenSteps | None = None,
) -> RunResult:
    """Train an entry that `queue.take()` returned; the queue records how it ended.

    Raises: as `fit`; the entry is then `failed`, with the reason, or `stopped`.
    """
    try:
        recipe = entry.recipe()
        opened = entry.opened[0] if len(entry.opened) == 1 else entry.opened
        index = open_dataset(opened, on_progress=on_progress, should_stop=should_stop)
        check(recipe, index)
        run = (store or RunStore()).create(entry.name, recipe)
        queue.set_run(entry.id, run.path)
        result = fit(
            recipe, index, run, sink=sink, should_stop=should_stop, between_steps=between_steps
        )
    except Cancelled:
        queue.finish(entry.id, "stopped")
        raise
    except AppError as error:
        queue.finish(entry.id, "failed", error=str(error))
        raise
    except BaseException as error:
        queue.finish(entry.id, "failed", error=f"{type(error).__name__}: {error}")
        raise
    queue.finish(entry.id, result.status)
    return result
