"""Feature extraction: a head on frozen features, chosen on held-out ones."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import numpy.typing as npt
import torch

from core.evaluation.evaluate import Evaluation, make_predictions
from core.evaluation.metrics import make_report, score_tasks
from core.events import CheckpointSaved, EpochDone, Notice
from core.runs.checkpoints import Head, TaskHead, make_reference, save_checkpoint
from core.training.context import (
    FrozenFeatures,
    Outcome,
    TrainingContext,
    folds_there,
    tell_no_report,
)
from core.training.head_solver import FittedHead, HeadEpoch, fit_head
from core.training.multi_task import labelled


def feature_extraction(job: TrainingContext, frozen: FrozenFeatures) -> Outcome:
    """A head on frozen features, chosen on held-out ones."""
    recipe, trains = job.recipe, frozen.trains
    device = torch.device(job.compute.device)
    epoch_start = time.perf_counter()

    def on_epoch(done: HeadEpoch) -> None:
        nonlocal epoch_start
        now = time.perf_counter()
        job.tell(
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

    head = fit_head(
        frozen.vectors[trains].to(device),
        frozen.labels[trains].to(device),
        folds_there(job.sets, trains).to(device),
        classes=len(job.index.classes),
        epochs=recipe.max_epochs_or_default,
        patience=recipe.patience,
        l2=recipe.l2,
        on_epoch=on_epoch,
        should_stop=job.should_stop,
    )
    tasks = _task_heads(job, frozen)
    save_checkpoint(
        job.run.make_checkpoint_folder(),
        job.built,
        compute=job.compute,
        classes=job.index.classes,
        head=Head(head.weight, head.bias),
        reference=make_reference(frozen.features.vectors[trains], recipe.seed),
        metadata={
            "strategy": recipe.strategy,
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
    job.tell(CheckpointSaved("best", head.epoch, str(job.run.best.folder)))
    return Outcome(
        epochs=head.epochs,
        best_epoch=head.epoch,
        selection_accuracy=head.selection_accuracy,
        was_stopped=head.was_stopped,
        evaluation=_evaluate_head(job, frozen, head, tasks),
    )


def _task_heads(job: TrainingContext, frozen: FrozenFeatures) -> list[TaskHead]:
    """A head for each task, by the same solver on the features of the images that have its label.

    Raises: DatasetError for a task of which too little is labelled.
    """
    if not job.tasks.tasks:
        return []
    device = torch.device(job.compute.device)
    every = job.tasks.labels(frozen.positions)
    heads = []
    for task, labels in zip(job.tasks.tasks, every.unbind(1), strict=True):
        rows = labelled(labels, frozen.trains, task.name)
        head = fit_head(
            frozen.vectors[rows].to(device),
            labels[rows].to(device),
            folds_there(job.sets, rows).to(device),
            classes=len(task.classes),
            epochs=job.recipe.max_epochs_or_default,
            patience=job.recipe.patience,
            l2=job.recipe.l2,
            should_stop=job.should_stop,
        )
        job.tell(
            Notice(
                "info",
                f"Task {task.name}: right on {head.selection_accuracy:.1%} of "
                f"{head.selection_images:,} training images held out.",
            )
        )
        heads.append(TaskHead(task.name, task.classes, Head(head.weight, head.bias)))
    return heads


def _evaluate_head(
    job: TrainingContext, frozen: FrozenFeatures, head: FittedHead, tasks: list[TaskHead]
) -> Evaluation | None:
    """On the report set, which chose nothing; None where it is empty."""
    reports = frozen.reports
    if not len(reports):
        tell_no_report(job)
        return None
    how = (
        f"{head.selection_images:,} training images, each by heads fitted without it"
        if head.is_cross_fitted
        else f"{head.selection_images:,} training images held out"
    )
    chosen = "epoch and temperature" if job.recipe.l2 else "L2 penalty, epoch and temperature"
    split = job.sets.report_split
    probabilities = (frozen.vectors[reports] @ head.weight.T + head.bias).softmax(1)
    labels = frozen.labels[reports]
    report = make_report(
        probabilities,
        labels,
        classes=job.index.classes,
        split=split,
        selected_on=f"{chosen} were chosen on {how}; no {split} image chose anything",
    )
    if tasks:
        columns = job.tasks.labels(frozen.positions)[reports].unbind(1)
        asked = (
            (t.name, t.classes, (frozen.vectors[reports] @ t.head.weight.T + t.head.bias), column)
            for t, column in zip(tasks, columns, strict=True)
        )
        report = dataclasses.replace(report, tasks=score_tasks(asked))
    return Evaluation(
        report,
        make_predictions(probabilities, labels, _files(job, frozen, reports)),
    )


def _files(job: TrainingContext, frozen: FrozenFeatures, rows: npt.NDArray[np.int64]) -> list[str]:
    return [job.index.files[int(i)] for i in frozen.positions[rows]]
