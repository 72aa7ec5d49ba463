"""What the galleries, the inspector and the Data page have done in worker threads.

As in `jobs`: each function calls core, imported inside, and hands back values.
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
from gui.shell.jobs import read_interruptible

if TYPE_CHECKING:
    from PIL import Image

    from core.data.dataset import DatasetIndex
    from core.images.metadata import ImageMetadata

_COARSE = 4
"""A picture this many times smaller than its cell is shown pixel by pixel, not smeared."""


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


def read_cells(paths: Sequence[Path], side_px: int, link: JobContext) -> None:
    """Send one `Cell` per file: those that are in the cache first, then as they are decoded."""
    from core.images.thumbnails import read_thumbnails

    def send(path: Path, picture: Image.Image | None, error: str) -> None:
        if picture is None:
            link.sink(Cell(path, side_px, QImage(), error))
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
        link.sink(Cell(path, side_px, square))

    read_thumbnails(
        paths,
        side_px,
        on_thumbnail=send,
        should_stop=link.should_stop,
        on_progress=link.on_progress,
    )


def inspect_picture(path: Path, side_px: int, link: JobContext) -> Inspected:
    """The picture at about `side_px` pixels and what its file says of itself."""
    from core.images.metadata import read_metadata

    try:
        picture = read_interruptible(path, side_px, link)
        metadata = read_metadata(path)
    except AppError as error:
        return Inspected(path, QImage(), None, error.message)
    check_stop(link.should_stop)
    if min(picture.size) > 2 * side_px:
        picture.thumbnail((2 * side_px, 2 * side_px))
    return Inspected(path, _to_qimage(picture), metadata)


@dataclass(frozen=True)
class WrongPredictions:
    """What a run took for another class than the dataset has it now; `run` is empty where no run
    on the dataset keeps its predictions."""

    run: str
    predicted: dict[str, str]
    """File → the class that was answered."""


def read_wrong(dataset: DatasetIndex, runs: Sequence[Path], link: JobContext) -> WrongPredictions:
    """Of the first of these runs that is on this dataset and keeps its predictions."""
    from core.runs.run_folder import Run

    for path in runs:
        check_stop(link.should_stop)
        try:
            run = Run(path)
            if run.read_dataset().get("root") != str(dataset.root):
                continue
            said, classes = run.read_predictions(), run.read_classes()
        except AppError:  # damaged or gone: the next one may tell
            continue
        if said:
            names = {
                file: {dataset.classes[label], dataset.keys[label]}
                for file, label in zip(dataset.files, dataset.labels.tolist(), strict=True)
                if label >= 0
            }
            wrong = {
                each.file: classes[each.predicted]
                for each in sorted(said, key=lambda each: -each.probability)
                if each.file in names and classes[each.predicted] not in names[each.file]
            }
            return WrongPredictions(run.summary().name, wrong)
    return WrongPredictions("", {})


def verify_dataset(opened: tuple[Path, ...], link: JobContext) -> DatasetIndex:
    """Scan once more and decode every picture to its end."""
    from core.data.open_dataset import open_dataset

    return open_dataset(
        opened[0] if len(opened) == 1 else opened,
        verify=True,
        allow_unlabelled=True,
        on_progress=link.on_progress,
        should_stop=link.should_stop,
    )


def _to_qimage(picture: Image.Image) -> QImage:
    width, height = picture.size
    buffer = picture.tobytes()
    # copy(): a QImage made from a buffer does not keep it alive.
    return QImage(buffer, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
