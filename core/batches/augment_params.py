"""The parameters of augmentation, and the random draw for each training image. No torch here.

Every number of a `Draw` comes from one generator that is seeded by (seed, epoch, image), so that
each image of a batch has its own and a resumed run sees the same pictures.

The spaces of operations are torchvision's: RandAugment (Cubuk et al. 2020) and TrivialAugment
Wide (Müller & Hutter 2021), 31 magnitudes each.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from core.recipe.recipe import Recipe

Preset = Literal["none", "light", "strong"]
AutoAugment = Literal["off", "rand", "trivial"]

_RAND_OPERATIONS = 2
_STEPS = 30
"""Magnitudes are divided into so many steps."""
_SIGNED = (
    "shear-x",
    "shear-y",
    "translate-x",
    "translate-y",
    "rotate",
    "brightness",
    "colour",
    "contrast",
    "sharpness",
)
_OPERATIONS = (
    "identity",
    *_SIGNED,
    "posterize",
    "solarize",
    "autocontrast",
    "equalize",
)
_LEAST_HOLE, _MOST_HOLE = 0.02, 0.33
_HOLE_ASPECT = 3.3


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The parameters of augmentation. Probabilities and shares in 0…1."""

    crop: float | None = None
    """Smallest share of the picture's area in a crop; None: the crop of validation."""
    widest: float = 4 / 3
    """Largest factor between the aspect ratios of the crop and of the model's input."""
    flip_horizontal: float = 0.0
    flip_vertical: float = 0.0
    rotation: float = 0.0
    """Largest rotation in degrees, in both directions."""
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    """Largest shift as a share of the colour circle, in both directions."""
    auto_augment: AutoAugment = "off"
    rand_magnitude: int = 9
    erasing: float = 0.0
    mixup: float = 0.0
    """Both parameters of the beta distribution from which shares are drawn; 0: off."""
    cutmix: float = 0.0


PRESETS: dict[Preset, Augmentation] = {
    "none": Augmentation(),
    "light": Augmentation(crop=0.6, widest=1.2, flip_horizontal=0.5, brightness=0.2, contrast=0.2),
    "strong": Augmentation(
        crop=0.08, widest=4 / 3, flip_horizontal=0.5, brightness=0.2, contrast=0.2
    ),
}

_RECIPE_KEYS = {
    "crop_area": "crop",
    "flip_horizontal": "flip_horizontal",
    "flip_vertical": "flip_vertical",
    "rotation": "rotation",
    "brightness": "brightness",
    "contrast": "contrast",
    "saturation": "saturation",
    "hue": "hue",
}
"""Recipe key → field of `Augmentation`; these keys override the recipe's preset."""


def augmentation_of(recipe: Recipe) -> Augmentation:
    """The augmentation of a recipe: its preset, overridden by its single keys."""
    own = {
        name: getattr(recipe, key)
        for key, name in _RECIPE_KEYS.items()
        if getattr(recipe, key) is not None
    }
    return dataclasses.replace(
        PRESETS[recipe.augmentation],
        **own,
        auto_augment=recipe.auto_augment,
        rand_magnitude=recipe.rand_magnitude,
        erasing=recipe.erasing,
        mixup=recipe.mixup,
        cutmix=recipe.cutmix,
    )


@dataclass(frozen=True, slots=True)
class Mix:
    """How an image is mixed with the next one of its batch."""

    own: float
    """Weight of the image itself, 0…1; also that of its label in mixup."""
    cut: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Draw:
    """The random augmentation of one image, without crop and flip, which are applied before."""

    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0
    angle: float = 0.0
    """Degrees, counter-clockwise."""
    operations: tuple[tuple[str, float], ...] = ()
    """(name, magnitude), in the order they are applied."""
    hole: tuple[float, float, float, float] | None = None
    """(top, left, height, width) of the erased part, as shares of height and width."""
    mix: Mix | None = None


def draw(augmentation: Augmentation, rng: np.random.Generator) -> Draw:
    """Draw the augmentation of one image."""
    if augmentation == PRESETS["none"]:
        return Draw()
    return Draw(
        brightness=_around_one(augmentation.brightness, rng),
        contrast=_around_one(augmentation.contrast, rng),
        saturation=_around_one(augmentation.saturation, rng),
        hue=_plus_minus(augmentation.hue, rng),
        angle=_plus_minus(augmentation.rotation, rng),
        operations=_operations(augmentation, rng),
        hole=_hole(rng) if augmentation.erasing and rng.random() < augmentation.erasing else None,
        mix=_mix(augmentation, rng),
    )


def _around_one(most: float, rng: np.random.Generator) -> float:
    return float(rng.uniform(1 - most, 1 + most)) if most else 1.0


def _plus_minus(most: float, rng: np.random.Generator) -> float:
    return float(rng.uniform(-most, most)) if most else 0.0


def _operations(
    augmentation: Augmentation, rng: np.random.Generator
) -> tuple[tuple[str, float], ...]:
    if augmentation.auto_augment == "off":
        return ()
    is_wide = augmentation.auto_augment == "trivial"
    chosen = []
    for _ in range(1 if is_wide else _RAND_OPERATIONS):
        name = _OPERATIONS[int(rng.integers(len(_OPERATIONS)))]
        step = int(rng.integers(_STEPS + 1)) if is_wide else augmentation.rand_magnitude
        sign = -1 if name in _SIGNED and rng.random() < 0.5 else 1
        if name != "identity":
            chosen.append((name, sign * magnitude(name, step, is_wide=is_wide)))
    return tuple(chosen)


def magnitude(name: str, step: int, *, is_wide: bool) -> float:
    """The magnitude of an operation at a step of 0…30.

    Translations as shares of the image's width or height (TrivialAugment's 32 pixels are for a
    224-pixel image), rotations in degrees, shears as tangents, posterize in bits, solarize as the
    threshold in 0…1, others as the difference from a factor of 1.
    """
    share = step / _STEPS
    if name in ("shear-x", "shear-y"):
        return share * (0.99 if is_wide else 0.3)
    if name in ("translate-x", "translate-y"):
        return share * (32 / 224 if is_wide else 150 / 331)
    if name == "rotate":
        return share * (135 if is_wide else 30)
    if name == "posterize":
        return float(8 - round(share * (6 if is_wide else 4)))
    if name == "solarize":
        return 1 - share
    if name in _SIGNED:
        return share * (0.99 if is_wide else 0.9)
    return 0.0


def _hole(rng: np.random.Generator) -> tuple[float, float, float, float]:
    """(top, left, height, width) drawn as by torchvision's RandomErasing (Zhong et al. 2020)."""
    area = rng.uniform(_LEAST_HOLE, _MOST_HOLE)
    bound = math.log(_HOLE_ASPECT)
    ratio = math.exp(rng.uniform(-bound, bound))
    height, width = min(1.0, math.sqrt(area / ratio)), min(1.0, math.sqrt(area * ratio))
    return rng.uniform(0, 1 - height), rng.uniform(0, 1 - width), height, width


def _mix(augmentation: Augmentation, rng: np.random.Generator) -> Mix | None:
    """Draw Mixup (Zhang et al. 2018) or CutMix (Yun et al. 2019); with both, each for half."""
    if not augmentation.mixup and not augmentation.cutmix:
        return None
    is_cut = bool(augmentation.cutmix) and (not augmentation.mixup or rng.random() < 0.5)
    alpha = augmentation.cutmix if is_cut else augmentation.mixup
    own = float(rng.beta(alpha, alpha))
    if not is_cut:
        return Mix(own)
    side = math.sqrt(1 - own)
    middle = rng.uniform(0, 1), rng.uniform(0, 1)
    top, left = max(0.0, middle[0] - side / 2), max(0.0, middle[1] - side / 2)
    bottom, right = min(1.0, middle[0] + side / 2), min(1.0, middle[1] + side / 2)
    return Mix(own, (top, left, bottom - top, right - left))
