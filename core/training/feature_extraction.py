"""Feature extraction: a head on frozen features, its settings chosen on held-out images."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from core.data.dataset import Task
from core.evaluation.evaluate import Evaluation, make_predictions
from core.evaluation.metrics import make_report, score_tasks
from core.events import CheckpointSaved, EpochDone, Notice
from core.runs.checkpoints import Head, TaskHead, make_reference, save_checkpoint
from core.training.context import (
    FrozenFeatures,
    Outcome,
    TrainingContext,
    log_no_report,
    readable_folds,
)
from core.training.head_solver import FittedHead, HeadEpoch, fit_head
from core.training.multi_task import labelled


def feature_extraction(context: TrainingContext, features: FrozenFeatures) -> Outcome:
    """Fit the head (and one for each task), save them as the run's best model and evaluate it.

    Raises: DatasetError where too few images can be read or have a task's label.
    """
    epoch_start = time.perf_counter()

    def on_epoch(done: HeadEpoch) -> None:
        nonlocal epoch_start
        now = time.perf_counter()
        context.log_event(
            EpochDone(
                epoch=done.epoch,
                train_loss=done.train_loss,
                train_accuracy=done.train_accuracy,
                selection_loss=done.selection_loss,
                selection_accuracy=done.selection_accuracy,
                seconds=now - epoch_start,
                l2=done.l2,
            )
        )
        epoch_start = now

    rows, classes = features.train_rows, context.index.classes
    head = _fit_head(context, features, rows, features.labels, len(classes), on_epoch=on_epoch)
    tasks: list[TaskHead] = []
    if context.tasks.tasks:
        columns = context.tasks.labels(features.positions).unbind(1)
        for task, labels in zip(context.tasks.tasks, columns, strict=True):
            tasks.append(_fit_task(context, features, task, labels))
    save_checkpoint(
        context.run.make_checkpoint_folder(),
        context.built,
        compute=context.compute,
        classes=classes,
        head=Head(head.weight, head.bias),
        reference=make_reference(features.raw.vectors[rows], context.recipe.seed),
        metadata={
            "strategy": context.recipe.strategy,
            "epoch": head.epoch,
            "l2": head.l2,
            "temperature": head.temperature,
            "selection": {
                "images": head.selection_images,
                "loss": head.selection_loss,
                "accuracy": head.selection_accuracy,
                "cross_fitted": head.is_cross_fitted,
            },
        },
        tasks=tasks,
    )
    context.log_event(CheckpointSaved("best", head.epoch, str(context.run.best.folder)))
    return Outcome(
        epochs=head.epochs,
        best_epoch=head.epoch,
        selection_accuracy=head.selection_accuracy,
        was_stopped=head.was_stopped,
        evaluation=_evaluate(context, features, head, tasks),
    )


def _fit_head(
    context: TrainingContext,
    features: FrozenFeatures,
    rows: npt.NDArray[np.int64],
    labels: torch.Tensor,
    classes: int,
    *,
    on_epoch: Callable[[HeadEpoch], None] = lambda epoch: None,
) -> FittedHead:
    """labels: int64 [N], of all rows of `features`; those of `rows` (int64 [M]) are fitted to."""
    device = torch.device(context.compute.device)
    return fit_head(
        features.vectors[rows].to(device),
        labels[rows].to(device),
        readable_folds(context.sets, rows).to(device),
        classes=classes,
        epochs=context.recipe.max_epochs_or_default,
        patience=context.recipe.patience,
        l2=context.recipe.l2,
        on_epoch=on_epoch,
        should_stop=context.should_stop,
    )


def _fit_task(
    context: TrainingContext, features: FrozenFeatures, task: Task, labels: torch.Tensor
) -> TaskHead:
    """The head of a task (labels: int64 [N]), fitted to the images that have its label.

    Raises: DatasetError where too few have one.
    """
    rows = labelled(labels, features.train_rows, task.name)
    head = _fit_head(context, features, rows, labels, len(task.classes))
    context.log_event(
        Notice(
            "info",
            f"Task {task.name}: right on {head.selection_accuracy:.1%} of "
            f"{head.selection_images:,} training images held out.",
        )
    )
    return TaskHead(task.name, task.classes, Head(head.weight, head.bias))


def _evaluate(
    context: TrainingContext, features: FrozenFeatures, head: FittedHead, tasks: list[TaskHead]
) -> Evaluation | None:
    """The heads on the report images, which chose nothing; None where there are none."""
    rows = features.report_rows
    if not len(rows):
        log_no_report(context)
        return None
    how = (
        f"{head.selection_images:,} training images, each by heads fitted without it"
        if head.is_cross_fitted
        else f"{head.selection_images:,} training images held out"
    )
    chosen = "epoch and temperature" if context.recipe.l2 else "L2 penalty, epoch and temperature"
    split = context.sets.report_split
    vectors, labels = features.vectors[rows], features.labels[rows]
    probabilities = (vectors @ head.weight.T + head.bias).softmax(1)
    report = make_report(
        probabilities,
        labels,
        classes=context.index.classes,
        split=split,
        selected_on=f"{chosen} were chosen on {how}; no {split} image chose anything",
    )
    if tasks:
        columns = context.tasks.labels(features.positions)[rows].unbind(1)
        answers = (
            (task.name, task.classes, vectors @ task.head.weight.T + task.head.bias, column)
            for task, column in zip(tasks, columns, strict=True)
        )
        report = dataclasses.replace(report, tasks=score_tasks(answers))
    files = [context.index.files[int(i)] for i in features.positions[rows]]
    return Evaluation(report, make_predictions(probabilities, labels, files))
