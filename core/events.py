"""The seam between core and whoever listens: three callables and a few small events.

Events go to `events.jsonl` in the run folder (the truth) and to the listener. They hold numbers
and text only, never a tensor. Only `StepDone` may be merged or dropped by a listener.
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


@dataclass(frozen=True, slots=True)
class RunStarted:
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
    """0: the head is fitted to cached features, without steps."""
    classes: int = 0
    """0: not told."""
    work: tuple[float, ...] = ()
    """What a step costs in each epoch, against one with every layer open; empty: always the same.
    """
    tasks: tuple[str, ...] = ()
    """What is learned beside the label; the accuracies of later events follow this order."""
    teacher: str = ""
    """Whose soft answers are learned from, too; empty: nobody's."""


@dataclass(frozen=True, slots=True)
class RunResumed:
    """The run goes on after `step` steps and `epoch` whole epochs; later events before this one
    were lost with the process and count no more."""

    step: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Work before the first epoch: decoding and embedding."""

    done: int
    total: int
    note: str
    images_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class StepDone:
    """One step of the optimizer, counted from 1 through the whole run."""

    step: int
    epoch: int
    loss: float
    rates: tuple[float, ...]
    """The learning rate of each layer group, 0 where frozen."""
    images_per_s: float
    memory_mb: float = 0.0
    """Of the process; on a GPU, the most that tensors took there."""


@dataclass(frozen=True, slots=True)
class EpochDone:
    """One pass over the training images, counted from 1; losses in nats, accuracies in 0…1.

    Epoch 0 of fine-tuning is the head on frozen features that it begins with.
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
    """Share of the selection images that get the most frequent answer; 1: all the same one."""
    selection_balanced_accuracy: float | None = None
    selection_macro_f1: float | None = None
    task_accuracies: tuple[float | None, ...] = ()
    """Of each task on the selection images that have its label; None where none has."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """What two steps before the first one foretell; they left no trace in the model."""

    memory_mb: float
    """The most a step takes beyond what the process had; on a GPU what tensors took there."""
    seconds_per_step: float
    """With all layers open that ever train."""
    seconds_total: float
    """Of all steps, without the looks at the selection images; patience may end the run sooner."""


@dataclass(frozen=True, slots=True)
class PlanChanged:
    """From this epoch on these layer groups train (`opened`) or no longer do (`frozen`)."""

    epoch: int
    opened: tuple[str, ...]
    frozen: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckpointSaved:
    kind: Literal["best", "last"]
    epoch: int
    path: str


@dataclass(frozen=True, slots=True)
class Notice:
    level: Literal["info", "warning", "error"]
    text: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    status: Literal["done", "stopped", "failed"]
    best_epoch: int
    best_selection_accuracy: float
    error: str = ""
    has_diverged: bool = False
    """The loss was no number any more: going on from the last state wants a lower rate."""


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

_KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        RunStarted, RunResumed, Progress, StepDone, EpochDone, DryRun, PlanChanged,
        CheckpointSaved, Notice, RunEnded,
    )
}  # fmt: skip


def to_json(event: Event) -> str:
    """One line of JSON, with the kind under `event`."""
    return json.dumps({"event": type(event).__name__, **dataclasses.asdict(event)})


def to_row(event: EpochDone) -> dict[str, Any]:
    """A row of a table; the accuracies of the tasks in one cell."""
    shares = ("-" if share is None else f"{share:.6g}" for share in event.task_accuracies)
    return {**dataclasses.asdict(event), "task_accuracies": " ".join(shares)}


def from_json(line: str) -> Event:
    """The event of one line of `events.jsonl`.

    Raises: KeyError, TypeError, ValueError for a line this version does not know.
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
    """The listener that listens to nothing."""


def never_stop() -> bool:
    return False


def no_sink(event: Event) -> None:
    """The sink that keeps nothing."""


def check_stop(should_stop: ShouldStop) -> None:
    """Leave the job at this boundary if its owner asked for it.

    Raises: Cancelled.
    """
    if should_stop():
        raise Cancelled
