"""The trainer: a recipe and a dataset in, a run folder with a model and a report out.

Read it top to bottom. It draws the honest sets, computes what is frozen once, fits the head, lets
the backbone learn with it where the recipe says so, saves, and evaluates on images that chose
nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
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
from core.errors import AppError, Cancelled, DatasetError, DivergedError, RunError
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
from core.plan.step_cost import work_by_epoch
from core.recipe import formats
from core.recipe.plan import make_plan
from core.recipe.recipe import Recipe
from core.runs import dataset_record
from core.runs.report import Report
from core.runs.run_folder import Run, RunResult
from core.runs.tensorboard import TensorBoardLog
from core.training.context import (
    FrozenFeatures,
    Outcome,
    TrainingContext,
    check_classes,
    embed,
    notices_of,
    notices_of_rates,
)
from core.training.feature_extraction import feature_extraction
from core.training.fine_tuning import fine_tuning
from core.training.head_solver import is_cross_fitted
from core.training.live_model import BetweenSteps
from core.training.loop.batch_size_finder import batch_size_for
from core.training.loop.batches import steps_per_epoch
from core.training.loop.state import has_state
from core.training.multi_task import notices_of_tasks, plan_tasks
from core.training.teachers import (
    check_teacher,
    check_unchanged,
    notices_of_teacher,
    open_expert,
)

_AFTER_DIVERGING = 1 / 3


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
    """Train as the recipe says and leave everything in the run folder.

    `between_steps` may ask the model in training about pictures, before each step of a
    fine-tuning; whatever it asks, the run comes out the same. Processes that train together
    (`world`) all call this with the same recipe and dataset; rank 0 alone writes.
    A stop during the epochs ends them early and saves the best so far (status `stopped`);
    fine-tuning can then be resumed. A stop before there is a head raises Cancelled; computed
    features stay cached. Raises: AppError for what the user can mend; Cancelled.
    """

    check_teacher(recipe)

    def work(tell: Sink) -> RunResult:
        if not index.root.is_dir():
            raise DatasetError(
                f"The dataset folder {index.root} is no longer there.",
                "Put it back, or open the dataset at its new place.",
            )
        if world.is_global_zero:
            run.write_classes(index.classes)
        sets = honest_sets(index, folds=recipe.selection_folds, seed=recipe.seed)
        return _train(
            recipe, index, sets, run, tell=tell, sink=sink, should_stop=should_stop,
            between_steps=between_steps, world=world,
        )  # fmt: skip

    return _guarded(run, sink, work, is_deterministic=recipe.deterministic, world=world)


def resume(
    run: Run,
    *,
    sink: Sink = no_sink,
    should_stop: ShouldStop = never_stop,
    between_steps: BetweenSteps | None = None,
    rate_factor: float | None = None,
    world: World = SINGLE_PROCESS,
) -> RunResult:
    """Go on with a run that was stopped or cut off, in its folder.

    On the CPU of the same machine its weights become the ones of a run that was never stopped.
    `rate_factor`: what to make of its learning rates; None: nothing, but a third of them where
    the loss had become no number.
    Raises: RunError where the run is on, has finished or keeps no state; as `fit`.
    """
    world.broadcast_call(partial(_refuse_to_resume, run))
    recipe = run.read_recipe()
    index, sets, hashes = dataset_record.from_document(run)
    ended = run.read_end()
    if rate_factor is None:
        rate_factor = _AFTER_DIVERGING if ended is not None and ended.has_diverged else 1.0

    def work(tell: Sink) -> RunResult:
        return _train(
            recipe, index, sets, run, tell=tell, sink=sink, should_stop=should_stop,
            between_steps=between_steps, hashes=hashes, rate_factor=rate_factor, world=world,
        )  # fmt: skip

    return _guarded(run, sink, work, is_deterministic=recipe.deterministic, world=world)


def _refuse_to_resume(run: Run) -> None:
    """Raises: RunError where there is nothing to go on with."""
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


def _guarded(
    run: Run,
    sink: Sink,
    work: Callable[[Sink], RunResult],
    *,
    is_deterministic: bool,
    world: World = SINGLE_PROCESS,
) -> RunResult:
    """Whatever ends the run, its last event says how."""

    log = TensorBoardLog(run.tensorboard)

    def tell(event: Event) -> None:
        if not world.is_global_zero:
            return
        run.append_event(event)
        log.hear(event)
        sink(event)

    def tell_failure(error: Exception) -> None:
        with suppress(OSError):  # the disk that failed the run cannot take its last line either
            tell(
                RunEnded("failed", *_best_so_far(run), str(error), isinstance(error, DivergedError))
            )

    try:
        with deterministic(is_deterministic):
            return work(tell)
    except Cancelled:
        tell(RunEnded("stopped", *_best_so_far(run)))
        raise
    except OSError as error:
        failure = RunError(
            f"The run stopped at {error.filename or run.path}: {error.strerror or error}.",
            "Mend that and train again; the features already computed are kept.",
        )
        tell_failure(failure)
        raise failure from error
    except Exception as error:
        tell_failure(error)
        raise
    finally:
        log.close()


def _best_so_far(run: Run) -> tuple[int, float]:
    """Epoch and selection accuracy of the model that the run keeps; -1 and 0 without one."""
    judged: dict[int, float] = {}
    best_epoch = -1
    for event in run.read_events():
        if isinstance(event, EpochDone):
            judged[event.epoch] = event.selection_accuracy
        elif isinstance(event, CheckpointSaved) and event.kind == "best":
            best_epoch = event.epoch
    return best_epoch, judged.get(best_epoch, 0.0)


def _train(
    recipe: Recipe,
    index: DatasetIndex,
    sets: HonestSets,
    run: Run,
    *,
    tell: Sink,
    sink: Sink,
    should_stop: ShouldStop,
    between_steps: BetweenSteps | None,
    hashes: tuple[str, ...] | None = None,
    rate_factor: float = 1.0,
    world: World = SINGLE_PROCESS,
) -> RunResult:
    """`hashes`: of the files when the run began; given, it goes on from its last state."""
    start = time.perf_counter()
    is_resumed = hashes is not None
    built = new_model(recipe, len(index.classes))
    expert = open_expert(recipe, index.classes)
    tasks = plan_tasks(recipe, index)
    check_stop(should_stop)
    before = _resolved_before(run) if is_resumed else {}
    check_unchanged(expert, before)
    compute = _as_before(recipe, built, before, tell) or resolve_compute(recipe, built)
    compute = world.local(world.broadcast(compute))  # one timing decides for all
    plan = make_plan(recipe, built.group_sizes())
    if recipe.batch_size == "auto" and recipe.strategy != "feature-extraction":
        images = before.get("batch_size") or batch_size_for(
            recipe, built, plan, compute, fit_images=len(sets.fit)
        )
        recipe = recipe.with_values(batch_size=world.broadcast(images))
    resolved: dict[str, Any] = {
        "torch_threads": torch.get_num_threads(),
        "batch_size": recipe.batch_size_or_default,
    }
    if expert is not None:
        resolved["teacher"] = expert.to_dict()
    if world.is_global_zero:
        run.write_environment({**compute.to_dict(), **resolved, "processes": world.world_size})
    job = TrainingContext(
        recipe, index, sets, run, built, compute, plan, tell, sink, should_stop, between_steps,
        rate_factor, world, tasks, expert,
    )  # fmt: skip
    is_head_only = recipe.strategy == "feature-extraction"
    if not is_resumed:
        tell(_started(job, is_head_only=is_head_only))
        said = [*notices_of(index, sets), *notices_of_rates(recipe)]
        said += [*notices_of_tasks(recipe, tasks), *notices_of_teacher(recipe, expert)]
        for notice in said:
            tell(notice)
    frozen = embed(job)
    if hashes is None and world.is_global_zero:
        run.write_dataset(dataset_record.to_document(index, sets, frozen.features))
    elif hashes is not None:
        _tell_changed_files(job, frozen, hashes)
    check_classes(job, frozen)
    check_stop(should_stop)

    if not is_head_only:
        outcome = fine_tuning(job, frozen, is_resumed=is_resumed)
    elif world.is_global_zero:  # seconds on cached features: the others wait for the end
        outcome = feature_extraction(job, frozen)
    return world.broadcast_call(lambda: _finish(job, outcome, time.perf_counter() - start))


def _finish(job: TrainingContext, outcome: Outcome, seconds: float) -> RunResult:
    """Report and predictions into the run, and its last word."""
    run, tell = job.run, job.tell
    report: Report | None = None
    if outcome.evaluation is not None:
        report = outcome.evaluation.report
        run.write_report(report)
        run.write_predictions(outcome.evaluation.predictions)
    status: Literal["done", "stopped"] = "stopped" if outcome.was_stopped else "done"
    tell(RunEnded(status, outcome.best_epoch, outcome.selection_accuracy))
    if status == "done":
        run.delete_state()
    return RunResult(
        run=run.path,
        status=status,
        model=job.built.card.id,
        strategy=job.recipe.strategy,
        epochs=outcome.epochs,
        best_selection_accuracy=outcome.selection_accuracy,
        report=report,
        seconds=seconds,
        best_epoch=outcome.best_epoch,
        probe_selection_accuracy=outcome.probe_accuracy,
    )


def _started(job: TrainingContext, *, is_head_only: bool) -> RunStarted:
    sets = job.sets
    is_crossed = is_head_only and is_cross_fitted(
        len(sets.train),
        folds=sets.folds,
        classes=job.built.num_classes,
        feature_dim=job.built.feature_dim,
    )
    steps = steps_per_epoch(len(sets.fit), job.recipe)
    return RunStarted(
        run=job.run.path.name,
        model=job.built.card.id,
        strategy=job.recipe.strategy,
        device=job.compute.device,
        precision=job.compute.precision,
        train_images=len(sets.train),
        selection_images=len(sets.train if is_crossed else sets.selection),
        report_images=len(sets.report),
        epochs=job.recipe.max_epochs_or_default,
        groups=tuple(group.name for group in job.plan.groups),
        steps_per_epoch=0 if is_head_only else steps,
        classes=job.built.num_classes,
        work=() if is_head_only else _work(job),
        tasks=job.tasks.names,
        teacher="" if job.expert is None else job.expert.name,
    )


def _work(job: TrainingContext) -> tuple[float, ...]:
    is_last = job.compute.memory_format == "channels_last"
    memory_format = torch.channels_last if is_last else torch.contiguous_format
    return work_by_epoch(
        job.built, job.plan, job.recipe.max_epochs_or_default, memory_format=memory_format
    )


def new_model(recipe: Recipe, classes: int) -> BuiltModel:
    """The model as it begins: from scratch, with random numbers that the seed decides."""
    card = resolve_model(recipe.model)
    if recipe.strategy != "scratch":
        return build(card, num_classes=classes)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(recipe.seed)
        return build(card, num_classes=classes, pretrained=False)


def _resolved_before(run: Run) -> dict[str, Any]:
    """What the run found out of the machine when it began; empty where that cannot be read."""
    try:
        resolved: dict[str, Any] = run.read_environment()["resolved"]
    except (RunError, KeyError):
        return {}
    # Of a run that began before recipes had format 2: `batch_size` is the one of the embedding.
    return resolved if "embed_batch_size" in resolved else formats.rename(resolved)


def _as_before(
    recipe: Recipe, built: BuiltModel, before: dict[str, Any], tell: Sink
) -> Compute | None:
    """The device and number format that the run had, where they are here."""
    if not before:
        return None
    try:
        wish = recipe.with_values(
            device=before["device"].partition(":")[0], precision=before["precision"]
        )
        return resolve_compute(wish, built)
    except (AppError, KeyError) as error:
        tell(Notice("warning", f"The run goes on in another way than it began: {error}"))
        return None


def _tell_changed_files(
    job: TrainingContext, frozen: FrozenFeatures, hashes: tuple[str, ...]
) -> None:
    now = frozen.features.hashes
    changed = sum(a != b for a, b in zip(hashes, now, strict=True) if a)
    if changed:
        job.tell(
            Notice("warning", f"{changed:,} of the run's pictures have changed since it began.")
        )
