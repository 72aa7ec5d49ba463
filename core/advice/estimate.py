"""What a strategy will take here: seconds and memory, from short measurements on this machine.

Everything is "about": measured on few images, without what other programs will do meanwhile.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import psutil
import torch

from core.batches.augment import TrainingView
from core.compute.device import Compute
from core.models.build import BuiltModel, build
from core.models.resolve import resolve_model
from core.recipe.plan import Plan, make_plan
from core.recipe.recipe import Recipe
from core.runs.checkpoints import Head
from core.training.head_solver import multiply_adds
from core.training.loop.model import FineTunedModel

_IMAGES_PER_CORE = 4
_BACKWARD = 2
"""A pass of the head's fit goes forward and back again, at about the same cost."""
_TRIES_PER_EPOCH = 1.2
"""Steps of the line search that are taken back."""
_BYTES_OF_FEATURES = 8 * 4
"""Copies of the features at once, as float32: raw, standardised, logits and gradients."""
_ADAM_BYTES = 8


@dataclass(frozen=True, slots=True)
class Sizes:
    """The numbers of images and classes that an estimate depends on."""

    train: int
    fit: int
    """Training images that are not held out; fine-tuning learns from these."""
    selection: int
    report: int
    classes: int
    folds: int


@dataclass(frozen=True, slots=True)
class Speed:
    """Speeds measured on this machine."""

    embedded_per_s: float
    """Images decoded and embedded."""
    head_epochs: int
    head_seconds: float
    """The fit of the sample's head."""
    multiply_adds_per_s: float


@dataclass(frozen=True, slots=True)
class Cost:
    """Estimated time and memory of a strategy."""

    seconds: float
    memory_mb: float


@dataclass(frozen=True, slots=True)
class TrainingSpeed:
    """The speed of the steps of a plan with everything unfrozen that it trains."""

    images_per_s: float
    memory_mb: float
    """Of the process after a step; on a GPU, what tensors took there."""


def cost_of_head(sizes: Sizes, speed: Speed, feature_dim: int) -> Cost:
    """The cost of feature extraction: every image embedded once, and the fit of the heads."""
    images = sizes.train + sizes.report
    work = _BACKWARD * _TRIES_PER_EPOCH * speed.head_epochs
    work *= multiply_adds(
        sizes.train, folds=sizes.folds, classes=sizes.classes, feature_dim=feature_dim
    )
    fit_seconds = max(speed.head_seconds, work / speed.multiply_adds_per_s)
    now_mb = psutil.Process().memory_info().rss / 2**20
    return Cost(
        seconds=images / speed.embedded_per_s + fit_seconds,
        memory_mb=now_mb + _BYTES_OF_FEATURES * images * feature_dim / 2**20,
    )


def cost_of_fine_tuning(
    sizes: Sizes,
    speed: Speed,
    trained: TrainingSpeed,
    plan: Plan,
    recipe: Recipe,
    *,
    probe: Cost,
    pixel_bytes: int,
) -> Cost:
    """The cost of fine-tuning: the head on frozen features, then epochs, each with a validation.

    `probe`: of that head. `pixel_bytes`: of one decoded image, kept for the next epoch.
    """
    forward = 1 / speed.embedded_per_s
    step = max(forward, 1 / trained.images_per_s)
    backbone = [g for g in plan.groups[:-1] if g.opens_at is not None]
    seconds = probe.seconds + sizes.report * forward
    for epoch in range(1, recipe.max_epochs_or_default + 1):
        is_open = sum(g.opens_at is not None and g.opens_at <= epoch for g in backbone)
        # With the head alone a step is little more than a forward pass; each group that opens
        # adds its part of the way back.
        share = is_open / len(backbone) if backbone else 0.0
        seconds += sizes.fit * (forward + (step - forward) * share) + sizes.selection * forward
    kept = min((sizes.train + sizes.report) * pixel_bytes, 0.4 * psutil.virtual_memory().available)
    own_mb = (_ADAM_BYTES * plan.trainable_params + kept) / 2**20
    return Cost(seconds, max(probe.memory_mb, trained.memory_mb + own_mb))


def measure_multiply_adds(feature_dim: int, device: str) -> float:
    """Measure the multiply-adds per second of a product of the head's size."""
    a = torch.rand(2048, feature_dim, device=device)
    b = torch.rand(feature_dim, 512, device=device)
    float((a @ b)[0, 0])  # warm-up
    begin = time.perf_counter()
    float((a @ b)[0, 0])  # reading a number waits for the device
    return 2048 * feature_dim * 512 / (time.perf_counter() - begin)


def measure_training(recipe: Recipe, num_classes: int, compute: Compute) -> TrainingSpeed:
    """Time a training step on noise, after one warm-up step. Builds the model again."""
    built = build(resolve_model(recipe.model), num_classes=num_classes)
    return _time_steps(built, recipe, compute)


def _time_steps(built: BuiltModel, recipe: Recipe, compute: Compute) -> TrainingSpeed:
    plan = make_plan(recipe, built.group_sizes())
    head = Head(torch.zeros(built.num_classes, built.feature_dim), torch.zeros(built.num_classes))
    images = (
        _IMAGES_PER_CORE * compute.workers
        if compute.device == "cpu"
        else recipe.batch_size_or_default
    )
    side = built.preprocessing
    noise = np.random.default_rng(0).integers(0, 256, (images, 3, side.height, side.width))
    views = [TrainingView(torch.from_numpy(pixels.astype(np.uint8))) for pixels in noise]
    labels = torch.arange(images) % built.num_classes
    model = FineTunedModel(built, head, plan, compute, ema_decay=recipe.ema_decay)
    model.set_trainable([group.name for group in plan.groups if group.is_trained])
    if compute.device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    with model.thread_pool():
        model.forward_backward(
            views[: max(compute.workers, images // 4)], labels[: max(compute.workers, images // 4)]
        )
        begin = time.perf_counter()
        model.forward_backward(views, labels)
        seconds = time.perf_counter() - begin
    if compute.device.startswith("cuda"):
        memory = torch.cuda.max_memory_allocated()
    else:
        memory = psutil.Process().memory_info().rss
    return TrainingSpeed(images / seconds, memory / 2**20)
