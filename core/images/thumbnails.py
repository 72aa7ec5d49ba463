"""Square thumbnails for galleries: decoded in several threads, stored in a cache on the disk.

Works without the cache if that is damaged, full or cannot be written. A file that has changed
(size or time of change) is decoded again.
"""

from __future__ import annotations

import io
import os
import queue
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from PIL import Image

from core.errors import AppError
from core.events import OnProgress, ShouldStop, check_stop, no_progress
from core.images.decode import read_image
from core.system import paths as app_paths
from core.system.threads import in_threads

BUDGET_BYTES = 256 * 2**20
"""About 60,000 thumbnails of 104 px, 20,000 on a screen of twice the resolution."""
_VERSION = 1
_QUALITY = 90
_FREED = 0.25
"""Share of the budget that is freed when it is used up, least recently used thumbnails first."""
_SEEN_AGAIN_SECONDS = 3600
"""The time of last use is written at most this often."""
_WAIT_SECONDS = 1.0
_NOTE = "Reading pictures"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS squares (
    path BLOB NOT NULL, side INTEGER NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL,
    seen INTEGER NOT NULL, picture BLOB NOT NULL, PRIMARY KEY (path, side)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS squares_seen ON squares (seen);
"""

_Stamp = tuple[int, int]
OnThumbnail = Callable[[Path, Image.Image | None, str], None]


def read_thumbnails(
    paths: Sequence[Path],
    side_px: int,
    *,
    on_thumbnail: OnThumbnail,
    should_stop: ShouldStop,
    on_progress: OnProgress = no_progress,
    file: Path | None = None,
) -> None:
    """Read a thumbnail of every file: its centre square, `side_px` wide, or less if it is smaller.

    `on_thumbnail(path, picture, error)` is called in this thread, once a file, cached ones first;
    the picture is None if the file cannot be read. `file`: the cache's own file, for tests.

    Raises: Cancelled.
    """
    store = _Store(file)
    try:
        stamps = {path: stamp for path in paths if (stamp := _stamp(path)) is not None}
        cached = set()
        for path, picture in store.read(stamps, side_px):
            check_stop(should_stop)
            cached.add(path)
            on_thumbnail(path, picture, "")
        fresh: list[tuple[Path, _Stamp, Image.Image]] = []

        def collect(path: Path, square: Image.Image | None, error: str) -> None:
            on_thumbnail(path, square, error)
            if square is not None and square.width == side_px and path in stamps:
                fresh.append((path, stamps[path], square))

        try:
            missing = [path for path in paths if path not in cached]
            _decode(missing, side_px, collect, on_progress, should_stop)
        finally:
            store.write(fresh, side_px)
    finally:
        store.close()


def _decode(
    paths: Sequence[Path],
    side_px: int,
    on_thumbnail: OnThumbnail,
    on_progress: OnProgress,
    should_stop: ShouldStop,
) -> None:
    """Decode thumbnails in threads and pass each to `on_thumbnail` as soon as it is ready.

    A file on a drive that does not answer is named in `on_progress`; a stop still takes effect.
    """
    ready: queue.SimpleQueue[tuple[Path, Image.Image | None, str]] = queue.SimpleQueue()

    def work(i: int) -> None:
        try:
            ready.put((paths[i], _square(paths[i], side_px), ""))
        except AppError as error:
            ready.put((paths[i], None, error.message))

    def deliver(done: int, total: int, note: str) -> None:
        if note != _NOTE:  # only a stalled drive is reported, not the progress of thumbnails
            on_progress(done, total, note)
        while not ready.empty():
            check_stop(should_stop)
            on_thumbnail(*ready.get())

    in_threads(
        work,
        len(paths),
        note=_NOTE,
        on_progress=deliver,
        should_stop=should_stop,
        name=lambda i: paths[i].name,
        chunk=1,
    )
    deliver(len(paths), len(paths), _NOTE)


def _square(path: Path, side_px: int) -> Image.Image:
    picture = read_image(path, short_side=side_px)
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    box = (left, top, left + side, top + side)
    if side <= side_px:
        return picture.crop(box)
    # `reducing_gap` halves the cost of a large reduction; the difference cannot be seen.
    return picture.resize((side_px, side_px), Image.Resampling.BICUBIC, box, reducing_gap=2.0)


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


class _Store:
    """The cache of thumbnails in SQLite; never raises. One thread, several processes at once."""

    def __init__(self, file: Path | None) -> None:
        self._db: sqlite3.Connection | None = None
        with suppress(sqlite3.Error, AppError, OSError):
            file = file or app_paths.cache_dir() / f"thumbnails-{_VERSION}.sqlite"
            self._db = sqlite3.connect(file, timeout=_WAIT_SECONDS)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = OFF")  # lost thumbnails are decoded again
            self._db.executescript(_SCHEMA)

    def close(self) -> None:
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()

    def read(self, stamps: dict[Path, _Stamp], side_px: int) -> Iterator[tuple[Path, Image.Image]]:
        """The cached thumbnails of those files that have not changed since."""
        if self._db is None:
            return
        seen = int(time.time())
        again = []
        for path, stamp in stamps.items():
            try:
                row = self._db.execute(
                    "SELECT size, mtime, seen, picture FROM squares WHERE path = ? AND side = ?",
                    (os.fsencode(path), side_px),
                ).fetchone()
                if row is None or row[:2] != stamp:
                    continue
                picture = Image.open(io.BytesIO(row[3]), formats=["JPEG"])
                picture.load()
            except (sqlite3.Error, OSError, ValueError, SyntaxError):
                continue
            if seen - row[2] > _SEEN_AGAIN_SECONDS:
                again.append((seen, os.fsencode(path), side_px))
            yield path, picture.convert("RGB")
        if again:
            with suppress(sqlite3.Error), self._db:
                self._db.executemany(
                    "UPDATE squares SET seen = ? WHERE path = ? AND side = ?", again
                )

    def write(self, fresh: Sequence[tuple[Path, _Stamp, Image.Image]], side_px: int) -> None:
        """Add thumbnails, and delete old ones if the budget is used up."""
        if self._db is None or not fresh:
            return
        seen = int(time.time())
        rows = []
        for path, (size, mtime), picture in fresh:
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG", quality=_QUALITY)
            rows.append((os.fsencode(path), side_px, size, mtime, seen, buffer.getvalue()))
        with suppress(sqlite3.Error):
            with self._db:
                self._db.executemany(
                    "INSERT OR REPLACE INTO squares VALUES (?, ?, ?, ?, ?, ?)", rows
                )
            self._trim()

    def _trim(self) -> None:
        """Delete the least recently used thumbnails if the budget is used up."""
        assert self._db is not None
        pages, free, page_bytes = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        if (pages - free) * page_bytes <= BUDGET_BYTES:  # fast: no row is read
            return
        (used,) = self._db.execute("SELECT SUM(LENGTH(picture)) FROM squares").fetchone()
        if used <= BUDGET_BYTES:
            return
        excess = used - (1 - _FREED) * BUDGET_BYTES
        deleted = []
        for path, side, size in self._db.execute(
            "SELECT path, side, LENGTH(picture) FROM squares ORDER BY seen, path"
        ):
            if excess <= 0:
                break
            deleted.append((path, side))
            excess -= size
        with self._db:
            self._db.executemany("DELETE FROM squares WHERE path = ? AND side = ?", deleted)
