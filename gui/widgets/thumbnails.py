"""A grid of small pictures. Painted in fixed cells: ten thousand cost what ten cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QFocusEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QResizeEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea

from gui import theme
from gui.theme import Theme

CELL_PX = 96
"""About; cells grow and shrink a little so that a row is full."""
_PIXMAP_PX = 128
GAP_PX = theme.S


class ThumbnailGrid(QAbstractScrollArea):
    """Shows one cell per path at once and fills it when its picture arrives."""

    current_changed = Signal(object)

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self.setObjectName("thumbnails")
        self._theme = look
        self._paths: tuple[Path, ...] = ()
        self._pixmaps: dict[Path, QPixmap | None] = {}
        self._current = 0
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Pictures of the class")
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalScrollBar().valueChanged.connect(self.viewport().update)
        look.changed.connect(self.viewport().update)

    @property
    def paths(self) -> tuple[Path, ...]:
        return self._paths

    @property
    def filled_count(self) -> int:
        """How many cells show their picture."""
        return sum(pixmap is not None for pixmap in self._pixmaps.values())

    def show_paths(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._pixmaps = {}
        self._current = 0
        self.verticalScrollBar().setValue(0)
        self._fit_scroll_bar()
        self.viewport().update()

    def fill(self, path: Path, image: QImage) -> None:
        """A null image marks a file that could not be read."""
        if image.isNull():
            self._pixmaps[path] = None
        else:
            ratio = self.devicePixelRatioF()
            side = round(_PIXMAP_PX * ratio)
            scaled = image.scaled(
                side,
                side,
                Qt.AspectRatioMode.KeepAspectRatioByExpanding,
                Qt.TransformationMode.SmoothTransformation,
            )
            left, top = (scaled.width() - side) // 2, (scaled.height() - side) // 2
            pixmap = QPixmap.fromImage(scaled.copy(left, top, side, side))
            pixmap.setDevicePixelRatio(ratio)
            self._pixmaps[path] = pixmap
        self.viewport().update()

    # -- layout ------------------------------------------------------------------------------

    def _columns(self) -> int:
        return max(1, round((self.viewport().width() - GAP_PX) / (CELL_PX + GAP_PX)))

    def _side(self) -> int:
        return (self.viewport().width() - GAP_PX) // self._columns() - GAP_PX

    def _cell(self, position: int) -> QRect:
        row, column = divmod(position, self._columns())
        side = self._side()
        step = side + GAP_PX
        top = GAP_PX + row * step - self.verticalScrollBar().value()
        return QRect(GAP_PX + column * step, top, side, side)

    def _fit_scroll_bar(self) -> None:
        rows = -(-len(self._paths) // self._columns())
        height = GAP_PX + rows * (self._side() + GAP_PX)
        bar = self.verticalScrollBar()
        bar.setRange(0, max(0, height - self.viewport().height()))
        bar.setPageStep(self.viewport().height())
        bar.setSingleStep(CELL_PX // 2)

    def sizeHint(self) -> QSize:
        return QSize(4 * (CELL_PX + GAP_PX) + 24, 3 * (CELL_PX + GAP_PX))

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._fit_scroll_bar()

    # -- input -------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {
            Qt.Key.Key_Left: -1,
            Qt.Key.Key_Right: 1,
            Qt.Key.Key_Up: -self._columns(),
            Qt.Key.Key_Down: self._columns(),
        }
        step = steps.get(Qt.Key(event.key()))
        if step is None:
            super().keyPressEvent(event)
        else:
            self._choose(self._current + step)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        position = self._position_at(event.position().toPoint())
        if position is not None:
            self._choose(position)

    def _position_at(self, point: QPoint) -> int | None:
        for position in range(len(self._paths)):
            if self._cell(position).contains(point):
                return position
        return None

    def _choose(self, position: int) -> None:
        if not 0 <= position < len(self._paths):
            return
        self._current = position
        cell = self._cell(position)
        bar = self.verticalScrollBar()
        if cell.top() < GAP_PX:
            bar.setValue(bar.value() + cell.top() - GAP_PX)
        elif cell.bottom() > self.viewport().height() - GAP_PX:
            bar.setValue(bar.value() + cell.bottom() - self.viewport().height() + GAP_PX)
        self.viewport().update()
        self.current_changed.emit(self._paths[position])

    def focusInEvent(self, event: QFocusEvent) -> None:
        self.viewport().update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.viewport().update()

    # -- painting ----------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        step = self._side() + GAP_PX
        first_row = max(0, self.verticalScrollBar().value() // step)
        rows = self.viewport().height() // step + 2
        first = first_row * self._columns()
        for position in range(first, min(len(self._paths), first + rows * self._columns())):
            self._paint_cell(painter, position)

    def _paint_cell(self, painter: QPainter, position: int) -> None:
        cell = self._cell(position)
        path = self._paths[position]
        pixmap = self._pixmaps.get(path)
        if pixmap is not None:
            painter.drawPixmap(cell, pixmap)
            painter.setPen(self._theme.colour("border"))
            painter.drawRect(QRectF(cell).adjusted(0.5, 0.5, -0.5, -0.5))
        else:
            painter.fillRect(cell, self._theme.colour("sunken"))
            if path in self._pixmaps:
                icon = self._theme.icon("image-broken-variant", "muted")
                icon.paint(painter, cell.adjusted(30, 30, -30, -30))
        if position == self._current and self.hasFocus():
            painter.setPen(QPen(self._theme.colour("accent"), 3))
            painter.drawRect(cell.adjusted(1, 1, -1, -1))
