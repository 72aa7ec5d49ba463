"""One sentence to the user: what happened, what was kept, what to do."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QSize, Qt, Signal, SignalInstance
from PySide6.QtWidgets import QFrame, QLabel, QToolButton, QWidget

from core.errors import AppError
from gui.kit import theme
from gui.kit.basics import hbox, icon_button
from gui.kit.theme import Theme, set_role

Level = Literal["info", "warning", "error"]
_ICONS: dict[Level, tuple[str, str]] = {
    "info": ("information-outline", "accent"),
    "warning": ("alert-outline", "warning"),
    "error": ("alert-circle-outline", "bad"),
}


class NoticeBar(QFrame):
    """The bar of a page that shows one notice; hidden while there is none."""

    undo_wanted = Signal()
    redo_wanted = Signal()

    def __init__(self, look: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("notice")
        self._theme = look
        self._level: Level = "info"
        line = hbox(self, margins=(theme.M, theme.S, theme.S, theme.S))
        self._icon = QLabel()
        line.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        self._text = QLabel()
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        self._text.setWordWrap(True)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        line.addWidget(self._text, 1)
        self.undo_button = self._make_action("Undo", self.undo_wanted)
        self.redo_button = self._make_action("Redo", self.redo_wanted)
        for offered in (self.undo_button, self.redo_button):
            line.addWidget(offered, 0, Qt.AlignmentFlag.AlignTop)
        self._close = icon_button(look, "close", "Close this notice", self.clear)
        line.addWidget(self._close, 0, Qt.AlignmentFlag.AlignTop)
        look.changed.connect(self._draw_icon)
        self.hide()

    def _make_action(self, text: str, wanted: SignalInstance) -> QToolButton:
        made = QToolButton()
        made.setProperty("role", "flat")
        made.setText(text)
        set_role(made, tone="accent")
        made.setAccessibleName(text)
        made.setCursor(Qt.CursorShape.PointingHandCursor)
        made.clicked.connect(wanted)
        made.hide()
        return made

    @property
    def text(self) -> str:
        """The text of the notice; empty while hidden."""
        return "" if self.isHidden() else self._text.text()

    def show_notice(
        self, text: str, level: Level = "info", action: Literal["", "undo", "redo"] = ""
    ) -> None:
        """Show a sentence; `action` adds a button to undo or redo what it reports."""
        self._level = level
        self.undo_button.setVisible(action == "undo")
        self.redo_button.setVisible(action == "redo")
        self._text.setText(text)
        self._text.setAccessibleName(text)
        set_role(self, level=level)
        self._draw_icon()
        self.show()

    def show_error(self, error: AppError) -> None:
        """Show an error with its hint."""
        self.show_notice(str(error), "error")

    def clear(self) -> None:
        """Hide the bar."""
        self.hide()
        self._text.clear()

    def _draw_icon(self) -> None:
        name, token = _ICONS[self._level]
        size = QSize(theme.ICON_PX, theme.ICON_PX)
        self._icon.setPixmap(self._theme.icon(name, token).pixmap(size))
