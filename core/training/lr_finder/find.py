"""The learning-rate finder: a range test on what the run would train, which changes nothing.

It takes the steps of `training_loop`, with the same head, batches, augmentation and optimizer,
while the rates of all layer groups rise together by the same factor a step. Afterwards weights,
optimizer and random states are as before. `curve` suggests a rate from the result.
"""

from __future__ import annotations

import itertools
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.batches.augment import TrainingView
from core.batches.streaming import TrainingImages
from core.compute.deterministic import deterministic
from core.data.dataset import DatasetIndex
from core.data.splits import honest_sets
from core.errors import DatasetError, DivergedError
from core.events import (
    Event,
    Notice,
    OnProgress,
    Progress,
    ShouldStop,
    check_stop,
    never_stop,
    no_progress,
)
from core.plan.check import check
from core.recipe.plan import Plan
from core.recipe.recipe import Recipe
from core.runs.run_folder import Run
from core.training.context import check_classes, dataset_notices, embed
from core.training.fine_tuning import first_head, training_set
from core.training.fit import make_context
from core.training.loop.batches import Batches, TrainingSet, UnreadableImages
from core.training.loop.dry_run import restored
from core.training.loop.model import FineTunedModel
from core.training.loop.optimizers import make_optimizer
from core.training.loop.step import Stepper
from core.training.losses import Loss, make_loss
from core.training.lr_finder.curve import (
    HIGHEST,
    LOWEST,
    STEPS,
    End,
    RateCurve,
    RatePoint,
    Smoother,
    check_bounds,
    has_diverged,
    rate_at,
    read,
)
from core.training.teachers import make_teacher

RateSink = Callable[[RatePoint | Notice], None]
"""Gets each step, and notices about the data."""

_HEAD_HAS_NO_RATE = (
    "Feature extraction fits its head directly, without a learning rate: this is the rate for "
    "partial fine-tuning."
)


def no_rate_sink(item: RatePoint | Notice) -> None:
    """A sink that drops everything."""


def find_rate(
    recipe: Recipe,
    index: DatasetIndex,
    *,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
    steps: int = STEPS,
    sink: RateSink = no_rate_sink,
    on_progress: OnProgress = no_progress,
    should_stop: ShouldStop = never_stop,
) -> RateCurve:
    """Test rates for the head from `lowest` to `highest` on what this recipe would train.

    Gradual fine-tuning is tested with all its groups open; feature extraction as partial
    fine-tuning, with a notice. Only the feature cache is kept.

    Raises: AppError for an impossible range and for a dataset or model that cannot be used;
    Cancelled.
    """
    check_bounds(lowest, highest, steps)
    begin = time.perf_counter()
    check(recipe, index)
    if recipe.strategy == "feature-extraction":
        sink(Notice("info", _HEAD_HAS_NO_RATE))
        recipe = recipe.with_values(strategy="partial", max_epochs=None)

    def log_event(event: Event) -> None:
        if isinstance(event, Notice):
            sink(event)

    def emit(event: Event) -> None:
        if isinstance(event, Progress):
            on_progress(event.done, event.total, event.note)
        log_event(event)

    with ExitStack() as stack:
        stack.enter_context(random_states_kept(recipe.seed))
        stack.enter_context(deterministic(recipe.deterministic))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="graftwork-rates-"))
        on_progress(0, 0, "opening the model")
        sets = honest_sets(index, folds=recipe.selection_folds, seed=recipe.seed)
        context = make_context(
            recipe, index, sets, Run(Path(folder)), log_event=log_event, emit=emit,
            should_stop=should_stop,
        )  # fmt: skip
        recipe, built, plan = context.recipe, context.built, context.plan
        for notice in dataset_notices(index, sets):
            log_event(notice)
        features = embed(context)
        check_classes(context, features)
        paths = [index.path(int(i)) for i in features.positions]
        images = stack.enter_context(
            TrainingImages(paths, built.preprocessing, recipe, context.compute)
        )
        data = training_set(context, features, images)
        _, head = first_head(context, features, data)
        model = FineTunedModel(
            built,
            head,
            plan,
            context.compute,
            dropout=recipe.dropout,
            train_batch_norm=recipe.strategy == "scratch",
            teacher=make_teacher(context, features, data),
            tasks=context.tasks,
        )
        optimizer = make_optimizer(model, recipe, plan)
        smoother = Smoother(lowest, highest, steps)
        points: list[RatePoint] = []

        def on_point(point: RatePoint) -> None:
            points.append(point)
            on_progress(point.step, steps, "testing rates")
            sink(point)

        end = range_test(
            model,
            optimizer,
            data,
            recipe,
            plan,
            loss=make_loss(recipe, data.labels[data.fit], index.classes),
            rates=[rate_at(step, lowest, highest, steps) for step in range(1, steps + 1)],
            smoother=smoother,
            on_point=on_point,
            log_event=log_event,
            should_stop=should_stop,
        )
    return RateCurve(
        points=tuple(points),
        end=end,
        reading=read(points, end, smoother.keep),
        model=built.card.id,
        strategy=recipe.strategy,
        groups=tuple(
            (group.name, group.learning_rate / recipe.learning_rate)
            for group in plan.groups
            if group.is_trained
        ),
        seconds=time.perf_counter() - begin,
    )


def range_test(
    model: FineTunedModel,
    optimizer: torch.optim.Optimizer,
    data: TrainingSet,
    recipe: Recipe,
    plan: Plan,
    *,
    loss: Loss,
    rates: list[float],
    smoother: Smoother,
    on_point: Callable[[RatePoint], None],
    log_event: Callable[[Event], None],
    should_stop: ShouldStop,
) -> End:
    """Take one step at each of these rates of the head, until the loss diverges.

    The other layer groups have the share of the rate that the plan gives them. Afterwards `model`,
    `optimizer` and the random states are bit for bit as before, also where it raises.
    Raises: Cancelled; DatasetError where no training image can be read any more.
    """
    points: list[RatePoint] = []
    planned = [group["lr"] / recipe.learning_rate for group in optimizer.param_groups]
    stepper = Stepper(model, optimizer, recipe, loss, log_event=log_event)
    with random_states_kept(recipe.seed), restored(stepper), model.thread_pool() as pool:
        model.set_trainable([group.name for group in plan.groups if group.is_trained])
        batches = _endless(data, recipe, pool, UnreadableImages(log_event))
        for rate, (epoch, views, labels) in zip(rates, batches, strict=False):
            check_stop(should_stop)
            for group, share in zip(optimizer.param_groups, planned, strict=True):
                group["lr"] = rate * share
            number = len(points) + 1
            try:
                result = stepper.step(views, labels, step=number, epoch=epoch)
            except DivergedError:
                return "diverged"
            points.append(RatePoint(number, rate, result.loss, smoother.add(result.loss)))
            on_point(points[-1])
            if has_diverged(points, model.linear.out_features):
                return "diverged"
    return "highest"


def _endless(
    data: TrainingSet, recipe: Recipe, pool: ThreadPoolExecutor, unreadable: UnreadableImages
) -> Iterator[tuple[int, list[TrainingView], Tensor]]:
    """Epoch, views and targets of the run's steps, one epoch after the other without end."""
    batches = Batches(data, recipe)
    for epoch in itertools.count(1):
        has_images = False
        for _number, views, labels in batches(epoch, 0, pool, unreadable):
            has_images = True
            yield epoch, views, labels
        if not has_images:
            raise DatasetError(
                "No training image can be read any more.", "Put the files back and try again."
            )


@contextmanager
def random_states_kept(seed: int) -> Iterator[None]:
    """Seed torch, numpy and Python inside; afterwards their random states are as before."""
    devices = [module for module in (torch.cuda, torch.xpu) if module.is_available()]
    before = [module.get_rng_state_all() for module in devices]
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    python, legacy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)
        torch.set_rng_state(cpu)
        for module, states in zip(devices, before, strict=True):
            module.set_rng_state_all(states)
        if mps is not None:
            torch.mps.set_rng_state(mps)
