"""Evidence on a dataset, measured on a sample of its training images with the frozen backbone.

How sure the pretrained head is of them, how well a head fitted to their features does on held-out
ones, and how fast this machine embeds them. The features stay in the cache for the training.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.advice.estimate import Speed, measure_multiply_adds
from core.compute.device import Compute
from core.compute.embedder import Embedder, worker_pool
from core.data.dataset import DatasetIndex
from core.data.splits import HonestSets
from core.evaluation.classifier import Classifier
from core.evaluation.metrics import wilson_interval
from core.events import OnProgress, ShouldStop
from core.features.cache import FeatureCache, embed_files
from core.models.build import BuiltModel
from core.recipe.recipe import Recipe
from core.training.head_solver import fit_head

_SAMPLE = 400
_ENTROPY_SAMPLE = 100


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured on the sample.

    `head_entropy` is the mean entropy of the pretrained head's softmax on `domain_images` of the
    sample, divided by its maximum; None where the model has no head. `accuracy` is that of heads
    on frozen features, each image judged by heads fitted without it, with its 95 % interval.
    """

    images: int
    head_entropy: float | None
    domain_images: int
    accuracy: float
    interval: tuple[float, float]
    images_per_s: float


def measure(
    index: DatasetIndex,
    sets: HonestSets,
    built: BuiltModel,
    compute: Compute,
    recipe: Recipe,
    on_progress: OnProgress,
    should_stop: ShouldStop,
) -> tuple[Evidence, Speed]:
    """Measure the evidence and the speed of this machine on a sample of the training images.

    Raises: AppError where too few images can be read; Cancelled.
    """
    rng = np.random.default_rng(recipe.seed)
    rows = np.sort(rng.permutation(len(sets.train))[:_SAMPLE])
    rows = _with_every_class(rows, index.labels[sets.train], len(index.classes), rng)
    cache = FeatureCache.of(built, compute)
    embedder = Embedder(built, compute)
    side = built.preprocessing
    trial = torch.zeros((compute.embed_batch_size, side.height, side.width, 3), dtype=torch.uint8)
    embedder.embed(trial)  # warm-up, not timed
    try:
        features = embed_files(
            [index.path(int(i)) for i in sets.train[rows]],
            embedder,
            compute,
            cache=cache,
            on_progress=on_progress,
            should_stop=should_stop,
        )
    finally:
        cache.close()
    if features.computed >= compute.embed_batch_size * compute.workers:
        images_per_s = features.computed / features.seconds
    else:  # all cached: time a pass alone, in as many threads as will work
        with worker_pool(compute) as pool:
            begin = time.perf_counter()
            list(pool.map(embedder.embed, [trial] * compute.workers))
            seconds = time.perf_counter() - begin
        images_per_s = compute.workers * compute.embed_batch_size / seconds
    ok = np.flatnonzero(features.is_ok)
    vectors = torch.from_numpy(features.vectors[ok])
    labels = torch.from_numpy(index.labels[sets.train[rows[ok]]].astype(np.int64))
    stride = -(-len(ok) // _ENTROPY_SAMPLE)  # rounded up: never more than _ENTROPY_SAMPLE
    seen = [index.path(int(i)) for i in sets.train[rows[ok]][:: max(1, stride)]]
    entropy = (
        _head_entropy(seen, built, compute, should_stop) if built.card.num_classes > 1 else None
    )
    on_progress(0, 0, "fitting heads to the sample")
    begin = time.perf_counter()
    head = fit_head(
        vectors,
        labels,
        torch.from_numpy(sets.fold[rows[ok]].astype(np.int64)),
        classes=len(index.classes),
        epochs=recipe.max_epochs_or_default,
        patience=recipe.patience,
        should_stop=should_stop,
    )
    head_seconds = time.perf_counter() - begin
    hits = round(head.selection_accuracy * head.selection_images)
    evidence = Evidence(
        images=len(ok),
        head_entropy=entropy,
        domain_images=len(seen) if entropy is not None else 0,
        accuracy=head.selection_accuracy,
        interval=wilson_interval(hits, head.selection_images),
        images_per_s=images_per_s,
    )
    speed = Speed(
        embedded_per_s=images_per_s,
        head_epochs=head.epochs,
        head_seconds=head_seconds,
        multiply_adds_per_s=measure_multiply_adds(vectors.shape[1], compute.device),
    )
    return evidence, speed


def _with_every_class(
    rows: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], classes: int, rng: np.random.Generator
) -> np.ndarray[Any, Any]:
    """Add two images of each class the sample lacks."""
    counts = np.bincount(labels[rows], minlength=classes)
    extra = [
        rng.permutation(np.flatnonzero(labels == label))[:2] for label in np.flatnonzero(counts < 2)
    ]
    return np.unique(np.concatenate([rows, *extra])) if extra else rows


def _head_entropy(
    paths: list[Path], built: BuiltModel, compute: Compute, should_stop: ShouldStop
) -> float:
    """Mean entropy of the pretrained head's softmax on the pictures, as a share of its maximum."""
    classifier = Classifier(built.card.id, built, compute, classes=("",) * built.card.num_classes)
    scores = classifier.score(paths, should_stop=should_stop)
    p = scores.probabilities[[i for i in range(len(paths)) if i not in scores.errors]]
    entropy = torch.special.entr(p).sum(1).mean()
    return float(entropy) / math.log(p.shape[1])
