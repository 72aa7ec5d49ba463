"""Has the pictures of a gallery read, and those only that are in sight."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from PySide6.QtCore import QObject, SignalInstance
from PySide6.QtGui import QImage

from gui.kit.workers import JobRunner
from gui.pictures import jobs


class ShowsPictures(Protocol):
    """A widget that asks for pictures and is given them: a gallery, the embedding map."""

    @property
    def wanted(self) -> SignalInstance:
        """Emits the paths in sight and the side of their cells in pixels."""

    def fill(self, path: Path, image: QImage, error: str = "") -> None: ...


class GalleryFeed(QObject):
    """Reads the pictures a gallery asks for; a new request replaces the one before."""

    def __init__(self, gallery: ShowsPictures, runner: JobRunner, *, key: str) -> None:
        """`key`: of the jobs; every gallery needs its own."""
        assert isinstance(gallery, QObject)
        super().__init__(gallery)
        self._gallery = gallery
        self._runner = runner
        self._key = key
        gallery.wanted.connect(self._read)

    def _read(self, paths: tuple[Path, ...], side_px: int) -> None:
        self._runner.start(
            jobs.read_cells, paths, side_px,
            title="Reading thumbnails", key=self._key, on_item=self._fill, quiet=True,
        )  # fmt: skip

    def _fill(self, cell: jobs.Cell) -> None:
        self._gallery.fill(cell.path, cell.image, cell.error)
