"""The pictures of a fine-tuning in the order in which they are learned from, one step at a time."""

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
    """Pictures and their labels. `fit` and `selection` are positions into both."""

    pixels: PixelCache
    labels: Tensor
    """int64 [N]"""
    fit: npt.NDArray[np.int64]
    selection: npt.NDArray[np.int64]
    task_labels: Tensor | None = None
    """int64 [N, tasks], NO_LABEL where there is none."""
    settle: Callable[[], str] = str
    """Called after each epoch: finds a better way to read what is not kept, and says so."""

    def targets(self, positions: list[int]) -> Tensor:
        """int64 [n], or [n, 1 + tasks] with the label first."""
        if self.task_labels is None:
            return self.labels[positions]
        both = (self.labels[positions].unsqueeze(1), self.task_labels[positions])
        return torch.cat(both, dim=1)


class Unreadable:
    """Says once of each picture that it could no longer be read."""

    def __init__(self, tell: Sink) -> None:
        self._tell = tell
        self._said: set[int] = set()

    def say(self, position: int, error: DecodeError) -> None:
        if position not in self._said:
            self._said.add(position)
            self._tell(Notice("warning", f"{error.message} The run goes on without it."))


def steps_per_epoch(images: int, recipe: Recipe) -> int:
    """Steps of the optimizer in an epoch of so many images."""
    return -(-images // (recipe.batch_size_or_default * recipe.accumulate))


class Batches:
    """The images of each step of an epoch, those of the next prepared while one is made."""

    def __init__(self, data: TrainingSet, recipe: Recipe, world: World = SINGLE_PROCESS) -> None:
        """Each process of `world` prepares its own part of every step, which may be empty."""
        self._data, self._recipe, self._world = data, recipe, world
        self._variation = augmentation_of(recipe)
        self.steps = steps_per_epoch(len(data.fit), recipe)

    def __call__(
        self, epoch: int, skip: int, pool: ThreadPoolExecutor, gone: Unreadable
    ) -> Iterator[tuple[int, list[TrainingView], Tensor]]:
        """From step `skip` on, with its number and its targets. The order comes from (seed, epoch)
        alone.

        A step of which no picture can be read any more is left out.
        """
        order = epoch_order(
            self._data.fit,
            self._data.labels.numpy(),
            seed=self._recipe.seed,
            epoch=epoch,
            is_balanced=self._recipe.sampling == "balanced",
        )
        cuts = np.array_split(np.arange(len(order)), self.steps)[skip:]
        # Neighbours stay together: an image is mixed with the next of its share.
        size, rank = self._world.world_size, self._world.rank
        shares = [[order[i] for i in np.array_split(cut, size)[rank]] for cut in cuts]
        ahead = self._prepare(shares[0], epoch, pool) if shares else []
        for number, share in enumerate(shares):
            ready = ahead
            if number + 1 < len(shares):
                ahead = self._prepare(shares[number + 1], epoch, pool)
            views, kept = [], []
            for drawn, future in zip(share, ready, strict=True):
                try:
                    views.append(future.result())
                    kept.append(drawn.position)
                except DecodeError as error:
                    gone.say(drawn.position, error)
            if views or size > 1:  # the others wait for this one's share, be it empty
                yield skip + number, views, self._data.targets(kept)

    def _prepare(
        self, share: list[Drawn], epoch: int, pool: ThreadPoolExecutor
    ) -> list[Future[TrainingView]]:
        return [pool.submit(self._view, drawn, epoch) for drawn in share]

    def _view(self, drawn: Drawn, epoch: int) -> TrainingView:
        pixels = self._data.pixels
        # An image that comes again in an epoch is varied anew.
        again = [drawn.time] if drawn.time else []
        rng = np.random.default_rng([self._recipe.seed, epoch, drawn.position, *again])
        working = pixels.working(drawn.position)
        return training_view(working, pixels.preprocessing, self._variation, rng)
