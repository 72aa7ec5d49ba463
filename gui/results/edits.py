"""Edits of the dataset from the pictures of a run, and which of these were edited since."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from gui.base.session import Session
from gui.edits.commands import DataCommands
from gui.kit.theme import Theme
from gui.kit.words import isolate, quote
from gui.pictures.actions import PictureActions
from gui.results.jobs import RunResults

if TYPE_CHECKING:
    from gui.results.predictions import PredictionView


class ResultEdits(QObject):
    """Relabels and excludes pictures of a run whose dataset is open, and marks them."""

    changed = Signal()
    """Other pictures of the run are edited now."""

    def __init__(
        self, view: PredictionView, session: Session, data: DataCommands, look: Theme
    ) -> None:
        super().__init__(view)
        self._view = view
        self._session = session
        self._data = data
        self._results: RunResults | None = None
        self.edited: dict[str, str] = {}
        """What became of the edited pictures of the run, in words, by file."""
        self.actions = PictureActions(
            view.gallery, session, data, look, self._files, refusal=self._refusal
        )
        view.gallery.menu_wanted.connect(self.actions.show_menu)
        session.dataset_changed.connect(self._compare)

    def show_results(self, results: RunResults) -> None:
        """Follow the edits of another run's pictures."""
        self._results = results
        self._compare()

    def _root(self) -> Path | None:
        return self._results.images.root if self._results is not None else None

    @property
    def is_open(self) -> bool:
        """Whether the dataset of the run is the one that is open."""
        dataset = self._session.dataset
        return dataset is not None and dataset.root == self._root()

    def _files(self) -> tuple[str, ...]:
        return self._view.chosen_files() if self.is_open else ()

    def _refusal(self) -> str:
        if self._results is None or self.is_open:
            return ""
        return (
            f"These pictures are of {quote(self._results.dataset)}, which is not the dataset that "
            "is open: open it (Ctrl+O) to edit it."
        )

    def _compare(self) -> None:
        results, pictures = self._results, self._data.pictures
        edited: dict[str, str] = {}
        if results is not None and pictures is not None and self.is_open:
            dataset = pictures.dataset
            if dataset.unedited is not None:  # else nothing is edited, and nothing to look up
                for prediction in results.predictions:
                    label = results.classes[prediction.label]
                    i = pictures.position.get(prediction.file)
                    if i is None and prediction.file in pictures.excluded:
                        edited[prediction.file] = "excluded"
                    elif i is not None and label not in (
                        dataset.class_of(i),
                        pictures.class_of(prediction.file),
                    ):
                        edited[prediction.file] = f"now {isolate(dataset.class_of(i))}"
        if edited != self.edited:
            self.edited = edited
            self._view.show_edited(edited)
            self.changed.emit()
