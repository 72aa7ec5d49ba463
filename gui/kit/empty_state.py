"""What a page shows while it has nothing: why that is so, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QLabel

from gui.kit import theme
from gui.kit.basics import Card, button, label, vbox
from gui.kit.theme import Theme

_ICON_PX = 40
_TEXT_PX = 440


class BlankState(Card):
    """An icon, a heading, a sentence and, where there is something to do, a button."""

    def __init__(self, look: Theme, icon: str, heading: str, hint: str = "") -> None:
        super().__init__(margin=theme.XL)
        self._theme = look
        self._icon_name = icon
        self.setAccessibleName(heading)
        self._icon = QLabel()
        self._icon.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._hint = label(hint, "muted", wraps=True)
        self._hint.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._hint.setFixedWidth(_TEXT_PX)
        self._lines = vbox()
        centre = Qt.AlignmentFlag.AlignHCenter
        self._lines.addWidget(self._icon, 0, centre)
        self._lines.addWidget(label(heading, "heading"), 0, centre)
        self._lines.addWidget(self._hint, 0, centre)
        self.body.addStretch(1)
        self.body.addLayout(self._lines)
        self.body.addStretch(1)
        look.changed.connect(self._draw_icon)

    def set_hint(self, text: str) -> None:
        """Replace the sentence."""
        self._hint.setText(text)
        self.setAccessibleDescription(text)

    @property
    def hint(self) -> str:
        """The sentence shown now."""
        return self._hint.text()

    def add_button(self, text: str, clicked: Callable[[], None], *, icon: str = "") -> None:
        """Add a button below the sentence; `icon` is an mdi6 name."""
        made = button(
            text,
            clicked,
            role="primary",
            icon=(self._theme, icon, "on_accent") if icon else None,
        )
        self._lines.addSpacing(theme.S)
        self._lines.addWidget(made, 0, Qt.AlignmentFlag.AlignHCenter)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._draw_icon()

    def _draw_icon(self) -> None:
        pixmap = self._theme.icon(self._icon_name, "accent").pixmap(QSize(_ICON_PX, _ICON_PX))
        self._icon.setPixmap(pixmap)
