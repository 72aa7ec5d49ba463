"""Opening what a person drops or chooses: a dataset, a run, a model or pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject

from core.errors import AppError
from core.system import paths as app_paths
from gui.base.commands import CommandSet
from gui.base.session import PageName, Session
from gui.classify.commands import ClassifyCommands
from gui.data import jobs
from gui.data.drops import find_destination
from gui.kit.settings import Settings
from gui.kit.workers import JobRunner
from gui.models.commands import ModelCommands

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex


class OpenCommands(CommandSet):
    """What is opened decides the page that is shown."""

    def __init__(
        self,
        session: Session,
        runner: JobRunner,
        settings: Settings,
        models: ModelCommands,
        classify: ClassifyCommands,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(session, runner, parent)
        self._settings = settings
        self._models = models
        self._classify = classify

    def open_paths(self, paths: Sequence[Path], page: PageName) -> None:
        """Open whatever was dropped or chosen; a refusal is shown on `page`."""
        self._session.notice(page, "")
        try:
            destination = find_destination(paths)
        except AppError as error:
            self._session.notice_error(page, error)
            return
        if destination.kind == "dataset":
            self.open_dataset(*destination.paths)
            shown: PageName = "data"
        elif destination.kind == "run":
            self.open_run(destination.paths[0])
            shown = "results"
        elif destination.kind == "model" and page == "models":
            self._models.weights.add_file(destination.paths[0])
            shown = "models"
        elif destination.kind == "model":
            self._models.open_file(destination.paths[0])
            shown = "classify"
        else:
            self._classify.add_pictures(destination.paths, left_out=destination.rest)
            shown = "classify"
        if destination.rest:
            self._session.notice(shown, destination.rest, "warning")

    def open_recent(self, path: Path) -> None:
        """Open a dataset of the list on Start; a refusal is shown there."""
        self.open_paths([path], "start")

    def open_dataset(self, path: Path, *more: Path) -> None:
        """Scan a folder, table or archive, or several of these as one dataset."""
        title = f"Scanning “{path.name}”" + (f" and {len(more)} more" if more else "")
        self._scan(path, title, jobs.scan_folder, (path, *more) if more else path)

    def open_sample(self) -> None:
        """Open the handwritten digits, written first where they are missing."""
        # Writing it imports scikit-learn: not beside the libraries that are being loaded.
        is_written = app_paths.sample_dir("digits").is_dir()
        self._scan(None, "Opening the sample", jobs.scan_sample, needs_compute=not is_written)

    def open_run(self, path: Path) -> None:
        """Show a run's results; from there it can classify."""
        self._session.show_run(path)
        self._session.show_page("results")

    def _scan(
        self,
        path: Path | None,
        title: str,
        function: Callable[..., DatasetIndex],
        *args: Any,
        needs_compute: bool = False,
    ) -> None:
        # Submitted first: it replaces an earlier scan, whose end must not be taken for this one's.
        self._runner.start(
            function, *args,
            title=title, key="scan", on_done=self._scanned, on_failed=self._scan_failed,
            on_cancel=self._scan_cancelled, needs_compute=needs_compute,
        )  # fmt: skip
        for page in ("start", "data"):
            self._session.notice(page, "")
        self._session.begin_scan(path)
        self._session.show_page("data")

    def _scanned(self, dataset: DatasetIndex) -> None:
        if len(dataset.opened) == 1:
            self._settings.remember_dataset(dataset.opened[0])
        self._settings.last_folder = dataset.opened[0].parent
        if self._session.dataset is None:
            self._session.notice("train", "")  # it may have said that there is none
        self._session.end_scan(dataset)

    def _scan_failed(self, error: AppError) -> None:
        self._session.end_scan(None)
        kept = self._session.dataset
        text = f"{error} “{kept.name or kept.root.name}” stays open." if kept else str(error)
        self._session.notice("data", text, "error")

    def _scan_cancelled(self) -> None:
        self._session.end_scan(None)
        self._session.notice("data", "The scan was cancelled; nothing was changed.")
