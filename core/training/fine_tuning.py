"""Fine-tuning and training from scratch: what it begins with first, then epochs, the best kept."""

from __future__ import annotations

import dataclasses
import time
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from core.batches.streaming import TrainingImages
from core.errors import Cancelled, DatasetError
from core.evaluation.evaluate import Evaluation, evaluate_images
from core.events import (
    CheckpointSaved,
    EpochDone,
    Notice,
    Progress,
    RunResumed,
    never_stop,
)
from core.runs.checkpoints import Head, TaskHead, make_reference, save_checkpoint
from core.training.context import FrozenFeatures, Outcome, TrainingContext, tell_no_report
from core.training.head_solver import FittedHead
from core.training.live_model import CurrentModel
from core.training.loop.batches import TrainingSet
from core.training.loop.loop import FineTuning, fine_tune
from core.training.loop.model import FineTunedModel
from core.training.loop.optimizers import lower_rates, make_optimizer
from core.training.loop.state import load_state, save_state
from core.training.loop.validate import ValidationResult, judge_tasks, judgement_of
from core.training.losses import make_loss
from core.training.multi_task import labelled
from core.training.probe import probe_head
from core.training.teachers import ready_teacher

_REPORTED_AT_ONCE = 500
"""Report images that a run which is stopped still evaluates: seconds, also on a small machine."""


def fine_tuning(job: TrainingContext, frozen: FrozenFeatures, *, is_resumed: bool) -> Outcome:
    """The probe first, then the backbone with it; the best epoch on `selection` is kept."""
    paths = [job.index.path(int(i)) for i in frozen.positions]
    with TrainingImages(paths, job.built.preprocessing, job.recipe, job.compute) as pictures:
        return _fine_tuning(job, frozen, pictures, is_resumed=is_resumed)


def training_set(
    job: TrainingContext, frozen: FrozenFeatures, pictures: TrainingImages
) -> TrainingSet:
    """What fine-tuning learns from and what chooses, by row of `frozen`.

    Raises: DatasetError where too few images can be read to hold any out.
    """
    is_selection = _chooses(job, frozen)
    fit_rows, selection_rows = frozen.trains[~is_selection], frozen.trains[is_selection]
    if not len(fit_rows) or not len(selection_rows):
        raise DatasetError(
            f"Only {len(frozen.trains)} training images can be read, too few to hold any out.",
            "Add readable images.",
        )
    return TrainingSet(
        pixels=pictures.cache,
        labels=frozen.labels,
        fit=fit_rows,
        selection=selection_rows,
        settle=pictures.after_epoch,
        task_labels=job.tasks.labels(frozen.positions) if job.tasks.tasks else None,
    )


def _fine_tuning(
    job: TrainingContext, frozen: FrozenFeatures, pictures: TrainingImages, *, is_resumed: bool
) -> Outcome:
    recipe, run = job.recipe, job.run
    data = training_set(job, frozen, pictures)
    loss = make_loss(recipe, data.labels[data.fit], job.index.classes)
    teacher = ready_teacher(job, frozen, data)

    def keep_best(judgement: ValidationResult, epoch: int) -> None:
        if not job.world.is_global_zero:
            return
        save_checkpoint(
            run.make_checkpoint_folder(),
            trainee.kept,
            compute=job.compute,
            classes=job.index.classes,
            head=softened(judgement.head, judgement.temperature),
            # Of images that no gradient saw: fewer, but as new ones will look.
            reference=make_reference(judgement.features.numpy(), recipe.seed),
            metadata={
                "strategy": recipe.strategy,
                "epoch": epoch,
                "temperature": judgement.temperature,
                "selection": {
                    "images": len(data.selection),
                    "loss": judgement.loss,
                    "accuracy": judgement.accuracy,
                    "cross_fitted": False,
                },
            },
            tasks=[
                TaskHead(task.name, task.classes, softened(judged.head, judged.temperature))
                for task, judged in zip(job.tasks.tasks, judgement.tasks, strict=True)
            ],
        )
        run.delete_report()
        job.tell(CheckpointSaved("best", epoch, str(run.best.folder)))

    def new_trainee(head: Head) -> FineTunedModel:
        return FineTunedModel(
            job.built,
            head,
            job.plan,
            job.compute,
            ema_decay=recipe.ema_decay,
            dropout=recipe.dropout,
            learns_statistics=recipe.strategy == "scratch",
            teacher=teacher,
            tasks=job.tasks,
        )

    def keep_last(progress: FineTuning) -> None:
        if not job.world.is_global_zero:
            return
        save_state(run.last, trainee, optimizer, progress)
        job.tell(CheckpointSaved("last", progress.epoch, str(run.last)))

    def look(progress: FineTuning) -> None:
        if job.between_steps is not None:
            job.between_steps(
                CurrentModel(
                    trainee, job.compute, job.index.classes, progress.step, progress.epoch + 1
                )
            )

    if is_resumed:
        empty = torch.zeros(_outputs(job), job.built.feature_dim)
        trainee = new_trainee(Head(empty, empty[:, 0]))
        optimizer = make_optimizer(trainee, recipe, job.plan)
        progress = load_state(run.last, trainee, optimizer)
        job.tell(RunResumed(progress.step, progress.epoch))
        if job.rate_factor != 1:
            lower_rates(optimizer, job.rate_factor)
            told = f"The learning rates are {job.rate_factor:.2g} times what they were."
            job.tell(Notice("info", told))
    else:
        is_scratch = recipe.strategy == "scratch"
        start = begin_from_scratch if is_scratch else fit_probe
        first, first_head = job.world.broadcast_call(partial(start, job, frozen, data))
        trainee = new_trainee(first_head)
        optimizer = make_optimizer(trainee, recipe, job.plan)
        progress = FineTuning(probe_accuracy=None if is_scratch else first.accuracy)
        progress.take(first, recipe.monitor)
        keep_best(first, 0)
        keep_last(progress)  # killed in the first epoch, it goes on from here
    progress = fine_tune(
        trainee,
        data,
        recipe,
        job.plan,
        loss=loss,
        compute=job.compute,
        progress=progress,
        optimizer=optimizer,
        keep_best=keep_best,
        keep_last=keep_last,
        tell=job.tell,
        sink=job.sink,
        should_stop=job.should_stop,
        between_steps=look,
        world=job.world,
    )
    if not job.world.is_global_zero:  # the first one judges, and tells the others
        return Outcome(
            progress.epoch,
            progress.best_epoch,
            progress.best_accuracy,
            progress.was_stopped,
            None,
            progress.probe_accuracy,
        )
    evaluation = _evaluate_best(job, frozen, progress, selection_images=len(data.selection))
    return Outcome(
        epochs=progress.epoch,
        best_epoch=progress.best_epoch,
        selection_accuracy=progress.best_accuracy,
        was_stopped=progress.was_stopped,
        evaluation=evaluation,
        probe_accuracy=progress.probe_accuracy,
    )


def softened(head: Head, temperature: float) -> Head:
    """The head whose probabilities are those of this temperature."""
    return Head(head.weight / temperature, head.bias / temperature)


def _outputs(job: TrainingContext) -> int:
    """Of the head in training: the classes of the label and of the tasks."""
    return job.built.num_classes + sum(job.tasks.sizes)


def _chooses(job: TrainingContext, frozen: FrozenFeatures) -> npt.NDArray[np.bool_]:
    """bool [len(trains)]: what is held out to choose. Unreadable files may have left a class
    with those images alone; then they train, or the class would never be learned."""
    labels = frozen.labels.numpy()[frozen.trains]
    is_selection = job.sets.fold[frozen.trains] == 0
    return is_selection & np.isin(labels, labels[~is_selection])


def fit_probe(
    job: TrainingContext, frozen: FrozenFeatures, data: TrainingSet
) -> tuple[ValidationResult, Head]:
    """Epoch 0: the head on frozen features, fitted without the selection images, calibrated; and
    the same as fine-tuning begins with it, never sharpened: large logits would tear the backbone
    (steel defects: the loss of single batches rose to 3.7 in the first epoch).

    Raises: Cancelled.
    """
    job.sink(Progress(0, 0, "fitting the first head"))
    begin = time.perf_counter()
    fit_rows = data.fit
    labels = frozen.labels[fit_rows]
    head = probe_head(job, frozen, fit_rows, labels, classes=len(job.index.classes))
    fitted = [head, *_task_probes(job, frozen, data)]
    heads = [Head(probe.weight, probe.bias) for probe in fitted]
    judgement = _tell_first(job, frozen, data, heads, begin=begin, l2=head.l2)
    return judgement, _stacked(
        [
            softened(first, max(1.0, 1 / probe.temperature))
            for first, probe in zip(heads, fitted, strict=True)
        ]
    )


def _task_probes(
    job: TrainingContext, frozen: FrozenFeatures, data: TrainingSet
) -> list[FittedHead]:
    """Raises: DatasetError for a task of which too little is labelled; Cancelled."""
    if data.task_labels is None:
        return []
    fitted = []
    for task, labels in zip(job.tasks.tasks, data.task_labels.unbind(1), strict=True):
        rows = labelled(labels, data.fit, task.name)
        fitted.append(probe_head(job, frozen, rows, labels[rows], classes=len(task.classes)))
    return fitted


def _stacked(heads: list[Head]) -> Head:
    """One head that gives the outputs of all, side by side."""
    return Head(torch.cat([h.weight for h in heads]), torch.cat([h.bias for h in heads]))


def begin_from_scratch(
    job: TrainingContext, frozen: FrozenFeatures, data: TrainingSet
) -> tuple[ValidationResult, Head]:
    """Epoch 0 without pretrained weights: what random numbers answer, and the random head."""
    begin = time.perf_counter()
    text = f"No pretrained weights: the model begins with random numbers (seed {job.recipe.seed})."
    job.tell(Notice("info", text))
    dim = job.built.feature_dim
    # As torch begins a linear layer, but of a generator of its own.
    numbers = torch.Generator().manual_seed(job.recipe.seed)
    heads = []
    for classes in (job.built.num_classes, *job.tasks.sizes):
        weight = (2 * torch.rand(classes, dim, generator=numbers) - 1) / dim**0.5
        heads.append(Head(weight, torch.zeros(classes)))
    return _tell_first(job, frozen, data, heads, begin=begin), _stacked(heads)


def _tell_first(
    job: TrainingContext,
    frozen: FrozenFeatures,
    data: TrainingSet,
    heads: list[Head],
    *,
    begin: float,
    l2: float = 0.0,
) -> ValidationResult:
    """What the selection images say of epoch 0; `heads`: the label's, then the tasks'."""
    judgement, learned = (
        judgement_of(frozen.vectors[rows], heads[0], frozen.labels[rows])
        for rows in (data.selection, data.fit)
    )
    if data.task_labels is not None:
        chosen = data.selection
        tasks = judge_tasks(frozen.vectors[chosen], heads[1:], data.task_labels[chosen])
        judgement = dataclasses.replace(judgement, tasks=tasks)
    job.tell(
        EpochDone(
            epoch=0,
            train_loss=learned.loss,
            train_accuracy=learned.accuracy,
            selection_loss=judgement.loss,
            selection_accuracy=judgement.accuracy,
            seconds=time.perf_counter() - begin,
            l2=l2,
            top_share=judgement.top_share,
            selection_balanced_accuracy=judgement.balanced_accuracy,
            selection_macro_f1=judgement.macro_f1,
            task_accuracies=judgement.task_accuracies,
        )
    )
    return judgement


def _evaluate_best(
    job: TrainingContext, frozen: FrozenFeatures, progress: FineTuning, *, selection_images: int
) -> Evaluation | None:
    """The saved model on the report set, as it will answer later."""
    if not len(frozen.reports):
        tell_no_report(job)
        return None
    if progress.was_stopped and len(frozen.reports) > _REPORTED_AT_ONCE:
        job.tell(Notice("info", "The run was stopped: its report waits until it is evaluated."))
        return None

    def on_progress(done: int, total: int, note: str) -> None:
        job.sink(Progress(done, total, "evaluating the best epoch"))

    try:
        evaluation = evaluate_images(
            job.run,
            on_progress=on_progress,
            # It was asked to stop already, and that is what it is doing.
            should_stop=never_stop if progress.was_stopped else job.should_stop,
        )
    except Cancelled:  # the model is there; resumed, the run comes straight back to this
        progress.was_stopped = True
        job.tell(
            Notice("info", "All epochs are done; only the report is missing. Resume to make it.")
        )
        return None
    split = job.sets.report_split
    how = "trained from scratch; " if job.recipe.strategy == "scratch" else ""
    how += f"taught by {job.expert.name}; " if job.expert is not None else ""
    chosen = (
        f"{how}epoch {progress.best_epoch} and temperature were chosen on {selection_images:,} "
        f"training images held out; no {split} image chose anything"
    )
    return dataclasses.replace(
        evaluation, report=dataclasses.replace(evaluation.report, selected_on=chosen)
    )
