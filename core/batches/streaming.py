"""Provides the training images of a run: cached as far as there is space, the others decoded anew.

Threads decode those, unless processes are faster on this machine. Measured on two cores, pictures
a second by threads against processes (at 256 px; median of three rounds): photographs of
500 × 375 511 / 325, of 2000 × 1500 288 / 179, steel defects of 200 × 200 1,324 / 542. Decoding
releases the GIL, and copying pixels between processes costs more than it saves; so with few threads
processes are not even tried, nor if the model itself computes on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from core.batches.decode_processes import Decoders, compare_with_threads
from core.batches.pixel_cache import PixelCache
from core.compute.device import Compute
from core.images.preprocess import Preprocessing
from core.recipe.recipe import Recipe

_FEWEST_WORKERS = 4


class TrainingImages:
    """The pixel cache of a run and its decoding processes.

    Use it in `with`: no file and no process is left behind.
    """

    def __init__(
        self, paths: Sequence[Path], preprocessing: Preprocessing, recipe: Recipe, compute: Compute
    ) -> None:
        self._paths, self._preprocessing = paths, preprocessing
        self._recipe, self._compute = recipe, compute
        self._decoders: Decoders | None = None
        self._is_decided = False
        self.cache = PixelCache(
            paths,
            preprocessing,
            budget_bytes=_bytes(recipe.pixel_memory_gb),
            disk_bytes=_bytes(recipe.pixel_disk_gb),
        )

    def __enter__(self) -> TrainingImages:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cache.close()
        if self._decoders is not None:
            self._decoders.close()

    def after_epoch(self) -> str:
        """Decide after the first epoch whether processes decode the pictures that are not cached.

        Call it after each epoch. Returns a notice to show (once), or "".
        """
        if self._decoders is not None and self._decoders.trouble:
            trouble, self._decoders.trouble = self._decoders.trouble, ""
            return trouble
        shortage = self.cache.shortage
        if self._is_decided or not shortage:
            return ""
        self._is_decided = True
        if not self._wants_processes():
            return shortage
        self._decoders = Decoders(self._compute.workers)
        self.cache.set_reader(self._decoders.read)
        return f"{shortage} {self._compute.workers} processes decode them."

    def _wants_processes(self) -> bool:
        if self._recipe.loading != "auto":
            return self._recipe.loading == "processes"
        workers = self._compute.workers
        if self._compute.device == "cpu" or workers < _FEWEST_WORKERS:
            return False
        missing = [self._paths[i] for i in self.cache.uncached]
        return compare_with_threads(missing, self._preprocessing, workers=workers)[0]


def _bytes(gb: float | None) -> int | None:
    return None if gb is None else int(gb * 2**30)
