"""Fine-tuning: the backbone learns with the head, as the plan says. Read `fine_tune` top to bottom.

It begins with the head that the frozen features gave (linear probe first, then fine-tune: Kumar
et al. 2022), or from scratch with random numbers; that is epoch 0, and the result is the epoch that
the selection images like best, so it is never worse on `selection` than what it began with.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import psutil
import torch

from core.compute.device import Compute
from core.compute.distributed import SINGLE_PROCESS, World
from core.events import EpochDone, Notice, PlanChanged, ShouldStop, Sink, StepDone
from core.recipe.plan import Plan
from core.recipe.recipe import Recipe
from core.training.loop.batches import Batches, TrainingSet, Unreadable
from core.training.loop.dry_run import dry_run
from core.training.loop.model import FineTunedModel
from core.training.loop.schedules import Plateau, Schedule
from core.training.loop.step import Stepper
from core.training.loop.validate import ValidationResult, judge
from core.training.losses import Loss


@dataclass
class FineTuning:
    """How far a fine-tuning is: what a resumed run needs beside weights and optimizer."""

    epoch: int = 0
    """Whole epochs done."""
    step: int = 0
    """Steps done in the run."""
    step_of_epoch: int = 0
    """Steps of the current epoch that are done with."""
    best_epoch: int = 0
    best_accuracy: float = 0.0
    best_loss: float = float("inf")
    best_score: float = float("-inf")
    """What the recipe's `monitor` watches; higher is better."""
    waited: int = 0
    """Epochs since the best one."""
    probe_accuracy: float | None = 0.0
    """None: there was no probe, the model began from scratch."""
    loss_sum: float = 0.0
    right: int = 0
    seen: int = 0
    """Sums over the current epoch so far."""
    halvings: int = 0
    """How often the images that are learned from at once were halved to fit into memory."""
    plateau: Plateau = field(default_factory=Plateau)
    was_stopped: bool = field(default=False, compare=False)

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> FineTuning:
        """Raises: KeyError, TypeError for what `to_dict` did not give."""
        return cls(**{**saved, "plateau": Plateau(**saved["plateau"])})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def take(self, judgement: ValidationResult, monitor: str) -> bool:
        """Note the epoch's judgement; returns whether it is the best so far."""
        score = judgement.score(monitor)
        if (score, -judgement.loss) <= (self.best_score, -self.best_loss):
            self.waited += 1
            return False
        self.best_epoch, self.waited = self.epoch, 0
        self.best_score, self.best_loss = score, judgement.loss
        self.best_accuracy = judgement.accuracy
        return True


def _nothing(progress: FineTuning) -> None:
    """Nobody wants to look at the model."""


def fine_tune(
    trainee: FineTunedModel,
    data: TrainingSet,
    recipe: Recipe,
    plan: Plan,
    *,
    loss: Loss,
    compute: Compute,
    progress: FineTuning,
    optimizer: torch.optim.Optimizer,
    keep_best: Callable[[ValidationResult, int], None],
    keep_last: Callable[[FineTuning], None],
    tell: Sink,
    sink: Sink,
    should_stop: ShouldStop,
    between_steps: Callable[[FineTuning], None] = _nothing,
    world: World = SINGLE_PROCESS,
) -> FineTuning:
    """Train until the epochs are over, patience ends or a stop is asked for.

    `keep_best(judgement, epoch)` is called whenever the selection images prefer the model as it
    is; `keep_last(progress)` after every epoch and at a stop, when the run can go on from here.
    `tell` writes into the run, `sink` speaks to the listener alone. `between_steps(progress)` may
    look at the model and must leave it as it is. `world`: the processes that train together; all
    run this loop and hold the same model. Mutates `trainee`.

    Raises: DivergedError where loss or gradient are no numbers any more, the last state being from
    before; MemoryShortError where a step does not fit into memory.
    """
    batches_of = Batches(data, recipe, world)
    schedule = Schedule(optimizer, recipe, steps_per_epoch=batches_of.steps)
    gone = Unreadable(tell)
    stepper = Stepper(
        trainee, optimizer, recipe, loss, halvings=progress.halvings, tell=tell, world=world
    )
    with trainee.working() as pool:
        if not progress.step:
            first = next(batches_of(1, 0, pool, gone), None)
            if first is not None and first[1]:
                steps = batches_of.steps * recipe.max_epochs_or_default
                # On its own: what a process's share takes, without waiting for the others.
                own = Stepper(trainee, optimizer, recipe, loss, tell=tell)
                tell(dry_run(own, plan, first[1], first[2], steps=steps, compute=compute))
        while progress.epoch < recipe.max_epochs_or_default and progress.waited < recipe.patience:
            epoch = progress.epoch + 1
            _open(trainee, plan, epoch, tell=tell, is_start=progress.step_of_epoch == 0)
            begin = time.perf_counter()
            busy_seconds, images = 0.0, 0
            for number, views, labels in batches_of(epoch, progress.step_of_epoch, pool, gone):
                asked = time.perf_counter()
                between_steps(progress)
                if world.any(should_stop()):  # also where a paused run waits
                    progress.was_stopped = True
                    keep_last(progress)
                    return progress
                step_begin = time.perf_counter()
                begin += step_begin - asked  # a pause is no part of the epoch's seconds
                schedule.set_rates(progress.step + 1, progress.plateau)
                learned = stepper.step(views, labels, step=progress.step + 1, epoch=epoch)
                step_seconds = time.perf_counter() - step_begin

                progress.step += 1
                progress.step_of_epoch = number + 1
                progress.halvings = stepper.halvings
                progress.loss_sum += learned.loss * learned.images
                progress.right += learned.right
                progress.seen += learned.images
                busy_seconds, images = busy_seconds + step_seconds, images + learned.images
                tell(
                    StepDone(
                        step=progress.step,
                        epoch=epoch,
                        loss=learned.loss,
                        rates=rates_of(optimizer, plan, epoch),
                        images_per_s=learned.images / step_seconds,
                        memory_mb=memory_mb(compute.device),
                    )
                )
            judgement = judge(trainee, data, compute, gone, sink=sink, pool=pool, world=world)
            stepper.check(judgement.loss, epoch=epoch, step=progress.step)
            progress.epoch, progress.step_of_epoch = epoch, 0
            if recipe.schedule == "plateau":
                progress.plateau.hear(judgement.loss, patience=recipe.step_epochs)
            if progress.take(judgement, recipe.monitor):
                keep_best(judgement, epoch)
            tell(
                EpochDone(
                    epoch=epoch,
                    train_loss=progress.loss_sum / max(1, progress.seen),
                    train_accuracy=progress.right / max(1, progress.seen),
                    selection_loss=judgement.loss,
                    selection_accuracy=judgement.accuracy,
                    seconds=time.perf_counter() - begin,
                    step=progress.step,
                    images_per_s=images / busy_seconds if busy_seconds else 0.0,
                    top_share=judgement.top_share,
                    selection_balanced_accuracy=judgement.balanced_accuracy,
                    selection_macro_f1=judgement.macro_f1,
                    task_accuracies=judgement.task_accuracies,
                )
            )
            progress.loss_sum, progress.right, progress.seen = 0.0, 0, 0
            keep_last(progress)
            if text := data.settle():
                tell(Notice("info", text))
    return progress


def _open(trainee: FineTunedModel, plan: Plan, epoch: int, *, tell: Sink, is_start: bool) -> None:
    """Let train what the plan opens by this epoch; say so when it changes."""
    now = plan.open_in(epoch)
    trainee.open(now)
    before = plan.open_in(epoch - 1) if epoch > 1 else ()
    opened = tuple(name for name in now if name not in before)
    if opened and is_start:
        frozen = tuple(group.name for group in plan.groups if group.name not in now)
        tell(PlanChanged(epoch, opened, frozen))


def rates_of(optimizer: torch.optim.Optimizer, plan: Plan, epoch: int) -> tuple[float, ...]:
    """The rate of each group of the plan at the last step; 0 where it is frozen."""
    now = {group["name"]: float(group["lr"]) for group in optimizer.param_groups}
    is_open = set(plan.open_in(epoch))
    return tuple(now[g.name] if g.name in is_open else 0.0 for g in plan.groups)


_process = psutil.Process()


def memory_mb(device: str) -> float:
    """Of the process; on a GPU the most that tensors took there."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 2**20
    return float(_process.memory_info().rss) / 2**20
