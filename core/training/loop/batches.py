"""The images of each step of an epoch, decoded and augmented ahead of time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.batches.augment import TrainingView, training_view
from core.batches.augment_params import augmentation_of
from core.batches.pixel_cache import PixelCache
from core.batches.sampler import Drawn, epoch_order
from core.compute.distributed import SINGLE_PROCESS, World
from core.errors import DecodeError
from core.events import Notice, Sink
from core.recipe.recipe import Recipe


@dataclass(frozen=True)
class TrainingSet:
    """Images and their labels. `fit` and `selection` are positions into both: the images that are
    learned from, and those held out."""

    pixels: PixelCache
    labels: Tensor
    """int64 [N]"""
    fit: npt.NDArray[np.int64]
    selection: npt.NDArray[np.int64]
    task_labels: Tensor | None = None
    """int64 [N, tasks], NO_LABEL where there is none."""
    after_epoch: Callable[[], str] = str
    """Called after each epoch: may find a faster way to read images that are not cached; returns a
    sentence about it, or an empty text."""

    def targets(self, positions: list[int]) -> Tensor:
        """int64 [n], or [n, 1 + tasks] with the label first."""
        if self.task_labels is None:
            return self.labels[positions]
        both = (self.labels[positions].unsqueeze(1), self.task_labels[positions])
        return torch.cat(both, dim=1)


class UnreadableImages:
    """Logs each image that can no longer be read, once."""

    def __init__(self, log_event: Sink) -> None:
        self._log_event = log_event
        self._logged: set[int] = set()

    def log(self, position: int, error: DecodeError) -> None:
        if position not in self._logged:
            self._logged.add(position)
            self._log_event(Notice("warning", f"{error.message} The run goes on without it."))


def steps_per_epoch(images: int, recipe: Recipe) -> int:
    """Optimizer steps in an epoch of so many images."""
    return -(-images // (recipe.batch_size_or_default * recipe.accumulate))


class Batches:
    """The images of each step of an epoch; those of the next step are prepared in the meantime."""

    def __init__(self, data: TrainingSet, recipe: Recipe, world: World = SINGLE_PROCESS) -> None:
        """Each process of `world` prepares its own part of every step, which may be empty."""
        self._data, self._recipe, self._world = data, recipe, world
        self._variation = augmentation_of(recipe)
        self.steps = steps_per_epoch(len(data.fit), recipe)

    def __call__(
        self, epoch: int, skip: int, pool: ThreadPoolExecutor, unreadable: UnreadableImages
    ) -> Iterator[tuple[int, list[TrainingView], Tensor]]:
        """Number, views and targets of each step of the epoch, from step `skip` on.

        The order depends on seed and epoch alone. A step with no readable image is left out.
        """
        order = epoch_order(
            self._data.fit,
            self._data.labels.numpy(),
            seed=self._recipe.seed,
            epoch=epoch,
            is_balanced=self._recipe.sampling == "balanced",
        )
        cuts = np.array_split(np.arange(len(order)), self.steps)[skip:]
        # Neighbours stay together: an image is mixed with the next one of its process.
        size, rank = self._world.world_size, self._world.rank
        steps = [[order[i] for i in np.array_split(cut, size)[rank]] for cut in cuts]
        ahead = self._prepare(steps[0], epoch, pool) if steps else []
        for number, images in enumerate(steps):
            futures = ahead
            if number + 1 < len(steps):
                ahead = self._prepare(steps[number + 1], epoch, pool)
            views, positions = [], []
            for drawn, future in zip(images, futures, strict=True):
                try:
                    views.append(future.result())
                    positions.append(drawn.position)
                except DecodeError as error:
                    unreadable.log(drawn.position, error)
            if views or size > 1:  # the other processes wait for this one's part, even if empty
                yield skip + number, views, self._data.targets(positions)

    def _prepare(
        self, images: list[Drawn], epoch: int, pool: ThreadPoolExecutor
    ) -> list[Future[TrainingView]]:
        return [pool.submit(self._view, drawn, epoch) for drawn in images]

    def _view(self, drawn: Drawn, epoch: int) -> TrainingView:
        pixels = self._data.pixels
        # An image that is drawn again in an epoch is augmented anew.
        time = [drawn.time] if drawn.time else []
        rng = np.random.default_rng([self._recipe.seed, epoch, drawn.position, *time])
        working = pixels.working(drawn.position)
        return training_view(working, pixels.preprocessing, self._variation, rng)
