"""Previews the augmentation of a recipe on a few pictures.

Uses the functions of training, so that the preview shows what training sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from core.batches.augment import augment_batch, is_mixed, mix, training_view
from core.batches.augment_params import augmentation_of
from core.batches.pixel_cache import read_working
from core.data.dataset import DatasetIndex
from core.errors import DatasetError, DecodeError
from core.events import ShouldStop, check_stop, never_stop
from core.images.preprocess import Preprocessing
from core.models.build import build
from core.models.resolve import resolve_model
from core.recipe.recipe import Recipe

_SIDE_BY_SIDE_PX = 4


@dataclass(frozen=True)
class AugmentedImage:
    """One picture with its augmented views.

    plain: uint8 [height, width, 3], the crop of validation; views: the same of training; shares:
    float32 [views, classes], the labels of the views, several classes where views are mixed.
    """

    path: Path
    label: str
    plain: npt.NDArray[np.uint8]
    views: tuple[npt.NDArray[np.uint8], ...]
    shares: npt.NDArray[np.float32]


def choose(index: DatasetIndex, count: int, *, pick: int = 0) -> tuple[int, ...]:
    """Choose `count` training images of as many classes as possible; returns their positions.

    Another `pick` gives other images.
    """
    train = index.indices("train")
    if not len(train):
        train = np.arange(len(index))
    rng = np.random.default_rng([pick, count])
    classes = rng.permutation(np.unique(index.labels[train]))
    chosen: list[int] = []
    for number in range(min(count, len(train))):
        members = train[index.labels[train] == classes[number % len(classes)]]
        members = members[~np.isin(members, chosen)]
        if len(members):
            chosen.append(int(rng.choice(members)))
    return tuple(chosen)


def preview(
    index: DatasetIndex,
    positions: Sequence[int],
    recipe: Recipe,
    *,
    views: int,
    roll: int = 0,
    should_stop: ShouldStop = never_stop,
) -> tuple[AugmentedImage, ...]:
    """Augment each picture `views` times; another `roll` gives other views.

    Pictures that cannot be read are left out. Views are mixed with those of the other pictures.

    Raises: DatasetError if no picture can be read; ModelError; Cancelled.
    """
    preprocessing = preprocessing_of(recipe.model)
    working: dict[int, npt.NDArray[np.uint8]] = {}
    failure: DecodeError | None = None
    for position in positions:
        check_stop(should_stop)
        try:
            working[position] = _read(index.path(position), preprocessing)
        except DecodeError as error:
            failure = error
    if not working:
        raise DatasetError(
            failure.message if failure else "There is no picture to show.",
            "Choose other pictures.",
        )
    labels = torch.from_numpy(index.labels[list(working)].astype(np.int64))
    columns = [
        _column(
            working, labels, preprocessing, recipe, epoch=roll * views + number + 1,
            classes=len(index.classes),
        )
        for number in range(views)
    ]  # fmt: skip
    return tuple(
        AugmentedImage(
            path=index.path(position),
            label=index.classes[int(labels[row])],
            plain=preprocessing.crop(Image.fromarray(working[position])),
            views=tuple(images[row] for images, _shares in columns),
            shares=np.stack([shares[row] for _images, shares in columns])
            if columns
            else np.zeros((0, len(index.classes)), np.float32),
        )
        for row, position in enumerate(working)
    )


def _column(
    working: dict[int, npt.NDArray[np.uint8]],
    labels: torch.Tensor,
    preprocessing: Preprocessing,
    recipe: Recipe,
    *,
    epoch: int,
    classes: int,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """One view of each picture, as one batch: uint8 [N, H, W, 3] and label shares [N, classes]."""
    augmentation = augmentation_of(recipe)
    views = [
        training_view(
            pixels,
            preprocessing,
            augmentation,
            np.random.default_rng([recipe.seed, epoch, position]),
        )
        for position, pixels in working.items()
    ]
    draws = [view.draw for view in views]
    images = torch.stack([view.pixels for view in views]).float().div_(255)
    fill = torch.tensor(preprocessing.mean).view(1, 3, 1, 1)
    images = augment_batch(images, draws, fill=fill)
    shares = torch.nn.functional.one_hot(labels, classes).float()
    if is_mixed(views):
        images, shares = mix(images, labels, draws, classes=classes)
    pixels = images.mul(255).round_().to(torch.uint8).permute(0, 2, 3, 1)
    return pixels.contiguous().numpy(), shares.numpy()


@lru_cache(maxsize=8)
def preprocessing_of(model: str) -> Preprocessing:
    """The preprocessing of a model id; its weights are not loaded. Raises: ModelError."""
    return build(resolve_model(model), meta=True).preprocessing


def _read(path: Path, preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
    try:
        modified_ns = path.stat().st_mtime_ns
    except OSError as error:
        raise DecodeError(path, error.strerror or str(error)) from error
    return _read_once(path, modified_ns, preprocessing)


@lru_cache(maxsize=64)
def _read_once(
    path: Path, _modified_ns: int, preprocessing: Preprocessing
) -> npt.NDArray[np.uint8]:
    return read_working(path, preprocessing)


def sheet(rows: Sequence[AugmentedImage]) -> Image.Image:
    """All rows as one image, the picture without augmentation on the left."""
    height, width, _ = rows[0].plain.shape
    columns = 1 + len(rows[0].views)
    gap = _SIDE_BY_SIDE_PX
    ground = Image.new(
        "RGB", (columns * (width + gap) + gap, len(rows) * (height + gap) + gap), "white"
    )
    for y, row in enumerate(rows):
        for x, pixels in enumerate((row.plain, *row.views)):
            place = (gap + x * (width + gap), gap + y * (height + gap))
            ground.paste(Image.fromarray(pixels), place)
    return ground
