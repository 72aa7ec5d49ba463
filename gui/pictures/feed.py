"""Has the pictures of a gallery read, and those only that are in sight."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject

from gui.kit.workers import JobRunner, JobSpec
from gui.labelling.map.map import EmbeddingMap
from gui.pictures import jobs
from gui.pictures.gallery import Gallery


class GalleryFeed(QObject):
    """Each new wish of the gallery replaces the one before."""

    def __init__(self, gallery: Gallery | EmbeddingMap, runner: JobRunner, *, key: str) -> None:
        """`key`: of the jobs; every gallery needs its own."""
        super().__init__(gallery)
        self._gallery = gallery
        self._runner = runner
        self._key = key
        gallery.wanted.connect(self._read)

    def _read(self, paths: tuple[Path, ...], side_px: int) -> None:
        self._runner.submit(
            JobSpec(
                self._key,
                "Reading thumbnails",
                partial(jobs.read_cells, paths, side_px),
                on_item=self._fill,
                is_quiet=True,
            )
        )

    def _fill(self, cell: jobs.Cell) -> None:
        self._gallery.fill(cell.path, cell.image, cell.error)
