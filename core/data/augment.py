"""Training images varied: each crop and mirror of its own, light and contrast in batches.

Chances come from (seed, epoch, position) alone, so that a resumed run sees the same pictures.
Source: the augmentation ImageNet models are trained with (Szegedy et al. 2015; torchvision's
RandomResizedCrop and ColorJitter, whose parameters these are).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as picture

from core.data.preprocess import Preprocessing

Augmentation = Literal["none", "light", "strong"]

_INTERPOLATION = {
    "bilinear": InterpolationMode.BILINEAR,
    "bicubic": InterpolationMode.BICUBIC,
    "lanczos": InterpolationMode.BICUBIC,  # tensors know no Lanczos; for a training crop as good
    "nearest": InterpolationMode.NEAREST,
}


@dataclass(frozen=True, slots=True)
class _Strength:
    least_area: float
    widest: float
    """Most that the crop's aspect ratio differs from the model's input."""
    light: float
    """Brightness and contrast change by up to this share."""


_STRENGTHS = {
    "light": _Strength(least_area=0.6, widest=1.2, light=0.2),
    "strong": _Strength(least_area=0.08, widest=4 / 3, light=0.2),
}
_TRIES = 10


@dataclass(frozen=True, slots=True)
class View:
    """One training image as it goes into the batch.

    pixels: uint8 [3, height, width]; brightness and contrast: factors to be applied by `relight`.
    """

    pixels: torch.Tensor
    brightness: float = 1.0
    contrast: float = 1.0


def training_view(
    working: npt.NDArray[np.uint8],
    preprocessing: Preprocessing,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> View:
    """A view of a picture at its working size, uint8 [h, w, 3]."""
    if augmentation == "none":
        pixels = preprocessing.cut(Image.fromarray(working))
        return View(torch.from_numpy(pixels.copy()).permute(2, 0, 1))
    strength = _STRENGTHS[augmentation]
    top, left, height, width = _crop(working.shape[:2], preprocessing, strength, rng)
    part = torch.from_numpy(working[top : top + height, left : left + width].copy())
    pixels = picture.resize(
        part.permute(2, 0, 1),
        [preprocessing.height, preprocessing.width],
        interpolation=_INTERPOLATION[preprocessing.interpolation],
        antialias=True,
    )
    if rng.random() < 0.5:
        pixels = pixels.flip(-1)
    low, high = 1 - strength.light, 1 + strength.light
    return View(pixels, rng.uniform(low, high), rng.uniform(low, high))


def _crop(
    size: tuple[int, int],
    preprocessing: Preprocessing,
    strength: _Strength,
    rng: np.random.Generator,
) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a random part; the centre where none fits."""
    rows, columns = size
    shape = preprocessing.width / preprocessing.height
    for _ in range(_TRIES):
        # Of the part a centre cut could show, not of a panorama's whole length.
        area = min(rows * columns, rows * rows * shape * 1.5, columns * columns / shape * 1.5)
        area *= rng.uniform(strength.least_area, 1.0)
        bound = math.log(strength.widest)
        ratio = shape * math.exp(rng.uniform(-bound, bound))
        width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < width <= columns and 0 < height <= rows:
            top = int(rng.integers(rows - height + 1))
            left = int(rng.integers(columns - width + 1))
            return top, left, height, width
    height = min(rows, round(columns / shape))
    width = min(columns, round(rows * shape))
    return (rows - height) // 2, (columns - width) // 2, max(1, height), max(1, width)


def relight(images: torch.Tensor, brightness: torch.Tensor, contrast: torch.Tensor) -> torch.Tensor:
    """Change light and contrast, each image by its own factor; in place.

    images: float [N, 3, H, W] in 0…1; brightness, contrast: float [N]. As torchvision's
    ColorJitter, in that order: contrast is around the mean of the picture's gray.
    """
    images.mul_(brightness.view(-1, 1, 1, 1)).clamp_(0, 1)
    weights = images.new_tensor([0.2989, 0.587, 0.114]).view(1, 3, 1, 1)
    gray = (images * weights).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    factor = contrast.view(-1, 1, 1, 1)
    return images.mul_(factor).add_(gray * (1 - factor)).clamp_(0, 1)
