"""Downloads a ready-made dataset with torchvision and writes it as folders, in a child process.

Every set becomes `{train,val,test}/CLASS/FILE`, or `CLASS/FILE` if its authors made no split.
Picture files are moved unchanged; arrays are written as PNG, which is lossless. torchvision is
imported inside the functions: that takes a second, and only the child needs it.
"""

from __future__ import annotations

import importlib
import re
import shutil
import socket
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

_EMIT_SECONDS = 0.2
_SILENCE_SECONDS = 30.0
"""After so long without an answer from the server the download fails."""

Emit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Item:
    """One image: a file that may be moved away, or an array uint8 [h, w] or [h, w, 3]."""

    picture: Path | Any
    label: str
    split: str = ""


class BrokenDownloadError(RuntimeError):
    """A download that is truncated (`cut`) or damaged; torchvision's own error covers both."""

    def __init__(self, *, cut: bool) -> None:
        super().__init__("the connection broke off" if cut else "the downloaded file is damaged")


def fetch(request: dict[str, Any], emit: Emit) -> Path:
    """Download the set `request["id"]` and return the finished folder, `request["folder"]`/dataset.

    `emit` receives progress messages for the parent process.

    Raises: whatever the network and torchvision raise; BrokenDownloadError.
    """
    from torchvision.datasets import utils

    socket.setdefaulttimeout(_SILENCE_SECONDS)
    # No entry of an archive may be written outside of its folder (the default from Python 3.14).
    tarfile.TarFile.extraction_filter = staticmethod(tarfile.data_filter)
    work_dir = Path(request["folder"])
    raw, finished = work_dir / "raw", work_dir / "dataset"
    raw.mkdir(parents=True, exist_ok=True)
    reporter = _ProgressReporter(emit)
    setattr(utils, "tqdm", reporter.bar())  # noqa: B010 - a name it does not export
    try:
        _write_images(
            SETS[request["id"]](str(raw)), finished, reporter, images=int(request["images"])
        )
    except RuntimeError as error:
        if "corrupted" in str(error) or "not found" in str(error).lower():
            raise BrokenDownloadError(cut=reporter.is_cut) from error
        raise
    except (EOFError, tarfile.ReadError, zipfile.BadZipFile) as error:  # sets without a checksum
        raise BrokenDownloadError(cut=reporter.is_cut) from error
    finally:
        # Also if the parent has exited and this process is ended.
        shutil.rmtree(raw, ignore_errors=True)
    return finished


def reason_of(error: Exception) -> str:
    """Why a download failed, as a clause to follow a colon."""
    status = getattr(error, "code", None)
    if isinstance(error, BrokenDownloadError):
        return str(error)
    if status in (401, 403):
        return "its owner does not hand it out to everybody any more"
    if status == 404:
        return "its files are no longer where they were"
    if status is not None:
        return f"its server answers with an error ({status})"
    if isinstance(error, tarfile.FilterError):
        return "its archive would write outside of its own folder"
    if isinstance(error, OSError):
        return "the network or the server cannot be reached"
    detail = " ".join(str(error).split())[:120]
    return f"it is not as torchvision expects it ({detail or type(error).__name__})"


class _ProgressReporter:
    """Reports progress to the parent process: bytes of all files so far, then images."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._bars: list[Any] = []
        self._sent_at = 0.0

    @property
    def is_cut(self) -> bool:
        """Whether a file has fewer bytes than its server announced."""
        return any(bar.total and bar.done < bar.total for bar in self._bars)

    def report(self, done: int, total: int, note: str, *, at_once: bool = False) -> None:
        """Send a message, at most every `_EMIT_SECONDS` unless `at_once`."""
        now = time.monotonic()
        if at_once or now - self._sent_at >= _EMIT_SECONDS:
            self._sent_at = now
            self._emit({"event": "progress", "done": done, "total": total, "note": note})

    def bar(self) -> type:
        """A class to replace tqdm in torchvision's downloads; it reports and draws nothing."""
        base: Any = importlib.import_module("tqdm").tqdm
        reporter = self

        class DownloadProgress(base):  # type: ignore[misc]
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **{**kwargs, "disable": True})
                self.total, self.done = kwargs.get("total"), 0
                reporter._bars.append(self)

            def update(self, n: float | None = 1) -> bool | None:
                self.done += int(n or 0)
                reporter.report_bytes()
                return None

            def close(self) -> None:
                super().close()
                reporter.report_bytes(at_once=True)

        return DownloadProgress

    def report_bytes(self, *, at_once: bool = False) -> None:
        """Report the bytes of all downloads."""
        done = sum(bar.done for bar in self._bars)
        total = sum(bar.total or bar.done for bar in self._bars)
        finished = at_once and done >= total
        note = "unpacking" if finished else "downloading"
        self.report(done, total, note, at_once=at_once)


def _write_images(
    items: Iterator[Item], folder: Path, reporter: _ProgressReporter, *, images: int
) -> None:
    """Move or write every image to its class folder, with unique names.

    One by one, because a set may be larger than the memory. `images`: the expected number.

    Raises: BrokenDownloadError.
    """
    made: set[Path] = set()
    number = 0
    for number, item in enumerate(items, start=1):
        if reporter.is_cut:
            raise BrokenDownloadError(cut=True)
        target = folder / item.split / folder_name(item.label)
        if target not in made:
            target.mkdir(parents=True, exist_ok=True)
            made.add(target)
        if isinstance(item.picture, Path):
            place = target / item.picture.name
            # Sets that number the files of each class may have the same name twice in a folder.
            if place.exists():
                place = target / f"{number:06d}-{item.picture.name}"
            item.picture.rename(place)
        else:
            Image.fromarray(item.picture).save(target / f"{number:06d}.png", compress_level=1)
        reporter.report(number, max(images, number), "sorting images")
    reporter.report(number, number, "sorting images", at_once=True)


def folder_name(label: str) -> str:
    """A class's name as a valid folder name: F/A-18 → F-A-18, `dahlia?` → `dahlia`."""
    name = re.sub(r"[/\\:|]", "-", label.replace("_", " "))
    return re.sub(r'[<>"?*\x00-\x1f]', "", name).strip(" .") or "class"


# -- the sets: root folder → images ----------------------------------------------------------------


def _by_files(
    parts: Iterable[tuple[str, Any]], files: str, labels: Callable[[Any], list[str]]
) -> Iterator[Item]:
    for split, part in parts:
        for path, label in zip(getattr(part, files), labels(part), strict=True):
            yield Item(Path(path), label, split)


def _named(part: Any) -> list[str]:
    return [part.classes[label] for label in part._labels]


def _flowers102(root: str) -> Iterator[Item]:
    from torchvision.datasets import Flowers102

    parts = [(s, Flowers102(root, split=s, download=True)) for s in ("train", "val", "test")]
    return _by_files(parts, "_image_files", _named)


def _oxford_pets(root: str) -> Iterator[Item]:
    from torchvision.datasets import OxfordIIITPet

    names = (("train", "trainval"), ("test", "test"))
    parts = [(ours, OxfordIIITPet(root, split=s, download=True)) for ours, s in names]
    return _by_files(parts, "_images", _named)


def _eurosat(root: str) -> Iterator[Item]:
    from torchvision.datasets import EuroSAT

    part = EuroSAT(root, download=True)
    return (Item(Path(path), part.classes[label]) for path, label in part.samples)


def _dtd(root: str) -> Iterator[Item]:
    from torchvision.datasets import DTD

    parts = [(s, DTD(root, split=s, download=True)) for s in ("train", "val", "test")]
    return _by_files(parts, "_image_files", _named)


def _fgvc_aircraft(root: str) -> Iterator[Item]:
    from torchvision.datasets import FGVCAircraft

    parts = [(s, FGVCAircraft(root, split=s, download=True)) for s in ("train", "val", "test")]
    return _by_files(parts, "_image_files", _named)


def _food101(root: str) -> Iterator[Item]:
    from torchvision.datasets import Food101

    parts = [(s, Food101(root, split=s, download=True)) for s in ("train", "test")]
    return _by_files(parts, "_image_files", _named)


def _pcam(root: str) -> Iterator[Item]:
    from torchvision.datasets import PCAM

    for split in ("train", "val", "test"):
        part = PCAM(root, split=split, download=True)
        for number in range(len(part)):
            image, label = part[number]
            yield Item(np.asarray(image), ("normal", "metastasis")[label], split)


def _cifar(name: str) -> Callable[[str], Iterator[Item]]:
    def items(root: str) -> Iterator[Item]:
        import torchvision.datasets

        for split in ("train", "test"):
            part = getattr(torchvision.datasets, name)(root, train=split == "train", download=True)
            for pixels, label in zip(part.data, part.targets, strict=True):
                yield Item(pixels, part.classes[label], split)

    return items


def _caltech101(root: str) -> Iterator[Item]:
    from torchvision.datasets import Caltech101

    part = Caltech101(root, download=True)
    folder = Path(part.root) / "101_ObjectCategories"
    for number, label in zip(part.index, part.y, strict=True):
        name = part.categories[label]
        yield Item(folder / name / f"image_{number:04d}.jpg", name)


def _stl10(root: str) -> Iterator[Item]:
    from torchvision.datasets import STL10

    for split in ("train", "test"):
        part = STL10(root, split=split, download=True)
        for pixels, label in zip(part.data, part.labels, strict=True):
            yield Item(pixels.transpose(1, 2, 0), part.classes[label], split)


def _svhn(root: str) -> Iterator[Item]:
    from torchvision.datasets import SVHN

    for split in ("train", "test"):
        part = SVHN(root, split=split, download=True)
        for pixels, label in zip(part.data, part.labels, strict=True):
            yield Item(pixels.transpose(1, 2, 0), str(label), split)


def _gtsrb(root: str) -> Iterator[Item]:
    from torchvision.datasets import GTSRB

    for split in ("train", "test"):
        part = GTSRB(root, split=split, download=True)
        for name, label in part._samples:
            path = Path(name)
            # The folders are named by the sign's number; torchvision numbers the folders it finds.
            number = int(path.parent.name) if split == "train" else label
            yield Item(path, f"{number:02d} {_SIGNS[number]}", split)


def _imagenette(root: str) -> Iterator[Item]:
    from torchvision.datasets import Imagenette

    for split in ("train", "val"):
        part = Imagenette(root, split=split, size="320px", download=True)
        for path, label in part._samples:
            yield Item(Path(path), part.classes[label][0], split)


def _country211(root: str) -> Iterator[Item]:
    from torchvision.datasets import Country211

    for split, name in (("train", "train"), ("val", "valid"), ("test", "test")):
        part = Country211(root, split=name, download=True)
        for path, label in part.samples:
            yield Item(Path(path), part.classes[label], split)


def _rendered_sst2(root: str) -> Iterator[Item]:
    from torchvision.datasets import RenderedSST2

    for split in ("train", "val", "test"):
        part = RenderedSST2(root, split=split, download=True)
        for path, label in part._samples:
            yield Item(Path(path), part.classes[label], split)


def _mnist(name: str, **options: str) -> Callable[[str], Iterator[Item]]:
    def items(root: str) -> Iterator[Item]:
        import torchvision.datasets

        make = getattr(torchvision.datasets, name)
        for split in ("train", "test"):
            part = make(root, train=split == "train", download=True, **options)
            # MNIST's class names contain each digit twice: "3 - three".
            classes = [str(c).partition(" - ")[0] for c in part.classes]
            if name == "EMNIST":  # B and b are one folder to Windows and macOS
                classes = [_letter(c) for c in classes]
            for pixels, label in zip(part.data.numpy(), part.targets.tolist(), strict=True):
                # EMNIST is stored with rows and columns exchanged.
                shown = pixels.T if name == "EMNIST" else pixels
                yield Item(shown, classes[label], split)

    return items


def _letter(character: str) -> str:
    if not character.isalpha():
        return character
    return f"{'upper' if character.isupper() else 'lower'} {character}"


def _usps(root: str) -> Iterator[Item]:
    from torchvision.datasets import USPS

    for split in ("train", "test"):
        part = USPS(root, train=split == "train", download=True)
        for pixels, label in zip(part.data, part.targets, strict=True):
            yield Item(pixels, str(label), split)


SETS: dict[str, Callable[[str], Iterator[Item]]] = {
    "flowers102": _flowers102,
    "oxford-pets": _oxford_pets,
    "eurosat": _eurosat,
    "dtd": _dtd,
    "fgvc-aircraft": _fgvc_aircraft,
    "food101": _food101,
    "pcam": _pcam,
    "cifar10": _cifar("CIFAR10"),
    "cifar100": _cifar("CIFAR100"),
    "caltech101": _caltech101,
    "stl10": _stl10,
    "svhn": _svhn,
    "gtsrb": _gtsrb,
    "imagenette": _imagenette,
    "country211": _country211,
    "rendered-sst2": _rendered_sst2,
    "mnist": _mnist("MNIST"),
    "fashion-mnist": _mnist("FashionMNIST"),
    "kmnist": _mnist("KMNIST"),
    "emnist": _mnist("EMNIST", split="balanced"),
    "usps": _usps,
}

_SIGNS = (
    "limit 20", "limit 30", "limit 50", "limit 60", "limit 70", "limit 80", "end of limit 80",
    "limit 100", "limit 120", "no overtaking", "no overtaking for lorries", "right of way ahead",
    "priority road", "give way", "stop", "no vehicles", "no lorries", "no entry", "danger",
    "bend left", "bend right", "double bend", "uneven road", "slippery road", "road narrows",
    "road works", "traffic lights", "pedestrians", "children", "bicycles", "ice or snow",
    "wild animals", "end of all limits", "turn right", "turn left", "straight on",
    "straight or right", "straight or left", "keep right", "keep left", "roundabout",
    "end of no overtaking", "end of no overtaking for lorries",
)  # fmt: skip
"""The 43 signs by the set's own numbers."""
