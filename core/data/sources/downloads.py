"""Ready-made datasets: what there is, which are here, and getting one.

torchvision's own code downloads and checks a set, in a child process that may be ended at any
moment (`download_worker` is what it does there). What comes out is an ordinary dataset folder,
`{train,val,test}/CLASS/…`, with the split its authors made. It appears whole or not at all.
No torch here.
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

from core.errors import DatasetError
from core.events import OnProgress, ShouldStop, check_stop, never_stop, no_progress
from core.system import paths

_SPARE_BYTES = 256 << 20
"""Left free on the disk beside what a set takes."""
_ABANDONED_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class ReadyMade:
    """One set as its authors publish it; see resources/ready_made.toml for the fields."""

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
    """Images of each split; empty where the authors made none, and Graftwork makes one."""
    needs: tuple[str, ...] = ()
    """Packages that torchvision's code for this set asks for."""

    @property
    def split_text(self) -> str:
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
    """Every set on offer, the digits first."""
    table = tomllib.loads(paths.resource("ready_made.toml").read_text(encoding="utf-8"))
    sets = (
        ReadyMade(**{**entry, "needs": tuple(entry.get("needs", ()))}) for entry in table["dataset"]
    )
    return (DIGITS, *sets)


def find(name: str) -> ReadyMade:
    """The set of an id. Raises: DatasetError naming what there is."""
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
    """Where the set stands, or would."""
    if entry.id == DIGITS.id:
        return paths.sample_dir(entry.id)
    return paths.data_dir() / "datasets" / entry.id


def is_here(entry: ReadyMade) -> bool:
    """Whether it can be opened without a network."""
    return entry.id == DIGITS.id or folder_of(entry).is_dir()


def open_set(name: str) -> Path:
    """The folder of a set that is here; the digits are written on the first call.

    Raises: DatasetError for one that is unknown or not downloaded.
    """
    entry = find(name)
    if entry.id == DIGITS.id:
        from core.data.sources.samples import digits

        return digits()
    if not is_here(entry):
        raise DatasetError(
            f"{entry.title} is not on this machine.",
            f"Run: graftwork datasets download {entry.id} ({entry.download_mb:,} MB).",
        )
    return folder_of(entry)


def remove(name: str) -> Path:
    """Moves a downloaded set to the trash and returns where it stood.

    Raises: DatasetError for one that is not here, comes along, or cannot be moved.
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
    """The folder of a set, downloaded if it is not here.

    `on_progress` counts bytes while downloading and images while they are written. Raises:
    DatasetError in one sentence (no network, damaged, no space, a package missing); Cancelled
    within a second. Either leaves nothing behind.
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
            f"{entry.title} cannot be kept in {folder.parent}: {error.strerror or error}."
        ) from error
    check_stop(should_stop)
    on_progress(0, entry.download_mb * 10**6, "connecting")
    with _unfinished(entry, folder.parent) as workshop:
        _run_child(entry, workshop, on_progress, should_stop)
        # mkdtemp is for the owner's eyes only; a dataset is not.
        (workshop / "dataset").chmod(0o755)
        try:
            (workshop / "dataset").rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first, and its set is as good
                raise
    return folder


def _run_child(
    entry: ReadyMade, workshop: Path, on_progress: OnProgress, should_stop: ShouldStop
) -> None:
    from core.system.subprocesses import Child

    request = {
        "do": "dataset", "id": entry.id, "folder": str(workshop), "images": entry.images,
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
    raise DatasetError(f"{entry.title} was not downloaded: it was ended from outside.")


def _failure(entry: ReadyMade, message: dict[str, Any]) -> DatasetError:
    reason = message["reason"]
    where = folder_of(entry).parent
    if reason == "full":
        return DatasetError(
            f"The disk is full: {entry.title} takes up to {entry.disk_mb:,} MB in {where} while "
            "it is unpacked.",
            "Make room there; nothing was left over.",
        )
    if reason == "not writable":
        return DatasetError(f"{entry.title} cannot be kept: {where} is not writable.")
    return DatasetError(
        f"{entry.title} could not be downloaded: {reason}.",
        "Nothing was left behind; `graftwork datasets` lists what is here without a network.",
    )


def _require_packages(entry: ReadyMade) -> None:
    missing = [package for package in entry.needs if find_spec(package) is None]
    if missing:
        raise DatasetError(
            f"{entry.title} is fetched with {' and '.join(missing)}, not installed here.",
            f"Run: pip install {' '.join(missing)}",
        )


def _require_space(entry: ReadyMade, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < entry.disk_mb * 10**6 + _SPARE_BYTES:
        raise DatasetError(
            f"{entry.title} takes up to {entry.disk_mb:,} MB while it is unpacked, and "
            f"{free // 10**6:,} MB are free in {folder}.",
            "Make room there, or name another place in GRAFTWORK_HOME.",
        )


@contextmanager
def _unfinished(entry: ReadyMade, folder: Path) -> Iterator[Path]:
    workshop = Path(tempfile.mkdtemp(prefix=f".{entry.id}-", dir=folder))
    try:
        yield workshop
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    """Removes what a killed process left; one that was written to of late may be at work."""
    for left in folder.glob(".*-*"):
        newest = max(
            (os.stat(path).st_mtime for path in (left, *left.glob("*"), *left.glob("*/*"))),  # noqa: PTH116
            default=0.0,
        )
        if time.time() - newest > _ABANDONED_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
