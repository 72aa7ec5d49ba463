"""One picture and what the model says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QImage, QPainter, QPainterPath, QPaintEvent, QPixmap
from PySide6.QtWidgets import QSizePolicy, QWidget

from gui.kit import theme
from gui.kit.theme import Theme

if TYPE_CHECKING:
    from core.evaluation.classifier import LabelProbability

_BAR_ROW_PX = 44


class PictureView(QWidget):
    """A picture as large as fits, its aspect kept; small ones are enlarged in whole steps."""

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._theme = look
        self._pixmap = QPixmap()
        self.setMinimumSize(200, 200)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Picture")
        look.changed.connect(self.update)

    def show_image(self, image: QImage, name: str) -> None:
        """Show a picture; a null image clears it."""
        self._pixmap = QPixmap.fromImage(image)
        self.setAccessibleName(f"Picture {name}")
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(360, 360)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        clip = QPainterPath()
        clip.addRoundedRect(frame, theme.RADIUS, theme.RADIUS)
        painter.fillPath(clip, self._theme.colour("sunken"))
        if self._pixmap.isNull():
            return
        scale = min(frame.width() / self._pixmap.width(), frame.height() / self._pixmap.height())
        # A digit of 8 pixels is looked at, not smeared; a photograph is never blown up much.
        if scale > 3:
            scale = float(int(scale * 0.75))
        else:
            scale = min(scale, 1.5)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        width, height = self._pixmap.width() * scale, self._pixmap.height() * scale
        target = QRectF(
            frame.center().x() - width / 2, frame.center().y() - height / 2, width, height
        )
        painter.setClipPath(clip)
        painter.drawPixmap(target, self._pixmap, QRectF(self._pixmap.rect()))


class AnswerBars(QWidget):
    """The most likely classes as bars with percentages, the first one in the accent colour."""

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._theme = look
        self._guesses: tuple[LabelProbability, ...] = ()
        self.setAccessibleName("Answers")
        self.setMinimumWidth(220)
        look.changed.connect(self.update)

    @property
    def guesses(self) -> tuple[LabelProbability, ...]:
        """The classes shown, the most likely first."""
        return self._guesses

    def show_guesses(self, guesses: Sequence[LabelProbability]) -> None:
        """Replace the bars."""
        self._guesses = tuple(guesses)
        self.setAccessibleDescription(
            ", ".join(f"{guess.label} {guess.probability:.1%}" for guess in guesses)
        )
        self.setFixedHeight(max(1, len(guesses)) * _BAR_ROW_PX)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for position, guess in enumerate(self._guesses):
            row = QRectF(0, position * _BAR_ROW_PX, self.width(), _BAR_ROW_PX)
            self._paint_guess(painter, row, guess, is_first=position == 0)

    def _paint_guess(
        self, painter: QPainter, row: QRectF, guess: LabelProbability, *, is_first: bool
    ) -> None:
        painter.setFont(self._theme.font("body", bold=is_first))
        painter.setPen(self._theme.colour("text"))
        metrics = painter.fontMetrics()
        percent = f"{guess.probability:.1%}"
        percent_px = metrics.horizontalAdvance("100.0%") + theme.XS
        text_row = QRectF(row.x(), row.y() + theme.XS, row.width(), metrics.height())
        painter.drawText(text_row, Qt.AlignmentFlag.AlignRight, percent)
        name = metrics.elidedText(
            guess.label, Qt.TextElideMode.ElideRight, int(row.width() - percent_px - theme.S)
        )
        painter.drawText(text_row, Qt.AlignmentFlag.AlignLeft, name)
        track = QRectF(row.x(), text_row.bottom() + theme.XS, row.width(), 6)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.colour("sunken"))
        painter.drawRoundedRect(track, 3, 3)
        bar = QRectF(track)
        bar.setWidth(track.width() * guess.probability)
        if bar.width() >= 1:
            painter.setBrush(self._theme.colour("accent" if is_first else "strong_border"))
            radius = min(3.0, bar.width() / 2)
            painter.drawRoundedRect(bar, radius, radius)
