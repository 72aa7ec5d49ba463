"""The events of a run, and the three callables that connect a core function with its caller.

The callables are `on_progress`, `sink` and `should_stop`. Events are written to `events.jsonl` in
the run folder, which is the record that counts, and passed to the sink. They hold numbers and
text only, never a tensor. A listener may merge or drop `StepDone` events, no others.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.errors import Cancelled

OnProgress = Callable[[int, int, str], None]
"""`on_progress(done, total, note)`; total 0 means unknown."""

ShouldStop = Callable[[], bool]
"""Whether the caller wants the job to stop; asked at each boundary, e.g. between two steps."""


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The first event of a run: what will be trained, on which images, where."""

    run: str
    model: str
    strategy: str
    device: str
    precision: str
    train_images: int
    selection_images: int
    report_images: int
    epochs: int
    groups: tuple[str, ...] = ()
    """Names of the plan's layer groups, stem first; rates of later events follow this order."""
    steps_per_epoch: int = 0
    """0: the head is fitted directly to cached features, without optimizer steps."""
    classes: int = 0
    """Number of classes; 0: unknown."""
    work: tuple[float, ...] = ()
    """Cost of a step in each epoch, relative to a step that trains every layer; empty: constant."""
    tasks: tuple[str, ...] = ()
    """Further label columns that are learned; the accuracies of later events follow this order."""
    teacher: str = ""
    """The teacher model of distillation; empty: none."""


@dataclass(frozen=True, slots=True)
class RunResumed:
    """The run continues after `step` steps and `epoch` whole epochs.

    Events before this one with a later step describe work that was lost; readers ignore them.
    """

    step: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of the work before the first epoch: decoding pictures and computing features."""

    done: int
    total: int
    note: str
    images_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class StepDone:
    """One optimizer step; `step` counts from 1 through the whole run."""

    step: int
    epoch: int
    loss: float
    rates: tuple[float, ...]
    """The learning rate of each layer group, 0 where frozen."""
    images_per_s: float
    memory_mb: float = 0.0
    """Memory of the process; on a GPU the peak memory of tensors there."""


@dataclass(frozen=True, slots=True)
class EpochDone:
    """One pass over the training images, counted from 1; losses in nats, accuracies in 0…1.

    Epoch 0 of fine-tuning is the head fitted to frozen features, from which training begins.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    selection_loss: float
    selection_accuracy: float
    seconds: float
    l2: float = 0.0
    step: int = 0
    """Steps done by the end of the epoch."""
    images_per_s: float = 0.0
    top_share: float | None = None
    """Share of the selection images that get the most frequent prediction; 1: all the same."""
    selection_balanced_accuracy: float | None = None
    selection_macro_f1: float | None = None
    task_accuracies: tuple[float | None, ...] = ()
    """Accuracy of each task on the selection images that have its label; None: no image has."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """Memory and time measured in two trial steps, which are undone before training starts."""

    memory_mb: float
    """Peak memory of a step beyond what the process used before; on a GPU that of tensors."""
    seconds_per_step: float
    """With every layer trained that the plan ever trains."""
    seconds_total: float
    """All steps, without the evaluations on selection images; early stopping may end it sooner."""


@dataclass(frozen=True, slots=True)
class PlanChanged:
    """Layer groups that train from this epoch on (`opened`) or no longer train (`frozen`)."""

    epoch: int
    opened: tuple[str, ...]
    frozen: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckpointSaved:
    """A checkpoint was written to `path`, a folder of the run."""

    kind: Literal["best", "last"]
    epoch: int
    path: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence to show to the user: what happened, what was kept, what to do."""

    level: Literal["info", "warning", "error"]
    text: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The last event of a run; `error` says why it failed, else it is empty."""

    status: Literal["done", "stopped", "failed"]
    best_epoch: int
    best_selection_accuracy: float
    error: str = ""
    has_diverged: bool = False
    """The loss became infinite or NaN: a resumed run needs a lower learning rate."""


Event = (
    RunStarted
    | RunResumed
    | Progress
    | StepDone
    | EpochDone
    | DryRun
    | PlanChanged
    | CheckpointSaved
    | Notice
    | RunEnded
)
Sink = Callable[[Event], None]
"""Receives each event of a job as it is emitted."""

_KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        RunStarted, RunResumed, Progress, StepDone, EpochDone, DryRun, PlanChanged,
        CheckpointSaved, Notice, RunEnded,
    )
}  # fmt: skip


def to_json(event: Event) -> str:
    """The event as one line of JSON, with its kind under `event`; `from_json` reads it."""
    return json.dumps({"event": type(event).__name__, **dataclasses.asdict(event)})


def to_row(event: EpochDone) -> dict[str, Any]:
    """The event as a row of `metrics.csv`; the task accuracies share one cell."""
    shares = ("-" if share is None else f"{share:.6g}" for share in event.task_accuracies)
    return {**dataclasses.asdict(event), "task_accuracies": " ".join(shares)}


def from_json(line: str) -> Event:
    """The event of one line of `events.jsonl`.

    Raises: KeyError, TypeError, ValueError for a line that this version does not know.
    """
    fields: Mapping[str, Any] = json.loads(line)
    kind = _KINDS[fields["event"]]
    values = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in fields.items()
        if name != "event"
    }
    event: Event = kind(**values)
    return event


def no_progress(done: int, total: int, note: str) -> None:
    """An `OnProgress` that ignores every report."""


def never_stop() -> bool:
    """A `ShouldStop` that never stops the job."""
    return False


def no_sink(event: Event) -> None:
    """A `Sink` that ignores every event."""


def check_stop(should_stop: ShouldStop) -> None:
    """Stop the job here if the caller asked for it.

    Raises: Cancelled.
    """
    if should_stop():
        raise Cancelled
