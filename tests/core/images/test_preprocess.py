"""The validation preprocessing is pixel for pixel that of the libraries the weights come from."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from timm.data import create_transform
from torchvision.transforms._presets import ImageClassification
from torchvision.transforms.functional import InterpolationMode

from core.images.preprocess import Preprocessing

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZES = [(500, 375), (375, 500), (224, 224), (256, 256), (60, 41), (1000, 31), (300, 299)]


def noise(size: tuple[int, int]) -> Image.Image:
    width, height = size
    rng = np.random.default_rng(width * 1000 + height)
    return Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
def test_the_same_pixels_as_timms_own_transform(size, crop_mode):
    preprocessing = Preprocessing(224, 224, 256, "bicubic", MEAN, STD, crop_mode)
    theirs = create_transform(
        (3, 224, 224), interpolation="bicubic", crop_pct=0.875, crop_mode=crop_mode, mean=MEAN,
        std=STD, normalize=False,
    )  # fmt: skip
    wanted = np.asarray(theirs(noise(size))).transpose(1, 2, 0)
    assert np.array_equal(preprocessing.pixels(noise(size)), wanted)


@pytest.mark.parametrize("size", SIZES)
def test_the_same_pixels_as_torchvisions_own_preset(size):
    preprocessing = Preprocessing(224, 224, 232, "bilinear", (0.0,) * 3, (1.0,) * 3)
    preset = ImageClassification(
        crop_size=224, resize_size=232, mean=(0.0,) * 3, std=(1.0,) * 3,
        interpolation=InterpolationMode.BILINEAR,
    )  # fmt: skip
    wanted = (preset(noise(size)) * 255).round().byte().numpy().transpose(1, 2, 0)
    assert np.array_equal(preprocessing.pixels(noise(size)), wanted)


def test_the_picture_given_is_not_changed():
    picture = noise((300, 200))
    before = picture.tobytes()
    Preprocessing(224, 224, 256, "bicubic", MEAN, STD).pixels(picture)
    assert picture.tobytes() == before
