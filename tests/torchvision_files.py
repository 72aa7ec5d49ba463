"""The files of torchvision's datasets in small: each set in the form that its class reads."""

from __future__ import annotations

import bz2
import functools
import itertools
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

RANDOM = np.random.default_rng(0)


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RANDOM.integers(0, 255, (12, 12, 3), np.uint8)).save(path)


def text(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def flowers102(raw: Path) -> None:
    folder = raw / "flowers-102"
    for number in range(1, 10):
        picture(folder / "jpg" / f"image_{number:05d}.jpg")
    labels = [1, 1, 1, 65, 65, 65, 102, 102, 102]
    scipy.io.savemat(folder / "imagelabels.mat", {"labels": np.array([labels])})
    ids = {"trnid": [[1, 4, 7]], "valid": [[2, 5, 8]], "tstid": [[3, 6, 9]]}
    scipy.io.savemat(folder / "setid.mat", {k: np.array(v) for k, v in ids.items()})


def oxford_pets(raw: Path) -> None:
    folder = raw / "oxford-iiit-pet"
    for split in ("trainval", "test"):
        names = [f"{b}_{split}{n}" for b in ("Abyssinian", "american_bulldog") for n in (1, 2)]
        text(folder / "annotations" / f"{split}.txt",
             [f"{name} {1 + name.startswith('am')} 1 1" for name in names])  # fmt: skip
        for name in names:
            picture(folder / "images" / f"{name}.jpg")


def eurosat(raw: Path) -> None:
    for name in ("AnnualCrop", "Forest"):
        for number in range(5):
            picture(raw / "eurosat" / "2750" / name / f"{name}_{number}.jpg")


def dtd(raw: Path) -> None:
    folder = raw / "dtd" / "dtd"
    for split in ("train", "val", "test"):
        names = [f"{c}/{c}_{split}.jpg" for c in ("banded", "woven")]
        text(folder / "labels" / f"{split}1.txt", names)
        for name in names:
            picture(folder / "images" / name)


def fgvc_aircraft(raw: Path) -> None:
    folder = raw / "fgvc-aircraft-2013b" / "data"
    text(folder / "variants.txt", ["737-700", "F/A-18"])
    for k, split in enumerate(("train", "val", "test")):
        text(folder / f"images_variant_{split}.txt", [f"{k}1 737-700", f"{k}2 F/A-18"])
        for name in (f"{k}1", f"{k}2"):
            picture(folder / "images" / f"{name}.jpg")


def food101(raw: Path) -> None:
    for split in ("train", "test"):
        names = {c: [f"{c}/{split}{n}" for n in (1, 2)] for c in ("apple_pie", "waffles")}
        text(raw / "food-101" / "meta" / f"{split}.json", [json.dumps(names)])
        for name in itertools.chain(*names.values()):
            picture(raw / "food-101" / "images" / f"{name}.jpg")


def pcam(raw: Path) -> None:
    from torchvision.datasets import PCAM

    for files in PCAM._FILES.values():
        for key, values in (
            ("images", RANDOM.integers(0, 255, (4, 96, 96, 3), np.uint8)),
            ("targets", np.array([0, 1, 0, 1], np.uint8).reshape(4, 1, 1, 1)),
        ):
            path = raw / "pcam" / files[key][0]
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                np.savez(file, **{key: values})


class FakeHdf5:
    """h5py's `File`, on the files of `pcam`: h5py is installed only by who wants this set."""

    def __init__(self, path: Path) -> None:
        self._arrays = np.load(path)

    def __enter__(self) -> dict[str, np.ndarray]:
        return {"x": self._arrays["images"]} if "images" in self._arrays else {
            "y": self._arrays["targets"]
        }  # fmt: skip

    def __exit__(self, *error: object) -> None:
        self._arrays.close()


def cifar(raw: Path, *, hundred: bool) -> None:
    folder = raw / ("cifar-100-python" if hundred else "cifar-10-batches-py")
    folder.mkdir(parents=True)
    names = (
        ("train", "test") if hundred else (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch")
    )
    for name in names:
        entry = {
            "data": RANDOM.integers(0, 255, (4, 3072), np.uint8),
            "fine_labels" if hundred else "labels": [0, 1, 0, 1],
        }
        (folder / name).write_bytes(pickle.dumps(entry))
    meta = {"fine_label_names" if hundred else "label_names": ["maple_tree", "train"]}
    (folder / ("meta" if hundred else "batches.meta")).write_bytes(pickle.dumps(meta))


def caltech101(raw: Path) -> None:
    for name in ("Faces_easy", "crab", "BACKGROUND_Google"):
        for number in range(1, 6):
            path = raw / "caltech101" / "101_ObjectCategories" / name
            picture(path / f"image_{number:04d}.jpg")
    (raw / "caltech101" / "Annotations").mkdir()


def stl10(raw: Path) -> None:
    folder = raw / "stl10_binary"
    folder.mkdir(parents=True)
    text(folder / "class_names.txt", ["airplane", "bird"])
    (folder / "unlabeled_X.bin").touch()
    for split in ("train", "test"):
        RANDOM.integers(0, 255, (4, 3, 96, 96), np.uint8).tofile(folder / f"{split}_X.bin")
        np.array([1, 2, 1, 2], np.uint8).tofile(folder / f"{split}_y.bin")


def svhn(raw: Path) -> None:
    for split in ("train", "test"):
        arrays = {
            "X": RANDOM.integers(0, 255, (32, 32, 3, 4), np.uint8),
            "y": np.array([[10], [1], [10], [1]]),
        }
        scipy.io.savemat(raw / f"{split}_32x32.mat", arrays)


def gtsrb(raw: Path) -> None:
    folder = raw / "gtsrb"
    for label in (0, 14):
        for number in (1, 2):
            picture(folder / "GTSRB" / "Training" / f"{label:05d}" / f"0000{number}.ppm")
    names = [f"0000{n}.ppm" for n in range(4)]
    for name in names:
        picture(folder / "GTSRB" / "Final_Test" / "Images" / name)
    rows = [f"{name};{14 * (k % 2)}" for k, name in enumerate(names)]
    text(folder / "GT-final_test.csv", ["Filename;ClassId", *rows])


def imagenette(raw: Path) -> None:
    for split in ("train", "val"):
        for wnid in ("n01440764", "n03028079"):
            for number in range(2):
                picture(raw / "imagenette2-320" / split / wnid / f"{number}.JPEG")


def country211(raw: Path) -> None:
    for split in ("train", "valid", "test"):
        for name in ("AD", "ZW"):
            picture(raw / "country211" / split / name / "1.jpg")


def rendered_sst2(raw: Path) -> None:
    for split in ("train", "valid", "test"):
        for name in ("negative", "positive"):
            picture(raw / "rendered-sst2" / split / name / "1.png")


def idx(raw: Path, *, name: str, prefix: str = "") -> None:
    folder = raw / name / "raw"
    folder.mkdir(parents=True)
    for split in ("train", "t10k") if not prefix else ("train", "test"):
        values = RANDOM.integers(0, 255, (4, 28, 28), np.uint8)
        values[0, 0, 5], values[0, 5, 0] = 255, 0
        header = struct.pack(">IIII", 0x803, *values.shape)
        (folder / f"{prefix}{split}-images-idx3-ubyte").write_bytes(header + values.tobytes())
        labels = bytes([0, 1, 0, 1]) if not prefix else bytes([10, 36, 10, 36])
        (folder / f"{prefix}{split}-labels-idx1-ubyte").write_bytes(
            struct.pack(">II", 0x801, 4) + labels
        )


def usps(raw: Path) -> None:
    raw.mkdir(parents=True, exist_ok=True)
    line = " ".join(f"{k}:0.5" for k in range(1, 257))
    for name in ("usps.bz2", "usps.t.bz2"):
        data = "".join(f"{label} {line}\n" for label in (1, 2, 1, 2))
        (raw / name).write_bytes(bz2.compress(data.encode()))


Counts = dict[str, int]
TWO, ONE = {"train": 2, "test": 2}, {"train": 1, "val": 1, "test": 1}
MADE: dict[str, tuple[Callable[[Path], None], Counts]] = {
    # images of each class in each split, by the class's folder name
    "flowers102": (flowers102, {"pink primrose": 3, "californian poppy": 3, "blackberry lily": 3}),
    "oxford-pets": (oxford_pets, {"Abyssinian": 4, "American Bulldog": 4}),
    "eurosat": (eurosat, {"AnnualCrop": 5, "Forest": 5}),
    "dtd": (dtd, {"banded": 3, "woven": 3}),
    "fgvc-aircraft": (fgvc_aircraft, {"737-700": 3, "F-A-18": 3}),
    "food101": (food101, {"apple pie": 4, "waffles": 4}),
    "pcam": (pcam, {"normal": 6, "metastasis": 6}),
    "cifar10": (functools.partial(cifar, hundred=False), {"maple tree": 12, "train": 12}),
    "cifar100": (functools.partial(cifar, hundred=True), {"maple tree": 4, "train": 4}),
    "caltech101": (caltech101, {"Faces easy": 5, "crab": 5}),
    "stl10": (stl10, {"airplane": 4, "bird": 4}),
    "svhn": (svhn, {"0": 4, "1": 4}),
    "gtsrb": (gtsrb, {"00 limit 20": 4, "14 stop": 4}),
    "imagenette": (imagenette, {"tench": 4, "church": 4}),
    "country211": (country211, {"AD": 3, "ZW": 3}),
    "rendered-sst2": (rendered_sst2, {"negative": 3, "positive": 3}),
    "mnist": (functools.partial(idx, name="MNIST"), {"0": 4, "1": 4}),
    "fashion-mnist": (
        functools.partial(idx, name="FashionMNIST"),
        {"T-shirt-top": 4, "Trouser": 4},
    ),
    "kmnist": (functools.partial(idx, name="KMNIST"), {"o": 4, "ki": 4}),
    "emnist": (
        functools.partial(idx, name="EMNIST", prefix="emnist-balanced-"),
        {"upper A": 4, "lower a": 4},
    ),
    "usps": (usps, {"0": 4, "1": 4}),
}  # fmt: skip
