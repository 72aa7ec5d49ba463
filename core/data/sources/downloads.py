"""Ready-made datasets: lists them, says which are on this machine, downloads and removes them.

torchvision's own code downloads and checks a set, in a child process that can be ended at any time
(`download_worker` runs there). The result is an ordinary dataset folder,
`{train,val,test}/CLASS/…`, with the split of its authors. It appears complete or not at all. No
torch here.
"""

from __future__ import annotations

import difflib
import os
import shutil
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from core.data.sources.samples import digits
from core.errors import DatasetError
from core.events import OnProgress, ShouldStop, check_stop, never_stop, no_progress
from core.system import paths
from core.system.subprocesses import Child

_SPARE_BYTES = 256 << 20
"""Bytes that must stay free on the disk beside the set."""
_ABANDONED_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class ReadyMade:
    """One dataset as its authors publish it; see resources/ready_made.toml for the fields."""

    id: str
    title: str
    shows: str
    images: int
    classes: int
    download_mb: int
    disk_mb: int
    licence: str
    home: str
    citation: str
    splits: dict[str, int] = field(default_factory=dict)
    """Images of each split; empty if the authors made no split, and Graftwork draws val."""
    needs: tuple[str, ...] = ()
    """Packages that torchvision's code for this set imports."""

    @property
    def split_text(self) -> str:
        """The split as text to show."""
        if not self.splits:
            return "none by its authors: a fifth of each class becomes val"
        return " · ".join(f"{name} {count:,}" for name, count in self.splits.items())


DIGITS = ReadyMade(
    id="digits",
    title="Handwritten digits",
    shows="Digits; comes along, no network is needed",
    images=1797,
    classes=10,
    download_mb=0,
    disk_mb=4,
    licence="CC BY 4.0",
    home="UCI Machine Learning Repository, as shipped with scikit-learn",
    citation="Alpaydin, Kaynak: Optical Recognition of Handwritten Digits. UCI, 1998.",
    splits={"train": 1437, "val": 360},
)


@cache
def all_sets() -> tuple[ReadyMade, ...]:
    """Every ready-made dataset, the digits first."""
    table = tomllib.loads(paths.resource("ready_made.toml").read_text(encoding="utf-8"))
    sets = (
        ReadyMade(**{**entry, "needs": tuple(entry.get("needs", ()))}) for entry in table["dataset"]
    )
    return (DIGITS, *sets)


def find(name: str) -> ReadyMade:
    """The set with the id `name`. Raises: DatasetError that lists the known ids."""
    known = {entry.id: entry for entry in all_sets()}
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    there_is = "Did you mean" if close else "There are"
    raise DatasetError(
        f"There is no ready-made dataset “{name}”.",
        f"{there_is}: {', '.join(close or known)}.",
    )


def folder_of(entry: ReadyMade) -> Path:
    """The folder of the set, whether it is downloaded or not."""
    if entry.id == DIGITS.id:
        return paths.sample_dir(entry.id)
    return paths.data_dir() / "datasets" / entry.id


def is_here(entry: ReadyMade) -> bool:
    """Whether the set can be opened without a network."""
    return entry.id == DIGITS.id or folder_of(entry).is_dir()


def open_set(name: str) -> Path:
    """The folder of a set on this machine; the digits are written on the first call.

    Raises: DatasetError if the set is unknown or not downloaded.
    """
    entry = find(name)
    if entry.id == DIGITS.id:
        return digits()
    if not is_here(entry):
        raise DatasetError(
            f"{entry.title} is not on this machine.",
            f"Run: graftwork datasets download {entry.id} ({entry.download_mb:,} MB).",
        )
    return folder_of(entry)


def remove(name: str) -> Path:
    """Move a downloaded set to the trash; returns the folder it was in.

    Raises: DatasetError if it is not downloaded, comes with Graftwork, or cannot be moved.
    """
    entry = find(name)
    folder = folder_of(entry)
    if entry.id == DIGITS.id or not folder.is_dir():
        raise DatasetError(f"There is no download of {entry.title} to remove.")
    import send2trash  # type: ignore[import-untyped]

    try:
        send2trash.send2trash(str(folder))
    except OSError as error:
        raise DatasetError(f"{folder} cannot be moved to the trash: {error}.") from error
    return folder


def download(
    name: str, *, on_progress: OnProgress = no_progress, should_stop: ShouldStop = never_stop
) -> Path:
    """The folder of a set, which is downloaded if it is not on this machine.

    `on_progress` counts bytes while downloading, then images while they are written.

    Raises: DatasetError (no network, damaged, no space, a package missing); Cancelled, within a
    second after a stop. Then no file is left behind.
    """
    entry = find(name)
    if is_here(entry):
        return open_set(entry.id)
    _require_packages(entry)
    folder = folder_of(entry)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder.parent)
        _require_space(entry, folder.parent)
    except OSError as error:
        raise DatasetError(
            f"{entry.title} cannot be stored in {folder.parent}: {error.strerror or error}.",
            "Make the folder writable, or set GRAFTWORK_HOME to another folder.",
        ) from error
    check_stop(should_stop)
    on_progress(0, entry.download_mb * 10**6, "connecting")
    with _temporary_folder(entry, folder.parent) as work_dir:
        _run_child(entry, work_dir, on_progress, should_stop)
        # mkdtemp makes folders that only their owner may read; a dataset is for everybody.
        (work_dir / "dataset").chmod(0o755)
        try:
            (work_dir / "dataset").rename(folder)
        except OSError:
            if not folder.is_dir():  # if another process was first, its folder is used
                raise
    return folder


def _run_child(
    entry: ReadyMade, work_dir: Path, on_progress: OnProgress, should_stop: ShouldStop
) -> None:
    request = {
        "do": "dataset", "id": entry.id, "folder": str(work_dir), "images": entry.images,
    }  # fmt: skip
    with Child(request) as child:
        for message in child.messages(should_stop=should_stop):
            if message["event"] == "progress":
                total = int(message["total"])
                on_progress(int(message["done"]), total, str(message["note"]))
            elif message["event"] == "done":
                return
            elif message["event"] == "failed":
                raise _failure(entry, message)
    raise DatasetError(
        f"{entry.title} was not downloaded: another program ended the download.", "Try it again."
    )


def _failure(entry: ReadyMade, message: dict[str, Any]) -> DatasetError:
    reason = message["reason"]
    where = folder_of(entry).parent
    if reason == "full":
        return DatasetError(
            f"The disk is full: {entry.title} needs up to {entry.disk_mb:,} MB in {where} while "
            "it is unpacked.",
            "Free some space there; no file was left behind.",
        )
    if reason == "not writable":
        return DatasetError(
            f"{entry.title} cannot be stored: {where} is not writable.",
            "Make it writable, or set GRAFTWORK_HOME to another folder.",
        )
    return DatasetError(
        f"{entry.title} could not be downloaded: {reason}.",
        "No file was left behind; `graftwork datasets` lists what is on this machine.",
    )


def _require_packages(entry: ReadyMade) -> None:
    missing = [package for package in entry.needs if find_spec(package) is None]
    if missing:
        raise DatasetError(
            f"{entry.title} needs {' and '.join(missing)} for its download, which "
            f"{'is' if len(missing) == 1 else 'are'} not installed.",
            f"Run: pip install {' '.join(missing)}",
        )


def _require_space(entry: ReadyMade, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < entry.disk_mb * 10**6 + _SPARE_BYTES:
        raise DatasetError(
            f"{entry.title} needs up to {entry.disk_mb:,} MB while it is unpacked, but only "
            f"{free // 10**6:,} MB are free in {folder}.",
            "Free some space there, or set GRAFTWORK_HOME to another folder.",
        )


@contextmanager
def _temporary_folder(entry: ReadyMade, folder: Path) -> Iterator[Path]:
    work_dir = Path(tempfile.mkdtemp(prefix=f".{entry.id}-", dir=folder))
    try:
        yield work_dir
    finally:
        shutil.rmtree(work_dir, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    """Remove the folders of killed processes: those not written to for a day."""
    for left in folder.glob(".*-*"):
        newest = max(
            (os.stat(path).st_mtime for path in (left, *left.glob("*"), *left.glob("*/*"))),  # noqa: PTH116
            default=0.0,
        )
        if time.time() - newest > _ABANDONED_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
