"""Variation: each image of a batch its own, as torchvision does it, and labels that follow."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as theirs

from core.batches.augment import (
    TrainingView,
    adjust_hue,
    augment_batch,
    is_mixed,
    mix,
    training_view,
)
from core.batches.augment_params import (
    PRESETS,
    Augmentation,
    Draw,
    Mix,
    augmentation_of,
    draw,
    magnitude,
)
from core.errors import AppError
from core.images.preprocess import Preprocessing
from core.recipe.recipe import Recipe, make_recipe

PREPROCESSING = Preprocessing(32, 32, 36, "bilinear", (0.5,) * 3, (0.5,) * 3)
BLACK = torch.zeros(1, 3, 1, 1)
EVERYTHING = Augmentation(
    crop=0.3, flip_horizontal=0.5, flip_vertical=0.5, rotation=30, brightness=0.4, contrast=0.4,
    saturation=0.4, hue=0.1, auto_augment="rand", erasing=0.5, mixup=0.2, cutmix=1.0,
)  # fmt: skip
THEIR_NAMES = {
    "shear-x": "ShearX", "shear-y": "ShearY", "translate-x": "TranslateX",
    "translate-y": "TranslateY", "rotate": "Rotate", "brightness": "Brightness",
    "colour": "Color", "contrast": "Contrast", "sharpness": "Sharpness",
    "posterize": "Posterize", "solarize": "Solarize", "autocontrast": "AutoContrast",
    "equalize": "Equalize",
}  # fmt: skip


def pictures(count=4, height=24, width=32, seed=0):
    """float [N, 3, H, W] in steps of 1/255, smooth enough that a resampling means something."""
    small = torch.rand(count, 3, 6, 8, generator=torch.Generator().manual_seed(seed))
    big = torch.nn.functional.interpolate(small, (height, width), mode="bicubic")
    return (big.clamp(0, 1) * 255).round() / 255


def draws_of(count, augmentation=EVERYTHING, epoch=1):
    return [draw(augmentation, np.random.default_rng([0, epoch, i])) for i in range(count)]


def test_each_image_of_a_batch_has_its_own_draw():
    same = pictures(1).expand(16, -1, -1, -1).clone()
    varied = augment_batch(same, draws_of(16), fill=BLACK)
    assert len({image.numpy().tobytes() for image in varied}) == 16
    assert varied.min() >= 0
    assert varied.max() <= 1


def test_an_image_is_varied_alike_whoever_stands_beside_it():
    images, draws = pictures(8), draws_of(8)
    together = augment_batch(images.clone(), draws, fill=BLACK)
    for i in range(8):
        alone = augment_batch(images[i : i + 1].clone(), draws[i : i + 1], fill=BLACK)
        assert torch.allclose(alone[0], together[i], atol=1e-6)


def test_the_same_seed_gives_the_same_bits_and_another_epoch_others():
    first, again, other = (
        augment_batch(pictures(8), draws_of(8, epoch=epoch), fill=BLACK) for epoch in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", THEIR_NAMES)
@pytest.mark.parametrize(("step", "is_wide"), [(9, False), (3, True), (21, True)])
def test_an_operation_is_torchvisions(name, step, is_wide):
    """Of the same name and step; what a resampling meets beyond the edge is black for both."""
    images = pictures(3)
    height, width = images.shape[-2:]
    kind = v2.TrivialAugmentWide if is_wide else v2.RandAugment
    space, _is_signed = kind._AUGMENTATION_SPACE[THEIR_NAMES[name]]
    amounts = space(31, height, width)
    amount = 0.0 if amounts is None else float(amounts[step])
    ours = magnitude(name, step, is_wide=is_wide)
    if is_wide and name.startswith("translate"):  # theirs are pixels of any image, ours of 224
        amount *= (width if name.endswith("x") else height) / 224
    if name.startswith("translate"):  # torchvision moves by whole pixels
        amount = int(amount)
        ours = amount / (width if name.endswith("x") else height)
    wanted = kind(interpolation=InterpolationMode.BILINEAR, fill=0)._apply_image_or_video_transform(
        images, THEIR_NAMES[name], amount, InterpolationMode.BILINEAR, {torch.Tensor: [0.0]}
    )
    got = augment_batch(images.clone(), [Draw(operations=((name, ours),))] * 3, fill=BLACK)
    if name in ("rotate", "shear-x", "shear-y", "translate-x", "translate-y"):
        assert (got - wanted).abs().mean() < 0.01
    else:
        assert torch.allclose(got, wanted, atol=1e-5)


def test_operations_of_one_batch_do_not_touch_each_other():
    images = pictures(4)
    operations = [(("solarize", 0.5),), (), (("rotate", 20.0), ("posterize", 4.0)), ()]
    draws = [Draw(operations=one) for one in operations]
    varied = augment_batch(images.clone(), draws, fill=BLACK)
    assert torch.equal(varied[1], images[1])
    assert torch.equal(varied[3], images[3])
    assert torch.equal(varied[0], theirs.solarize(images[0], 0.5))
    assert len(varied[2].unique()) <= 16


def test_rotation_is_torchvisions_also_on_oblong_images():
    images = pictures(2, height=20, width=44)
    varied = augment_batch(images.clone(), [Draw(angle=25.0), Draw(angle=-90.0)], fill=BLACK)
    for image, got, angle in zip(images, varied, (25.0, -90.0), strict=True):
        wanted = theirs.rotate(image, angle, interpolation=InterpolationMode.BILINEAR)
        assert (got - wanted).abs().mean() < 0.01


def test_hue_and_saturation_are_torchvisions():
    images = pictures(3)
    shares = torch.tensor([-0.2, 0.05, 0.4])
    wanted = [theirs.adjust_hue(x, float(s)) for x, s in zip(images, shares, strict=True)]
    assert torch.allclose(adjust_hue(images, shares), torch.stack(wanted), atol=1e-4)
    draws = [Draw(saturation=s) for s in (0.5, 1.0, 1.5)]
    wanted = [theirs.adjust_saturation(x, d.saturation) for x, d in zip(images, draws, strict=True)]
    assert torch.allclose(
        augment_batch(images.clone(), draws, fill=BLACK), torch.stack(wanted), atol=1e-5
    )


def test_an_erased_rectangle_has_the_fill_colour_and_the_rest_stays():
    images = pictures(2, 20, 20)
    fill = torch.full((1, 3, 1, 1), 0.5)
    varied = augment_batch(images.clone(), [Draw(hole=(0.5, 0.25, 0.25, 0.5)), Draw()], fill=fill)
    assert torch.equal(varied[1], images[1])
    assert (varied[0, :, 10:15, 5:15] == 0.5).all()
    images[0, :, 10:15, 5:15] = 0.5
    assert torch.equal(varied[0], images[0])


def test_holes_are_as_large_as_said():
    holes = [draw(Augmentation(erasing=1.0), np.random.default_rng(i)).hole for i in range(200)]
    areas = [height * width for _top, _left, height, width in holes]
    assert min(areas) > 0.015
    assert max(areas) <= 0.34
    assert all(top + height <= 1.0001 for top, _left, height, _width in holes)


# -- mixing ------------------------------------------------------------------------------------


def test_mixup_blends_images_and_labels_by_one_share():
    images, labels = pictures(4), torch.tensor([0, 1, 2, 0])
    draws = [Draw(mix=Mix(0.7)), Draw(), Draw(mix=Mix(0.2)), Draw(mix=Mix(1.0))]
    mixed, truth = mix(images, labels, draws, classes=3)
    assert torch.allclose(mixed[0], 0.7 * images[0] + 0.3 * images[1])
    assert torch.equal(mixed[1], images[1])
    assert torch.allclose(mixed[2], 0.2 * images[2] + 0.8 * images[3])
    wanted = torch.tensor([[0.7, 0.3, 0], [0, 1, 0], [0.8, 0, 0.2], [1, 0, 0]])
    assert torch.allclose(truth, wanted)


def test_cutmix_weighs_the_labels_by_the_pixels_that_were_cut():
    images, labels = pictures(2, 20, 20), torch.tensor([0, 1])
    # At the edge: less is cut than was drawn.
    draws = [Draw(mix=Mix(0.1, (0.9, 0.0, 0.1, 0.5))), Draw()]
    mixed, truth = mix(images, labels, draws, classes=2)
    assert torch.equal(mixed[0, :, 18:, :10], images[1, :, 18:, :10])
    assert torch.equal(mixed[0, :, :18], images[0, :, :18])
    assert torch.allclose(truth[0], torch.tensor([0.95, 0.05]))


def test_the_loss_of_mixed_labels_is_the_mean_of_both_by_their_shares():
    labels, logits = torch.tensor([0, 2]), torch.tensor([[1.0, 2, 3], [0.5, 0, -1]])
    _images, truth = mix(pictures(2), labels, [Draw(mix=Mix(0.6)), Draw()], classes=3)
    both = 0.6 * cross_entropy(logits[0], labels[0]) + 0.4 * cross_entropy(logits[0], labels[1])
    assert torch.allclose(cross_entropy(logits[0], truth[0]), both)


def test_each_image_of_a_batch_is_mixed_by_a_share_of_its_own():
    draws = draws_of(64, Augmentation(mixup=0.4, cutmix=1.0))
    assert len({one.mix.own for one in draws}) == 64
    cuts = sum(one.mix.cut is not None for one in draws)
    assert 16 < cuts < 48
    assert not is_mixed([TrainingView(torch.zeros(3, 2, 2))])


# -- recipe ------------------------------------------------------------------------------------


def test_a_recipes_own_number_stands_over_its_preset():
    assert augmentation_of(Recipe()) == PRESETS["light"]
    own = augmentation_of(Recipe(augmentation="none", rotation=15, mixup=0.2))
    assert own == dataclasses.replace(PRESETS["none"], rotation=15, mixup=0.2)
    assert augmentation_of(Recipe(flip_horizontal=0)).flip_horizontal == 0
    assert augmentation_of(make_recipe({"crop_area": "", "hue": "none"})) == PRESETS["light"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("crop_area", 0), ("flip_vertical", 1.5), ("rotation", 200), ("hue", 0.6),
        ("auto_augment", "auto"), ("rand_magnitude", 31), ("erasing", -0.1), ("mixup", -1),
        ("cutmix", "much"), ("sampling", "fair"),
    ],
)  # fmt: skip
def test_a_number_out_of_its_range_is_refused_in_one_sentence(key, value):
    with pytest.raises(AppError, match=f"“{value}” is not a value for {key}"):
        make_recipe({key: value})


def test_without_augmentation_a_view_is_the_validation_cut_and_no_chance_is_asked():
    working = np.random.default_rng(0).integers(0, 255, (36, 50, 3), dtype=np.uint8)
    from PIL import Image

    rng = np.random.default_rng(0)
    view = training_view(working, PREPROCESSING, "none", rng)
    expected = PREPROCESSING.crop(Image.fromarray(working))
    assert np.array_equal(view.pixels.permute(1, 2, 0).numpy(), expected)
    assert view.draw == Draw()
    assert rng.random() == np.random.default_rng(0).random()


def test_flips_come_as_often_as_asked():
    working = np.arange(36 * 36 * 3, dtype=np.uint8).reshape(36, 36, 3)
    plain = training_view(working, PREPROCESSING, "none", np.random.default_rng(0)).pixels
    both = Augmentation(flip_horizontal=1.0, flip_vertical=1.0)
    view = training_view(working, PREPROCESSING, both, np.random.default_rng(0))
    assert torch.equal(view.pixels, plain.flip(-1, -2))
    half = Augmentation(flip_vertical=0.5)
    seeds = range(200)
    flipped = sum(
        torch.equal(
            training_view(working, PREPROCESSING, half, np.random.default_rng(s)).pixels,
            plain.flip(-2),
        )
        for s in seeds
    )
    assert 70 < flipped < 130
