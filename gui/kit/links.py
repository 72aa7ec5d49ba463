"""A short list of things to open again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QPushButton, QWidget

from gui.kit import theme
from gui.kit.basics import label, vbox
from gui.kit.theme import Theme

LinkRow = tuple[str, str, str, Callable[[], None]]
"""Name, detail, mdi6 icon, what a click does."""


class LinkList(QWidget):
    """A list of buttons with two lines each, or a sentence where there are none."""

    def __init__(self, look: Theme, *, empty: str) -> None:
        super().__init__()
        self._theme = look
        self._column = vbox(self, spacing=0)
        self._empty = label(empty, "muted", wraps=True)
        self._column.addWidget(self._empty)
        self._buttons: list[_LinkButton] = []

    @property
    def names(self) -> list[str]:
        """The first line of each button."""
        return [made.name for made in self._buttons]

    def show_links(self, links: Sequence[LinkRow]) -> None:
        """Replace all buttons."""
        for made in self._buttons:
            self._column.removeWidget(made)
            made.hide()
            made.deleteLater()
        self._buttons = [_LinkButton(self._theme, *link) for link in links]
        for made in self._buttons:
            self._column.addWidget(made)
        self._empty.setVisible(not links)

    def click(self, position: int) -> None:
        """Click the button at a position."""
        self._buttons[position].click()


class _LinkButton(QPushButton):
    def __init__(
        self, look: Theme, name: str, detail: str, icon: str, clicked: Callable[[], None]
    ) -> None:
        super().__init__()
        self.name = name
        self._detail = detail
        self._icon = icon
        self._theme = look
        self.setProperty("role", "row")
        self.setAccessibleName(f"Open {name}")
        self.setAccessibleDescription(detail)
        self.setToolTip(f"{name}\n{detail}")
        self.setAutoDefault(False)
        self.clicked.connect(clicked)
        look.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        height = self.fontMetrics().height()
        return QSize(200, int(height * 1.9) + theme.M)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        icon_px = theme.ICON_PX
        inner = self.rect().adjusted(theme.S, theme.XS, -theme.S, -theme.XS)
        self._theme.icon(self._icon, "accent").paint(
            painter, inner.x(), inner.center().y() - icon_px // 2, icon_px, icon_px
        )
        words = inner.adjusted(icon_px + theme.M, 0, 0, 0)
        middle = words.center().y()
        painter.setFont(self._theme.font("body"))
        painter.setPen(self._theme.colour("text"))
        name = painter.fontMetrics().elidedText(
            self.name, Qt.TextElideMode.ElideMiddle, words.width()
        )
        painter.drawText(words.x(), middle - painter.fontMetrics().descent() + 1, name)
        painter.setFont(self._theme.font("small"))
        painter.setPen(self._theme.colour("muted"))
        detail = painter.fontMetrics().elidedText(
            self._detail, Qt.TextElideMode.ElideMiddle, words.width()
        )
        painter.drawText(words.x(), middle + painter.fontMetrics().ascent() + 2, detail)
