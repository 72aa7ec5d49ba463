"""Stores what a scan found out about each file, so that the next scan reads only changed files.

One file per dataset in the cache folder; deleting it costs time only. A file is unchanged if its
size and both its times are. A cache that cannot be read or written is ignored.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL

from core.errors import AppError
from core.images.decode import FORMATS
from core.system import paths

UNKNOWN, READABLE, FAILS = 0, 1, 2
"""States of a file."""
HASH_BYTES = 16

VERSION = 1
_MOST_DATASETS = 64
_UNUSABLE = (
    AppError, OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, zipfile.BadZipFile,
    zlib.error, NotImplementedError,
)  # fmt: skip


@dataclass
class FileRecords:
    """What is known about the files of a layout, as columns of n rows.

    stats: int64 [n, 3], bytes, modified_ns, changed_ns, -1 for a missing file. state: uint8 [n].
    is_verified, is_hashed: bool [n]. hashes: uint8 [n, 16] of the content. reasons: position → why
    the file cannot be read. val: bool, the val that was drawn for `val_key`.
    """

    files: Sequence[str]
    stats: npt.NDArray[np.int64]
    widths: npt.NDArray[np.int32]
    heights: npt.NDArray[np.int32]
    state: npt.NDArray[np.uint8]
    is_verified: npt.NDArray[np.bool_]
    is_hashed: npt.NDArray[np.bool_]
    hashes: npt.NDArray[np.uint8]
    reasons: dict[int, str] = field(default_factory=dict)
    val_key: bytes = b""
    val: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))

    @classmethod
    def empty(cls, files: Sequence[str]) -> FileRecords:
        """Records of files about which nothing is known yet."""
        n = len(files)
        return cls(
            files,
            stats=np.full((n, 3), -1, np.int64),
            widths=np.zeros(n, np.int32),
            heights=np.zeros(n, np.int32),
            state=np.zeros(n, np.uint8),
            is_verified=np.zeros(n, np.bool_),
            is_hashed=np.zeros(n, np.bool_),
            hashes=np.zeros((n, HASH_BYTES), np.uint8),
        )

    def copy_unchanged(self, old: FileRecords) -> int:
        """Copy the records of files whose `stats` have not changed; returns their number."""
        self.val_key, self.val = old.val_key, old.val
        if len(old.files) == len(self.files) and old.files == self.files:
            at = was = np.arange(len(self.files))
        else:
            place = {name: i for i, name in enumerate(old.files)}
            found = np.array([place.get(name, -1) for name in self.files], dtype=np.int64)
            at = np.flatnonzero(found >= 0)
            was = found[at]
        same = (old.stats[was] == self.stats[at]).all(axis=1) & (self.stats[at, 0] >= 0)
        same &= old.state[was] != UNKNOWN
        at, was = at[same], was[same]
        for name in ("widths", "heights", "state", "is_verified", "is_hashed", "hashes"):
            getattr(self, name)[at] = getattr(old, name)[was]
        if old.reasons:
            new_of = dict(zip(was.tolist(), at.tolist(), strict=True))
            self.reasons |= {new_of[i]: why for i, why in old.reasons.items() if i in new_of}
        return len(at)


class ScanCache:
    """The records of one dataset on the disk. `opened`: the paths that open the dataset."""

    def __init__(self, opened: Sequence[Path]) -> None:
        self._file: Path | None = None
        with suppress(OSError, AppError):
            folder = paths.cache_dir() / "scans"
            name = b"\0".join(os.fsencode(path) for path in opened)
            self._file = folder / f"{hashlib.blake2b(name, digest_size=12).hexdigest()}.npz"

    def load(self) -> FileRecords | None:
        """The stored records; None if there are none, or they cannot be used."""
        if self._file is None or not self._file.is_file():
            return None
        try:
            # Opened here, because np.load leaves a damaged file open.
            with self._file.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return _from_arrays({name: arrays[name] for name in arrays.files})
        except _UNUSABLE:
            return None

    def save(self, records: FileRecords) -> bool:
        """Write the records; returns whether that was possible (disk full, no permission)."""
        if self._file is None:
            return False
        unfinished = self._file.with_name(f".{self._file.stem}-{os.getpid()}.npz")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with unfinished.open("wb") as file:
                np.savez(file, **_to_arrays(records))
            unfinished.replace(self._file)
            _prune(self._file.parent)
        except _UNUSABLE:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            return False
        return True


@cache
def _signature() -> str:
    """Everything beside the files that decides which of them can be read as pictures."""
    optional = [name for name in ("pillow_heif", "pydicom") if find_spec(name)]
    return json.dumps([VERSION, PIL.__version__, FORMATS, optional])


def _to_arrays(records: FileRecords) -> dict[str, Any]:
    names = "\0".join(records.files).encode("utf-8", "surrogateescape")
    by_reason: dict[str, list[int]] = {}
    for i, why in records.reasons.items():
        by_reason.setdefault(why, []).append(i)
    return {
        "signature": np.array(_signature()),
        "names": np.frombuffer(names, np.uint8),
        "stats": records.stats,
        "sizes": np.stack([records.widths, records.heights]),
        "state": records.state,
        "marks": np.packbits(np.stack([records.is_verified, records.is_hashed]), axis=1),
        # Most pictures are never hashed: only those of equal size are.
        "hashes": records.hashes[records.is_hashed],
        "reasons": np.frombuffer(json.dumps(by_reason).encode("utf-8"), np.uint8),
        "carved_key": np.frombuffer(records.val_key, np.uint8),
        "carved_count": np.array(len(records.val)),
        "carved": np.packbits(records.val),
    }


def _from_arrays(arrays: dict[str, npt.NDArray[Any]]) -> FileRecords | None:
    """The records that `_to_arrays` wrote; None if another version of the program wrote them.

    Raises: KeyError, TypeError, ValueError for damaged arrays.
    """
    if str(arrays["signature"]) != _signature():
        return None
    names = arrays["names"].tobytes().decode("utf-8", "surrogateescape")
    files = names.split("\0") if names else []
    n = len(files)
    records = FileRecords.empty(files)
    is_verified, is_hashed = np.unpackbits(arrays["marks"], axis=1, count=n).astype(np.bool_)
    widths, heights = arrays["sizes"]
    for name, column in (
        ("stats", arrays["stats"]),
        ("widths", widths),
        ("heights", heights),
        ("state", arrays["state"]),
        ("is_verified", is_verified),
        ("is_hashed", is_hashed),
    ):
        target = getattr(records, name)
        if column.shape != target.shape:
            raise ValueError(name)
        target[:] = column
    records.hashes[is_hashed] = arrays["hashes"]
    for why, positions in json.loads(arrays["reasons"].tobytes()).items():
        records.reasons |= dict.fromkeys(positions, why)
    if any(not 0 <= i < n for i in records.reasons):
        raise ValueError("reasons")
    records.val_key = arrays["carved_key"].tobytes()
    count = int(arrays["carved_count"])
    records.val = np.unpackbits(arrays["carved"], count=count).astype(np.bool_)
    return records


def _prune(folder: Path) -> None:
    """Delete the oldest files if there are more than `_MOST_DATASETS`."""
    kept = sorted(folder.glob("*.npz"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in kept[_MOST_DATASETS:]:
        file.unlink(missing_ok=True)
