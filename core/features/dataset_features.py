"""Features of all pictures of a dataset, for the map, the suggestions and the health check.

They share the feature cache with training, so that neither computes what the other has computed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.compute.choose import resolve_compute
from core.compute.embedder import Embedder
from core.data.dataset import DatasetIndex
from core.data.health.findings import IndexFeatures
from core.events import OnProgress, ShouldStop, check_stop, never_stop, no_progress
from core.features.cache import FeatureCache, embed_files
from core.models.build import build
from core.models.resolve import resolve_model
from core.recipe.recipe import Recipe


@dataclass(frozen=True)
class PictureFeatures:
    """The features of the readable pictures of a dataset, by a frozen backbone.

    vectors: float32 [N, D] of the N `files` (relative to the dataset's root). copies: int64 [N],
    the same number for files with the same bytes. unreadable: (file, reason). computed: number of
    vectors that were not in the cache.
    """

    model: str
    files: tuple[str, ...]
    vectors: npt.NDArray[np.float32]
    copies: npt.NDArray[np.int64]
    unreadable: tuple[tuple[str, str], ...] = ()
    computed: int = 0

    def __len__(self) -> int:
        return len(self.files)


@dataclass(frozen=True, slots=True)
class FeatureCost:
    """The cost of computing the features of a dataset.

    `missing` of `total` are not in the cache; `seconds`: time to compute them, as just measured.
    """

    total: int
    missing: int
    seconds: float


def picture_features(
    index: DatasetIndex,
    recipe: Recipe,
    *,
    on_progress: OnProgress = no_progress,
    should_stop: ShouldStop = never_stop,
) -> PictureFeatures:
    """The features of every picture of the dataset, by the recipe's model on its device.

    Raises: AppError if the model cannot be used; Cancelled (features so far are stored).
    """
    on_progress(0, 0, "opening the model")
    card = resolve_model(recipe.model)
    built = build(card, num_classes=max(2, len(index.classes)))
    check_stop(should_stop)
    compute = resolve_compute(recipe, built)
    cache = FeatureCache.of(built, compute)
    try:
        features = embed_files(
            [index.path(i) for i in range(len(index))],
            Embedder(built, compute),
            compute,
            cache=cache,
            on_progress=on_progress,
            should_stop=should_stop,
        )
    finally:
        cache.close()
    rows = np.flatnonzero(features.is_ok)
    names = np.array([features.hashes[i] for i in rows], dtype=np.str_)
    return PictureFeatures(
        model=card.id,
        files=tuple(index.files[i] for i in rows),
        vectors=features.vectors[rows],
        copies=np.unique(names, return_inverse=True)[1].astype(np.int64),
        unreadable=tuple((index.files[i], reason) for i, reason in features.failures),
        computed=features.computed,
    )


def cost_of_features(
    index: DatasetIndex, recipe: Recipe, *, should_stop: ShouldStop = never_stop
) -> FeatureCost:
    """Estimate the time to compute the missing features of a dataset.

    Computes the features of a few of the missing pictures for that, and stores them.

    Raises: AppError if the model cannot be used; Cancelled.
    """
    built = build(resolve_model(recipe.model), num_classes=max(2, len(index.classes)))
    check_stop(should_stop)
    compute = resolve_compute(recipe, built)
    cache = FeatureCache.of(built, compute)
    try:
        paths = [index.path(i) for i in range(len(index))]
        known = cache.known_hashes(paths)
        stored = cache.vectors(list(known.values()))
        missing = [i for i in range(len(index)) if known.get(i) not in stored]
        if not missing:
            return FeatureCost(len(index), 0, 0.0)
        embedder = Embedder(built, compute)
        trial = compute.embed_batch_size * compute.workers
        # Spread over the dataset, because neighbouring pictures often have the same size.
        picked = [missing[i] for i in np.linspace(0, len(missing) - 1, 2 * trial).astype(int)]
        picked = list(dict.fromkeys(picked))
        seconds = 0.0
        for part in (picked[::2], picked[1::2]):  # the first part is the warm-up, not timed
            begin = time.perf_counter()
            embed_files(
                [paths[i] for i in part],
                embedder,
                compute,
                cache=cache,
                on_progress=no_progress,
                should_stop=should_stop,
            )
            if part:
                seconds = (time.perf_counter() - begin) / len(part)
    finally:
        cache.close()
    left = len(missing) - len(picked)
    return FeatureCost(len(index), left, seconds * left)


_MIN_SHARE = 0.5
"""Share of the pictures whose features must be stored: fewer say little about the dataset."""


def cached_features(
    index: DatasetIndex, recipe: Recipe, *, should_stop: ShouldStop = never_stop
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]] | None:
    """The stored features of a dataset; None if most are not in the cache.

    Returns vectors float32 [N, D] and which rows are filled, bool [N]. Reads no picture.

    Raises: AppError if the model cannot be used; Cancelled.
    """
    built = build(resolve_model(recipe.model), num_classes=max(2, len(index.classes)))
    check_stop(should_stop)
    cache = FeatureCache.of(built, resolve_compute(recipe, built))
    try:
        known = cache.known_hashes([index.path(i) for i in range(len(index))])
        check_stop(should_stop)
        stored = cache.vectors(list(known.values()))
    finally:
        cache.close()
    rows = [i for i, content in known.items() if content in stored]
    if len(rows) < _MIN_SHARE * len(index) or not rows:
        return None
    vectors = np.zeros((len(index), built.feature_dim), dtype=np.float32)
    is_there = np.zeros(len(index), dtype=np.bool_)
    for i in rows:
        vectors[i] = stored[known[i]]
    is_there[rows] = True
    return vectors, is_there


def index_features(
    index: DatasetIndex,
    recipe: Recipe,
    *,
    on_progress: OnProgress = no_progress,
    should_stop: ShouldStop = never_stop,
) -> IndexFeatures:
    """The features of every picture, as rows of the index (unlike `picture_features`).

    Raises: AppError if the model cannot be used; Cancelled (features so far are stored).
    """
    found = picture_features(index, recipe, on_progress=on_progress, should_stop=should_stop)
    position = {file: i for i, file in enumerate(index.files)}
    rows = [position[file] for file in found.files]
    vectors = np.zeros((len(index), found.vectors.shape[1]), np.float32)
    is_ok = np.zeros(len(index), np.bool_)
    vectors[rows], is_ok[rows] = found.vectors, True
    return IndexFeatures(vectors, is_ok, found.model, found.computed)
