"""The preprocessing of a model's input: resize and crop, shared by all who feed a model.

Preview, training, classification and export checks use it. Needs Pillow and numpy only.
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

    `crop_mode` is for pictures that do not have the model's shape. center: the short side is
    resized to `resize_px` and the centre `height × width` is cropped; squash: both sides are
    resized, whatever the aspect ratio, and the centre is cropped; border: the long side is resized
    to `resize_px` and the rest is filled with the mean colour. The model then gets
    (value / 255 − mean) / std of each RGB channel.
    """

    width: int
    height: int
    resize_px: int
    interpolation: Literal["bilinear", "bicubic", "lanczos", "nearest"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crop_mode: Literal["center", "squash", "border"] = "center"

    def pixels(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """Resize and crop an RGB `image`: uint8 [height, width, 3], not normalised.

        The same pixels as torchvision's and timm's own validation transforms. `image` is not
        changed.
        """
        return self.crop(self.resized(image))

    def resized(self, image: Image.Image) -> Image.Image:
        """The picture at the size from which it is cropped; resizing it again changes nothing."""
        size = self._scaled(image.size)
        return image if size == image.size else image.resize(size, _FILTERS[self.interpolation])

    def crop(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """Crop a picture that `resized` returned: uint8 [height, width, 3]."""
        if self.crop_mode == "border":
            return np.asarray(self._on_mean_colour(image), dtype=np.uint8)
        left = round((image.width - self.width) / 2.0)
        top = round((image.height - self.height) / 2.0)
        if left or top or image.size != (self.width, self.height):
            # If the picture is smaller than the crop, the rest is black, as in torchvision.
            image = image.crop((left, top, left + self.width, top + self.height))
        return np.asarray(image, dtype=np.uint8)

    def _scaled(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) before the crop."""
        width, height = size
        if self.crop_mode == "squash":
            # Both sides exceed the crop by the same ratio, whatever the model's shape.
            return self.resize_px * self.width // self.height, self.resize_px
        if self.crop_mode == "border":
            ratio = self.resize_px / max(width, height)
            return max(1, round(width * ratio)), max(1, round(height * ratio))
        if width <= height:
            return self.resize_px, max(1, int(self.resize_px * height / width))
        return max(1, int(self.resize_px * width / height)), self.resize_px

    def _on_mean_colour(self, image: Image.Image) -> Image.Image:
        red, green, blue = (round(255 * value) for value in self.mean)
        ground = Image.new("RGB", (self.width, self.height), (red, green, blue))
        ground.paste(image, ((self.width - image.width) // 2, (self.height - image.height) // 2))
        return ground
