"""One optimizer step: gradient accumulation over micro-batches, clipping, update, moving average.

A micro-batch that does not fit into an accelerator's memory is halved: the same images, the same
mean of their losses, the same step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from core.batches.augment import TrainingView
from core.compute.distributed import SINGLE_PROCESS, World
from core.errors import DivergedError, MemoryShortError
from core.events import Notice, Sink
from core.recipe.recipe import Recipe
from core.training.loop.model import FineTunedModel, StepResult
from core.training.loop.optimizers import clip_gradients
from core.training.losses import Loss


class Stepper:
    """Takes the steps of a model's training. Use it inside `model.thread_pool()`."""

    def __init__(
        self,
        model: FineTunedModel,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        loss: Loss,
        *,
        halvings: int = 0,
        log_event: Sink,
        world: World = SINGLE_PROCESS,
    ) -> None:
        """`halvings`: how often the micro-batch was halved already. `world`: the processes that
        share each step."""
        self.model, self.optimizer = model, optimizer
        self.halvings = halvings
        self._recipe, self._loss, self._log_event, self._world = recipe, loss, log_event, world

    @property
    def micro_batches(self) -> int:
        """Into how many micro-batches the images of a step are cut."""
        return int(self._recipe.accumulate) << self.halvings

    def micro_batch_size(self, images: int) -> int:
        """How many of the images of a step are in the model at the same time."""
        return self.model.micro_batch_size(-(-images // min(self.micro_batches, images)))

    def step(
        self, views: Sequence[TrainingView], labels: Tensor, *, step: int, epoch: int
    ) -> StepResult:
        """Take one step on these images, in however many micro-batches.

        labels: int64 [N]. Each of several processes gives its part of the images, and gets the
        result of the whole step. Raises: DivergedError, before anything is changed, where the loss
        or the gradient is no number; MemoryShortError where not even a single image fits.
        """
        world = self._world
        (images,) = world.all_reduce(len(views))
        result = self._accumulate(views, labels, step, step_images=int(images))
        if world.world_size > 1:
            self.model.all_reduce_gradients(world)
            self.model.all_reduce_batch_norm(world)
            loss, correct = world.all_reduce(result.loss, result.correct)
            result = StepResult(loss, int(correct), int(images))
        scaler = self.model.scaler
        scaler.unscale_(self.optimizer)
        norm = clip_gradients(self.optimizer, self._recipe.clip_norm)
        # Only float16 may overflow now and then: its scaler then skips the step.
        norm = 0.0 if scaler.is_enabled() else norm
        self.check_finite(result.loss, norm, epoch=epoch, step=step)
        scaler.step(self.optimizer)
        scaler.update()
        self.model.update_ema()
        return result

    def check_finite(
        self, loss: float, gradient_norm: float = 0.0, *, epoch: int, step: int
    ) -> None:
        """Raises: DivergedError where one of them is infinite or undefined."""
        if math.isfinite(loss) and math.isfinite(gradient_norm):
            return
        what = "loss" if not math.isfinite(loss) else "gradient"
        rate = max(float(group["lr"]) for group in self.optimizer.param_groups)
        raise DivergedError(
            f"The {what} is no number any more in epoch {epoch}, step {step}, at a learning rate "
            f"of {rate:.2g}.",
            "Resume the run: it goes on from the last good epoch at a third of the rate. Clipping "
            "(clip_norm = 1) and a longer warm-up help too.",
        )

    def _accumulate(
        self, views: Sequence[TrainingView], labels: Tensor, step: int, *, step_images: int
    ) -> StepResult:
        """The gradients of these images; halves the micro-batch until it fits into memory."""
        while True:
            try:
                return self._accumulate_once(views, labels, step, step_images)
            except (RuntimeError, MemoryError) as error:  # OutOfMemoryError is a RuntimeError
                if not is_out_of_memory(error):
                    raise
                trouble = str(error).splitlines()[0] if str(error) else "out of memory"
            self._halve(len(views), trouble)

    def _accumulate_once(
        self, views: Sequence[TrainingView], labels: Tensor, step: int, step_images: int
    ) -> StepResult:
        loss, correct = 0.0, 0
        if not len(views):  # a small step can leave this process without images
            self.model.zero_grad()
            return StepResult(0.0, 0)
        rank = (self._world.rank,) if self._world.world_size > 1 else ()
        cuts = np.array_split(np.arange(len(views)), min(self.micro_batches, len(views)))
        for number, cut in enumerate(cuts):
            part = cut.tolist()
            result = self.model.forward_backward(
                [views[i] for i in part],
                labels[part],
                loss=self._loss,
                step_images=step_images,
                accumulate=number > 0,
                seed=(self._recipe.seed, step, number, *rank),
            )
            loss, correct = loss + result.loss, correct + result.correct
        return StepResult(loss, correct, len(views))

    def _halve(self, images: int, trouble: str) -> None:
        """Raises: MemoryShortError where a micro-batch is a single image already."""
        self.model.zero_grad()
        if self.micro_batches >= images:
            raise MemoryShortError(
                f"Not even one image at a time fits into the memory: {trouble}.",
                "Train fewer layer groups, choose a smaller model, or another device.",
            )
        before = -(-images // self.micro_batches)
        self.halvings += 1
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._log_event(
            Notice(
                "warning",
                f"A batch of {before} images does not fit into the memory: from now on it is "
                f"computed in micro-batches of {-(-images // self.micro_batches)}, "
                f"{self.micro_batches} for a step. The steps stay the same.",
            )
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Also for the CPU's message, which has no exception class of its own."""
    is_cpu = "can't allocate memory" in str(error) or "not enough memory" in str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or is_cpu
