"""The jobs of the galleries and the inspector: pictures decoded, at the size they are shown in.

Core is imported inside the functions: what stands behind it takes seconds to load.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QImage

from core.errors import AppError
from core.events import check_stop
from gui.kit.workers import JobContext

if TYPE_CHECKING:
    from PIL import Image

    from core.images.metadata import ImageMetadata

PREVIEW_PX = 640
THUMBNAIL_PX = 128
_COARSE = 4
"""A picture this many times smaller than its cell is shown pixel by pixel, not smeared."""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A decoded small picture; `image` is null where the file could not be read."""

    path: Path
    image: QImage
    error: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A picture cut to a square of `side_px`; `image` is null where it cannot be read."""

    path: Path
    side_px: int
    image: QImage
    error: str = ""


@dataclass(frozen=True, slots=True)
class Inspected:
    """One picture to look at closely; `metadata` is None where its file cannot be read."""

    path: Path
    image: QImage
    metadata: ImageMetadata | None
    error: str = ""


def read_thumbnails(paths: Sequence[Path], short_side: int, context: JobContext) -> None:
    """Send one `Thumbnail` per file; a broken file sends its reason."""
    for path in paths:
        check_stop(context.should_stop)
        context.sink(_read_thumbnail(path, short_side, context))


def read_interruptible(path: Path, short_side: int, context: JobContext) -> Image.Image:
    """The picture of a file; a drive that does not answer keeps no job from being cancelled.

    Raises: DecodeError, Cancelled.
    """
    from core.images.decode import read_image
    from core.system.threads import run_interruptible

    return run_interruptible(
        lambda _stopping: read_image(path, short_side=short_side),
        note="Reading pictures",
        name=path.name,
        on_progress=context.on_progress,
        should_stop=context.should_stop,
    )


def _read_thumbnail(path: Path, short_side: int, context: JobContext) -> Thumbnail:
    try:
        return Thumbnail(path, _to_qimage(read_interruptible(path, short_side, context)))
    except AppError as error:
        return Thumbnail(path, QImage(), str(error))


def read_cells(paths: Sequence[Path], side_px: int, context: JobContext) -> None:
    """Send one `Cell` per file: those that are in the cache first, then as they are decoded."""
    from core.images.thumbnails import read_thumbnails

    def send(path: Path, picture: Image.Image | None, error: str) -> None:
        if picture is None:
            context.sink(Cell(path, side_px, QImage(), error))
            return
        square = _to_qimage(picture)
        if square.width() != side_px:
            # Scaled here, so that the main thread has only to paint it.
            is_coarse = square.width() * _COARSE <= side_px
            square = square.scaled(
                side_px,
                side_px,
                Qt.AspectRatioMode.IgnoreAspectRatio,
                Qt.TransformationMode.FastTransformation
                if is_coarse
                else Qt.TransformationMode.SmoothTransformation,
            )
        context.sink(Cell(path, side_px, square))

    read_thumbnails(
        paths,
        side_px,
        on_thumbnail=send,
        should_stop=context.should_stop,
        on_progress=context.on_progress,
    )


def inspect_picture(path: Path, side_px: int, context: JobContext) -> Inspected:
    """The picture at about `side_px` pixels and what its file says of itself."""
    from core.images.metadata import read_metadata

    try:
        picture = read_interruptible(path, side_px, context)
        metadata = read_metadata(path)
    except AppError as error:
        return Inspected(path, QImage(), None, error.message)
    check_stop(context.should_stop)
    if min(picture.size) > 2 * side_px:
        picture.thumbnail((2 * side_px, 2 * side_px))
    return Inspected(path, _to_qimage(picture), metadata)


def _to_qimage(picture: Image.Image) -> QImage:
    width, height = picture.size
    buffer = picture.tobytes()
    # copy(): a QImage made from a buffer does not keep it alive.
    return QImage(buffer, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
