"""Fine-tuning and training from scratch: a first head, then epochs; the best one is kept."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import torch

from core.batches.streaming import TrainingImages
from core.errors import Cancelled, DatasetError
from core.evaluation.evaluate import Evaluation, evaluate_images
from core.events import CheckpointSaved, EpochDone, Notice, Progress, RunResumed, never_stop
from core.runs.checkpoints import Head, TaskHead, make_reference, save_checkpoint
from core.training.context import FrozenFeatures, Outcome, TrainingContext, log_no_report
from core.training.head_solver import FittedHead
from core.training.loop.batches import TrainingSet
from core.training.loop.loop import FineTuneProgress, training_loop
from core.training.loop.model import FineTunedModel
from core.training.loop.optimizers import lower_rates, make_optimizer
from core.training.loop.state import load_state, save_state
from core.training.loop.validate import ValidationResult, validate_tasks, validation_result
from core.training.losses import make_loss
from core.training.multi_task import labelled
from core.training.probe import probe_head
from core.training.teachers import make_teacher

_REPORTED_AT_ONCE = 500
"""Report images that a run which is stopped still evaluates: seconds, also on a small machine."""


def fine_tuning(context: TrainingContext, features: FrozenFeatures, *, is_resumed: bool) -> Outcome:
    """Train the backbone with the head, keep the best epoch on `selection`, and evaluate it.

    A resumed run goes on from its saved state; any other begins with `first_head`.
    Raises: DatasetError, DivergedError, MemoryShortError, Cancelled; RunError for a damaged state.
    """
    paths = [context.index.path(int(i)) for i in features.positions]
    recipe, compute = context.recipe, context.compute
    with TrainingImages(paths, context.built.preprocessing, recipe, compute) as images:
        return _fine_tuning(context, features, images, is_resumed=is_resumed)


def _fine_tuning(
    context: TrainingContext, features: FrozenFeatures, images: TrainingImages, *, is_resumed: bool
) -> Outcome:
    recipe, run = context.recipe, context.run
    data = training_set(context, features, images)
    loss = make_loss(recipe, data.labels[data.fit], context.index.classes)
    teacher = make_teacher(context, features, data)
    if is_resumed:  # its state holds the head
        outputs = context.built.num_classes + sum(context.tasks.sizes)
        head = Head(torch.zeros(outputs, context.built.feature_dim), torch.zeros(outputs))
    else:
        first, head = context.world.broadcast_call(lambda: first_head(context, features, data))
    model = FineTunedModel(
        context.built,
        head,
        context.plan,
        compute=context.compute,
        ema_decay=recipe.ema_decay,
        dropout=recipe.dropout,
        train_batch_norm=recipe.strategy == "scratch",
        teacher=teacher,
        tasks=context.tasks,
    )
    optimizer = make_optimizer(model, recipe, context.plan)

    def keep_best(result: ValidationResult, epoch: int) -> None:
        if context.world.is_global_zero:
            _save_best(context, model, result, epoch, selection_images=len(data.selection))

    def keep_last(progress: FineTuneProgress) -> None:
        if context.world.is_global_zero:
            save_state(run.last, model, optimizer, progress)
            context.log_event(CheckpointSaved("last", progress.epoch, str(run.last)))

    if is_resumed:
        progress = load_state(run.last, model, optimizer)
        context.log_event(RunResumed(progress.step, progress.epoch))
        if context.rate_factor != 1:
            lower_rates(optimizer, context.rate_factor)
            text = f"The learning rates are {context.rate_factor:.2g} times what they were."
            context.log_event(Notice("info", text))
    else:
        is_scratch = recipe.strategy == "scratch"
        progress = FineTuneProgress(probe_accuracy=None if is_scratch else first.accuracy)
        progress.update(first, recipe.monitor)
        keep_best(first, 0)
        keep_last(progress)  # killed in the first epoch, the run can go on from here
    progress = training_loop(
        context,
        model,
        optimizer,
        data,
        loss=loss,
        progress=progress,
        keep_best=keep_best,
        keep_last=keep_last,
    )
    evaluation = None
    if context.world.is_global_zero:  # it evaluates for all; `fit` broadcasts the result
        evaluation = _evaluate_best(
            context, features, progress, selection_images=len(data.selection)
        )
    return Outcome(
        epochs=progress.epoch,
        best_epoch=progress.best_epoch,
        selection_accuracy=progress.best_accuracy,
        was_stopped=progress.was_stopped,
        evaluation=evaluation,
        probe_accuracy=progress.probe_accuracy,
    )


def training_set(
    context: TrainingContext, features: FrozenFeatures, images: TrainingImages
) -> TrainingSet:
    """The images that are learned from and those held out as `selection`, by row of `features`.

    Raises: DatasetError where too few images can be read to hold any out.
    """
    rows = features.train_rows
    labels = features.labels.numpy()[rows]
    is_selection = context.sets.fold[rows] == 0
    # Unreadable files may have left a class with held-out images alone; then these are learned
    # from, or the class would never be.
    is_selection &= np.isin(labels, labels[~is_selection])
    if is_selection.all() or not is_selection.any():
        raise DatasetError(
            f"Only {len(rows)} training images can be read, too few to hold any out.",
            "Add readable images.",
        )
    return TrainingSet(
        pixels=images.cache,
        labels=features.labels,
        fit=rows[~is_selection],
        selection=rows[is_selection],
        after_epoch=images.after_epoch,
        task_labels=context.tasks.labels(features.positions) if context.tasks.tasks else None,
    )


def _save_best(
    context: TrainingContext,
    model: FineTunedModel,
    result: ValidationResult,
    epoch: int,
    *,
    selection_images: int,
) -> None:
    """Save the model as it is as the run's best one, calibrated."""
    run, recipe = context.run, context.recipe
    save_checkpoint(
        run.make_checkpoint_folder(),
        model.inference_model,
        compute=context.compute,
        classes=context.index.classes,
        head=_with_temperature(result.head, result.temperature),
        # Of the selection images: no gradient saw them, so new images will look alike.
        reference=make_reference(result.features.numpy(), recipe.seed),
        metadata={
            "strategy": recipe.strategy,
            "epoch": epoch,
            "temperature": result.temperature,
            "selection": {
                "images": selection_images,
                "loss": result.loss,
                "accuracy": result.accuracy,
                "cross_fitted": False,
            },
        },
        tasks=[
            TaskHead(task.name, task.classes, _with_temperature(of_task.head, of_task.temperature))
            for task, of_task in zip(context.tasks.tasks, result.tasks, strict=True)
        ],
    )
    run.delete_report()
    context.log_event(CheckpointSaved("best", epoch, str(run.best.folder)))


def _with_temperature(head: Head, temperature: float) -> Head:
    """The head whose logits are divided by the temperature."""
    return Head(head.weight / temperature, head.bias / temperature)


# -- epoch 0 -------------------------------------------------------------------------------------


def first_head(
    context: TrainingContext, features: FrozenFeatures, data: TrainingSet
) -> tuple[ValidationResult, Head]:
    """Epoch 0: its validation result, and the head that training begins with.

    The head's outputs are the label's classes, then those of each task. Logs the epoch.
    Raises: DatasetError for a task of which too little is labelled; Cancelled.
    """
    begin = time.perf_counter()
    l2 = 0.0
    if context.recipe.strategy == "scratch":
        seed = context.recipe.seed
        text = f"No pretrained weights: the model begins with random numbers (seed {seed})."
        context.log_event(Notice("info", text))
        heads = first = _random_heads(context)
    else:
        context.emit(Progress(0, 0, "fitting the first head"))
        probes = _fit_probes(context, features, data)
        l2 = probes[0].l2
        heads = [Head(probe.weight, probe.bias) for probe in probes]
        # Softened by its temperature, never sharpened: large logits would tear the backbone
        # (steel defects: the loss of single batches rose to 3.7 in the first epoch).
        first = [
            _with_temperature(head, max(1.0, 1 / probe.temperature))
            for head, probe in zip(heads, probes, strict=True)
        ]
    result, on_fit = (
        validation_result(features.vectors[rows], heads[0], features.labels[rows])
        for rows in (data.selection, data.fit)
    )
    if data.task_labels is not None:
        rows = data.selection
        tasks = validate_tasks(features.vectors[rows], heads[1:], data.task_labels[rows])
        result = dataclasses.replace(result, tasks=tasks)
    context.log_event(
        EpochDone(
            epoch=0,
            train_loss=on_fit.loss,
            train_accuracy=on_fit.accuracy,
            seconds=time.perf_counter() - begin,
            l2=l2,
            **result.epoch_fields,
        )
    )
    return result, Head(torch.cat([h.weight for h in first]), torch.cat([h.bias for h in first]))


def _fit_probes(
    context: TrainingContext, features: FrozenFeatures, data: TrainingSet
) -> list[FittedHead]:
    """Heads on the frozen features of the `fit` images: the label's, then one for each task."""
    rows = data.fit
    classes = len(context.index.classes)
    probes = [probe_head(context, features, rows, features.labels[rows], classes=classes)]
    if data.task_labels is not None:
        columns = data.task_labels.unbind(1)
        for task, labels in zip(context.tasks.tasks, columns, strict=True):
            rows = labelled(labels, data.fit, task.name)
            classes = len(task.classes)
            probes.append(probe_head(context, features, rows, labels[rows], classes=classes))
    return probes


def _random_heads(context: TrainingContext) -> list[Head]:
    """Heads as torch begins a linear layer, but from a generator of their own."""
    dim = context.built.feature_dim
    generator = torch.Generator().manual_seed(context.recipe.seed)
    heads = []
    for classes in (context.built.num_classes, *context.tasks.sizes):
        weight = (2 * torch.rand(classes, dim, generator=generator) - 1) / dim**0.5
        heads.append(Head(weight, torch.zeros(classes)))
    return heads


# -- the report ----------------------------------------------------------------------------------


def _evaluate_best(
    context: TrainingContext,
    features: FrozenFeatures,
    progress: FineTuneProgress,
    *,
    selection_images: int,
) -> Evaluation | None:
    """The saved model on the report images, through the same code as any later evaluation.

    None where there are none, or where a stop leaves the report for later.
    """
    if not len(features.report_rows):
        log_no_report(context)
        return None
    if progress.was_stopped and len(features.report_rows) > _REPORTED_AT_ONCE:
        text = "The run was stopped: its report waits until it is evaluated."
        context.log_event(Notice("info", text))
        return None

    def on_progress(done: int, total: int, note: str) -> None:
        context.emit(Progress(done, total, "evaluating the best epoch"))

    try:
        evaluation = evaluate_images(
            context.run,
            on_progress=on_progress,
            # A run that was stopped has obeyed already.
            should_stop=never_stop if progress.was_stopped else context.should_stop,
        )
    except Cancelled:  # the model is saved; a resumed run comes straight back to this
        progress.was_stopped = True
        context.log_event(
            Notice("info", "All epochs are done; only the report is missing. Resume to make it.")
        )
        return None
    split = context.sets.report_split
    how = "trained from scratch; " if context.recipe.strategy == "scratch" else ""
    how += f"taught by {context.teacher.name}; " if context.teacher is not None else ""
    chosen = (
        f"{how}epoch {progress.best_epoch} and temperature were chosen on {selection_images:,} "
        f"training images held out; no {split} image chose anything"
    )
    return dataclasses.replace(
        evaluation, report=dataclasses.replace(evaluation.report, selected_on=chosen)
    )
