"""The small pieces every page is made of: labels, buttons, cards."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from gui.kit import theme
from gui.kit.theme import Theme, set_role


def label(text: str = "", role: str = "body", *, wraps: bool = False) -> QLabel:
    """A label that shows plain text; `role` is a type role of the style sheet."""
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)  # file and class names are not markup
    made.setWordWrap(wraps)
    set_role(made, role=role)
    return made


class ElidedLabel(QLabel):
    """One line of text, shortened in the middle where it does not fit; in full as tooltip."""

    def __init__(self, text: str = "", role: str = "body") -> None:
        super().__init__(text)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        set_role(self, role=role)

    def minimumSizeHint(self) -> QSize:
        return QSize(24, super().minimumSizeHint().height())

    def sizeHint(self) -> QSize:
        width = self.fontMetrics().horizontalAdvance(self.text()) + 2
        return QSize(width, super().sizeHint().height())

    def setText(self, text: str) -> None:
        super().setText(text)
        self.setToolTip(text)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setFont(self.font())
        painter.setPen(self.palette().color(self.foregroundRole()))
        text = self.fontMetrics().elidedText(
            self.text(), Qt.TextElideMode.ElideMiddle, self.width()
        )
        painter.drawText(self.rect(), int(self.alignment()), text)


def button(
    text: str,
    clicked: Callable[[], None],
    *,
    role: str = "",
    icon: tuple[Theme, str, str] | None = None,
) -> QPushButton:
    """A push button; `icon` is (theme, mdi6 name, colour token)."""
    made = QPushButton(text)
    made.setAccessibleName(text.replace("&", ""))
    made.setAutoDefault(False)
    if role:
        made.setProperty("role", role)
    if icon is not None:
        look, name, token = icon
        look.give_icon(made, name, token)
        made.setIconSize(QSize(theme.ICON_PX, theme.ICON_PX))
        made.setText(f" {text}")  # Qt leaves 4 px between icon and text, and no way to ask for 8
    made.clicked.connect(clicked)
    return made


class Card(QFrame):
    """A surface with a thin border; `body` is its layout."""

    def __init__(self, heading: str = "", *, margin: int = theme.L) -> None:
        super().__init__()
        self.setObjectName("card")
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(margin, margin, margin, margin)
        self.body.setSpacing(theme.S)
        if heading:
            self.body.addWidget(label(heading, "heading"))


class Stat(QWidget):
    """A number and what it counts."""

    def __init__(self, caption: str) -> None:
        super().__init__()
        self._caption = caption
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, theme.XL, 0)
        column.setSpacing(0)
        self._value = label("–", "title")
        column.addWidget(self._value)
        column.addWidget(label(caption, "muted-small"))

    def set_value(self, text: str, *, tone: str = "") -> None:
        """Show a number; `tone` colours it."""
        self._value.setText(text)
        set_role(self._value, tone=tone)
        self._value.setAccessibleName(f"{self._caption}: {text}")

    @property
    def value(self) -> str:
        """The text of the number."""
        return self._value.text()


def row(*widgets: QWidget, spacing: int = theme.S, stretch: bool = True) -> QHBoxLayout:
    """Widgets side by side, pushed to the left."""
    made = QHBoxLayout()
    made.setContentsMargins(0, 0, 0, 0)
    made.setSpacing(spacing)
    for widget in widgets:
        made.addWidget(widget)
    if stretch:
        made.addStretch(1)
    return made


def separator() -> QFrame:
    """A thin horizontal line."""
    line = QFrame()
    line.setObjectName("separator")
    line.setFixedHeight(1)
    return line
