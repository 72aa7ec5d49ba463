"""A large place that says what may be dropped, and can be clicked or pressed instead."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QEnterEvent,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QWidget

from gui.kit import theme
from gui.kit.theme import Theme


class DropZone(QWidget):
    """Draws the invitation to drop something; the drops themselves are handled by the window."""

    activated = Signal()

    def __init__(self, look: Theme, *, icon: str, text: str, hint: str) -> None:
        super().__init__()
        self._theme = look
        self._icon = icon
        self._text = text
        self._hint = hint
        self._is_hot = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName(text)
        self.setAccessibleDescription(hint)
        self.setMinimumSize(240, 160)
        look.changed.connect(self.update)

    def set_hot(self, is_hot: bool) -> None:
        """Light up, e.g. while something is dragged over the window."""
        self._is_hot = is_hot
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(480, 220)

    def enterEvent(self, event: QEnterEvent) -> None:
        self.set_hot(True)

    def leaveEvent(self, event: QEvent) -> None:
        self.set_hot(False)

    def focusInEvent(self, event: QFocusEvent) -> None:
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self.rect().contains(event.pos()):
            self.activated.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.activated.emit()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        lit = self._is_hot or self.hasFocus()
        pen = QPen(self._theme.colour("accent" if lit else "strong_border"), 1.5)
        pen.setDashPattern([4, 3])
        painter.setPen(pen)
        painter.setBrush(self._theme.colour("tint" if self._is_hot else "surface"))
        painter.drawRoundedRect(frame, theme.RADIUS + 2, theme.RADIUS + 2)
        self._paint_words(painter)

    def _paint_words(self, painter: QPainter) -> None:
        heading = self._theme.font("heading", bold=True)
        small = self._theme.font("body")
        icon_px = 40
        painter.setFont(heading)
        heading_height = painter.fontMetrics().height()
        painter.setFont(small)
        inner = self.rect().adjusted(theme.XL, 0, -theme.XL, 0)
        hint_rect = painter.fontMetrics().boundingRect(
            inner, Qt.AlignmentFlag.AlignHCenter | Qt.TextFlag.TextWordWrap, self._hint
        )
        total = icon_px + theme.M + heading_height + theme.XS + hint_rect.height()
        top = (self.height() - total) // 2
        pixmap = self._theme.icon(self._icon, "accent").pixmap(
            QSize(icon_px, icon_px), self.devicePixelRatioF()
        )
        painter.drawPixmap((self.width() - icon_px) // 2, top, pixmap)
        top += icon_px + theme.M
        painter.setFont(heading)
        painter.setPen(self._theme.colour("text"))
        painter.drawText(
            inner.x(),
            top,
            inner.width(),
            heading_height,
            Qt.AlignmentFlag.AlignHCenter,
            self._text,
        )
        top += heading_height + theme.XS
        painter.setFont(small)
        painter.setPen(self._theme.colour("muted"))
        painter.drawText(
            inner.x(),
            top,
            inner.width(),
            hint_rect.height() + 2,
            Qt.AlignmentFlag.AlignHCenter | Qt.TextFlag.TextWordWrap,
            self._hint,
        )
