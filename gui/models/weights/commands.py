"""What a person can ask about weights: fetch them, add files and repositories. Main thread only."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from core.errors import AppError
from gui.kit.words import quote
from gui.kit.workers import Job, JobContext, JobRunner, JobSpec
from gui.models.weights import jobs

if TYPE_CHECKING:
    from core.catalog.card import ModelCard
    from gui.models.weights.jobs import Fetched


class WeightCommands(QObject):
    """Attached to the commands of models; `list_again` reads the catalog once more."""

    changed = Signal()
    """A download began, told of its progress, or ended."""
    told = Signal(str)
    failed = Signal(object)
    added = Signal(str)
    """Id of a model that was put on the list."""

    def __init__(self, runner: JobRunner, list_again: Callable[[], None], parent: QObject) -> None:
        super().__init__(parent)
        self._runner = runner
        self._list_again = list_again
        self._downloads: dict[str, Job] = {}
        self._fetched: dict[str, Fetched] = {}

    # -- downloads ---------------------------------------------------------------------------

    def progress_of(self, card_id: str) -> Fetched | None:
        """How far a download is; None where nothing is fetched."""
        if card_id not in self._downloads:
            return None
        return self._fetched.get(card_id, jobs.Fetched(card_id, 0, 0))

    def download(self, card: ModelCard) -> None:
        """Fetch a model's weights beside whatever else is going on."""
        if card.id in self._downloads:
            return
        self._downloads[card.id] = self._runner.submit(
            JobSpec(
                f"download {card.id}",
                f"Fetching the weights of {card.shown_name}",
                partial(jobs.download, card),
                on_success=self._downloaded,
                on_failure=self._not_downloaded,
                on_cancel=self._cancelled,
                on_item=self._tell_progress,
            )
        )
        self.changed.emit()

    def cancel_download(self, card_id: str) -> None:
        job = self._downloads.get(card_id)
        if job is not None:
            self._runner.cancel(job)

    def _tell_progress(self, fetched: Fetched) -> None:
        self._fetched[fetched.card_id] = fetched
        self.changed.emit()

    def _downloaded(self, card: ModelCard) -> None:
        self._forget_ended()
        self.told.emit(f"The weights of {card.shown_name} are on this machine now.")
        self._list_again()

    def _not_downloaded(self, error: AppError) -> None:
        self._forget_ended()
        self.failed.emit(error)

    def _cancelled(self) -> None:
        self._forget_ended()
        self.told.emit("The download was cancelled.")

    def _forget_ended(self) -> None:
        wanted = {job.work.key for job in self._runner.jobs}
        self._downloads = {
            card_id: job for card_id, job in self._downloads.items() if job.work.key in wanted
        }
        self._fetched = {key: self._fetched[key] for key in self._downloads if key in self._fetched}
        self.changed.emit()

    # -- what a person adds ------------------------------------------------------------------

    def add_file(self, path: Path) -> None:
        """Put a file of weights on the list, as the architecture that it fits."""
        self._add(f"Reading {quote(path.name)}", partial(jobs.add_file, path), needs_compute=True)

    def add_id(self, name: str) -> None:
        """Put `hf-hub:OWNER/NAME` or `hub/…:ENTRY` on the list."""
        self._add(f"Adding {name}", partial(jobs.add_id, name))

    def _add(
        self,
        title: str,
        function: Callable[[JobContext], ModelCard],
        *,
        needs_compute: bool = False,
    ) -> None:
        self._runner.submit(
            JobSpec(
                "add-model",
                title,
                function,
                on_success=self._added,
                on_failure=self.failed.emit,
                queues_up=True,
                needs_compute=needs_compute,
            )
        )

    def _added(self, card: ModelCard) -> None:
        self.added.emit(card.id)
        self.told.emit(f"{card.shown_name} is among the models now, as {card.id}.")
        self._list_again()

    def remove(self, card: ModelCard) -> None:
        """Take an added model off the list."""
        self._runner.submit(
            JobSpec(
                "remove-model",
                f"Removing {card.shown_name}",
                partial(jobs.remove, card),
                on_success=self._removed,
                on_failure=self.failed.emit,
                queues_up=True,
                is_quiet=True,
            )
        )

    def _removed(self, card: ModelCard) -> None:
        what = "its file" if card.source == "file" else "what it was loaded from"
        self.told.emit(f"{card.shown_name} is off the list; {what} stays where it is.")
        self._list_again()
