"""The trainer: takes a recipe and a dataset, leaves a run folder with a model and a report.

Read it top to bottom. It resolves the recipe for this machine, computes the features of the frozen
backbone once, fits the head, trains the backbone with it where the recipe says so, saves the best
model, and evaluates it on images that chose nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Literal

import torch

from core.compute.choose import resolve_compute
from core.compute.deterministic import deterministic
from core.compute.device import Compute
from core.compute.distributed import SINGLE_PROCESS, World
from core.data.dataset import DatasetIndex
from core.data.splits import HonestSets, honest_sets
from core.errors import AppError, Cancelled, DivergedError, RunError
from core.events import (
    CheckpointSaved,
    EpochDone,
    Event,
    Notice,
    RunEnded,
    RunStarted,
    ShouldStop,
    Sink,
    check_stop,
    never_stop,
    no_sink,
)
from core.models.build import BuiltModel, build
from core.models.resolve import resolve_model
from core.plan.check import check
from core.plan.step_cost import relative_cost_by_epoch
from core.recipe import formats
from core.recipe.plan import make_plan
from core.recipe.recipe import Recipe
from core.runs import dataset_record
from core.runs.report import Report, RunResult
from core.runs.run_folder import Run
from core.runs.tensorboard import TensorBoardLog
from core.training.context import (
    FrozenFeatures,
    Outcome,
    TrainingContext,
    check_classes,
    dataset_notices,
    embed,
    rate_notices,
)
from core.training.feature_extraction import feature_extraction
from core.training.fine_tuning import fine_tuning
from core.training.head_solver import is_cross_fitted
from core.training.live_model import BetweenSteps
from core.training.loop.batch_size_finder import batch_size_for
from core.training.loop.batches import steps_per_epoch
from core.training.loop.state import has_state
from core.training.multi_task import plan_tasks, task_notices
from core.training.teachers import check_unchanged, load_teacher, teacher_notices

_RATE_FACTOR_AFTER_DIVERGING = 1 / 3


def fit(
    recipe: Recipe,
    index: DatasetIndex,
    run: Run,
    *,
    sink: Sink = no_sink,
    should_stop: ShouldStop = never_stop,
    between_steps: BetweenSteps | None = None,
    world: World = SINGLE_PROCESS,
) -> RunResult:
    """Train as the recipe says and write everything into the run folder.

    `sink` gets the events. `between_steps` gets the model before each step of a fine-tuning and may
    classify images with it; the result of the run stays the same. Processes that train together
    (`world`) all call this with the same recipe and dataset; rank 0 alone writes.
    A stop during the epochs ends them early and saves the best so far (status `stopped`);
    fine-tuning can then be resumed. A stop before there is a head raises Cancelled; computed
    features stay cached. Raises: AppError for what the user can correct; Cancelled.
    """

    def train(log_event: Sink) -> RunResult:
        check(recipe, index)
        if world.is_global_zero:
            run.write_classes(index.classes)
        start = time.perf_counter()
        sets = honest_sets(index, folds=recipe.selection_folds, seed=recipe.seed)
        context = make_context(
            recipe, index, sets, run, log_event=log_event, emit=sink, should_stop=should_stop,
            between_steps=between_steps, world=world,
        )  # fmt: skip
        return _train(context, start)

    return _log_end(run, sink, train, is_deterministic=recipe.deterministic, world=world)


def resume(
    run: Run,
    *,
    sink: Sink = no_sink,
    should_stop: ShouldStop = never_stop,
    between_steps: BetweenSteps | None = None,
    rate_factor: float | None = None,
    world: World = SINGLE_PROCESS,
) -> RunResult:
    """Go on with a run that was stopped or killed, in its folder.

    On the CPU of the same machine its weights become the ones of a run that was never stopped.
    `rate_factor` multiplies its learning rates; None: 1, but a third where the loss had diverged.
    Raises: RunError where the run is in progress, has finished or has no saved state; as `fit`.
    """
    world.broadcast_call(partial(_check_resumable, run))
    recipe = run.read_recipe()
    index, sets, hashes = dataset_record.from_document(run)
    if rate_factor is None:
        ended = run.read_end()
        has_diverged = ended is not None and ended.has_diverged
        rate_factor = _RATE_FACTOR_AFTER_DIVERGING if has_diverged else 1.0

    def train(log_event: Sink) -> RunResult:
        start = time.perf_counter()
        context = make_context(
            recipe, index, sets, run, log_event=log_event, emit=sink, should_stop=should_stop,
            between_steps=between_steps, before=_resolved_before(run), rate_factor=rate_factor,
            world=world,
        )  # fmt: skip
        return _train(context, start, hashes)

    return _log_end(run, sink, train, is_deterministic=recipe.deterministic, world=world)


def _check_resumable(run: Run) -> None:
    """Raises: RunError where the run cannot be resumed."""
    status = run.read_status()
    if status == "running":
        raise RunError(f"The run {run.path.name} is still on.", "Stop it where it was started.")
    if status == "done":
        raise RunError(
            f"The run {run.path.name} has finished.", "To train longer, use its settings anew."
        )
    if not has_state(run.last):
        raise RunError(
            f"The run {run.path.name} keeps no state to go on from.", "Train with its settings."
        )


def _train(
    context: TrainingContext, start: float, hashes: tuple[str, ...] | None = None
) -> RunResult:
    """Train and evaluate. `start`: of the run's seconds, by perf_counter. `hashes`: of the files
    when the run began; if given, the run is resumed."""
    world = context.world
    if world.is_global_zero:
        _write_environment(context)
    if hashes is None:
        _log_start(context)
    features = embed(context)
    if hashes is not None:
        _warn_of_changed_files(context, features, hashes)
    elif world.is_global_zero:
        document = dataset_record.to_document(context.index, context.sets, features.raw)
        context.run.write_dataset(document)
    check_classes(context, features)
    check_stop(context.should_stop)

    if context.recipe.strategy != "feature-extraction":
        outcome = fine_tuning(context, features, is_resumed=hashes is not None)
    elif world.is_global_zero:  # seconds on cached features: the other processes wait
        outcome = feature_extraction(context, features)
    return world.broadcast_call(lambda: _finish(context, outcome, time.perf_counter() - start))


def make_context(
    recipe: Recipe,
    index: DatasetIndex,
    sets: HonestSets,
    run: Run,
    *,
    log_event: Sink,
    emit: Sink,
    should_stop: ShouldStop,
    between_steps: BetweenSteps | None = None,
    before: Mapping[str, Any] | None = None,
    rate_factor: float = 1.0,
    world: World = SINGLE_PROCESS,
) -> TrainingContext:
    """Open the model and the teacher, and resolve the recipe for this machine.

    `before`: of a resumed run, what it resolved when it began.
    Raises: AppError where the recipe does not fit the dataset or the machine; Cancelled.
    """
    before = before or {}
    built = _build_model(recipe, len(index.classes))
    teacher = load_teacher(recipe, index.classes)
    tasks = plan_tasks(recipe, index)
    check_stop(should_stop)
    check_unchanged(teacher, before)
    compute = _compute_before(recipe, built, before, log_event) or resolve_compute(recipe, built)
    compute = world.local(world.broadcast(compute))  # rank 0's timing decides for all
    plan = make_plan(recipe, built.group_sizes())
    if recipe.batch_size == "auto" and recipe.strategy != "feature-extraction":
        batch_size = before.get("batch_size") or batch_size_for(
            recipe, built, plan, compute, fit_images=len(sets.fit)
        )
        recipe = recipe.with_values(batch_size=world.broadcast(batch_size))
    return TrainingContext(
        recipe=recipe,
        index=index,
        sets=sets,
        run=run,
        built=built,
        compute=compute,
        plan=plan,
        log_event=log_event,
        emit=emit,
        should_stop=should_stop,
        between_steps=between_steps,
        rate_factor=rate_factor,
        world=world,
        tasks=tasks,
        teacher=teacher,
    )


def _build_model(recipe: Recipe, classes: int) -> BuiltModel:
    """The pretrained model; from scratch, one with random weights drawn with the recipe's seed."""
    card = resolve_model(recipe.model)
    if recipe.strategy != "scratch":
        return build(card, num_classes=classes)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(recipe.seed)
        return build(card, num_classes=classes, pretrained=False)


def _resolved_before(run: Run) -> dict[str, Any]:
    """What the run resolved when it began; empty where that cannot be read."""
    try:
        resolved: dict[str, Any] = run.read_environment()["resolved"]
    except (RunError, KeyError):
        return {}
    # Of a run that began before recipes had format 2: `batch_size` is the one of the embedding.
    return resolved if "embed_batch_size" in resolved else formats.rename(resolved)


def _compute_before(
    recipe: Recipe, built: BuiltModel, before: Mapping[str, Any], log_event: Sink
) -> Compute | None:
    """The device and number format that a resumed run had; None where they are not here."""
    if not before:
        return None
    try:
        pinned = recipe.with_values(
            device=before["device"].partition(":")[0], precision=before["precision"]
        )
        return resolve_compute(pinned, built)
    except (AppError, KeyError) as error:
        log_event(Notice("warning", f"The run goes on in another way than it began: {error}"))
        return None


def _write_environment(context: TrainingContext) -> None:
    resolved: dict[str, Any] = {
        **context.compute.to_dict(),
        "torch_threads": torch.get_num_threads(),
        "batch_size": context.recipe.batch_size_or_default,
    }
    if context.teacher is not None:
        resolved["teacher"] = context.teacher.to_dict()
    context.run.write_environment({**resolved, "processes": context.world.world_size})


def _log_start(context: TrainingContext) -> None:
    """The run's first event, and everything to note about the data and the recipe."""
    recipe, sets, built = context.recipe, context.sets, context.built
    is_head_only = recipe.strategy == "feature-extraction"
    is_crossed = is_head_only and is_cross_fitted(
        len(sets.train),
        folds=sets.folds,
        classes=built.num_classes,
        feature_dim=built.feature_dim,
    )
    work: tuple[float, ...] = ()
    if not is_head_only:
        work = relative_cost_by_epoch(
            built,
            context.plan,
            recipe.max_epochs_or_default,
            memory_format=context.compute.torch_memory_format,
        )
    context.log_event(
        RunStarted(
            run=context.run.path.name,
            model=built.card.id,
            strategy=recipe.strategy,
            device=context.compute.device,
            precision=context.compute.precision,
            train_images=len(sets.train),
            selection_images=len(sets.train if is_crossed else sets.selection),
            report_images=len(sets.report),
            epochs=recipe.max_epochs_or_default,
            groups=tuple(group.name for group in context.plan.groups),
            steps_per_epoch=0 if is_head_only else steps_per_epoch(len(sets.fit), recipe),
            classes=built.num_classes,
            work=work,
            tasks=context.tasks.names,
            teacher="" if context.teacher is None else context.teacher.name,
        )
    )
    for notice in (
        *dataset_notices(context.index, sets),
        *rate_notices(recipe),
        *task_notices(recipe, context.tasks),
        *teacher_notices(recipe, context.teacher),
    ):
        context.log_event(notice)


def _warn_of_changed_files(
    context: TrainingContext, features: FrozenFeatures, hashes: tuple[str, ...]
) -> None:
    pairs = zip(hashes, features.raw.hashes, strict=True)
    changed = sum(before != now for before, now in pairs if before)
    if changed:
        text = f"{changed:,} of the run's images have changed since it began."
        context.log_event(Notice("warning", text))


def _finish(context: TrainingContext, outcome: Outcome, seconds: float) -> RunResult:
    """Write the report and the predictions, and log the end of the run."""
    run = context.run
    report: Report | None = None
    if outcome.evaluation is not None:
        report = outcome.evaluation.report
        run.write_report(report)
        run.write_predictions(outcome.evaluation.predictions)
    status: Literal["done", "stopped"] = "stopped" if outcome.was_stopped else "done"
    context.log_event(RunEnded(status, outcome.best_epoch, outcome.selection_accuracy))
    if status == "done":
        run.delete_state()
    return RunResult(
        run=run.path,
        status=status,
        model=context.built.card.id,
        strategy=context.recipe.strategy,
        epochs=outcome.epochs,
        best_selection_accuracy=outcome.selection_accuracy,
        report=report,
        seconds=seconds,
        best_epoch=outcome.best_epoch,
        probe_selection_accuracy=outcome.probe_accuracy,
    )


def _log_end(
    run: Run,
    sink: Sink,
    train: Callable[[Sink], RunResult],
    *,
    is_deterministic: bool,
    world: World = SINGLE_PROCESS,
) -> RunResult:
    """Call `train(log_event)`; whatever ends it, the last event of the run says how."""
    tensorboard = TensorBoardLog(run.tensorboard)

    def log_event(event: Event) -> None:
        if world.is_global_zero:
            run.append_event(event)
            tensorboard.log_event(event)
            sink(event)

    def log_failure(error: Exception) -> None:
        has_diverged = isinstance(error, DivergedError)
        with suppress(OSError):  # a disk that failed the run may fail its last line, too
            log_event(RunEnded("failed", *_best_so_far(run), str(error), has_diverged))

    try:
        with deterministic(is_deterministic):
            return train(log_event)
    except Cancelled:
        log_event(RunEnded("stopped", *_best_so_far(run)))
        raise
    except OSError as error:
        failure = RunError(
            f"The run stopped at {error.filename or run.path}: {error.strerror or error}.",
            "Correct that and train again; the features already computed are kept.",
        )
        log_failure(failure)
        raise failure from error
    except Exception as error:
        log_failure(error)
        raise
    finally:
        tensorboard.close()


def _best_so_far(run: Run) -> tuple[int, float]:
    """Epoch and selection accuracy of the best model saved so far; -1 and 0 without one."""
    accuracies: dict[int, float] = {}
    best_epoch = -1
    for event in run.read_events():
        if isinstance(event, EpochDone):
            accuracies[event.epoch] = event.selection_accuracy
        elif isinstance(event, CheckpointSaved) and event.kind == "best":
            best_epoch = event.epoch
    return best_epoch, accuracies.get(best_epoch, 0.0)
