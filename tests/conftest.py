"""What every test stands on: a home of its own, the shared test data, small learnable pictures.

Nothing here imports torch or Qt, so that tests of one side never load the other.
"""

from __future__ import annotations

import colorsys
import os
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from helpers import REPOSITORY

MakeImageFolder = Callable[..., Path]


@pytest.fixture(autouse=True)
def graftwork_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch) -> Path:
    """A fresh `GRAFTWORK_HOME`: no test reads or writes the folders of the person running it."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("GRAFTWORK_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real test data, which never ships with the project.

    `GRAFTWORK_SHARED`, or `shared/data` beside the repository; skips where neither is there.
    """
    named = os.environ.get("GRAFTWORK_SHARED")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(
            f"needs the shared test data (no folder {folder}; GRAFTWORK_SHARED names another)"
        )
    return folder


@pytest.fixture(scope="session")
def make_image_folder() -> MakeImageFolder:
    """`make_image_folder(folder, classes=…, per_class=…, splits=…)` → folder, an image dataset."""
    return _make_image_folder


def _make_image_folder(
    folder: Path,
    *,
    classes: Sequence[str] = ("circle", "square", "triangle"),
    per_class: int | Mapping[str, int] = 8,
    splits: Sequence[str] = ("train", "val"),
    size_px: int = 64,
    suffix: str = ".png",
    seed: int = 0,
) -> Path:
    """Small pictures a frozen backbone tells apart: one shape and one hue per class, noisy.

    `per_class` images of each class in each split (a mapping gives each split its own number);
    `splits=()` makes the class folders stand directly in `folder`. No two pictures are equal.
    """
    rng = random.Random(seed)
    for split in splits or ("",):
        count = per_class[split] if isinstance(per_class, Mapping) else per_class
        for label, name in enumerate(classes):
            target = folder / split / name
            target.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                picture = draw_shape(label, len(classes), size_px=size_px, rng=rng)
                picture.save(target / f"{split or 'image'}_{number:04d}{suffix}")
    return folder


def draw_shape(label: int, classes: int, *, size_px: int, rng: random.Random) -> Image.Image:
    """An RGB picture of the shape and hue that stand for `label`, on a noisy ground."""
    noise = Image.frombytes("RGB", (16, 16), rng.randbytes(16 * 16 * 3))
    ground = Image.new("RGB", (size_px, size_px), (rng.randint(90, 160),) * 3)
    picture = Image.blend(ground, noise.resize(ground.size), 0.25)
    hue = label / classes + rng.uniform(-0.1, 0.1) / classes
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, 0.9, rng.uniform(0.75, 1.0))
    colour = (round(255 * red), round(255 * green), round(255 * blue))
    radius = size_px * rng.uniform(0.25, 0.36)
    x, y = (size_px / 2 + rng.uniform(-0.1, 0.1) * size_px for _ in range(2))
    draw = ImageDraw.Draw(picture)
    sides = label + 2
    if sides == 2:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    else:
        draw.regular_polygon(
            (x, y, radius), n_sides=sides, rotation=rng.randint(0, 359), fill=colour
        )
    return picture
