"""Advice on a dataset: the rules, the evidence measured on a sample, and an estimate.

The frozen backbone looks at a sample of the training images: how sure its pretrained head is of
them, how well a head fitted to their features does on held-out ones, and how fast this machine
embeds them. The features stay in the cache for the training.
"""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil
import torch

from core.advice.rules import DOMAINS, Decision, Domain, RuleRow, decide, describe, published_rules
from core.classify import Classifier
from core.data.dataset import DatasetIndex
from core.data.splits import HonestSets, honest_sets
from core.errors import AppError
from core.evaluation.metrics import wilson_interval
from core.events import OnProgress, ShouldStop, never_stop, no_progress
from core.models import catalog
from core.models.build import BuiltModel, build
from core.recipe import Recipe
from core.training.device import Compute, resolve_compute
from core.training.embed import Embedder
from core.training.features import FeatureCache, embed_files
from core.training.head import fit_head

_SAMPLE = 400
_ENTROPY_SAMPLE = 100
_SURE_BELOW = 0.5
"""Between photographs (0.20–0.23) and steel defects or digits (0.82–0.85), measured with Lite0."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the sample showed.

    `head_entropy` is the mean entropy of the pretrained head's softmax on `domain_images` of the
    sample, divided by its maximum; None where the model has no head.
    """

    images: int
    head_entropy: float | None
    domain_images: int
    accuracy: float
    interval: tuple[float, float]
    images_per_s: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of feature extraction on the whole set. `accuracy` is that of heads cross-fitted on the
    sample, with its 95 % interval; more images usually do better."""

    seconds: float
    memory_mb: float
    accuracy: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Advice:
    decision: Decision
    domain: Domain
    domain_origin: Literal["said", "measured", "assumed"]
    images_per_class: float
    rules: tuple[RuleRow, ...]
    reasons: tuple[str, ...]
    recipe: Recipe
    evidence: Evidence
    estimate: Estimate
    alternatives: tuple[dict[str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        fields = dataclasses.asdict(self)
        return {**fields.pop("decision"), **fields, "recipe": self.recipe.model_dump()}


def advise(
    index: DatasetIndex,
    recipe: Recipe,
    *,
    domain: Domain | Literal["auto"] = "auto",
    budget_seconds: float | None = None,
    on_progress: OnProgress = no_progress,
    should_stop: ShouldStop = never_stop,
) -> Advice:
    """Raises: AppError where the set or the model cannot be used; Cancelled."""
    sets = honest_sets(index, folds=recipe.selection_folds, seed=recipe.seed)
    per_class = float(
        np.median(np.bincount(index.labels[sets.train], minlength=len(index.classes)))
    )
    built = build(catalog.load().resolve(recipe.model))
    compute = resolve_compute(recipe, built)
    evidence = _measure(index, sets, built, compute, recipe, on_progress, should_stop)

    chosen, origin, domain_reason = _domain(domain, evidence, built)
    decision = decide(per_class, chosen)
    estimate = _estimate(evidence, len(sets.train) + len(sets.report), built.feature_dim)
    return Advice(
        decision=decision,
        domain=chosen,
        domain_origin=origin,
        images_per_class=per_class,
        rules=published_rules(per_class, chosen),
        reasons=_reasons(decision, per_class, domain_reason, evidence, estimate, budget_seconds),
        recipe=recipe,
        evidence=evidence,
        estimate=estimate,
        alternatives=_alternatives(decision),
    )


def _measure(
    index: DatasetIndex,
    sets: HonestSets,
    built: BuiltModel,
    compute: Compute,
    recipe: Recipe,
    on_progress: OnProgress,
    should_stop: ShouldStop,
) -> Evidence:
    rng = np.random.default_rng(recipe.seed)
    rows = np.sort(rng.permutation(len(sets.train))[:_SAMPLE])
    rows = _with_every_class(rows, index.labels[sets.train], len(index.classes), rng)
    cache = FeatureCache.of(built, compute)
    embedder = Embedder(built, compute)
    side = built.preprocessing
    trial = torch.zeros((compute.batch_size, side.height, side.width, 3), dtype=torch.uint8)
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
    if features.computed >= compute.batch_size * compute.workers:
        images_per_s = features.computed / features.seconds
    else:  # all cached: time a pass alone
        begin = time.perf_counter()
        embedder.embed(trial)
        images_per_s = compute.batch_size / (time.perf_counter() - begin)
    ok = np.flatnonzero(features.is_ok)
    vectors = torch.from_numpy(features.vectors[ok])
    labels = torch.from_numpy(index.labels[sets.train[rows[ok]]].astype(np.int64))
    seen = [index.path(int(i)) for i in sets.train[rows[ok]][:: max(1, len(ok) // _ENTROPY_SAMPLE)]]
    entropy = (
        _head_entropy(seen, built, compute, should_stop) if built.card.num_classes > 1 else None
    )
    head = fit_head(
        vectors,
        labels,
        torch.from_numpy(sets.fold[rows[ok]].astype(np.int64)),
        classes=len(index.classes),
        epochs=recipe.epochs,
        patience=recipe.patience,
        should_stop=should_stop,
    )
    hits = round(head.selection_accuracy * head.selection_images)
    return Evidence(
        images=len(ok),
        head_entropy=entropy,
        domain_images=len(seen) if entropy is not None else 0,
        accuracy=head.selection_accuracy,
        interval=wilson_interval(hits, head.selection_images),
        images_per_s=images_per_s,
    )


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


def _domain(
    said: Domain | Literal["auto"], evidence: Evidence, built: BuiltModel
) -> tuple[Domain, Literal["said", "measured", "assumed"], str]:
    if said != "auto":
        return said, "said", f"You said the images are {DOMAINS[said]}."
    if evidence.head_entropy is None:
        return (
            "somewhat",
            "assumed",
            f"{built.card.id} has no pretrained classifier to measure the domain with; "
            "“somewhat different” is assumed. Say it with --domain.",
        )
    share = evidence.head_entropy
    chosen: Domain = "similar" if share < _SURE_BELOW else "somewhat"
    reason = (
        f"The pretrained classifier's uncertainty on {evidence.domain_images} of your images is "
        f"{share:.2f} of its maximum (photographs: about 0.2; steel defects and digits: about "
        f"0.8), so the domain is taken as {DOMAINS[chosen]}."
    )
    if chosen == "somewhat":
        reason += " It cannot tell “very different” apart: say --domain different if it is."
    return chosen, "measured", reason


def _estimate(evidence: Evidence, images: int, feature_dim: int) -> Estimate:
    # Embedding only: with a hundred classes the head's fit can take as long and a gigabyte more.
    now_mb = psutil.Process().memory_info().rss / 2**20
    return Estimate(
        seconds=images / evidence.images_per_s,
        memory_mb=now_mb + 8 * images * feature_dim * 4 / 2**20,
        accuracy=evidence.accuracy,
        interval=evidence.interval,
    )


def _reasons(
    decision: Decision,
    per_class: float,
    domain_reason: str,
    evidence: Evidence,
    estimate: Estimate,
    budget_seconds: float | None,
) -> tuple[str, ...]:
    low, high = evidence.interval
    reasons = [
        f"The median class has {per_class:,.0f} training images: {decision.row}.",
        domain_reason,
        f"A head on frozen features got {evidence.accuracy:.1%} of {evidence.images} sampled "
        f"training images right, each judged by heads fitted without it ({low:.1%}–{high:.1%}).",
        *decision.notes,
    ]
    if decision.strategy != "feature-extraction" or decision.augmentation:
        reasons.append(
            f"The table says {describe(decision)}; this version trains feature extraction without "
            "augmentation, which is the baseline to beat."
        )
    if budget_seconds is not None and estimate.seconds > budget_seconds:
        reasons.append(
            f"Embedding the images takes about {estimate.seconds:,.0f} s here, more than the "
            f"budget of {budget_seconds:,.0f} s: choose a smaller model or fewer images."
        )
    return tuple(reasons)


def _alternatives(decision: Decision) -> tuple[dict[str, str], ...]:
    why = {
        "feature-extraction": "fastest, least overfitting; the baseline every other must beat",
        "partial": "when feature extraction has stopped improving with more images",
        "full": "with thousands of images per class, or a domain far from photographs",
    }
    return tuple(
        {"strategy": name, "why": reason}
        for name, reason in why.items()
        if name != decision.strategy
    )


def parse_budget(text: str) -> float:
    """Seconds of `90`, `90s`, `10m` or `1.5h`. Raises: AppError."""
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = -1
    if not seconds > 0:
        raise AppError(f"“{text}” is not a time budget.", "Write for example 90s, 10m or 1.5h.")
    return seconds
