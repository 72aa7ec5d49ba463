"""Finds the batch size by trying some on noise.

A larger batch makes better use of a device until it is full, but fewer steps in an epoch also learn
less. So: the default where it fits, more only as long as that is faster, and never so many that an
epoch has fewer than eight steps.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import torch

from core.batches.augment import TrainingView
from core.compute.device import Compute
from core.models.build import BuiltModel
from core.recipe.plan import Plan
from core.recipe.recipe import DEFAULT_BATCH_SIZE, Recipe
from core.runs.checkpoints import Head
from core.system.memory import PeakMemory, available_bytes
from core.training.loop.model import FineTunedModel
from core.training.loop.optimizers import make_optimizer
from core.training.loop.step import Stepper, is_out_of_memory
from core.training.losses import Loss

_FEWEST_STEPS = 8
_MOST = 256
_FASTER = 1.1
_SHARE_OF_MEMORY = 0.8

Attempt = Callable[[int], float | None]
"""Takes a step on a batch of this size; returns images/s, None where it does not fit."""


def find_batch_size(attempt: Attempt, *, fit_images: int) -> int:
    """The batch size to use, a power of two. `fit_images`: how many an epoch has."""
    most = _MOST
    while most > 1 and most * _FEWEST_STEPS > fit_images:
        most //= 2
    size = min(DEFAULT_BATCH_SIZE, most)
    speed = attempt(size)
    while speed is None and size > 1:
        size //= 2
        speed = attempt(size)
    if speed is None or size < min(DEFAULT_BATCH_SIZE, most):  # twice as many did not fit
        return size
    while size * 2 <= most:
        faster = attempt(size * 2)
        if faster is None or faster < _FASTER * speed:
            break
        size, speed = size * 2, faster
    return size


def batch_size_for(
    recipe: Recipe, built: BuiltModel, plan: Plan, compute: Compute, *, fit_images: int
) -> int:
    """`find_batch_size` for a model on this machine, with all layers open that ever train.

    `built` is not changed. Takes seconds on a GPU, and a few steps on the CPU.
    """
    if fit_images <= 2 * _FEWEST_STEPS:  # nothing to choose between
        return min(DEFAULT_BATCH_SIZE, max(1, fit_images // _FEWEST_STEPS))
    built = built.with_module(copy.deepcopy(built.module))
    head = Head(torch.zeros(built.num_classes, built.feature_dim), torch.zeros(built.num_classes))
    model = FineTunedModel(
        built, head, plan, compute, train_batch_norm=recipe.strategy == "scratch"
    )
    model.set_trainable([group.name for group in plan.groups if group.is_trained])
    optimizer = make_optimizer(model, recipe, plan)
    shape = (3, built.preprocessing.height, built.preprocessing.width)
    generator = torch.Generator().manual_seed(0)

    def attempt(size: int) -> float | None:
        views = [
            TrainingView(torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator))
            for _ in range(size)
        ]
        labels = torch.arange(size) % built.num_classes
        stepper = Stepper(
            model, optimizer, recipe.with_values(accumulate=1), Loss(), log_event=lambda event: None
        )
        available = available_bytes()
        try:
            with PeakMemory() as peak:
                stepper.step(views, labels, step=1, epoch=1)
                begin = time.perf_counter()
                stepper.step(views, labels, step=2, epoch=1)
                seconds = time.perf_counter() - begin
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return None
        is_tight = compute.device == "cpu" and peak.growth_bytes > _SHARE_OF_MEMORY * available
        return None if stepper.halvings or is_tight else size / seconds

    with model.thread_pool():
        return find_batch_size(attempt, fit_images=fit_images)
