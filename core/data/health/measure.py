"""Measures each picture for the health check and stores the results in the cache.

A second check reads only new or changed files (by path, size and time of change). A cache that
cannot be used costs time only: everything is measured again next time, and `trouble` says why.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from core.data.dataset import DatasetIndex
from core.data.health.near_duplicates import SIDE
from core.errors import AppError, DecodeError
from core.events import OnProgress, ShouldStop, check_stop
from core.images.decode import read_image
from core.system import paths as app_paths
from core.system.threads import in_threads

MEASURES = np.dtype(
    [("thumb", "u1", (SIDE, SIDE)), ("sharp", "<f4"), ("mean", "<f4"), ("std", "<f4")]
)
"""thumb: gray, resized to a square. sharp: variance of the Laplacian at a short side of at most
256 px. mean, std: of gray, 0…255."""

_VERSION = 2
_SHORT_SIDE = 256
_PORTION = 256
_PORTION_SECONDS = 2.0
_QUERY = 500
_LAPLACE = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=1, offset=128)

_Stamp = tuple[int, int]
"""Size in bytes, time of change in ns."""


@dataclass(frozen=True)
class Measured:
    """The measures of all pictures of an index.

    rows: MEASURES [N]. reasons: position → why it cannot be read. read: number of files read now.
    """

    rows: npt.NDArray[np.void]
    reasons: dict[int, str]
    read: int
    trouble: str = ""
    """Why the cache could not be used; "" if it could."""
    missing: frozenset[int] = field(default_factory=frozenset)
    """Positions of files that do not exist any more."""


def measure_picture(picture: Image.Image) -> npt.NDArray[np.void]:
    """The measures of an RGB picture: MEASURES []."""
    gray = picture.convert("L")
    factor = min(gray.size) / _SHORT_SIDE
    if factor > 1:
        size = (max(1, round(gray.width / factor)), max(1, round(gray.height / factor)))
        gray = gray.resize(size, Image.Resampling.BILINEAR)
    pixels = np.asarray(gray, dtype=np.float32)
    edges = np.asarray(gray.filter(_LAPLACE), dtype=np.float32)[1:-1, 1:-1]
    row = np.zeros((), MEASURES)
    row["thumb"] = np.asarray(gray.resize((SIDE, SIDE), Image.Resampling.BOX))
    row["sharp"] = edges.var() if edges.size else 0.0
    row["mean"], row["std"] = pixels.mean(), pixels.std()
    return row


def measure(
    index: DatasetIndex,
    *,
    on_progress: OnProgress,
    should_stop: ShouldStop,
    file: Path | None = None,
) -> Measured:
    """The measures of all pictures; those that are not in the cache are measured and stored.

    `file`: the cache's own file, for tests.

    Raises: Cancelled; results so far are stored.
    """
    rows = np.zeros(len(index), MEASURES)
    reasons: dict[int, str] = {}
    missing: set[int] = set()
    fresh: deque[tuple[bytes, int, int, bytes | None, str]] = deque()
    root = index.root.resolve()
    paths = [root / name for name in index.files]
    store = _Store(file)
    try:
        stamps = _stamps(paths, reasons, should_stop)
        missing.update(reasons)
        for i, row, reason in store.read(paths, stamps, should_stop):
            del stamps[i]
            if row is None:
                reasons[i] = reason
            else:
                rows[i] = np.frombuffer(row, MEASURES)[0]
        todo = sorted(stamps)

        def work(k: int) -> None:
            i = todo[k]
            try:
                rows[i] = measure_picture(read_image(paths[i], short_side=_SHORT_SIDE))
            except DecodeError as error:
                reasons[i] = error.reason
                if isinstance(error.__cause__, FileNotFoundError):
                    missing.add(i)
                if _is_lasting(error):
                    fresh.append((os.fsencode(paths[i]), *stamps[i], None, error.reason))
                return
            fresh.append((os.fsencode(paths[i]), *stamps[i], rows[i].tobytes(), ""))

        saved_at = time.monotonic()

        def save_and_report(done: int, total: int, note: str) -> None:
            nonlocal saved_at
            if len(fresh) >= _PORTION or time.monotonic() - saved_at > _PORTION_SECONDS:
                store.write(fresh)
                saved_at = time.monotonic()
            on_progress(done, total, note)

        try:
            in_threads(
                work, len(todo), note="Measuring pictures", name=lambda k: index.files[todo[k]],
                on_progress=save_and_report, should_stop=should_stop,
            )  # fmt: skip
        finally:
            store.write(fresh)
    finally:
        store.close()
    return Measured(rows, reasons, len(todo), store.trouble, frozenset(missing))


def _is_lasting(error: DecodeError) -> bool:
    """Whether the file itself is the cause: Pillow's own OSErrors have no errno of the system."""
    cause = error.__cause__
    return not (isinstance(cause, MemoryError) or getattr(cause, "errno", None))


def _stamps(
    paths: list[Path], reasons: dict[int, str], should_stop: ShouldStop
) -> dict[int, _Stamp]:
    """Position → stamp; positions without one get their reason in `reasons`. Raises: Cancelled."""
    stamps = {}
    for i, path in enumerate(paths):
        if i % _QUERY == 0:
            check_stop(should_stop)
        try:
            status = path.stat()
        except FileNotFoundError:
            reasons[i] = "there is no such file any more"
        except OSError as error:
            reasons[i] = f"the system says: {error.strerror or error}"
        else:
            stamps[i] = (status.st_size, status.st_mtime_ns)
    return stamps


class _Store:
    """The cache of measures by path, in SQLite; never raises. For one thread."""

    def __init__(self, file: Path | None) -> None:
        self.trouble = ""
        self._db: sqlite3.Connection | None = None
        try:
            file = file or app_paths.cache_dir() / f"health-{_VERSION}.sqlite"
            self._db = sqlite3.connect(file, timeout=10)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = OFF")  # a cache may be lost
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS measures (path BLOB PRIMARY KEY, size INTEGER,"
                " modified_ns INTEGER, row BLOB, reason TEXT) WITHOUT ROWID"
            )
        except (AppError, OSError, sqlite3.Error) as error:
            self._give_up(error)

    def read(
        self, paths: list[Path], stamps: dict[int, _Stamp], should_stop: ShouldStop
    ) -> Iterator[tuple[int, bytes | None, str]]:
        """(position, row, reason) of the files that have not changed since they were measured."""
        positions = list(stamps)
        for start in range(0, len(positions), _QUERY):
            check_stop(should_stop)
            if self._db is None:
                return
            share = {os.fsencode(paths[i]): i for i in positions[start : start + _QUERY]}
            marks = ",".join("?" * len(share))
            try:
                found = self._db.execute(
                    f"SELECT path, size, modified_ns, row, reason FROM measures"
                    f" WHERE path IN ({marks})",
                    list(share),
                ).fetchall()
            except sqlite3.Error as error:
                self._give_up(error)
                return
            for path, size, modified_ns, row, reason in found:
                i = share[path]
                is_whole = row is None or len(row) == MEASURES.itemsize
                if (size, modified_ns) == stamps[i] and is_whole:
                    yield i, row, reason

    def write(self, fresh: deque[tuple[bytes, int, int, bytes | None, str]]) -> None:
        """Write the new measures and empty `fresh`."""
        portion = list(_drain(fresh))
        if self._db is None or not portion:
            return
        try:
            with self._db:
                self._db.executemany(
                    "INSERT OR REPLACE INTO measures VALUES (?, ?, ?, ?, ?)", portion
                )
        except sqlite3.Error as error:
            self._give_up(error)

    def close(self) -> None:
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()

    def _give_up(self, error: Exception) -> None:
        self.trouble = str(error)
        self.close()
        self._db = None


def _drain(
    fresh: deque[tuple[bytes, int, int, bytes | None, str]],
) -> Iterable[tuple[bytes, int, int, bytes | None, str]]:
    """Remove and yield all items; other threads may add items meanwhile."""
    while True:
        try:
            yield fresh.popleft()
        except IndexError:
            return
