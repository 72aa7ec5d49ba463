"""Augments training images: crop and flip for each picture, the rest in batches on the device.

The threads that read the pictures crop them, because the pictures have different sizes; then all
images of a batch are one tensor, and each has its own `Draw`. torchvision's transforms use one
draw for a whole batch, and one generator for all threads, which is not reproducible. So this
project draws itself (`augment_params`); tests compare the arithmetic with torchvision's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, one_hot
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as picture

from core.batches.augment_params import PRESETS, Augmentation, Draw, Preset, draw
from core.images.preprocess import Preprocessing

_INTERPOLATION = {
    "bilinear": InterpolationMode.BILINEAR,
    "bicubic": InterpolationMode.BICUBIC,
    "lanczos": InterpolationMode.BICUBIC,  # tensors have no Lanczos; as good for a training crop
    "nearest": InterpolationMode.NEAREST,
}
_TRIES = 10
_GRAY = (0.2989, 0.587, 0.114)
_AS_IT_IS = Draw()


@dataclass(frozen=True, slots=True)
class TrainingView:
    """One cropped training image, ready for a batch.

    pixels: uint8 [3, height, width]; draw: what `augment_batch` and `mix` will apply to it.
    """

    pixels: Tensor
    draw: Draw = _AS_IT_IS


# -- one picture -------------------------------------------------------------------------------


def training_view(
    working: npt.NDArray[np.uint8],
    preprocessing: Preprocessing,
    augmentation: Augmentation | Preset,
    rng: np.random.Generator,
) -> TrainingView:
    """Crop and flip a picture at its working size, uint8 [h, w, 3], and draw its augmentation."""
    if isinstance(augmentation, str):
        augmentation = PRESETS[augmentation]
    if augmentation.crop is None:
        pixels = torch.from_numpy(preprocessing.crop(Image.fromarray(working)).copy())
        pixels = pixels.permute(2, 0, 1)
    else:
        top, left, height, width = _crop(working.shape[:2], preprocessing, augmentation, rng)
        part = torch.from_numpy(working[top : top + height, left : left + width].copy())
        pixels = picture.resize(
            part.permute(2, 0, 1),
            [preprocessing.height, preprocessing.width],
            interpolation=_INTERPOLATION[preprocessing.interpolation],
            antialias=True,
        )
    if augmentation.flip_horizontal and rng.random() < augmentation.flip_horizontal:
        pixels = pixels.flip(-1)
    if augmentation.flip_vertical and rng.random() < augmentation.flip_vertical:
        pixels = pixels.flip(-2)
    return TrainingView(pixels, draw(augmentation, rng))


def _crop(
    size: tuple[int, int],
    preprocessing: Preprocessing,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a random crop; the centre if no try fits.

    Source: torchvision's RandomResizedCrop (Szegedy et al. 2015).
    """
    rows, columns = size
    least = 1.0 if augmentation.crop is None else augmentation.crop
    shape = preprocessing.width / preprocessing.height
    for _ in range(_TRIES):
        # A share of what a centre crop can show, not of a panorama's whole area.
        area = min(rows * columns, rows * rows * shape * 1.5, columns * columns / shape * 1.5)
        area *= rng.uniform(least, 1.0)
        bound = math.log(augmentation.widest)
        ratio = shape * math.exp(rng.uniform(-bound, bound))
        width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < width <= columns and 0 < height <= rows:
            top = int(rng.integers(rows - height + 1))
            left = int(rng.integers(columns - width + 1))
            return top, left, height, width
    height = min(rows, round(columns / shape))
    width = min(columns, round(rows * shape))
    return (rows - height) // 2, (columns - width) // 2, max(1, height), max(1, width)


# -- a batch -----------------------------------------------------------------------------------


def augment_batch(images: Tensor, draws: Sequence[Draw], *, fill: Tensor) -> Tensor:
    """Augment each image by its own draw, except for `mix`; may change `images`.

    images: float [N, 3, H, W] in 0…1; fill: float [1, 3, 1, 1], the colour of pixels from outside
    of the picture and of erased ones.
    """
    if any(d.angle or _is_moved(d) for d in draws):
        images = _apply_geometry(images, draws, fill)
    if any(d.brightness != 1 or d.contrast != 1 for d in draws):
        images = adjust_brightness_contrast(
            images,
            images.new_tensor([d.brightness for d in draws]),
            images.new_tensor([d.contrast for d in draws]),
        )
    if any(d.saturation != 1 for d in draws):
        factor = images.new_tensor([d.saturation for d in draws]).view(-1, 1, 1, 1)
        images = _blend(images, _gray(images), factor)
    if any(d.hue for d in draws):
        images = adjust_hue(images, images.new_tensor([d.hue for d in draws]))
    for number in range(max((len(d.operations) for d in draws), default=0)):
        images = _apply_operation(images, draws, number)
    if any(d.hole for d in draws):
        for image, one in zip(images, draws, strict=True):
            if one.hole is not None:
                rows, columns = _pixels_of(one.hole, image.shape[-2:])
                image[:, rows, columns] = fill[0]
    return images


def adjust_brightness_contrast(images: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
    """Change brightness, then contrast, each image by its own factor; changes `images`.

    images: float [N, 3, H, W] in 0…1; brightness, contrast: float [N]. Contrast changes the
    distance to the mean gray of the picture. Source: torchvision's ColorJitter.
    """
    images.mul_(brightness.view(-1, 1, 1, 1)).clamp_(0, 1)
    gray = _gray(images).mean((2, 3), keepdim=True)
    factor = contrast.view(-1, 1, 1, 1)
    return images.mul_(factor).add_(gray * (1 - factor)).clamp_(0, 1)


def adjust_hue(images: Tensor, shares: Tensor) -> Tensor:
    """Shift the hue of each image by its own share of the colour circle.

    images: float [N, 3, H, W] in 0…1; shares: float [N] in -0.5…0.5.
    """
    red, green, blue = images.unbind(1)
    value, least = images.amax(1), images.amin(1)
    spread = value - least
    divisor = spread.clamp_min(1e-12)
    sixths = torch.where(
        value == red,
        (green - blue) / divisor,
        torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    sixths = sixths + 6 * shares.view(-1, 1, 1)
    channels = []
    for offset in (5, 3, 1):
        place = (sixths + offset) % 6
        channels.append(value - spread * torch.minimum(place, 4 - place).clamp(0, 1))
    return torch.stack(channels, 1)


def _gray(images: Tensor) -> Tensor:
    """The luminance of RGB images [N, 3, H, W]: float [N, 1, H, W]."""
    return (images * images.new_tensor(_GRAY).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _blend(images: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    """`factor` × images + (1 − factor) × other, clamped to 0…1; a factor above 1 extrapolates."""
    return (images * factor).add_(other * (1 - factor)).clamp_(0, 1)


def _pixels_of(part: tuple[float, float, float, float], size: Sequence[int]) -> tuple[slice, slice]:
    """The rows and columns of a part given in shares; never empty, never outside of the image."""
    (rows, columns), (top, left, height, width) = size, part
    first, start = min(rows - 1, round(top * rows)), min(columns - 1, round(left * columns))
    return (
        slice(first, max(first + 1, round((top + height) * rows))),
        slice(start, max(start + 1, round((left + width) * columns))),
    )


# -- moving --------------------------------------------------------------------------------------

_GEOMETRY = ("shear-x", "shear-y", "translate-x", "translate-y", "rotate")


def _is_moved(one: Draw) -> bool:
    return any(name in _GEOMETRY for name, _ in one.operations)


def _apply_geometry(images: Tensor, draws: Sequence[Draw], fill: Tensor) -> Tensor:
    """Rotate, shear and translate images by one resampling each; changes `images`."""
    moved = [i for i, one in enumerate(draws) if one.angle or _is_moved(one)]
    height, width = images.shape[-2:]
    where = np.stack([_inverse_transform(draws[i], height, width) for i in moved])
    theta = torch.from_numpy(where[:, :2]).to(images)
    grid = affine_grid(theta, [len(moved), 3, height, width], align_corners=False)
    # grid_sample fills with zeros; after subtracting the fill colour, zero is that colour.
    part = grid_sample(images[moved] - fill, grid, align_corners=False) + fill
    images[moved] = part.clamp_(0, 1)
    return images


def _inverse_transform(one: Draw, height: int, width: int) -> npt.NDArray[np.float64]:
    """Matrix [3, 3] from a point of the new image to its point in the old one, both in -1…1."""
    found = _rotation(one.angle)
    # In pixels from the centre, so that angles stay right in images that are not square.
    for name, amount in one.operations:
        step = np.eye(3)
        if name == "rotate":
            step = _rotation(amount)
        elif name == "shear-x":
            step[0, 1], step[0, 2] = amount, amount * height / 2  # around the upper left corner
        elif name == "shear-y":
            step[1, 0], step[1, 2] = amount, amount * width / 2
        elif name == "translate-x":
            step[0, 2] = -amount * width
        elif name == "translate-y":
            step[1, 2] = -amount * height
        found = found @ step
    to_pixels = np.diag([width / 2, height / 2, 1])
    seen: npt.NDArray[np.float64] = np.linalg.inv(to_pixels) @ found @ to_pixels
    return seen


def _rotation(degrees: float) -> npt.NDArray[np.float64]:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])


# -- RandAugment's and TrivialAugment's operations on light and colour ---------------------------


def _apply_operation(images: Tensor, draws: Sequence[Draw], number: int) -> Tensor:
    """Apply the `number`-th operation of each draw, in one call per operation; changes `images`."""
    of_name: dict[str, list[int]] = {}
    for i, one in enumerate(draws):
        if number < len(one.operations) and one.operations[number][0] in _KERNELS:
            of_name.setdefault(one.operations[number][0], []).append(i)
    for name, chosen in of_name.items():
        amounts = images.new_tensor([draws[i].operations[number][1] for i in chosen])
        images[chosen] = _KERNELS[name](images[chosen], amounts.view(-1, 1, 1, 1))
    return images


def _brighten(images: Tensor, amount: Tensor) -> Tensor:
    return images.mul_(1 + amount).clamp_(0, 1)


def _colour(images: Tensor, amount: Tensor) -> Tensor:
    return _blend(images, _gray(images), 1 + amount)


def _contrast(images: Tensor, amount: Tensor) -> Tensor:
    return _blend(images, _gray(images).mean((2, 3), keepdim=True), 1 + amount)


def _sharpen(images: Tensor, amount: Tensor) -> Tensor:
    """Blend with the smoothed picture, or away from it; the outermost pixels do not change."""
    if min(images.shape[-2:]) <= 2:
        return images
    inner = images[..., 1:-1, 1:-1]
    smooth = (9 * avg_pool2d(images, 3, stride=1) + 4 * inner) / 13
    images[..., 1:-1, 1:-1] = _blend(inner, smooth, 1 + amount)
    return images


def _posterize(images: Tensor, bits: Tensor) -> Tensor:
    levels = torch.exp2(bits)
    return torch.minimum((images * levels).floor_(), levels - 1) / levels


def _solarize(images: Tensor, threshold: Tensor) -> Tensor:
    return torch.where(images >= threshold, 1 - images, images)


def _autocontrast(images: Tensor, _amount: Tensor) -> Tensor:
    stretched: Tensor = picture.autocontrast(images)
    return stretched


def _equalize(images: Tensor, _amount: Tensor) -> Tensor:
    equalized: Tensor = picture.equalize(images)
    return equalized


_KERNELS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": _brighten,
    "colour": _colour,
    "contrast": _contrast,
    "sharpness": _sharpen,
    "posterize": _posterize,
    "solarize": _solarize,
    "autocontrast": _autocontrast,
    "equalize": _equalize,
}


# -- mixing --------------------------------------------------------------------------------------


def is_mixed(views: Sequence[TrainingView]) -> bool:
    """Whether `mix` will change any of the views."""
    return any(view.draw.mix is not None for view in views)


def mix(
    images: Tensor, labels: Tensor, draws: Sequence[Draw], *, classes: int
) -> tuple[Tensor, Tensor]:
    """Apply Mixup and CutMix: mix each image with the next of the batch, the last with the first.

    images: float [N, 3, H, W]; labels: int64 [N], or shares of the classes, float32 [N, classes].
    Returns new images and the shares of the classes in them, float32 [N, classes]; with CutMix by
    the share of pixels.
    """
    others = images.roll(-1, 0)
    mixed = images.clone()
    own = torch.ones(len(images), dtype=torch.float32)
    for i, one in enumerate(draws):
        if one.mix is None:
            continue
        if one.mix.cut is None:
            own[i] = one.mix.own
            mixed[i].mul_(one.mix.own).add_(others[i], alpha=1 - one.mix.own)
            continue
        height, width = images.shape[-2:]
        rows, columns = _pixels_of(one.mix.cut, (height, width))
        mixed[i, :, rows, columns] = others[i, :, rows, columns]
        pixels = (rows.stop - rows.start) * (columns.stop - columns.start)
        own[i] = 1 - pixels / (height * width)
    truth = labels if labels.is_floating_point() else one_hot(labels, classes).float()
    share = own.view(-1, 1).to(truth.device)
    return mixed, truth * share + truth.roll(-1, 0) * (1 - share)
