"""The loop of fine-tuning and of training from scratch. Read `training_loop` top to bottom.

It begins with the head that the frozen features gave (linear probe first, then fine-tune: Kumar
et al. 2022), or with random numbers. That is epoch 0. The result is the epoch with the best score
on the selection images, so on these it is never worse than what it began with.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import psutil
import torch

from core.events import EpochDone, Notice, PlanChanged, Sink, StepDone
from core.recipe.plan import Plan
from core.training.context import TrainingContext
from core.training.live_model import LiveModel
from core.training.loop.batches import Batches, TrainingSet, UnreadableImages
from core.training.loop.dry_run import dry_run
from core.training.loop.model import FineTunedModel
from core.training.loop.schedules import Plateau, Schedule
from core.training.loop.step import Stepper
from core.training.loop.validate import ValidationResult, validate
from core.training.losses import Loss


@dataclass
class FineTuneProgress:
    """How far a fine-tuning is: what a resumed run needs beside weights and optimizer.

    The fields are keys of the state on disk; renamed, states of older runs could not be read.
    """

    epoch: int = 0
    """Whole epochs done."""
    step: int = 0
    """Steps done in the run."""
    step_of_epoch: int = 0
    """Steps of the current epoch done or left out."""
    best_epoch: int = 0
    best_accuracy: float = 0.0
    best_loss: float = float("inf")
    best_score: float = float("-inf")
    """Of the metric that the recipe's `monitor` names; higher is better."""
    waited: int = 0
    """Epochs since the best one."""
    probe_accuracy: float | None = 0.0
    """None: there was no probe, the model began from scratch."""
    loss_sum: float = 0.0
    right: int = 0
    seen: int = 0
    """Sums over the images of the current epoch so far."""
    halvings: int = 0
    """How often the micro-batch was halved to fit into memory."""
    plateau: Plateau = field(default_factory=Plateau)
    was_stopped: bool = field(default=False, compare=False)

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> FineTuneProgress:
        """Raises: KeyError, TypeError for a dict that is not from `to_dict`."""
        return cls(**{**saved, "plateau": Plateau(**saved["plateau"])})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def update(self, result: ValidationResult, monitor: str) -> bool:
        """Note the result of `epoch`; returns whether it is the best so far."""
        score = result.score(monitor)
        if (score, -result.loss) <= (self.best_score, -self.best_loss):
            self.waited += 1
            return False
        self.best_epoch, self.waited = self.epoch, 0
        self.best_score, self.best_loss = score, result.loss
        self.best_accuracy = result.accuracy
        return True


def training_loop(
    context: TrainingContext,
    model: FineTunedModel,
    optimizer: torch.optim.Optimizer,
    data: TrainingSet,
    *,
    loss: Loss,
    progress: FineTuneProgress,
    keep_best: Callable[[ValidationResult, int], None],
    keep_last: Callable[[FineTuneProgress], None],
) -> FineTuneProgress:
    """Train until all epochs are done, patience ends or a stop is asked for. Mutates `model`.

    `keep_best(result, epoch)` is called after an epoch that is the best so far,
    `keep_last(progress)` after every epoch and at a stop: the points from which a run can go on.
    Several processes all run this loop and hold the same model.

    Raises: DivergedError where the loss or the gradient is no number any more (the last state is
    from before that); MemoryShortError where a step does not fit into memory.
    """
    recipe, plan, compute, world = context.recipe, context.plan, context.compute, context.world
    epochs, log_event = recipe.max_epochs_or_default, context.log_event
    batches = Batches(data, recipe, world)
    schedule = Schedule(optimizer, recipe, steps_per_epoch=batches.steps)
    unreadable = UnreadableImages(log_event)
    stepper = Stepper(
        model, optimizer, recipe, loss, halvings=progress.halvings, log_event=log_event, world=world
    )
    with model.thread_pool() as pool:
        if not progress.step:
            first = next(batches(1, 0, pool, unreadable), None)
            if first is not None and first[1]:
                # Without `world`: what this process's part takes, without waiting for the others.
                alone = Stepper(model, optimizer, recipe, loss, log_event=log_event)
                steps = batches.steps * epochs
                log_event(dry_run(alone, plan, first[1], first[2], steps=steps, compute=compute))
        while progress.epoch < epochs and progress.waited < recipe.patience:
            epoch = progress.epoch + 1
            _open_groups(model, plan, epoch, log_event, is_start=progress.step_of_epoch == 0)
            epoch_start = time.perf_counter()
            busy_seconds, images = 0.0, 0
            for number, views, labels in batches(epoch, progress.step_of_epoch, pool, unreadable):
                wait_start = time.perf_counter()
                if context.between_steps is not None:
                    classes = context.index.classes
                    live = LiveModel(model, compute, classes, step=progress.step, epoch=epoch)
                    context.between_steps(live)
                if world.any(context.should_stop()):  # does not return while a run is paused
                    progress.was_stopped = True
                    keep_last(progress)
                    return progress
                step_start = time.perf_counter()
                epoch_start += step_start - wait_start  # a pause is no part of the epoch's seconds
                schedule.set_rates(progress.step + 1, progress.plateau)
                result = stepper.step(views, labels, step=progress.step + 1, epoch=epoch)
                step_seconds = time.perf_counter() - step_start

                progress.step += 1
                progress.step_of_epoch = number + 1
                progress.halvings = stepper.halvings
                progress.loss_sum += result.loss * result.images
                progress.right += result.correct
                progress.seen += result.images
                busy_seconds, images = busy_seconds + step_seconds, images + result.images
                log_event(
                    StepDone(
                        step=progress.step,
                        epoch=epoch,
                        loss=result.loss,
                        rates=_current_rates(optimizer, plan, epoch),
                        images_per_s=result.images / step_seconds,
                        memory_mb=_memory_mb(compute.device),
                    )
                )
            validation = validate(
                model, data, compute, unreadable, emit=context.emit, pool=pool, world=world
            )
            stepper.check_finite(validation.loss, epoch=epoch, step=progress.step)
            progress.epoch, progress.step_of_epoch = epoch, 0
            if recipe.schedule == "plateau":
                progress.plateau.update(validation.loss, patience=recipe.step_epochs)
            if progress.update(validation, recipe.monitor):
                keep_best(validation, epoch)
            log_event(
                EpochDone(
                    epoch=epoch,
                    train_loss=progress.loss_sum / max(1, progress.seen),
                    train_accuracy=progress.right / max(1, progress.seen),
                    seconds=time.perf_counter() - epoch_start,
                    step=progress.step,
                    images_per_s=images / busy_seconds if busy_seconds else 0.0,
                    **validation.epoch_fields,
                )
            )
            progress.loss_sum, progress.right, progress.seen = 0.0, 0, 0
            keep_last(progress)
            if text := data.after_epoch():
                log_event(Notice("info", text))
    return progress


def _open_groups(
    model: FineTunedModel, plan: Plan, epoch: int, log_event: Sink, *, is_start: bool
) -> None:
    """Make the layer groups trainable that the plan opens by this epoch; log a change."""
    trained = plan.open_in(epoch)
    model.set_trainable(trained)
    before = plan.open_in(epoch - 1) if epoch > 1 else ()
    opened = tuple(name for name in trained if name not in before)
    if opened and is_start:
        frozen = tuple(group.name for group in plan.groups if group.name not in trained)
        log_event(PlanChanged(epoch, opened, frozen))


def _current_rates(optimizer: torch.optim.Optimizer, plan: Plan, epoch: int) -> tuple[float, ...]:
    """The rate of each layer group of the plan at the last step; 0 where it is frozen."""
    rates = {group["name"]: float(group["lr"]) for group in optimizer.param_groups}
    trained = set(plan.open_in(epoch))
    return tuple(rates[g.name] if g.name in trained else 0.0 for g in plan.groups)


_process = psutil.Process()


def _memory_mb(device: str) -> float:
    """Resident memory of the process; on a GPU, the peak of what tensors took there."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 2**20
    return float(_process.memory_info().rss) / 2**20
