"""The small pieces every page is made of: labels, buttons, cards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from PySide6.QtCore import QObject, QSize, Qt, QTimer, SignalInstance
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
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
        self.body = vbox(self, margins=(margin, margin, margin, margin))
        if heading:
            self.body.addWidget(label(heading, "heading"))


class Stat(QWidget):
    """A number and what it counts."""

    def __init__(self, caption: str) -> None:
        super().__init__()
        self._caption = caption
        column = vbox(self, margins=(0, 0, theme.XL, 0), spacing=0)
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
    made = hbox(spacing=spacing)
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


Box = TypeVar("Box", QVBoxLayout, QHBoxLayout)
Margins = tuple[int, int, int, int]
"""Pixels left, above, right and below."""


def vbox(
    owner: QWidget | None = None, *, margins: Margins | None = None, spacing: int = theme.S
) -> QVBoxLayout:
    """A column; see `hbox`."""
    return _set_up(QVBoxLayout(), owner, margins, spacing)


def hbox(
    owner: QWidget | None = None, *, margins: Margins | None = None, spacing: int = theme.S
) -> QHBoxLayout:
    """A row, the layout of `owner` where one is given; `spacing` below 0 is the style's."""
    return _set_up(QHBoxLayout(), owner, margins, spacing)


def _set_up(made: Box, owner: QWidget | None, margins: Margins | None, spacing: int) -> Box:
    if owner is not None:
        owner.setLayout(made)
    if owner is not None or margins is not None:
        made.setContentsMargins(*(margins or (0, 0, 0, 0)))
    made.setSpacing(spacing)
    return made


def delayed(owner: QObject, ms: int, slot: Callable[[], Any] | SignalInstance) -> QTimer:
    """A timer that calls `slot` once, so long after its last start."""
    timer = QTimer(owner)
    timer.setSingleShot(True)
    timer.setInterval(ms)
    timer.timeout.connect(slot)
    return timer


def menu_button(text: str, name: str, *, icon: tuple[Theme, str] | None = None) -> QToolButton:
    """A button that opens a menu at once; `name` is what a screen reader says, `icon` mdi6's."""
    made = QToolButton()
    made.setText(text)
    made.setAccessibleName(name)
    made.setProperty("role", "menu")
    made.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
    if icon is not None:
        made.setText(f" {text}")
        made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        icon[0].give_icon(made, icon[1])
    return made


def icon_button(
    look: Theme, icon: str, name: str, clicked: Callable[[], Any] | None = None, *, px: int = 0
) -> QToolButton:
    """A flat button of an mdi6 icon alone; `name` is its tooltip and what a screen reader says."""
    made = QToolButton()
    made.setProperty("role", "flat")
    made.setAccessibleName(name)
    made.setToolTip(name)
    if px:
        made.setIconSize(QSize(px, px))
    look.give_icon(made, icon)
    if clicked is not None:
        made.clicked.connect(clicked)
    return made


class FoldButton(QToolButton):
    """A flat button with a chevron that shows and hides what is below; `toggled` tells which."""

    def __init__(self, look: Theme, text: str, toggled: Callable[[bool], Any]) -> None:
        super().__init__()
        self._theme = look
        self.setProperty("role", "flat")
        self.setObjectName("more")
        self.setText(text)
        self.setAccessibleName(text)
        self.setCheckable(True)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setIconSize(QSize(theme.ICON_PX, theme.ICON_PX))
        self._point_to(False)
        self.toggled.connect(self._point_to)
        self.toggled.connect(toggled)

    def _point_to(self, is_open: bool) -> None:
        self._theme.give_icon(self, "chevron-down" if is_open else "chevron-right")


def progress_bar(name: str, width_px: int = 0) -> QProgressBar:
    """A bar without a number; `name` is what a screen reader says, a width of 0 is the layout's."""
    made = QProgressBar()
    made.setTextVisible(False)
    if width_px:
        made.setFixedWidth(width_px)
    made.setAccessibleName(name)
    return made


def scroll_area(inner: QWidget, *, has_frame: bool = True) -> QScrollArea:
    """An area that scrolls `inner` up and down only; the keyboard goes to what is in it."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    if not has_frame:
        area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidget(inner)
    return area
