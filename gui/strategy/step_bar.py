"""What a wizard is made of: the bar of its steps, and choices with an explanation each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QPushButton, QRadioButton, QStyle, QWidget

from gui.kit import theme
from gui.kit.basics import hbox, label, vbox
from gui.kit.theme import Theme

_DOT_PX = 24


class StepBar(QWidget):
    """Where one is among the steps; those reached so far can be gone back to."""

    chosen = Signal(int)

    def __init__(self, look: Theme, names: Sequence[str]) -> None:
        super().__init__()
        self.setAccessibleName("Steps")
        line = hbox(self, spacing=0)
        self.buttons = [
            _StepButton(look, number, name, is_last=number == len(names))
            for number, name in enumerate(names, start=1)
        ]
        for position, made in enumerate(self.buttons):
            made.clicked.connect(partial(self.chosen.emit, position))
            line.addWidget(made, 0 if made.is_last else 1)

    def show_step(self, current: int, reached: int) -> None:
        """`reached`: the furthest step that may be gone to."""
        for position, made in enumerate(self.buttons):
            made.show_state(
                is_current=position == current,
                is_done=position < current,
                is_reachable=position <= reached,
            )


class _StepButton(QPushButton):
    """A numbered dot, its name, and the line to the next one."""

    def __init__(self, look: Theme, number: int, name: str, *, is_last: bool) -> None:
        super().__init__(name)
        self._theme = look
        self._number = number
        self.is_last = is_last
        self._is_current = False
        self._is_done = False
        self.setAutoDefault(False)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        look.changed.connect(self.update)

    def show_state(self, *, is_current: bool, is_done: bool, is_reachable: bool) -> None:
        self._is_current, self._is_done = is_current, is_done
        self.setEnabled(is_reachable)
        state = "now" if is_current else ("done" if is_done else "to come")
        self.setAccessibleName(f"Step {self._number}, {self.text()}: {state}")
        self.update()

    def sizeHint(self) -> QSize:
        bold = QFontMetrics(self._theme.font("body", bold=True))
        words = bold.horizontalAdvance(self.text())
        line = 0 if self.is_last else 2 * theme.XL
        return QSize(_DOT_PX + 3 * theme.S + words + line, _DOT_PX + theme.S)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        middle = self.height() / 2
        dot = QRectF(2, middle - _DOT_PX / 2, _DOT_PX, _DOT_PX)
        look = self._theme
        is_lit = self._is_current or self._is_done
        painter.setPen(QPen(look.colour("accent" if is_lit else "strong_border"), 1.5))
        painter.setBrush(look.colour("accent" if self._is_current else "surface"))
        painter.drawEllipse(dot)
        if self._is_done:
            look.icon("check", "accent").paint(painter, dot.toRect().adjusted(4, 4, -4, -4))
        else:
            painter.setPen(look.colour("on_accent" if self._is_current else "muted"))
            painter.setFont(look.font("small", bold=True))
            painter.drawText(dot, Qt.AlignmentFlag.AlignCenter, str(self._number))
        painter.setFont(look.font("body", bold=self._is_current))
        metrics = painter.fontMetrics()
        x = dot.right() + theme.S
        words = metrics.horizontalAdvance(self.text()) + 2
        painter.setPen(look.colour("text" if self.isEnabled() else "muted"))
        name = QRectF(x, 0, words, self.height())
        painter.drawText(name, Qt.AlignmentFlag.AlignVCenter, self.text())
        if self.hasFocus() or (self.underMouse() and self.isEnabled()):
            y = middle + metrics.height() / 2 + 1
            painter.setPen(QPen(look.colour("accent"), 1.5))
            painter.drawLine(QPointF(x, y), QPointF(x + words - 2, y))
        if not self.is_last:
            painter.setPen(QPen(look.colour("accent" if self._is_done else "border"), 1.5))
            start = x + words + theme.S
            painter.drawLine(QPointF(start, middle), QPointF(self.width() - theme.S, middle))


class Choice(QWidget):
    """One of several: a radio button and, below it, what choosing it means."""

    chosen = Signal()

    def __init__(self, title: str, explanation: str) -> None:
        super().__init__()
        column = vbox(self, margins=(0, theme.XS, 0, theme.XS), spacing=2)
        self.button = QRadioButton(title)
        self.button.setAutoExclusive(False)  # the group says who excludes whom
        self.button.setAccessibleName(title)
        self.button.setAccessibleDescription(explanation)
        self.button.toggled.connect(self._toggled)
        column.addWidget(self.button)
        self.explanation = label(explanation, "muted", wraps=True)
        style = self.button.style()
        indent = style.pixelMetric(QStyle.PixelMetric.PM_ExclusiveIndicatorWidth)
        indent += style.pixelMetric(QStyle.PixelMetric.PM_RadioButtonLabelSpacing)
        self.explanation.setContentsMargins(indent, 0, 0, 0)
        if not explanation:
            self.explanation.hide()  # shown before it has a parent it would be a window
        self.explanation.installEventFilter(self)
        column.addWidget(self.explanation)

    def _toggled(self, is_on: bool) -> None:
        if is_on:
            self.chosen.emit()

    def eventFilter(self, watched: object, event: QEvent) -> bool:
        """A click on the words is a click on the button."""
        if event.type() == QEvent.Type.MouseButtonRelease and isinstance(event, QMouseEvent):
            self.button.click()
        return False
