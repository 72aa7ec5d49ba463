"""A share with its interval on a line from 0 to 100 %."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from gui.kit import theme
from gui.kit.theme import Theme

_TRACK_PX = 6
_BAND_PX = 14


class IntervalBar(QWidget):
    """A band for the interval, a point for the share, a thin mark for what guessing would reach."""

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._theme = look
        self._share, self._low, self._high, self._chance = 0.0, 0.0, 1.0, 0.0
        self.setAccessibleName("Accuracy with its interval")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        look.changed.connect(self.update)

    def show_share(self, share: float, interval: tuple[float, float], *, chance: float) -> None:
        """`chance`: the share that always answering the most frequent class would reach."""
        self._share, (self._low, self._high), self._chance = share, interval, chance
        text = (
            f"{share:.1%}, 95% interval {self._low:.1%} to {self._high:.1%}; "
            f"always answering the most frequent class would reach {chance:.1%}"
        )
        self.setAccessibleDescription(text)
        self.setToolTip(text[:1].upper() + text[1:] + ".")
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(220, _BAND_PX + theme.XS + self.fontMetrics().height())

    def minimumSizeHint(self) -> QSize:
        return QSize(120, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        width, middle = self.width() - 8.0, _BAND_PX / 2
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.colour("sunken"))
        painter.drawRoundedRect(QRectF(4, middle - _TRACK_PX / 2, width, _TRACK_PX), 3, 3)
        painter.fillRect(
            QRectF(4 + width * self._chance - 1, 0, 2, _BAND_PX), self._theme.colour("muted")
        )
        band = QRectF(4 + width * self._low, 1, max(4.0, width * (self._high - self._low)), 12)
        painter.setBrush(self._theme.colour("tint"))
        painter.setPen(self._theme.colour("accent"))
        painter.drawRoundedRect(band, 3, 3)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.colour("accent"))
        painter.drawEllipse(QPointF(4 + width * self._share, middle), 4.0, 4.0)
        painter.setPen(self._theme.colour("muted"))
        painter.setFont(self._theme.font("small"))
        below = QRectF(4, _BAND_PX + 1, width, self.height() - _BAND_PX - 1)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "0%")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, "100%")
        guess = "guessing"
        guess_px = painter.fontMetrics().horizontalAdvance(guess)
        left = min(max(28.0, width * self._chance - guess_px / 2), width - 40 - guess_px)
        painter.drawText(
            QRectF(4 + left, below.top(), guess_px + 2, below.height()),
            Qt.AlignmentFlag.AlignLeft,
            guess,
        )
