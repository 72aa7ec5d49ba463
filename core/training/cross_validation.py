"""k-fold cross-validation: every image judged once, by a model that never saw it.

Each fold is an ordinary run with a folder of its own; what is frozen is computed for the first and
found in the cache by the others. A test of the user's own takes no part.
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
    """One fold's run and how its val, `n` images, was answered."""

    run: Path
    n: int
    accuracy: float


@dataclass(frozen=True)
class CrossValidation:
    """What the folds say together.

    `interval` (95 %, Wilson) is of the share of all images that were answered rightly; it treats
    them as independent, though folds share training images (Bengio and Grandvalet 2004 show that
    no unbiased estimate of the variance exists). `deviation` is that of the folds' accuracies.
    """

    folds: tuple[Fold, ...]
    asked: int

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
        """Between folds; 0 for a single one."""
        found = [fold.accuracy for fold in self.folds]
        return statistics.stdev(found) if len(found) > 1 else 0.0

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

    The parts are drawn by the recipe's seed, stratified, copies and groups together. A stop ends
    with the folds that are done. Raises: as `fit`; DatasetError for an impossible number of folds;
    Cancelled where no fold is done yet.
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
        if result.status == "stopped":  # judged half-trained it would spoil the mean
            break
        if result.report is None:
            raise DatasetError(
                f"No image of fold {number} of {folds} could be judged.", "Choose fewer folds."
            )
        done.append(Fold(result.run, result.report.n, result.report.top1))
    if not done:
        raise Cancelled
    return CrossValidation(tuple(done), folds)
