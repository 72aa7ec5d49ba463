"""What health needs of each picture, measured once and kept in the cache.

A second look reads only new or changed files (path, size and time of change tell).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from core import places
from core.data.dataset import DatasetIndex
from core.data.decode import read_image
from core.data.threads import in_threads
from core.errors import DecodeError
from core.events import OnProgress, ShouldStop

MEASURES = np.dtype([("hash", "<u8", 2), ("sharp", "<f4"), ("mean", "<f4"), ("std", "<f4")])
"""hash: 128 bits, whether each of 8×8 cells is brighter than its right and its lower neighbour.
sharp: variance of the Laplacian at a short side of about 256 px. mean, std: of gray, 0…255."""

_VERSION = 1
_SIDE = 256
_LAPLACE = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=1, offset=128)


def measure_picture(picture: Image.Image) -> npt.NDArray[np.void]:
    """MEASURES [] of an RGB picture."""
    gray = picture.convert("L")
    factor = min(gray.size) / _SIDE
    if factor > 1:
        size = (max(1, round(gray.width / factor)), max(1, round(gray.height / factor)))
        gray = gray.resize(size, Image.Resampling.BILINEAR)
    cells = np.asarray(gray.resize((9, 9), Image.Resampling.BOX), dtype=np.int16)
    bits = np.stack([cells[:8, 1:] > cells[:8, :8], cells[1:, :8] > cells[:8, :8]])
    pixels = np.asarray(gray, dtype=np.float32)
    edges = np.asarray(gray.filter(_LAPLACE), dtype=np.float32)[1:-1, 1:-1]
    row = np.zeros((), MEASURES)
    row["hash"] = np.packbits(bits.reshape(-1)).view("<u8")
    row["sharp"] = edges.var() if edges.size else 0.0
    row["mean"], row["std"] = pixels.mean(), pixels.std()
    return row


def measure(
    index: DatasetIndex,
    *,
    on_progress: OnProgress,
    should_stop: ShouldStop,
    file: Path | None = None,
) -> tuple[npt.NDArray[np.void], dict[int, str], int]:
    """(MEASURES [N], reason by position of what cannot be read, files read now).

    Raises: Cancelled; what was measured by then stays in the store.
    """
    n = len(index)
    rows = np.zeros(n, MEASURES)
    reasons: dict[int, str] = {}
    fresh: list[tuple[str, int, int, bytes]] = []
    file = file or places.cache_dir() / f"health-{_VERSION}.sqlite"
    root = index.root.resolve()
    with closing(sqlite3.connect(file, timeout=10)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(
            "CREATE TABLE IF NOT EXISTS m"
            " (path TEXT PRIMARY KEY, size INTEGER, mtime INTEGER, row BLOB) WITHOUT ROWID"
        )
        todo: list[int] = []
        stamps: dict[int, tuple[int, int]] = {}
        for i, name in enumerate(index.files):
            try:
                status = (root / name).stat()
            except OSError as error:
                reasons[i] = f"the system says: {error.strerror or error}"
                continue
            stamp = (status.st_size, status.st_mtime_ns)
            found = db.execute(
                "SELECT size, mtime, row FROM m WHERE path = ?", (str(root / name),)
            ).fetchone()
            if found and found[:2] == stamp:
                rows[i] = np.frombuffer(found[2], MEASURES)[0]
            else:
                stamps[i] = stamp
                todo.append(i)

        def work(k: int) -> None:
            i = todo[k]
            try:
                rows[i] = measure_picture(read_image(root / index.files[i], short_side=_SIDE))
            except DecodeError as error:
                reasons[i] = error.message
                return
            fresh.append((str(root / index.files[i]), *stamps[i], rows[i].tobytes()))

        try:
            in_threads(
                work, len(todo), note="measuring pictures",
                on_progress=on_progress, should_stop=should_stop,
                name=lambda k: index.files[todo[k]],
            )  # fmt: skip
        finally:
            with db:
                db.executemany("INSERT OR REPLACE INTO m VALUES (?, ?, ?, ?)", list(fresh))
    return rows, reasons, len(todo)
