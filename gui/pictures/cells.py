"""A scroll area of equal square cells, by arithmetic alone: where each stands, what is in sight."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect, QSize, Qt
from PySide6.QtWidgets import QAbstractScrollArea, QScrollBar

from gui.kit import theme

CELL_PX = 104
"""About; cells grow and shrink a little so that a row is full."""
GAP_PX = theme.S


class CellArea(QAbstractScrollArea):
    """Cells in rows, or in one row that is scrolled sideways (`is_strip`)."""

    def __init__(self, *, is_strip: bool) -> None:
        super().__init__()
        self._is_strip = is_strip
        self._current = 0
        self._caption_px = 0
        off = Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        if is_strip:
            self.setVerticalScrollBarPolicy(off)
        else:
            self.setHorizontalScrollBarPolicy(off)

    @property
    def count(self) -> int:
        """How many cells there are."""
        raise NotImplementedError

    def _bar(self) -> QScrollBar:
        return self.horizontalScrollBar() if self._is_strip else self.verticalScrollBar()

    def _room(self) -> int:
        """Pixels of the viewport along which it scrolls."""
        return self.viewport().width() if self._is_strip else self.viewport().height()

    def _columns(self) -> int:
        if self._is_strip:
            return max(1, self.count)
        return max(1, round((self.viewport().width() - GAP_PX) / (CELL_PX + GAP_PX)))

    def _side(self) -> int:
        if self._is_strip:
            return max(32, self.viewport().height() - 2 * GAP_PX - self._caption_px)
        return max(16, (self.viewport().width() - GAP_PX) // self._columns() - GAP_PX)

    def _step(self) -> int:
        """From one row (of a strip: column) to the next."""
        return self._side() + GAP_PX + (0 if self._is_strip else self._caption_px)

    def _cell(self, position: int) -> QRect:
        """The square of a picture in the viewport; its caption stands below."""
        row, column = divmod(position, self._columns())
        side, offset = self._side(), self._bar().value()
        if self._is_strip:
            return QRect(GAP_PX + column * self._step() - offset, GAP_PX, side, side)
        left = GAP_PX + column * (side + GAP_PX)
        return QRect(left, GAP_PX + row * self._step() - offset, side, side)

    def _extent(self, position: int) -> tuple[int, int]:
        """Where a cell begins and ends along the scroll, from the first one's edge."""
        line = position if self._is_strip else position // self._columns()
        start = GAP_PX + line * self._step()
        return start, start + self._step() - GAP_PX

    def _visible_range(self) -> range:
        """Positions of the cells in the viewport."""
        step, offset = self._step(), self._bar().value()
        first = max(0, (offset - GAP_PX) // step)
        last = (offset + self._room()) // step + 1
        per_line = 1 if self._is_strip else self._columns()
        return range(min(self.count, first * per_line), min(self.count, last * per_line))

    def _fit_scroll_bar(self) -> None:
        lines = self.count if self._is_strip else -(-self.count // self._columns())
        length = GAP_PX + lines * self._step()
        bar = self._bar()
        bar.setRange(0, max(0, length - self._room()))
        bar.setPageStep(self._room())
        bar.setSingleStep(max(1, self._step() // 3))

    def sizeHint(self) -> QSize:
        if self._is_strip:
            return QSize(3 * CELL_PX, CELL_PX + 3 * GAP_PX + self._caption_px)
        return QSize(4 * (CELL_PX + GAP_PX) + 24, 3 * (CELL_PX + GAP_PX))

    def minimumSizeHint(self) -> QSize:
        return QSize(CELL_PX + 2 * GAP_PX, CELL_PX)

    def _bring_into_view(self, position: int) -> None:
        start, end = self._extent(position)
        bar, room = self._bar(), self._room()
        if start - GAP_PX < bar.value():
            bar.setValue(start - GAP_PX)
        elif end + GAP_PX > bar.value() + room:
            bar.setValue(end + GAP_PX - room)

    def position_at(self, point: QPoint) -> int | None:
        """The picture under a point of the viewport."""
        columns, step = self._columns(), self._step()
        along = (point.x() if self._is_strip else point.y()) - GAP_PX + self._bar().value()
        line = along // step
        if self._is_strip:
            position = line
        else:
            column = (point.x() - GAP_PX) // (self._side() + GAP_PX)
            if not 0 <= column < columns:
                return None
            position = line * columns + column
        if not 0 <= position < self.count:
            return None
        cell = self._cell(position).adjusted(0, 0, 0, self._caption_px)
        return position if cell.contains(point) else None

    def _position_after(self, key: Qt.Key) -> int | None:
        """Where a key leads; None for a key that leads nowhere."""
        last = self.count - 1
        columns = 1 if self._is_strip else self._columns()
        page = columns * max(1, self._room() // self._step())
        steps = {
            Qt.Key.Key_Left: -1,
            Qt.Key.Key_Right: 1,
            Qt.Key.Key_Up: -columns,
            Qt.Key.Key_Down: columns,
            Qt.Key.Key_PageUp: -page,
            Qt.Key.Key_PageDown: page,
        }
        if last < 0:
            return None
        if key == Qt.Key.Key_Home:
            return 0
        if key == Qt.Key.Key_End:
            return last
        if key not in steps:
            return None
        wanted = self._current + steps[key]
        if key in (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown):
            return min(last, max(0, wanted))
        if wanted > last and key == Qt.Key.Key_Down and last // columns > self._current // columns:
            return last  # the last row is shorter
        return wanted if 0 <= wanted <= last else self._current
