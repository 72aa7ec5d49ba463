"""The pictures of a fine-tuning: kept as far as there is room, the others decoded each time.

Who decodes those: threads, unless processes prove faster here. Measured on two cores, pictures a
second by threads against processes (at 256 px; the middle one of three rounds): photographs of
500 × 375 511 / 325, of 2000 × 1500 288 / 179, steel defects of 200 × 200 1,324 / 542. Decoding
lets go of the GIL, and handing pixels over costs more than is won; with few threads the rule is
therefore not even to try. Where the model itself computes on the CPU there is no core to win.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from core.batches.decode_processes import Decoders, faster
from core.batches.pixel_cache import PixelCache
from core.compute.device import Compute
from core.images.preprocess import Preprocessing
from core.recipe.recipe import Recipe

_FEWEST_WORKERS = 4


class TrainingImages:
    """The pixel cache of a run and the processes that help it. To be used in `with`: nothing is
    left behind, no file and no process."""

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

    def settle(self) -> str:
        """To be called after an epoch: says once what is not kept, and who decodes it from now
        on. Empty where there is nothing to say."""
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
        self.cache.read_with(self._decoders.read)
        return f"{shortage} {self._compute.workers} processes decode them."

    def _wants_processes(self) -> bool:
        if self._recipe.loading != "auto":
            return self._recipe.loading == "processes"
        workers = self._compute.workers
        if self._compute.device == "cpu" or workers < _FEWEST_WORKERS:
            return False
        missing = [self._paths[i] for i in self.cache.homeless]
        return faster(missing, self._preprocessing, workers=workers)[0]


def _bytes(gb: float | None) -> int | None:
    return None if gb is None else int(gb * 2**30)
