"""A short trial of the strategies on a small sample: does fine-tuning help here, and how surely?

Every arm learns from the same images and is judged on the same selection images; the head on
frozen features that fine-tuning begins with is the first arm. Few images, so the intervals are
wide and say so. Nothing is kept but cached features.
"""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.advice.advise import Advice
from core.data.dataset import SPLITS, DatasetIndex
from core.data.splits import honest_sets
from core.errors import AppError, Cancelled
from core.evaluation.metrics import wilson_interval
from core.events import (
    EpochDone,
    Event,
    OnProgress,
    RunStarted,
    ShouldStop,
    StepDone,
    never_stop,
    no_progress,
)
from core.runs.run_folder import create_run
from core.training.fit import fit

_IMAGES = 200
_EPOCHS = 3
_REPORTED = 4
_FOLDS = 3
"""A third of the sample is for selection: fewer images would show no difference."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One strategy of the trial. `accuracy` is on the selection images, with its 95 % interval; for
    fine-tuning that of its best epoch, which those images chose."""

    strategy: str
    accuracy: float
    interval: tuple[float, float]
    seconds: float


@dataclass(frozen=True, slots=True)
class Check:
    """The result of a short trial of every strategy on a small sample."""

    images: int
    selection_images: int
    epochs: int
    arms: tuple[Arm, ...]

    @property
    def verdict(self) -> str:
        """What the trial shows, in one sentence that respects how few images it has."""
        frozen, *tuned = self.arms
        best = max(tuned, key=_accuracy)
        gain = round((best.accuracy - frozen.accuracy) * self.selection_images)
        if gain <= 0:
            return "Fine-tuning got no more images right than the frozen features."
        images = "1 image" if gain == 1 else f"{gain} images"
        gain_text = f"{best.strategy.capitalize()} fine-tuning got {images} more right"
        if best.interval[0] > frozen.accuracy:
            return f"{gain_text}, more than chance explains."
        return f"{gain_text}, which is within what chance gives on so few."


def check(
    index: DatasetIndex,
    advice: Advice,
    *,
    on_progress: OnProgress = no_progress,
    should_stop: ShouldStop = never_stop,
) -> Check:
    """Train each strategy for a few epochs on a small sample and compare them.

    Raises: AppError where the sample cannot be trained on; Cancelled.
    """
    sample = _sample(index, seed=advice.recipe.seed)
    recipes = [o.recipe for o in advice.alternatives if o.strategy != "feature-extraction"]
    arms: list[Arm] = []
    images = 0
    with tempfile.TemporaryDirectory(prefix="graftwork-check-") as folder:
        for number, recipe in enumerate(recipes):
            short = recipe.with_values(
                max_epochs=_EPOCHS, gradual=False, selection_folds=_FOLDS, patience=_EPOCHS
            )
            listener = _Listener(
                on_progress, arm=number, arms=len(recipes), strategy=recipe.strategy
            )
            run = create_run(Path(folder) / recipe.strategy, short)
            result = fit(short, sample, run, sink=listener.on_event, should_stop=should_stop)
            if result.status == "stopped" or should_stop():
                raise Cancelled
            images = listener.selection_images
            if not arms and result.probe_selection_accuracy is not None:
                accuracy = result.probe_selection_accuracy
                arms.append(_arm("feature-extraction", accuracy, images, listener.probe_seconds))
            arms.append(
                _arm(recipe.strategy, result.best_selection_accuracy, images, result.seconds)
            )
    return Check(len(sample.indices("train")), images, _EPOCHS, tuple(arms))


def _accuracy(arm: Arm) -> float:
    return arm.accuracy


def _arm(strategy: str, accuracy: float, images: int, seconds: float) -> Arm:
    return Arm(strategy, accuracy, wilson_interval(round(accuracy * images), images), seconds)


def _sample(index: DatasetIndex, *, seed: int) -> DatasetIndex:
    """A sample of the training images, spread over the classes as evenly as possible.

    A run wants a report set; a handful of training images plays it, so that the real one is never
    asked here.
    """
    rng = np.random.default_rng(seed)
    train = rng.permutation(honest_sets(index, seed=seed).train)
    labels = index.labels[train]
    # The n-th image of its class comes before every (n + 1)-th: round after round.
    rank = np.zeros(len(train), np.int64)
    for label in range(len(index.classes)):
        mine = np.flatnonzero(labels == label)
        rank[mine] = np.arange(len(mine))
    by_turn = train[np.argsort(rank, kind="stable")]
    chosen = by_turn[: _IMAGES + _REPORTED]
    if len(index.classes) * _FOLDS > len(chosen):
        raise AppError(
            f"{len(index.classes):,} classes are too many for a check on {len(chosen):,} images.",
            "Train the alternatives instead, and compare their runs.",
        )
    splits = np.full(len(chosen), SPLITS.index("train"), index.splits.dtype)
    splits[-_REPORTED:] = SPLITS.index("val")
    return dataclasses.replace(
        index,
        files=tuple(index.files[int(i)] for i in chosen),
        labels=index.labels[chosen],
        splits=splits,
        bytes=index.bytes[chosen],
        widths=index.widths[chosen],
        heights=index.heights[chosen],
        duplicates=(),  # the honest sets have none, and these would name files that are not here
        leaks=(),
    )


class _Listener:
    """Turns the events of all arms into one progress."""

    def __init__(self, on_progress: OnProgress, *, arm: int, arms: int, strategy: str) -> None:
        self._on_progress = on_progress
        self._arm, self._arms, self._strategy = arm, arms, strategy
        self._steps_per_epoch = 1
        self.selection_images = 0
        self.probe_seconds = 0.0

    def on_event(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self.selection_images = event.selection_images
            self._steps_per_epoch = max(1, event.steps_per_epoch)
            self._report(0)
        elif isinstance(event, StepDone):
            self._report(event.step)
        elif isinstance(event, EpochDone) and event.epoch == 0:
            self.probe_seconds = event.seconds

    def _report(self, step: int) -> None:
        steps = _EPOCHS * self._steps_per_epoch
        self._on_progress(
            self._arm * steps + step, self._arms * steps, f"trying {self._strategy} fine-tuning"
        )
