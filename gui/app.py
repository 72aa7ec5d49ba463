"""Opens the window. No Qt at the top: what Qt needs of the system is looked at first."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import AppError
from core.system import libraries

if TYPE_CHECKING:
    from gui.shell.main_window import MainWindow


def main(arguments: Sequence[str]) -> int:
    """`graftwork gui [--sample] [PATH]`; returns the exit code."""
    parser = argparse.ArgumentParser(prog="graftwork gui", description="Open the window.")
    parser.add_argument("path", nargs="?", help="a dataset, a run folder or an image to open")
    parser.add_argument("--sample", action="store_true", help="open the handwritten digits")
    options = parser.parse_args(arguments)
    return run(options.path, sample=options.sample)


def run(path: str | None = None, *, sample: bool = False) -> int:
    """Show the window until it is closed; returns the exit code.

    `path` is opened as if dropped; `sample` opens the handwritten digits.
    """
    sentence = libraries.find_obstacle()
    if sentence:
        print(sentence, file=sys.stderr)  # noqa: T201 - there is no window to say it in
        return 1
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication

    # Import threads and the training thread let the window have its turn sooner.
    sys.setswitchinterval(0.001)
    application = QApplication(sys.argv[:1])
    try:
        window = make_window()
    except AppError as error:
        print(error, file=sys.stderr)  # noqa: T201 - there is no window to say it in
        return 1
    window.crashes.watch_slots()
    starter = _Starter(window, Path(path).expanduser().absolute() if path else None, sample)
    window.first_painted.connect(starter.start)
    # Ctrl+C in the terminal is only seen while Python code runs.
    heartbeat = QTimer()
    heartbeat.timeout.connect(_let_python_look_at_signals)
    heartbeat.start(500)
    window.show()
    code = int(application.exec())
    window.runner.shut_down()
    return code


def make_window() -> MainWindow:
    """The main window with its settings and theme; a QApplication must be there."""
    from PySide6.QtWidgets import QApplication

    from gui.kit.settings import Settings
    from gui.kit.theme import Theme
    from gui.shell import crashes
    from gui.shell.main_window import MainWindow

    QApplication.setApplicationName("Graftwork")
    QApplication.setApplicationDisplayName("Graftwork")
    QApplication.setDesktopFileName("graftwork")
    # One style everywhere: the native ones draw half of a style sheet each in their own way. Set
    # again, it would dress every widget that there is anew.
    if QApplication.style().objectName() != "fusion":
        QApplication.setStyle("Fusion")
    crashes.start_log()
    settings = Settings()
    return MainWindow(settings, Theme(settings.theme))


class _Starter:
    """What happens right after the first paint."""

    def __init__(self, window: MainWindow, path: Path | None, sample: bool) -> None:
        self._window = window
        self._path = path
        self._sample = sample

    def start(self) -> None:
        self._window.commands.start_up.begin()
        if self._path is not None:
            self._window.commands.opening.open_paths([self._path], "start")
        elif self._sample:
            self._window.commands.opening.open_sample()


def _let_python_look_at_signals() -> None:
    """Runs nothing; returning to Python is what counts."""
