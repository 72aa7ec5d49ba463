"""Estimates the time a fine-tuning still takes: a pure function of its events so far.

An epoch is its steps and a rest (evaluation on the selection images, waiting for pictures). Steps
cost more when more layers train: `RunStarted.work` has the cost of each epoch.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.events import EpochDone, RunStarted

_FORWARD = 1 / 3
"""Cost of a forward pass, relative to a step that trains every layer."""
_FEW_STEPS = 5


def seconds_left(
    started: RunStarted,
    epochs: Sequence[EpochDone],
    *,
    steps_done: int,
    recent_step_seconds: Sequence[float],
) -> float | None:
    """Seconds until all epochs and the report are done; early stopping may end the run sooner.

    `recent_step_seconds`: those of the last steps in the current epoch. None if nothing is known
    yet, or for a head that is fitted directly, without steps.
    """
    per_epoch = started.steps_per_epoch
    learned = [epoch for epoch in epochs if epoch.epoch > 0]
    if not per_epoch or not (learned or recent_step_seconds):
        return None
    done = learned[-1].epoch if learned else 0
    under_way = min(done + 1, started.epochs)
    left_of_it = max(0, under_way * per_epoch - steps_done) if done < started.epochs else 0
    unit, rest = _costs(started, learned, under_way, recent_step_seconds)
    per_step = unit / per_epoch
    seconds = left_of_it * per_step * _work(started, under_way)
    seconds += rest * (started.epochs - done)
    for epoch in range(under_way + 1, started.epochs + 1):
        seconds += unit * _work(started, epoch)
    return seconds + rest * started.report_images / max(1, started.selection_images)


def _costs(
    started: RunStarted,
    learned: Sequence[EpochDone],
    under_way: int,
    recent: Sequence[float],
) -> tuple[float, float]:
    """(seconds of an epoch's steps with every layer trained, seconds of the rest of an epoch)."""
    per_epoch = started.steps_per_epoch
    unit: float | None = None
    rest: float | None = None
    if learned:
        last = learned[-1]
        fit_images = started.train_images - started.selection_images
        busy = min(
            last.seconds, fit_images / last.images_per_s if last.images_per_s else last.seconds
        )
        unit, rest = busy / _work(started, last.epoch), last.seconds - busy
    if len(recent) >= _FEW_STEPS or unit is None:
        # The current speed counts, not that of the epoch before.
        unit = per_epoch * sum(recent) / len(recent) / _work(started, under_way)
    if rest is None:
        looks = started.selection_images * per_epoch
        rest = unit * _FORWARD * looks / max(1, started.train_images - started.selection_images)
        rest /= per_epoch
    return unit, rest


def _work(started: RunStarted, epoch: int) -> float:
    """Cost of a step in an epoch, relative to a step that trains every layer."""
    return started.work[epoch - 1] if 0 < epoch <= len(started.work) else 1.0
