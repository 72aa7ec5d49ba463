"""A few lines a person writes about a run, kept as they are written."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QFocusEvent
from PySide6.QtWidgets import QPlainTextEdit

from gui.kit.basics import delayed

_SAVE_MS = 800  # after the last key
_HEIGHT_PX = 64


class NoteEdit(QPlainTextEdit):
    """Emits a change a moment after the last key, and at once where the focus leaves."""

    changed = Signal(object, str)
    """(path of the run, the whole text)"""

    def __init__(self) -> None:
        super().__init__()
        self._path: Path | None = None
        self._kept = ""
        self.setAccessibleName("Note about the run")
        self.setPlaceholderText("A note about this run")
        self.setTabChangesFocus(True)
        self.setAcceptDrops(False)  # drops belong to the window
        self.viewport().setAcceptDrops(False)
        self.setFixedHeight(_HEIGHT_PX)
        self._timer = delayed(self, _SAVE_MS, self._save)
        self.textChanged.connect(self._timer.start)
        self.hide()

    def show_run(self, path: Path, note: str) -> None:
        """Show another run's note; a change of the one before is emitted first."""
        if path == self._path and self.hasFocus():  # a listing that came while somebody writes
            self.show()
            return
        self._save()
        self._path, self._kept = path, note
        if note != self.toPlainText():
            self.setPlainText(note)
        self._timer.stop()
        self.show()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._save()

    def _save(self) -> None:
        self._timer.stop()
        text = self.toPlainText().strip()
        if self._path is not None and text != self._kept:
            self._kept = text
            self.changed.emit(self._path, text)
