"""The jobs of the Classify page: a pasted picture kept as a file, pictures classified.

Core is imported inside the functions: what stands behind it takes seconds to load.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtGui import QImage

from core.errors import AppError
from core.events import check_stop
from core.system import paths as app_paths
from gui.kit.workers import JobContext

if TYPE_CHECKING:
    from core.evaluation.classifier import Classification, Classifier

_CLASSIFY_BATCH = 16


def save_pasted(image: QImage, context: JobContext) -> Path:
    """Write a pasted picture to a file, so that it is classified like every other picture."""
    folder = app_paths.cache_dir() / "pasted"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"pasted-{sum(1 for _ in folder.iterdir()) + 1}.png"
    if not image.save(str(path)):
        raise AppError("The pasted picture could not be kept.", f"Is there space left in {folder}?")
    return path


class _ClassifierCache:
    """The classifier used last. Only jobs that hold the compute slot come here."""

    def __init__(self) -> None:
        self._reference = ""
        self._classifier: Classifier | None = None

    def open(self, reference: str) -> Classifier:
        from core.evaluation.classifier import Classifier

        if self._classifier is None or self._reference != reference:
            self._classifier = Classifier.open(reference)
            self._reference = reference
        return self._classifier


_classifiers = _ClassifierCache()


class RunGoneError(AppError):
    """The folder of the run was moved or deleted after it was listed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The classification of one file."""

    path: Path
    classification: Classification
    by: str = ""


def classify(reference: str, paths: Sequence[Path], context: JobContext) -> None:
    """Send one `Answer` per file, a few at a time."""
    # A model's id is no path; a run is given by its folder.
    if Path(reference).is_absolute() and not Path(reference).is_dir():
        raise RunGoneError(
            f"The run {Path(reference).name} is no longer there.", "Choose another model."
        )
    context.on_progress(0, len(paths), "opening the model")
    classifier = _classifiers.open(reference)
    for start in range(0, len(paths), _CLASSIFY_BATCH):
        check_stop(context.should_stop)
        context.on_progress(start, len(paths), "classifying")
        batch = list(paths[start : start + _CLASSIFY_BATCH])
        for path, classification in zip(batch, classifier.classify(batch, top=5), strict=True):
            context.sink(Answer(path, classification))
