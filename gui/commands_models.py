"""What a person can ask of the Models page. Main thread only, as `Commands`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from core.errors import AppError
from gui import jobs_models
from gui.session import Session
from gui.workers import JobRunner, Work

if TYPE_CHECKING:
    from core.models.card import ModelCard
    from gui.jobs_models import CatalogRows, LayerQuestion, Layers, RecognisedFile

_MOST_REMEMBERED = 24


class ModelCommands(QObject):
    """The catalog's rows and the layers of its models come back as signals."""

    catalog_listed = Signal(object)
    catalog_failed = Signal(object)
    layers_known = Signal(object)
    layers_failed = Signal(object)
    file_recognised = Signal(str)
    """A reference to classify with."""

    def __init__(self, session: Session, runner: JobRunner, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._runner = runner
        self._remembered: dict[str, Layers] = {}

    def list_catalog(self) -> None:
        """Read the catalog, and which weights are here by now."""
        self._runner.submit(
            Work(
                "catalog",
                "Reading the catalog",
                jobs_models.list_catalog,
                on_success=self._listed,
                on_failure=self.catalog_failed.emit,
                is_quiet=True,
            )
        )

    def _listed(self, listing: CatalogRows) -> None:
        here = listing.cards_here
        if {card.id for card in here} != {card.id for card in self._session.models}:
            self._session.set_models(here)
        self.catalog_listed.emit(listing)

    def show_layers(self, card: ModelCard) -> None:
        """Work out the layers under the present plan; an earlier question is dropped."""
        question = self.question_for(card)
        self._runner.supersede("layers")
        known = self._remembered.get(repr(question))
        if known is not None:
            self.layers_known.emit(known)
            return
        self._runner.submit(
            Work(
                "layers",
                f"Layers of {card.id}",
                partial(jobs_models.work_out_layers, question),
                on_success=self._layers_found,
                on_failure=self.layers_failed.emit,
                is_quiet=True,
                # Only until the libraries are loaded: a skeleton has no numbers to compute, and a
                # person should not wait for a run's end to look at a model.
                needs_compute=self._session.machine is None,
            )
        )

    def question_for(self, card: ModelCard) -> LayerQuestion:
        dataset = self._session.dataset
        return jobs_models.LayerQuestion(
            card,
            None if dataset is None else len(dataset.classes),
            tuple(sorted(self._session.recipe_values.items())),
        )

    def _layers_found(self, layers: Layers) -> None:
        while len(self._remembered) >= _MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[repr(layers.question)] = layers
        self.layers_known.emit(layers)

    def use_model(self, card: ModelCard) -> None:
        """Train with this model from now on."""
        self._session.set_model(card.id)

    # -- files of weights --------------------------------------------------------------------

    def open_file(self, path: Path) -> None:
        """Find out what a file of weights is, then classify with it."""
        self._session.show_page("classify")
        self._session.notice("classify", "")
        self._runner.submit(
            Work(
                "model-file",
                f"Reading “{path.name}”",
                partial(jobs_models.recognise_file, path),
                on_success=self._file_recognised,
                on_failure=self._file_refused,
                needs_compute=True,
            )
        )

    def _file_recognised(self, file: RecognisedFile) -> None:
        self.file_recognised.emit(file.reference)
        self._session.notice("classify", file.text)

    def _file_refused(self, error: AppError) -> None:
        self._session.notice_error("classify", error)
