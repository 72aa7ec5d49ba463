"""Frozen features in the rows of a dataset's index, as its health wants them."""

from __future__ import annotations

import numpy as np

from core.data.dataset import DatasetIndex
from core.data.health.findings import FrozenFeatures
from core.events import OnProgress, ShouldStop, never_stop, no_progress
from core.features.dataset_features import picture_features
from core.recipe.recipe import Recipe


def frozen_features(
    index: DatasetIndex,
    recipe: Recipe,
    *,
    on_progress: OnProgress = no_progress,
    should_stop: ShouldStop = never_stop,
) -> FrozenFeatures:
    """Of every picture, by the recipe's model, from the cache that training uses as well.

    Raises: AppError where the model cannot be used; Cancelled (what was computed stays cached).
    """
    found = picture_features(index, recipe, on_progress=on_progress, should_stop=should_stop)
    position = {file: i for i, file in enumerate(index.files)}
    rows = [position[file] for file in found.files]
    vectors = np.zeros((len(index), found.vectors.shape[1]), np.float32)
    is_ok = np.zeros(len(index), np.bool_)
    vectors[rows], is_ok[rows] = found.vectors, True
    return FrozenFeatures(vectors, is_ok, found.model, found.computed)
