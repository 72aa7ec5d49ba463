"""What a person can ask about weights: fetch them, add files and repositories. Main thread only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from core.errors import AppError
from gui.kit.words import quote
from gui.kit.workers import Job, JobRunner
from gui.models.weights import jobs

if TYPE_CHECKING:
    from core.catalog.card import ModelCard
    from gui.models.weights.jobs import Fetched


class WeightCommands(QObject):
    """`list_again` reads the catalog once more."""

    changed = Signal()
    """A download began, progressed or ended."""
    noticed = Signal(str)
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
        self._downloads[card.id] = self._runner.start(
            jobs.download, card,
            title=f"Fetching the weights of {card.shown_name}", key=f"download {card.id}",
            on_done=self._downloaded, on_failed=self._not_downloaded, on_cancel=self._cancelled,
            on_item=self._show_progress,
        )  # fmt: skip
        self.changed.emit()

    def cancel_download(self, card_id: str) -> None:
        job = self._downloads.get(card_id)
        if job is not None:
            self._runner.cancel(job)

    def _show_progress(self, fetched: Fetched) -> None:
        self._fetched[fetched.card_id] = fetched
        self.changed.emit()

    def _downloaded(self, card: ModelCard) -> None:
        self._forget_ended()
        self.noticed.emit(f"The weights of {card.shown_name} are on this machine now.")
        self._list_again()

    def _not_downloaded(self, error: AppError) -> None:
        self._forget_ended()
        self.failed.emit(error)

    def _cancelled(self) -> None:
        self._forget_ended()
        self.noticed.emit("The download was cancelled.")

    def _forget_ended(self) -> None:
        wanted = {job.spec.key for job in self._runner.jobs}
        self._downloads = {
            card_id: job for card_id, job in self._downloads.items() if job.spec.key in wanted
        }
        self._fetched = {key: self._fetched[key] for key in self._downloads if key in self._fetched}
        self.changed.emit()

    # -- what a person adds ------------------------------------------------------------------

    def add_file(self, path: Path) -> None:
        """Put a file of weights on the list, as the architecture that it fits."""
        self._add(f"Reading {quote(path.name)}", jobs.add_file, path, needs_compute=True)

    def add_id(self, name: str) -> None:
        """Put `hf-hub:OWNER/NAME` or `hub/…:ENTRY` on the list."""
        self._add(f"Adding {name}", jobs.add_id, name)

    def _add(
        self,
        title: str,
        function: Callable[..., ModelCard],
        *args: Any,
        needs_compute: bool = False,
    ) -> None:
        self._runner.start(
            function, *args,
            title=title, on_done=self._added, on_failed=self.failed.emit, queue_up=True,
            needs_compute=needs_compute,
        )  # fmt: skip

    def _added(self, card: ModelCard) -> None:
        self.added.emit(card.id)
        self.noticed.emit(f"{card.shown_name} is among the models now, as {card.id}.")
        self._list_again()

    def remove(self, card: ModelCard) -> None:
        """Take an added model off the list."""
        self._runner.start(
            jobs.remove, card,
            title=f"Removing {card.shown_name}", on_done=self._removed, on_failed=self.failed.emit,
            queue_up=True, quiet=True,
        )  # fmt: skip

    def _removed(self, card: ModelCard) -> None:
        what = "its file" if card.source == "file" else "what it was loaded from"
        self.noticed.emit(f"{card.shown_name} is off the list; {what} stays where it is.")
        self._list_again()
