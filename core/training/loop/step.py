"""One step of the optimizer: gradients, added up over parts where memory asks for it, and applied.

What does not fit into an accelerator's memory is learned from in halves: the same images, the same
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
from core.training.loop.model import FineTunedModel, Gradients
from core.training.loop.optimizers import finish_gradients
from core.training.losses import Loss


class Stepper:
    """Steps of a trainee. Use it inside `trainee.working()`."""

    def __init__(
        self,
        trainee: FineTunedModel,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        loss: Loss,
        *,
        halvings: int = 0,
        tell: Sink,
        world: World = SINGLE_PROCESS,
    ) -> None:
        """`halvings`: how often the images at once were halved already. `world`: the processes that
        learn from a step together, each from its share."""
        self.trainee, self.optimizer = trainee, optimizer
        self.halvings = halvings
        self._recipe, self._loss, self._tell, self._world = recipe, loss, tell, world

    @property
    def parts(self) -> int:
        """Into how many parts a step's images are cut."""
        return int(self._recipe.accumulate) << self.halvings

    def images_at_once(self, images: int) -> int:
        """How many of a step's images are in the model at the same time."""
        return self.trainee.images_at_once(-(-images // min(self.parts, images)))

    def step(
        self, views: Sequence[TrainingView], labels: Tensor, *, step: int, epoch: int
    ) -> Gradients:
        """Learn from these images: the one step, whatever number of parts it is made in.

        labels: int64 [N]; of several processes each gives its own share, and all hear of the whole
        step. Raises: DivergedError, before anything is changed, where loss or gradient
        are no numbers; MemoryShortError where not even a single image fits.
        """
        world = self._world
        (images,) = world.all_reduce(len(views))
        learned = self._learn(views, labels, step, of=int(images))
        if world.world_size > 1:
            self.trainee.all_reduce_gradients(world)
            self.trainee.all_reduce_statistics(world)
            loss, right = world.all_reduce(learned.loss, learned.right)
            learned = Gradients(loss, int(right), int(images))
        scaler = self.trainee.scaler
        scaler.unscale_(self.optimizer)
        norm = finish_gradients(self.optimizer, self._recipe.clip_norm)
        # float16 alone may overflow now and then: its scaler leaves such a step out.
        self.check(learned.loss, 0.0 if scaler.is_enabled() else norm, epoch=epoch, step=step)
        scaler.step(self.optimizer)
        scaler.update()
        self.trainee.average()
        return learned

    def check(self, loss: float, gradient_norm: float = 0.0, *, epoch: int, step: int) -> None:
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

    def _learn(
        self, views: Sequence[TrainingView], labels: Tensor, step: int, *, of: int
    ) -> Gradients:
        while True:
            try:
                return self._learn_in_parts(views, labels, step, of)
            except (RuntimeError, MemoryError) as error:  # OutOfMemoryError is a RuntimeError
                if not is_out_of_memory(error):
                    raise
                trouble = str(error).splitlines()[0] if str(error) else "out of memory"
            self._halve(len(views), trouble)

    def _learn_in_parts(
        self, views: Sequence[TrainingView], labels: Tensor, step: int, of: int
    ) -> Gradients:
        loss, right = 0.0, 0
        if not len(views):  # this process's share of a small step
            self.trainee.forget_gradients()
            return Gradients(0.0, 0)
        others = (self._world.rank,) if self._world.world_size > 1 else ()
        cuts = np.array_split(np.arange(len(views)), min(self.parts, len(views)))
        for number, cut in enumerate(cuts):
            share = cut.tolist()
            learned = self.trainee.learn(
                [views[i] for i in share],
                labels[share],
                loss=self._loss,
                of=of,
                adds=number > 0,
                draw=(self._recipe.seed, step, number, *others),
            )
            loss, right = loss + learned.loss, right + learned.right
        return Gradients(loss, right, len(views))

    def _halve(self, images: int, trouble: str) -> None:
        self.trainee.forget_gradients()
        if self.parts >= images:
            raise MemoryShortError(
                f"Not even one image at a time fits into the memory: {trouble}.",
                "Train fewer layer groups, choose a smaller model, or another device.",
            )
        self.halvings += 1
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._tell(
            Notice(
                "warning",
                f"The memory does not hold {-(-images // (self.parts // 2))} images at once: "
                f"from now on {-(-images // self.parts)} are learned from at a time, and "
                f"{self.parts} times that make one step as before.",
            )
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Also the CPU's way of saying it, which has no class of its own."""
    is_cpu = "can't allocate memory" in str(error) or "not enough memory" in str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or is_cpu
