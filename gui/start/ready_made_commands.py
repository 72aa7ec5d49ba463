"""What a person can ask of the ready-made datasets: list, download, open, remove. Main thread only.

A download goes on when the dialog is closed: the status line shows it, and it can be cancelled
there. One at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from core.errors import AppError
from gui.kit.workers import JobRunner
from gui.start import ready_made_jobs

_DOWNLOAD = "ready-made-download"


class ReadyMadeCommands(QObject):
    """`open_dataset` and `open_sample` are called for a set that is here and wanted."""

    listed = Signal(object)
    """The offers: a tuple of `Offer`."""
    progressed = Signal(str, int, object, str)
    """(id, per mille or -1 where unknown, (done, total), note) of the download under way."""
    ended = Signal(str)
    """A download ended; the text is empty where it succeeded."""
    failed = Signal(object)

    def __init__(
        self,
        runner: JobRunner,
        open_dataset: Callable[[Path], None],
        open_sample: Callable[[], None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._runner = runner
        self._open_dataset = open_dataset
        self._open_sample = open_sample
        self.downloading = ""
        """The id of the set that is being downloaded."""

    def refresh(self) -> None:
        """List the sets, and which of them are here; `listed` answers."""
        self._runner.start(
            ready_made_jobs.list_offers,
            title="Listing the ready-made datasets", on_done=self.listed.emit,
            on_failed=self.failed.emit, quiet=True,
        )  # fmt: skip

    def download(self, name: str, title: str) -> None:
        """Get a set; nothing happens while another one is on its way."""
        if self.downloading:
            return
        self.downloading = name
        self._runner.start(
            ready_made_jobs.download, name,
            title=f"Downloading {title}", key=_DOWNLOAD, on_done=self._downloaded,
            on_failed=self._download_failed, on_cancel=self._download_cancelled,
            on_progress=self._show_progress,
        )  # fmt: skip

    def cancel(self) -> None:
        """Stop the download; nothing of it is kept."""
        self._runner.cancel(_DOWNLOAD)

    def open(self, name: str) -> None:
        """Open a set that is here, as if its folder had been dropped."""
        if name == "digits":
            self._open_sample()
            return
        from core.data.sources import downloads

        try:
            self._open_dataset(downloads.open_set(name))
        except AppError as error:
            self.failed.emit(error)

    def remove(self, name: str) -> None:
        """Move a set to the trash."""
        self._runner.start(
            ready_made_jobs.remove, name,
            title="Moving a dataset to the trash", on_done=self._removed,
            on_failed=self.failed.emit,
        )  # fmt: skip

    def _removed(self, _folder: Path) -> None:
        self.refresh()

    def _show_progress(self, done: int, total: int, note: str) -> None:
        share = round(1000 * done / total) if total else -1
        self.progressed.emit(self.downloading, share, (done, total), note)

    def _downloaded(self, _folder: Path) -> None:
        self._end("")

    def _download_failed(self, error: AppError) -> None:
        self._end("failed")
        self.failed.emit(error)

    def _download_cancelled(self) -> None:
        self._end("The download was cancelled; nothing of it was kept.")

    def _end(self, sentence: str) -> None:
        self.downloading = ""
        self.ended.emit("" if sentence == "failed" else sentence)
        self.refresh()
