"""The window: frame, pages, drops and the way out. What a page shows is the page's business."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QMimeData, QSize, QTimer, QUrl, Signal
from PySide6.QtGui import (
    QCloseEvent,
    QDesktopServices,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QGuiApplication,
    QImage,
    QPaintEvent,
)
from PySide6.QtWidgets import (
    QMainWindow,
    QMenu,
    QStackedWidget,
    QWidget,
)

from core.catalog.names import shown_name
from core.errors import AppError
from gui.base.page import Page
from gui.base.session import PageName, PageNotice, Session
from gui.data.drops import DATASET_SUFFIXES, Destination, find_destination, image_suffixes
from gui.kit import dialogs
from gui.kit.basics import hbox, vbox
from gui.kit.settings import Settings, ThemeChoice
from gui.kit.theme import Theme
from gui.kit.words import strategy_in_words
from gui.kit.workers import Job, JobRunner
from gui.shell import crashes, menus
from gui.shell.actions import action_rows
from gui.shell.commands import Commands
from gui.shell.frame import ContextLine, DropOverlay, Rail, StatusLine
from gui.shell.pages import PAGES, Parts, make_page

if TYPE_CHECKING:
    from gui.shell.settings_dialog import SettingsDialog
    from gui.train.page import TrainPage

_BREATH_MS = 50


class MainWindow(QMainWindow):
    """The frame and Start are built at once, each other page when it is first needed."""

    first_painted = Signal()

    def __init__(self, settings: Settings, look: Theme) -> None:
        super().__init__()
        self.settings = settings
        self.look = look
        self.runner = JobRunner(self)
        self.session = Session(self)
        self.commands = Commands(self.session, self.runner, settings, self)
        self.crashes = crashes.CrashReporter(self)
        self.runner.crashed.connect(self.crashes.report)
        self.painted_at: float | None = None
        self._sheet: menus.ShortcutSheet | None = None
        self._settings_dialog: SettingsDialog | None = None
        self._is_leaving = False
        self._parts = Parts(
            self.session, self.runner, settings, look, self.commands,
            self.ask_for_folder, self.ask_for_images, self.paste,
        )  # fmt: skip
        self._pages: dict[PageName, Page] = {}
        self._prepared: set[PageName] = set()
        self.setWindowTitle("Graftwork")
        self.setMinimumSize(880, 600)
        self.resize(QSize(1180, 760))
        self.setAcceptDrops(True)
        look.dress(self)
        self._build_frame()
        self.action_rows = action_rows(self)
        self.actions_by_name = menus.build_menus(self, look, self.action_rows)
        self.undoing = menus.UndoActions(self.actions_by_name, self)
        self.undoing.follow(self.commands.layers.history.stack)
        self.context.add_tools(menus.toolbar_actions(self.actions_by_name))
        self._add_recent_menu()
        self.actions_by_name[f"theme_{settings.theme}"].setChecked(True)
        self._connect_session()
        self.show_page("start")
        self._show_context()
        self._show_run_state()
        if settings.geometry is not None:
            self.restoreGeometry(settings.geometry)

    # -- building ----------------------------------------------------------------------------

    def _build_frame(self) -> None:
        centre = QWidget()
        across = hbox(centre, spacing=0)
        self.rail = Rail(self.look, PAGES)
        self.rail.chosen.connect(self.show_page)
        across.addWidget(self.rail)
        column = vbox(margins=(0, 0, 0, 0), spacing=0)
        across.addLayout(column, 1)
        self.context = ContextLine(self.look)
        column.addWidget(self.context)
        self.stack = QStackedWidget()
        column.addWidget(self.stack, 1)
        self.status = StatusLine(self.runner)
        self.status.cancel_wanted.connect(self._cancel)
        column.addWidget(self.status)
        self.setCentralWidget(centre)
        self.overlay = DropOverlay(self.look, centre)

    def _add_recent_menu(self) -> None:
        after = self.actions_by_name["open_sample"]
        self.recent = menus.RecentMenu(self._recent_datasets, self)
        self.recent.wanted.connect(self._open_recent)
        file_menu = after.associatedObjects()[-1]
        assert isinstance(file_menu, QMenu)
        file_menu.insertMenu(after, self.recent)

    def _recent_datasets(self) -> list[Path]:
        return self.settings.recent_datasets

    def _open_recent(self, path: Path) -> None:
        self.commands.opening.open_paths([path], self.current_page)

    def _connect_session(self) -> None:
        session = self.session
        session.page_wanted.connect(self.show_page)
        session.noticed.connect(self._show_notice)
        session.dataset_changed.connect(self._show_context)
        session.models_changed.connect(self._show_context)
        session.machine_changed.connect(self._show_context)
        session.recipe_changed.connect(self._show_context)
        session.machine_changed.connect(self._prepare_pages)
        session.run_changed.connect(self._show_run_state)
        self.runner.idle.connect(self._jobs_are_idle)

    # -- pages -------------------------------------------------------------------------------

    def page(self, name: PageName) -> Page:
        """The page of that name, built at the first call."""
        if name not in self._pages:
            made = make_page(self._parts, name)
            made.notices.undo_wanted.connect(self.undo_step)
            made.notices.redo_wanted.connect(self.redo_step)
            self._pages[name] = made
            self.stack.addWidget(made)
        return self._pages[name]

    @property
    def current_page(self) -> PageName:
        return next(
            name for name, page in self._pages.items() if page is self.stack.currentWidget()
        )

    def show_page(self, name: PageName) -> None:
        page = self.page(name)
        self.stack.setCurrentWidget(page)
        self.rail.set_current(name)
        edits = name in ("data", "results")  # the pages where the dataset is edited
        self.undoing.follow(
            self.commands.data.stack if edits else self.commands.layers.history.stack
        )
        page.setFocus()  # Tab goes on inside the page, and nothing is lit before it is pressed

    def _show_notice(self, notice: PageNotice) -> None:
        bar = self.page(self.current_page if notice.page == "here" else notice.page).notices
        if notice.text:
            bar.show_notice(notice.text, notice.level, notice.action)
        else:
            bar.clear()

    def _prepare_pages(self) -> None:
        """Build the missing pages, one at a time, once the libraries are loaded.

        So the first start of a run is not the moment in which its page is built.
        """
        for name, _text, _icon in PAGES:
            if name not in self._prepared:
                self._prepared.add(name)
                page = self.page(name)
                if name == "train":
                    plots = self._train_page().prepare_plots()
                    plots.resize(self.stack.size())
                    plots.grab()
                if page is not self.stack.currentWidget():
                    # Painted once into nothing: the first look at a page has it styled, laid
                    # out and its fonts loaded, 60 to 300 ms that nobody should wait for.
                    page.resize(self.stack.size())
                    page.grab()
                QTimer.singleShot(_BREATH_MS, self._prepare_pages)
                return

    def _train_page(self) -> TrainPage:
        from gui.train.page import TrainPage

        page = self.page("train")
        assert isinstance(page, TrainPage)
        return page

    # -- context and actions -----------------------------------------------------------------

    def _show_context(self) -> None:
        dataset, machine = self.session.dataset, self.session.machine
        device = "looking …"
        if machine is not None:
            device = f"{machine.accelerator or 'CPU'}, {machine.precision}"
        model = shown_name(self.session.model_id)
        self.context.show_values(
            dataset="No dataset"
            if dataset is None
            else f"{dataset.name or dataset.root.name} · {len(dataset):,} images",
            model=model or "No model yet",
            strategy=strategy_in_words(
                self.session.recipe_values.get("strategy", "feature-extraction"),
                gradual=bool(self.session.recipe_values.get("gradual", False)),
                by_hand=bool(self.session.recipe_values.get("layer_rates")),
            ),
            device=device,
        )

    def _show_run_state(self) -> None:
        for name in ("pause_training", "stop_training"):
            self.actions_by_name[name].setEnabled(self.session.is_run_on)

    def start_training(self) -> None:
        """Train with the values of the Train page's form (F5)."""
        self._train_page().start()

    def _cancel(self, job: Job) -> None:
        if job.spec.key == "train":
            self.commands.train.stop()  # what it learned is saved first
        else:
            self.runner.cancel(job)

    def choose_theme(self, choice: ThemeChoice) -> None:
        self.settings.theme = choice
        self.actions_by_name[f"theme_{choice}"].setChecked(True)
        self.look.choose(choice)

    def show_shortcuts(self) -> None:
        if self._sheet is None:
            self._sheet = menus.ShortcutSheet(self.action_rows, self)
        self._sheet.open()

    def show_settings(self) -> None:
        if self._settings_dialog is None:
            from gui.shell.settings_dialog import SettingsDialog

            self._settings_dialog = SettingsDialog(
                self,
                self.session,
                self.runner,
                self.look,
                self.choose_theme,
                self.commands.runs.refresh,
            )
        self._settings_dialog.show_now()

    def show_about(self) -> None:
        menus.about_box(self).open()

    def open_log(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(crashes.log_file().parent)))

    def undo_step(self) -> None:
        self.undoing.undo()

    def redo_step(self) -> None:
        self.undoing.redo()

    # -- opening -----------------------------------------------------------------------------

    def ask_for_folder(self) -> None:
        start = str(self.settings.last_folder)
        dialogs.ask_for_folder(self, "Open a folder of images", self._folder_chosen, start=start)

    def _folder_chosen(self, path: str) -> None:
        self.commands.opening.open_paths([Path(path)], self.current_page)

    def ask_for_file(self) -> None:
        """A table or an archive; several together are one dataset."""
        patterns = " ".join(f"*{suffix}" for suffix in DATASET_SUFFIXES)
        dialogs.ask_for_files(
            self,
            "Open a table or an archive",
            [f"Tables of labels, archives ({patterns})"],
            self._files_chosen,
            start=str(self.settings.last_folder),
        )

    def _files_chosen(self, paths: list[str]) -> None:
        self.commands.opening.open_paths([Path(path) for path in paths], self.current_page)

    def ask_for_images(self) -> None:
        patterns = " ".join(f"*{suffix}" for suffix in sorted(image_suffixes()))
        dialogs.ask_for_files(
            self,
            "Classify images",
            [f"Images ({patterns})"],
            self._images_chosen,
            start=str(self.settings.last_folder),
        )

    def _images_chosen(self, paths: list[str]) -> None:
        self.commands.classify.add_pictures([Path(path) for path in paths])

    def paste(self) -> None:
        """Open the picture or the files in the clipboard."""
        mime = QGuiApplication.clipboard().mimeData()
        if mime is None or not self._take(mime):
            self.session.notice(
                self.current_page, "The clipboard holds no picture and no file.", "warning"
            )

    def _take(self, mime: QMimeData) -> bool:
        """Open what was dropped or pasted; false where nothing of it can be opened."""
        if mime.hasUrls():
            self.commands.opening.open_paths(_local_paths(mime), self.current_page)
            return True
        image = mime.imageData() if mime.hasImage() else None
        if isinstance(image, QImage) and not image.isNull():
            self.commands.classify.paste_picture(image)
            return True
        return False

    # -- drops -------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        mime = event.mimeData()
        if not mime.hasUrls() and not mime.hasImage():
            return
        # Taken even where the drop will be refused: the window then says why.
        event.acceptProposedAction()
        try:
            if mime.hasUrls():
                text = _describe_drop(find_destination(_local_paths(mime)))
            else:
                text = "Drop to classify the picture"
            self.overlay.show_text(text, is_welcome=True)
        except AppError as error:
            self.overlay.show_text(str(error), is_welcome=False)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        event.acceptProposedAction()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.overlay.hide()

    def dropEvent(self, event: QDropEvent) -> None:
        self.overlay.hide()
        if self._take(event.mimeData()):
            event.acceptProposedAction()

    # -- start and end -----------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self.painted_at is None:
            self.painted_at = time.time()
            # Not from inside the paint: what follows may start threads that import for seconds.
            QTimer.singleShot(0, self.first_painted.emit)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.ActivationChange and self.isActiveWindow():
            self.commands.data.look_again()  # another window may have edited the dataset

    def closeEvent(self, event: QCloseEvent) -> None:
        live = self.session.live_run
        is_training = live is not None and live.is_on and self.runner.find("train") is not None
        if is_training and not self._is_leaving:
            event.ignore()
            self._ask_to_leave()
            return
        if is_training:
            event.ignore()  # asked and answered; the run still saves
            return
        self.settings.geometry = self.saveGeometry()
        self.settings.save()
        self.runner.stop_all()
        event.accept()

    def _ask_to_leave(self) -> None:
        dialogs.ask(
            self,
            "A run is on",
            "Stop the run and close Graftwork?",
            "What was trained so far is saved first.",
            yes="Stop, save and close",
            no="Keep training",
            accepted=self._leave,
        )

    def _leave(self) -> None:
        self._is_leaving = True
        self.session.notice(self.current_page, "The run is being saved; then the window closes.")
        self.commands.train.stop()
        self.runner.stop_all()
        if self.runner.is_idle:
            self._jobs_are_idle()

    def _jobs_are_idle(self) -> None:
        if self._is_leaving:
            self.close()


def _local_paths(mime: QMimeData) -> list[Path]:
    return [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]


def _describe_drop(destination: Destination) -> str:
    first = destination.paths[0].name
    if destination.kind == "dataset":
        more = len(destination.paths) - 1
        what = f"“{first}” and {more} more as one" if more else f"“{first}” as a"
        return f"Drop to open {what} dataset"
    if destination.kind == "run":
        return f"Drop to see the results of the run “{first}”"
    if destination.kind == "model":
        return f"Drop to classify with the weights in “{first}”"
    count = len(destination.paths)
    return f"Drop to classify “{first}”" if count == 1 else f"Drop to classify {count} images"
