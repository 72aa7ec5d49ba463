"""k-fold cross-validation: every image evaluated once, by a model that never saw it.

Each fold is an ordinary run in its own folder; the first one fills the feature cache for the
others. A test split of the user takes no part.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data.dataset import DatasetIndex
from core.data.splits import draw_folds
from core.errors import Cancelled, DatasetError
from core.evaluation.metrics import wilson_interval
from core.events import ShouldStop, Sink, check_stop, never_stop, no_sink
from core.recipe.recipe import Recipe
from core.runs.store import RunStore
from core.training.fit import fit


@dataclass(frozen=True, slots=True)
class Fold:
    """One fold's run, and its accuracy on the `n` images of its val."""

    run: Path
    n: int
    accuracy: float


@dataclass(frozen=True)
class CrossValidation:
    """The result over all folds.

    `interval` (95 %, Wilson) is that of the accuracy over all images; it treats them as
    independent, though folds share training images (Bengio and Grandvalet 2004 show that no
    unbiased estimate of the variance exists). `deviation` is that of the folds' accuracies.
    """

    folds: tuple[Fold, ...]
    asked: int
    """How many folds were asked for."""

    @property
    def n(self) -> int:
        return sum(fold.n for fold in self.folds)

    @property
    def accuracy(self) -> float:
        return sum(fold.accuracy * fold.n for fold in self.folds) / self.n

    @property
    def interval(self) -> tuple[float, float]:
        return wilson_interval(round(self.accuracy * self.n), self.n)

    @property
    def deviation(self) -> float:
        """Standard deviation between folds; 0 for a single one."""
        accuracies = [fold.accuracy for fold in self.folds]
        return statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0

    def to_dict(self) -> dict[str, Any]:
        return {
            "folds": [
                {"run": str(fold.run), "n": fold.n, "val_accuracy": fold.accuracy}
                for fold in self.folds
            ],
            "asked_folds": self.asked,
            "n": self.n,
            "accuracy": self.accuracy,
            "interval": self.interval,
            "deviation": self.deviation,
        }


def cross_validate(
    recipe: Recipe,
    index: DatasetIndex,
    *,
    folds: int,
    store: RunStore,
    sink: Sink = no_sink,
    should_stop: ShouldStop = never_stop,
) -> CrossValidation:
    """Train `folds` times, each time with another part of the images as val.

    The parts are drawn with the recipe's seed, stratified, copies and groups kept together. After a
    stop the result has the folds that are done.
    Raises: as `fit`; DatasetError for an impossible number of folds; Cancelled where no fold is
    done yet.
    """
    done: list[Fold] = []
    name = index.name or index.root.name
    for number, part in enumerate(draw_folds(index, folds=folds, seed=recipe.seed), start=1):
        try:
            check_stop(should_stop)
            run = store.create(f"{name}-fold-{number}-of-{folds}", recipe)
            result = fit(recipe, part, run, sink=sink, should_stop=should_stop)
        except Cancelled:
            break
        if result.status == "stopped":  # half-trained, it would spoil the mean
            break
        if result.report is None:
            raise DatasetError(
                f"No image of fold {number} of {folds} could be evaluated.", "Choose fewer folds."
            )
        done.append(Fold(result.run, result.report.n, result.report.top1))
    if not done:
        raise Cancelled
    return CrossValidation(tuple(done), folds)
