"""Errors nobody expected: written to the log with their traceback, shown once, state kept."""

from __future__ import annotations

import logging
import logging.handlers
import sys
import traceback
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QMessageBox, QWidget

from core.errors import AppError
from core.system import paths
from gui.kit.dialogs import message_box
from gui.kit.workers import Crash

_LOG = logging.getLogger("graftwork")


def log_file() -> Path:
    return paths.log_dir() / "graftwork.log"


def start_log() -> None:
    """Write the application's log to its file, at most 3 × 1 MB; else to the terminal."""
    handler: logging.Handler
    try:
        handler = logging.handlers.RotatingFileHandler(
            log_file(), maxBytes=1_000_000, backupCount=2, encoding="utf-8"
        )
    except (OSError, AppError):  # a disk that cannot be written is no reason to show no window
        handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for old in list(_LOG.handlers):
        _LOG.removeHandler(old)
        old.close()
    _LOG.addHandler(handler)
    _LOG.setLevel(logging.INFO)


def stop_log() -> None:
    for handler in list(_LOG.handlers):
        _LOG.removeHandler(handler)
        handler.close()


class CrashReporter(QObject):
    """Logs crashes of jobs and of slots, and shows one dialog at a time."""

    reported = Signal(object)

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self._dialog: QMessageBox | None = None
        self._details = ""

    def report(self, crash: Crash) -> None:
        _LOG.error("%s: %s\n%s", crash.title, crash.message, crash.details)
        self.reported.emit(crash)
        if self._dialog is not None:
            return  # one dialog; the log has them all
        self._details = f"{crash.title}: {crash.message}\n\n{crash.details}"
        dialog = message_box(
            self._window,
            "Unexpected error",
            f"“{crash.title}” met an error that nobody expected.",
            f"{crash.message}\n\nNothing you had is lost. The details are in {log_file()}.",
            icon=QMessageBox.Icon.Warning,
        )
        copy = dialog.addButton("Copy details", QMessageBox.ButtonRole.ActionRole)
        copy.clicked.connect(self._copy_details)
        dialog.addButton(QMessageBox.StandardButton.Close)
        dialog.finished.connect(self._closed)
        self._dialog = dialog
        # open(), not exec(): the event loop, and with it running jobs, goes on.
        dialog.open()

    def watch_slots(self) -> None:
        """Report exceptions of the main thread, too, which Python would only print."""
        sys.excepthook = self._except_hook

    def _except_hook(
        self,
        kind: type[BaseException],
        error: BaseException,
        trace: TracebackType | None,
    ) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        details = "".join(traceback.format_exception(kind, error, trace))
        self.report(Crash("The window", f"{kind.__name__}: {error}", details))

    def _copy_details(self) -> None:
        QGuiApplication.clipboard().setText(self._details)

    def _closed(self, _result: int) -> None:
        self._dialog = None
