"""Reads the files of a layout: their headers or, with `verify`, all pixels.

Unchanged files come from the scan cache, and new results are stored there. Knows nothing of
classes and splits.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from core.data.dataset import ProblemKind
from core.data.sources.folders import Layout, is_image_name
from core.data.sources.scan_cache import (
    FAILS,
    HASH_BYTES,
    READABLE,
    UNKNOWN,
    FileRecords,
    ScanCache,
)
from core.errors import DecodeError
from core.events import OnProgress, ShouldStop, check_stop
from core.images.decode import decode, read_bytes, read_header_and_size
from core.system.threads import in_threads

_VERIFY_SHORT_SIDE_PX = 64
_STAT_CHUNK = 1024


class FileReader:
    """Reads the files of a layout into columns, in several threads.

    fresh: the cache is not read, but still written.
    """

    def __init__(self, layout: Layout, *, verify: bool, fresh: bool) -> None:
        self.layout = layout
        self.verify = verify
        self.prefix = os.path.join(str(layout.root), "")  # noqa: PTH118
        self.records = FileRecords.empty(layout.files)
        self.cache = ScanCache((layout.root, *layout.sources))
        self._old = None if fresh else self.cache.load()
        self._denied: set[int] = set()
        self._may_pass: set[int] = set()
        self._is_changed = True

    @property
    def readable(self) -> npt.NDArray[np.bool_]:
        """Which files can be read as a picture: bool [n]."""
        found: npt.NDArray[np.bool_] = self.records.state == READABLE
        return found

    @property
    def is_all_verified(self) -> bool:
        """Whether every readable picture was decoded completely."""
        readable = self.readable
        return bool(readable.any() and self.records.is_verified[readable].all())

    def failures(self) -> dict[int, tuple[ProblemKind, str]]:
        """Position → (kind, reason) of the files that should be pictures but cannot be read."""
        found: dict[int, tuple[ProblemKind, str]] = {}
        for i, reason in sorted(self.records.reasons.items()):
            if i in self._denied:
                found[i] = "no permission", reason
            elif (
                self.layout.is_table
                or self.records.widths[i]
                or is_image_name(self.layout.files[i])
            ):
                found[i] = "unreadable", reason
        return found

    def read(self, on_progress: OnProgress, should_stop: ShouldStop) -> None:
        """Read every new or changed file. Raises: Cancelled; results so far are stored."""
        records, n = self.records, len(self.layout.files)
        in_threads(
            self._stat_chunk,
            -(-n // _STAT_CHUNK),
            note="Looking for changes",
            on_progress=on_progress,
            should_stop=should_stop,
            name=lambda j: self.layout.files[j * _STAT_CHUNK],
        )
        known = records.copy_unchanged(self._old) if self._old is not None else 0
        self._is_changed = self._old is None or known < n or len(self._old.files) != n
        self._old = None
        is_known = records.state != UNKNOWN
        if self.verify:
            is_known &= records.is_verified | (records.state == FAILS)
        wanted = np.flatnonzero(~is_known).tolist()
        self._is_changed |= bool(wanted)
        try:
            in_threads(
                lambda j: self._read_file(wanted[j]),
                len(wanted),
                note="Checking pictures" if self.verify else "Reading pictures",
                on_progress=on_progress,
                should_stop=should_stop,
                name=lambda j: self.layout.files[wanted[j]],
            )
        except BaseException:
            self.save()
            raise

    def _stat_chunk(self, number: int) -> None:
        begin = number * _STAT_CHUNK
        found: list[int] = []  # flat: a tuple for each file would start the garbage collector
        for file in self.layout.files[begin : begin + _STAT_CHUNK]:
            try:
                status = os.stat(self.prefix + file)  # noqa: PTH116 - per file, and hot
            except (OSError, ValueError):
                found += -1, -1, -1
                continue
            found += status.st_size, status.st_mtime_ns, status.st_ctime_ns
        stats = np.array(found, np.int64).reshape(-1, 3)
        self.records.stats[begin : begin + len(stats)] = stats

    def _read_file(self, i: int) -> None:
        records, path = self.records, self.prefix + self.layout.files[i]
        try:
            records.widths[i], records.heights[i], _ = read_header_and_size(path)
            if self.verify:
                decode(read_bytes(path), path, short_side=_VERIFY_SHORT_SIDE_PX)
                records.is_verified[i] = True
        except DecodeError as error:
            records.reasons[i] = error.reason
            if isinstance(error.__cause__, PermissionError):
                self._denied.add(i)
            # Errors of the system may not occur again; Pillow's own OSErrors have no errno.
            if isinstance(error.__cause__, OSError) and error.__cause__.errno is not None:
                self._may_pass.add(i)
            records.state[i] = FAILS
            return
        records.state[i] = READABLE

    def hash_files(
        self, wanted: npt.NDArray[np.int64], on_progress: OnProgress, should_stop: ShouldStop
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.uint64]]:
        """Hash the content of the files at `wanted`, int64 [m].

        Returns whether each file could be read, bool [m], and the hashes, uint64 [m, 2].

        Raises: Cancelled.
        """
        records = self.records
        missing = wanted[~records.is_hashed[wanted]].tolist()

        def hash_file(j: int) -> None:
            i = missing[j]
            try:
                with open(self.prefix + self.layout.files[i], "rb", buffering=0) as file:  # noqa: PTH123
                    digest = hashlib.file_digest(file, _blake2b).digest()
            except OSError:
                return  # deleted since it was read: training will report it
            records.hashes[i] = np.frombuffer(digest, np.uint8)
            records.is_hashed[i] = True

        self._is_changed |= bool(missing)
        in_threads(
            hash_file,
            len(missing),
            note="Looking for copies",
            on_progress=on_progress,
            should_stop=should_stop,
            name=lambda j: self.layout.files[missing[j]],
        )
        check_stop(should_stop)
        hashes = np.ascontiguousarray(records.hashes[wanted])
        return records.is_hashed[wanted], hashes.view(np.uint64).reshape(-1, 2)

    def stored_val(self, key: bytes) -> npt.NDArray[np.bool_] | None:
        """The stored val, bool, if it was drawn for `key` (labels and copies); else None."""
        return self.records.val if self.records.val_key == key else None

    def store_val(self, key: bytes, val: npt.NDArray[np.bool_]) -> None:
        """Store the val that was drawn for `key`; `save` writes it to the disk."""
        self.records.val_key, self.records.val = key, val
        self._is_changed = True

    def save(self) -> None:
        """Write the results to the cache, if there are new ones."""
        if not self._is_changed:
            return
        records = self.records
        # Threads may still write after a stop, so copies are saved, and the state is copied first.
        state = records.state.copy()
        may_pass = list(self._may_pass)
        reasons = {i: why for i, why in list(records.reasons.items()) if i not in self._may_pass}
        state[may_pass] = UNKNOWN
        is_hashed = records.is_hashed.copy()
        self.cache.save(
            FileRecords(
                records.files,
                records.stats,
                records.widths.copy(),
                records.heights.copy(),
                state,
                records.is_verified & (state == READABLE),
                is_hashed,
                records.hashes.copy(),
                {i: why for i, why in reasons.items() if state[i] == FAILS},
                records.val_key,
                records.val,
            )
        )


def _blake2b() -> Any:
    return hashlib.blake2b(digest_size=HASH_BYTES)
