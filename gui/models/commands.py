"""What a person can ask of the Models page: the catalog, timings, files of weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from core.errors import AppError
from gui.base.commands import CommandSet
from gui.base.session import Session
from gui.kit.workers import Job, JobRunner
from gui.models import jobs
from gui.models.weights.commands import WeightCommands
from gui.models.weights.hub_commands import HubCommands

if TYPE_CHECKING:
    from core.catalog.card import Latency, ModelCard
    from gui.models.jobs import CatalogRows, RecognisedFile


class ModelCommands(CommandSet):
    """The catalog's rows come back as a signal."""

    catalog_listed = Signal(object)
    catalog_failed = Signal(object)
    measuring_changed = Signal()
    measure_failed = Signal(object)
    file_recognised = Signal(str)
    """A reference to classify with."""

    def __init__(self, session: Session, runner: JobRunner, parent: QObject) -> None:
        super().__init__(session, runner, parent)
        self._measuring: dict[str, Job] = {}
        self.weights = WeightCommands(runner, self.list_catalog, self)
        self.hub = HubCommands(runner, self)

    def list_catalog(self) -> None:
        """Read the catalog, and which weights are here by now."""
        self._runner.start(
            jobs.list_catalog,
            title="Reading the catalog", on_done=self._listed, on_failed=self.catalog_failed.emit,
            quiet=True,
        )  # fmt: skip

    def _listed(self, listing: CatalogRows) -> None:
        here = listing.cards_here
        if {card.id for card in here} != {card.id for card in self._session.models}:
            self._session.set_models(here)
        self.catalog_listed.emit(listing)

    # -- latency -----------------------------------------------------------------------------

    @property
    def measured_now(self) -> frozenset[str]:
        """Ids of the models that are being timed, or wait for it."""
        return frozenset(self._measuring)

    def measure(self, card: ModelCard) -> None:
        """Time a model on this machine, as soon as nothing else computes."""
        if card.id in self._measuring:
            return
        self._measuring[card.id] = self._runner.start(
            jobs.measure_latency, card,
            title=f"Timing {card.shown_name}", key=f"measure {card.id}", on_done=self._measured,
            on_failed=self._not_measured, on_cancel=self._forget_measured, needs_compute=True,
        )  # fmt: skip
        self.measuring_changed.emit()

    def cancel_measuring(self, card_id: str) -> None:
        job = self._measuring.get(card_id)
        if job is not None:
            self._runner.cancel(job)

    def _measured(self, _latency: Latency) -> None:
        self._forget_measured()
        self.list_catalog()

    def _not_measured(self, error: AppError) -> None:
        self._forget_measured()
        self.measure_failed.emit(error)

    def _forget_measured(self) -> None:
        """Those that have ended, however they did."""
        wanted = {job.spec.key for job in self._runner.jobs}
        self._measuring = {
            card_id: job for card_id, job in self._measuring.items() if job.spec.key in wanted
        }
        self.measuring_changed.emit()

    # -- choosing ----------------------------------------------------------------------------

    def use_model(self, card: ModelCard) -> None:
        """Train with this model from now on."""
        self._session.set_model(card.id)

    # -- files of weights --------------------------------------------------------------------

    def open_file(self, path: Path) -> None:
        """Find out what a file of weights is, then classify with it."""
        self._session.show_page("classify")
        self._session.notice("classify", "")
        self._runner.start(
            jobs.recognise_file, path,
            title=f"Reading “{path.name}”", key="model-file", on_done=self._file_recognised,
            page="classify", needs_compute=True,
        )  # fmt: skip

    def _file_recognised(self, file: RecognisedFile) -> None:
        self.file_recognised.emit(file.reference)
        self._session.notice("classify", file.text)
