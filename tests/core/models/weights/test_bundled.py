"""The embedded weights: mapped entry by entry, and seeing what is in a photograph."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import sklearn.datasets
import torch

from core.catalog import catalog
from core.errors import WeightsError
from core.images.decode import read_image
from core.models.build import BuiltModel, build
from core.models.weights import load
from core.models.weights.weights import BUNDLED_PACKAGES

LITES = tuple(BUNDLED_PACKAGES)


@pytest.fixture(scope="module")
def lites() -> dict[str, BuiltModel]:
    cards = catalog.load()
    return {arch: build(cards.resolve(f"bundled/{arch}")) for arch in LITES}


def top(built: BuiltModel, photo: Path, *, k: int) -> list[str]:
    """The names of the k likeliest classes of a photo."""
    pixels = torch.from_numpy(built.preprocessing.pixels(read_image(photo)).copy())
    mean, std = torch.tensor(built.preprocessing.mean), torch.tensor(built.preprocessing.std)
    x = ((pixels / 255 - mean) / std).permute(2, 0, 1)[None]
    with torch.inference_mode():
        order = built.module(x)[0].topk(k).indices.tolist()
    names = built.label_names()
    return [names[index] for index in order]


@pytest.mark.parametrize("arch", LITES)
def test_every_entry_of_the_file_has_its_place_in_the_model(arch: str, lites):
    state = load._bundled_state(arch)
    module = lites[arch].module
    mapped = load.mapped_in_order(state, module.state_dict(), model=arch)
    assert list(mapped) == list(module.state_dict())
    assert all(torch.equal(mapped[name], value) for name, value in module.state_dict().items())


def test_lite0_has_296_entries_on_both_sides(lites):
    assert len(load._bundled_state(LITES[0])) == len(lites[LITES[0]].module.state_dict()) == 296


def test_weights_in_another_order_are_refused_by_name(lites):
    target = lites[LITES[0]].module.state_dict()
    turned = dict(reversed(list(target.items())))
    with pytest.raises(WeightsError, match=r"classifier\.bias"):
        load.mapped_in_order(turned, target, model="lite0")
    with pytest.raises(WeightsError, match="295 entries"):
        load.mapped_in_order(dict(list(target.items())[1:]), target, model="lite0")


@pytest.mark.parametrize(("arch", "size_px"), [*zip(LITES, (224, 240, 260), strict=True)])
def test_the_preprocessing_is_the_one_of_the_weights(arch: str, size_px: int, lites):
    wanted = lites[arch].preprocessing
    assert (wanted.width, wanted.height) == (size_px, size_px)
    assert wanted.resize_px == int(size_px / 0.875)
    assert wanted.interpolation == "bicubic"
    assert wanted.mean == wanted.std == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("arch", LITES)
def test_photographs_of_a_known_class_are_recognised(arch: str, lites, shared_data: Path):
    """One animal: first. Two animals, or a species among its like: among the first five."""
    folder = shared_data / "photos_known_class"
    first = {"pytorch_hub_dog_samoyed.jpg", "gradcam_dog_cat.jfif", "gradcam_horses.jpg"}
    for row in _labels(folder):
        if row["class_index"]:
            names = top(lites[arch], folder / row["file"], k=1 if row["file"] in first else 5)
            assert row["name"] in names, row["file"]
            assert lites[arch].label_names()[int(row["class_index"])] == row["name"]


def _labels(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("arch", LITES)
def test_photographs_that_come_with_scikit_image_are_recognised(arch: str, lites):
    data = pytest.importorskip("skimage.data")
    folder = Path(data.__file__).parent
    assert top(lites[arch], folder / "coffee.png", k=1) == ["espresso"]
    assert top(lites[arch], folder / "motorcycle_left.png", k=1) == ["moped"]
    cats = set(top(lites[arch], folder / "chelsea.png", k=3))
    assert cats == {"tabby", "tiger cat", "Egyptian cat"}


@pytest.mark.parametrize("arch", LITES)
def test_the_palace_that_comes_with_scikit_learn_is_recognised(arch: str, lites):
    folder = Path(sklearn.datasets.__file__).parent / "images"
    assert top(lites[arch], folder / "china.jpg", k=1) == ["palace"]
