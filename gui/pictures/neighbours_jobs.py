"""Which pictures of a dataset are like one of them, found in a worker thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gui.kit.workers import JobContext

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex

_COUNT = 8
_MOST_FEATURES = 20_000
"""Pictures up to which features are held in memory for this: 100 MB at 1,280 numbers each."""


@dataclass(frozen=True)
class Likeness:
    """What pictures are compared by: unit rows float32 [N, D], of the files of `dataset`.

    `is_known`: bool [N]; `by`: what they are, in words.
    """

    dataset: DatasetIndex
    rows: npt.NDArray[np.float32]
    is_known: npt.NDArray[np.bool_]
    by: str


@dataclass(frozen=True)
class Neighbours:
    """The files most like `file`, the likest first, and what they were compared by."""

    file: str
    files: tuple[str, ...]
    likeness: Likeness


def find_neighbours(
    dataset: DatasetIndex,
    file: str,
    known: Likeness | None,
    values: dict[str, Any] | None,
    context: JobContext,
) -> Neighbours:
    """`known`: of an earlier question about the same dataset. `values`: of the recipe whose
    features are used where they are in the cache; None: by thumbnails alone.

    Raises: Cancelled; AppError where a model cannot be opened.
    """
    likeness = known if known is not None else _likeness(dataset, values, context)
    position = {name: i for i, name in enumerate(likeness.dataset.files)}
    i = position.get(file)
    if i is None or not likeness.is_known[i]:
        return Neighbours(file, (), likeness)
    scores = likeness.rows @ likeness.rows[i]
    scores[~likeness.is_known] = -np.inf
    scores[i] = -np.inf
    best = np.argsort(-scores)[:_COUNT]
    files = tuple(likeness.dataset.files[k] for k in best if np.isfinite(scores[k]))
    return Neighbours(file, files, likeness)


def _likeness(
    dataset: DatasetIndex, values: dict[str, Any] | None, context: JobContext
) -> Likeness:
    if values is not None and len(dataset) <= _MOST_FEATURES:
        from core.features.dataset_features import cached_features
        from core.recipe.recipe import new_recipe

        found = cached_features(dataset, new_recipe(values), should_stop=context.should_stop)
        if found is not None:
            vectors, is_there = found
            return Likeness(dataset, _unit(vectors), is_there, "by what the model sees")
    from core.data.health.measure import measure

    measured = measure(dataset, on_progress=context.on_progress, should_stop=context.should_stop)
    thumbs = measured.rows["thumb"].reshape(len(dataset), -1).astype(np.float32)
    thumbs -= thumbs.mean(axis=1, keepdims=True)
    is_known = np.ones(len(dataset), dtype=np.bool_)
    is_known[list(measured.reasons)] = False
    return Likeness(dataset, _unit(thumbs), is_known, "by their look in small")


def _unit(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: npt.NDArray[np.float32] = rows / np.maximum(norms, 1e-6)
    return unit
