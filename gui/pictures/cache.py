"""The pictures of a gallery that are in memory, those looked at last, within a budget."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from PySide6.QtGui import QImage, QPixmap

CACHE_BYTES = 96 * 2**20


class PictureCache:
    """Pixmaps by path; None stands for a file that cannot be read. Main thread only."""

    def __init__(self) -> None:
        self._pixmaps: OrderedDict[Path, QPixmap | None] = OrderedDict()
        self._errors: dict[Path, str] = {}
        self.size_bytes = 0

    def __contains__(self, path: Path) -> bool:
        return path in self._pixmaps

    def __len__(self) -> int:
        return len(self._pixmaps)

    def get(self, path: Path) -> QPixmap | None:
        """The pixmap of a path; None where it is not in the cache or cannot be read."""
        return self._pixmaps.get(path)

    def touch(self, path: Path) -> None:
        """Mark a path as the one used last, so that it is dropped last."""
        self._pixmaps.move_to_end(path)

    def error(self, path: Path) -> str:
        """Why a file cannot be read; empty where it can, or where it was never read."""
        return self._errors.get(path, "")

    def put(self, path: Path, image: QImage, error: str = "") -> None:
        """Keep a picture; a null image marks a file that could not be read."""
        self._forget(path)
        if image.isNull():
            self._pixmaps[path] = None
            self._errors[path] = error
        else:
            pixmap = QPixmap.fromImage(image)
            self._pixmaps[path] = pixmap
            self.size_bytes += _size(pixmap)
        while self.size_bytes > CACHE_BYTES and len(self._pixmaps) > 1:
            self._forget(next(iter(self._pixmaps)))

    def _forget(self, path: Path) -> None:
        known = self._pixmaps.pop(path, None)
        self._errors.pop(path, None)
        if known is not None:
            self.size_bytes -= _size(known)


def _size(pixmap: QPixmap) -> int:
    return pixmap.width() * pixmap.height() * 4
