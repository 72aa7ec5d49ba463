"""The learning-rate finder: a range test on what the run would train, which leaves no trace.

It learns as `fine_tune` does, from the same head, batches, augmentation and optimizer, while the
rates of all layer groups rise together by the same factor a step. Everything it touches is put
back: weights, optimizer, random states. What may be read from the curve is in `rate_curve`.
"""

from __future__ import annotations

import copy
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
from core.compute.choose import resolve_compute
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
from core.recipe.plan import Plan, make_plan
from core.recipe.recipe import Recipe
from core.runs.run_folder import Run
from core.training.context import TrainingContext, check_classes, embed, notices_of
from core.training.fine_tuning import begin_from_scratch, fit_probe, training_set
from core.training.fit import new_model
from core.training.loop.batch_size_finder import batch_size_for
from core.training.loop.batches import Batches, TrainingSet, Unreadable
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
from core.training.multi_task import plan_tasks
from core.training.teachers import check_teacher, open_expert, ready_teacher

RateSink = Callable[[RatePoint | Notice], None]
"""Hears each step, and what there is to say of the data."""

_SOLVER_HAS_NO_RATE = (
    "With feature extraction the head is fitted directly, without a learning rate: this is the "
    "rate for partial fine-tuning."
)


def no_rate_sink(heard: RatePoint | Notice) -> None:
    """Listens to nothing."""


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

    Gradual fine-tuning is tested with all its groups open, as it ends; feature extraction as
    partial fine-tuning, which is said. Nothing is kept but cached features.

    Raises: AppError for a range that is none and for a set or model that cannot be used;
    Cancelled.
    """
    check_bounds(lowest, highest, steps)
    begin = time.perf_counter()
    check_teacher(recipe)
    if recipe.strategy == "feature-extraction":
        sink(Notice("info", _SOLVER_HAS_NO_RATE))
        recipe = recipe.with_values(strategy="partial", max_epochs=None)

    def tell(event: Event) -> None:
        if isinstance(event, Notice):
            sink(event)

    def listen(event: Event) -> None:
        if isinstance(event, Progress):
            on_progress(event.done, event.total, event.note)
        tell(event)

    with ExitStack() as stack:
        stack.enter_context(random_states_kept(recipe.seed))
        stack.enter_context(deterministic(recipe.deterministic))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="graftwork-rates-"))
        on_progress(0, 0, "opening the model")
        sets = honest_sets(index, folds=recipe.selection_folds, seed=recipe.seed)
        built = new_model(recipe, len(index.classes))
        expert = open_expert(recipe, index.classes)
        check_stop(should_stop)
        compute = resolve_compute(recipe, built)
        plan = make_plan(recipe, built.group_sizes())
        if recipe.batch_size == "auto":
            images = batch_size_for(recipe, built, plan, compute, fit_images=len(sets.fit))
            recipe = recipe.with_values(batch_size=images)
        job = TrainingContext(
            recipe, index, sets, Run(Path(folder)), built, compute, plan, tell, listen,
            should_stop, expert=expert, tasks=plan_tasks(recipe, index),
        )  # fmt: skip
        for notice in notices_of(index, sets):
            tell(notice)
        frozen = embed(job)
        check_classes(job, frozen)
        paths = [index.path(int(i)) for i in frozen.positions]
        pictures = stack.enter_context(TrainingImages(paths, built.preprocessing, recipe, compute))
        data = training_set(job, frozen, pictures)
        is_scratch = recipe.strategy == "scratch"
        _, head = (begin_from_scratch if is_scratch else fit_probe)(job, frozen, data)
        trainee = FineTunedModel(
            built,
            head,
            plan,
            compute,
            dropout=recipe.dropout,
            learns_statistics=is_scratch,
            teacher=ready_teacher(job, frozen, data),
            tasks=job.tasks,
        )
        optimizer = make_optimizer(trainee, recipe, plan)
        smoother = Smoother(lowest, highest, steps)
        points: list[RatePoint] = []

        def hear(point: RatePoint) -> None:
            points.append(point)
            on_progress(point.step, steps, "testing rates")
            sink(point)

        end = range_test(
            trainee,
            optimizer,
            data,
            recipe,
            plan,
            loss=make_loss(recipe, data.labels[data.fit], index.classes),
            rates=[rate_at(step, lowest, highest, steps) for step in range(1, steps + 1)],
            smoother=smoother,
            sink=hear,
            tell=tell,
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
    trainee: FineTunedModel,
    optimizer: torch.optim.Optimizer,
    data: TrainingSet,
    recipe: Recipe,
    plan: Plan,
    *,
    loss: Loss,
    rates: list[float],
    smoother: Smoother,
    sink: Callable[[RatePoint], None],
    tell: Callable[[Event], None],
    should_stop: ShouldStop,
) -> End:
    """Learn one step at each of these rates of the head, until the loss diverges. What other
    groups have of it is the plan's share, which `layer_rates` may give the head, too.

    Afterwards `trainee`, `optimizer` and the random states are bit for bit as before, also where
    it raises. Raises: Cancelled; DatasetError where no training picture can be read any more.
    """
    points: list[RatePoint] = []
    planned = [group["lr"] / recipe.learning_rate for group in optimizer.param_groups]
    with (
        random_states_kept(recipe.seed),
        _optimizer_kept(optimizer),
        trainee.restored(),
        trainee.working() as pool,
    ):
        trainee.open([group.name for group in plan.groups if group.is_trained])
        stepper = Stepper(trainee, optimizer, recipe, loss, tell=tell)
        batches = _endless(data, recipe, pool, Unreadable(tell))
        for rate, (epoch, views, labels) in zip(rates, batches, strict=False):
            check_stop(should_stop)
            for group, share in zip(optimizer.param_groups, planned, strict=True):
                group["lr"] = rate * share
            number = len(points) + 1
            try:
                learned = stepper.step(views, labels, step=number, epoch=epoch)
            except DivergedError:
                return "diverged"
            points.append(RatePoint(number, rate, learned.loss, smoother.add(learned.loss)))
            sink(points[-1])
            if has_diverged(points, trainee.linear.out_features):
                return "diverged"
    return "highest"


def _endless(
    data: TrainingSet, recipe: Recipe, pool: ThreadPoolExecutor, gone: Unreadable
) -> Iterator[tuple[int, list[TrainingView], Tensor]]:
    """The batches of the run with their epoch, one epoch after the other."""
    batches, epoch = Batches(data, recipe), 0
    while True:
        epoch, made = epoch + 1, 0
        for _number, views, labels in batches(epoch, 0, pool, gone):
            made += 1
            yield epoch, views, labels
        if not made:
            raise DatasetError(
                "No training image can be read any more.", "Put the files back and try again."
            )


@contextmanager
def _optimizer_kept(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    state = copy.deepcopy(optimizer.state_dict())
    try:
        yield
    finally:
        optimizer.load_state_dict(state)


@contextmanager
def random_states_kept(seed: int) -> Iterator[None]:
    """Inside, torch, numpy and Python draw from `seed` on; afterwards as if nothing had been
    drawn."""
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
