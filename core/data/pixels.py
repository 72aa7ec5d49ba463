"""Decoded pictures kept at their working size, so that later epochs read no file.

Kept in memory as uint8 up to a budget; what does not fit is decoded again each time. Validation
pixels cut from here are the ones that `Preprocessing.pixels` gives.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
from PIL import Image

from core.data.decode import read_image
from core.data.preprocess import Preprocessing

_SHARE_OF_FREE_MEMORY = 0.4


class PixelCache:
    """Pictures by their position in `paths`. Any thread may call."""

    def __init__(
        self,
        paths: Sequence[Path],
        preprocessing: Preprocessing,
        *,
        budget_bytes: int | None = None,
    ) -> None:
        """`budget_bytes`: most that is kept; by default four tenths of the memory free now."""
        self.preprocessing = preprocessing
        self._paths = paths
        self._kept: dict[int, npt.NDArray[np.uint8]] = {}
        self._lock = threading.Lock()
        self._left = (
            int(psutil.virtual_memory().available * _SHARE_OF_FREE_MEMORY)
            if budget_bytes is None
            else budget_bytes
        )

    @property
    def kept(self) -> int:
        """How many pictures need no file any more."""
        return len(self._kept)

    def working(self, position: int) -> npt.NDArray[np.uint8]:
        """uint8 [h, w, 3] at the working size, before any cut; not to be written to.

        Raises: DecodeError.
        """
        kept = self._kept.get(position)
        if kept is not None:
            return kept
        short_side = self.preprocessing.resize_px
        image = self.preprocessing.resized(read_image(self._paths[position], short_side=short_side))
        pixels = np.asarray(image, dtype=np.uint8)
        with self._lock:
            if position not in self._kept and pixels.nbytes <= self._left:
                self._left -= pixels.nbytes
                self._kept[position] = pixels
        return pixels

    def validation(self, position: int) -> npt.NDArray[np.uint8]:
        """uint8 [height, width, 3], cut as the model wants it. Raises: DecodeError."""
        return self.preprocessing.cut(Image.fromarray(self.working(position)))
