"""What a model wants its pictures to look like, and the one function that makes them so.

Needs Pillow and numpy only. Preview, training, classification and export check share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """The validation preprocessing that belongs to a set of weights.

    The short side is resized to `resize_px`, the centre `height × width` is cut out, and
    (value / 255 − mean) / std is taken per RGB channel.
    """

    width: int
    height: int
    resize_px: int
    interpolation: Literal["bilinear", "bicubic", "lanczos", "nearest"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def pixels(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """uint8 [height, width, 3], not normalised. `image` is RGB and is not changed.

        Follows torchvision's `Resize` (short side, long side floored) and `CenterCrop`
        (zero padding where the picture is smaller than the crop).
        """
        width, height = image.size
        if width <= height:
            size = (self.resize_px, max(1, int(self.resize_px * height / width)))
        else:
            size = (max(1, int(self.resize_px * width / height)), self.resize_px)
        if size != image.size:
            image = image.resize(size, _FILTERS[self.interpolation])
        left = round((image.width - self.width) / 2.0)
        top = round((image.height - self.height) / 2.0)
        if left or top or image.size != (self.width, self.height):
            image = image.crop((left, top, left + self.width, top + self.height))
        return np.asarray(image, dtype=np.uint8)
