"""The confusion matrix, rows the true class and columns the answer, and its largest confusions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QHelpEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QAbstractScrollArea,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QToolTip,
)

from gui.kit import theme
from gui.kit.table import LEFT, RIGHT, set_up_view
from gui.kit.theme import Theme
from gui.kit.words import count as say_count
from gui.kit.words import quote, quote_briefly

if TYPE_CHECKING:
    from core.runs.report import Report

MOST_IN_MATRIX = 40  # beyond that a summary shows the largest confusions as a table
_MOST_LABELLED = 12
_MOST_ROWS = 12
_SMALLEST_CELL_PX = 8.0  # still to be hit with the mouse
_LABELLED_CELL_PX = 18.0
_TEXT_CELL_PX = 14.0  # below that a count cannot be read
_LARGEST_CELL_PX = 112.0


class ConfusionMatrix(QAbstractScrollArea):
    """Painted; scrolls where many classes leave no room. Its accessible description is in words.

    A cell is chosen with the mouse or with the arrow keys and Enter.
    """

    cell_chosen = Signal(object)
    """(true class, answered class) of the cell clicked or confirmed."""
    cell_moved = Signal(object)
    """The same, of the cell that is current now."""

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self.setObjectName("matrix")
        self.setFrameShape(QAbstractScrollArea.Shape.NoFrame)
        self._theme = look
        self._report: Report | None = None
        self._heat: QImage | None = None
        self._current = (0, 0)
        self._words = ""
        self.setMinimumSize(180, 180)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.viewport().setAutoFillBackground(False)
        self.viewport().setMouseTracking(True)
        self.setAccessibleName("Confusion matrix")
        look.changed.connect(self._theme_changed)

    def show_report(self, report: Report) -> None:
        """Show the confusions of a report."""
        self._report = report
        self._heat = None
        self._words = describe_confusion(report)
        found = largest_confusions(report, 1)
        first = found[0] if found else (report.classes[0], report.classes[0], 0)
        self._current = (report.classes.index(first[0]), report.classes.index(first[1]))
        self.setAccessibleDescription(self._words)
        self._fit_scroll_bars()
        self.updateGeometry()
        self.viewport().update()

    @property
    def current(self) -> tuple[int, int]:
        """(true class, answered class) of the cell the keyboard is at."""
        return self._current

    def sizeHint(self) -> QSize:
        return QSize(300, 240)

    # -- layout ------------------------------------------------------------------------------

    def _layout(self) -> _Layout:
        """Where cells and names stand; without a report of no use."""
        assert self._report is not None
        names = self._report.classes
        metrics = self.fontMetrics()
        longest = max((metrics.horizontalAdvance(name) for name in names), default=0) + theme.S
        width, height = self.viewport().width() - 1, self.viewport().height() - 1
        top = metrics.height() + theme.XS
        smallest = _SMALLEST_CELL_PX if len(names) > _MOST_LABELLED else _LABELLED_CELL_PX
        left = min(longest, int(width * 0.34))
        below = metrics.height() + 2
        side = _side(width - left, height - top - below, len(names), smallest)
        if side < metrics.height() - 3:
            left, below = 0, 0  # no room for names: the tooltip has them
            side = _side(width, height - top, len(names), smallest)
        elif longest - theme.S > side - 2:
            below = min(longest, max(int(height * 0.28), metrics.height()))
            side = _side(width - left, height - top - below, len(names), smallest)
        return _Layout(left, top, below, float(side), is_upright=below > metrics.height() + 2)

    def _offset(self) -> tuple[int, int]:
        return self.horizontalScrollBar().value(), self.verticalScrollBar().value()

    def _fit_scroll_bars(self) -> None:
        if self._report is None:
            return
        layout = self._layout()
        extent = math.ceil(layout.side * len(self._report.classes)) + 1
        view = self.viewport().size()
        for bar, room in (
            (self.horizontalScrollBar(), view.width() - layout.left),
            (self.verticalScrollBar(), view.height() - layout.top - layout.below),
        ):
            bar.setRange(0, max(0, extent - room))
            bar.setPageStep(room)
            bar.setSingleStep(max(8, int(layout.side)))

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._fit_scroll_bars()

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        self.viewport().update()

    def _theme_changed(self) -> None:
        self._heat = None
        self.viewport().update()

    # -- input -------------------------------------------------------------------------------

    def viewportEvent(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and self._report is not None:
            cell = self.cell_at(event.pos())
            text = "" if cell is None else self.describe_cell(cell)
            QToolTip.showText(event.globalPos(), text, self.viewport())
            return True
        return super().viewportEvent(event)

    def cell_at(self, point: QPoint) -> tuple[int, int] | None:
        """(true class, answered class) under a point of the viewport."""
        if self._report is None:
            return None
        layout, (dx, dy) = self._layout(), self._offset()
        if point.x() < layout.left or point.y() < layout.top:
            return None
        column = int((point.x() - layout.left + dx) // layout.side)
        row = int((point.y() - layout.top + dy) // layout.side)
        size = len(self._report.classes)
        return (row, column) if row < size and column < size else None

    def describe_cell(self, cell: tuple[int, int]) -> str:
        """A cell in words: how many images of a class were answered as which."""
        if self._report is None:
            return ""
        row, column = cell
        images = self._report.confusion[row][column]
        total = sum(self._report.confusion[row])
        share = f" ({images / total:.0%} of its {total:,})" if total else ""
        true, answered = (quote(self._report.classes[i]) for i in cell)
        if row == column:
            return f"{images:,} of {true} answered rightly{share}"
        return f"{images:,} of {true} answered as {answered}{share}"

    def mousePressEvent(self, event: QMouseEvent) -> None:
        cell = self.cell_at(event.position().toPoint())
        if cell is not None:
            self._move_to(cell)
            self.cell_chosen.emit(cell)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if self._report is None:
            return
        row, column = self._current
        last = len(self._report.classes) - 1
        moves = {
            Qt.Key.Key_Left: (row, column - 1),
            Qt.Key.Key_Right: (row, column + 1),
            Qt.Key.Key_Up: (row - 1, column),
            Qt.Key.Key_Down: (row + 1, column),
            Qt.Key.Key_Home: (row, 0),
            Qt.Key.Key_End: (row, last),
            Qt.Key.Key_PageUp: (row - 10, column),
            Qt.Key.Key_PageDown: (row + 10, column),
        }
        key = Qt.Key(event.key())
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.cell_chosen.emit(self._current)
        elif key in moves:
            row, column = moves[key]
            self._move_to((min(last, max(0, row)), min(last, max(0, column))))
        else:
            super().keyPressEvent(event)

    def _move_to(self, cell: tuple[int, int]) -> None:
        self._current = cell
        self.cell_moved.emit(cell)
        self.setAccessibleDescription(f"{self.describe_cell(cell)}. {self._words}")
        layout = self._layout()
        view = self.viewport().size()
        for bar, position, room in (
            (self.horizontalScrollBar(), cell[1], view.width() - layout.left),
            (self.verticalScrollBar(), cell[0], view.height() - layout.top - layout.below),
        ):
            start = int(position * layout.side)
            if start < bar.value():
                bar.setValue(start)
            elif start + layout.side > bar.value() + room:
                bar.setValue(math.ceil(start + layout.side - room))
        self.viewport().update()

    def focusInEvent(self, event: QFocusEvent) -> None:
        self.viewport().update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.viewport().update()

    # -- painting ----------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._report is None:
            return
        report, layout = self._report, self._layout()
        painter = QPainter(self.viewport())
        painter.setFont(self._theme.font("small"))
        painter.setPen(self._theme.colour("muted"))
        view = self.viewport().rect()
        heading = "true ↓  answer →" if layout.left else "rows: true, columns: answer"
        painter.drawText(QRectF(0, 0, view.width(), layout.top), heading)
        painter.save()
        height = view.height() - layout.top - layout.below
        painter.setClipRect(QRectF(layout.left, layout.top, view.width(), height))
        if layout.side < _TEXT_CELL_PX:
            self._paint_heat(painter, report, layout)
        else:
            self._paint_cells(painter, report, layout)
        self._paint_current(painter, layout)
        painter.restore()
        if layout.left:
            self._paint_names(painter, report.classes, layout)

    def _cell(self, layout: _Layout, row: int, column: int) -> QRectF:
        dx, dy = self._offset()
        gap = 1.0 if layout.side >= _TEXT_CELL_PX else 0.0
        return QRectF(
            layout.left + column * layout.side - dx,
            layout.top + row * layout.side - dy,
            layout.side - gap,
            layout.side - gap,
        )

    def _visible(self, layout: _Layout, *, is_across: bool) -> range:
        """Rows or columns in sight."""
        assert self._report is not None
        offset = self._offset()[0 if is_across else 1]
        view = self.viewport().width() if is_across else self.viewport().height()
        first = int(offset // layout.side)
        last = min(len(self._report.classes), int((offset + view) // layout.side) + 1)
        return range(first, last)

    def _paint_cells(self, painter: QPainter, report: Report, layout: _Layout) -> None:
        for row in self._visible(layout, is_across=False):
            counts = report.confusion[row]
            total = max(1, sum(counts))
            for column in self._visible(layout, is_across=True):
                images = counts[column]
                cell = self._cell(layout, row, column)
                colour, strength = self._shade(images / total, is_right=row == column)
                painter.fillRect(cell, colour)
                text = f"{images:,}" if images else ""
                if text and painter.fontMetrics().horizontalAdvance(text) <= cell.width():
                    painter.setPen(self._theme.colour("on_accent" if strength > 0.55 else "text"))
                    painter.drawText(cell, Qt.AlignmentFlag.AlignCenter, text)

    def _paint_heat(self, painter: QPainter, report: Report, layout: _Layout) -> None:
        """Many small cells at once: an image with one pixel for each."""
        size = len(report.classes)
        if self._heat is None:
            heat = QImage(size, size, QImage.Format.Format_RGB32)
            heat.fill(self._theme.colour("sunken"))
            for row, counts in enumerate(report.confusion):
                total = max(1, sum(counts))
                for column, images in enumerate(counts):
                    if images:
                        colour, _ = self._shade(images / total, is_right=row == column)
                        heat.setPixelColor(column, row, colour)
            self._heat = heat
        origin = self._cell(layout, 0, 0).topLeft()
        painter.drawImage(
            QRectF(origin.x(), origin.y(), size * layout.side, size * layout.side), self._heat
        )

    def _shade(self, share: float, *, is_right: bool) -> tuple[QColor, float]:
        strength = share**0.5 if share else 0.0  # the eye should find a single error
        full = self._theme.colour("accent" if is_right else "bad")
        return _mix(self._theme.colour("sunken"), full, strength), strength

    def _paint_current(self, painter: QPainter, layout: _Layout) -> None:
        cell = self._cell(layout, *self._current).adjusted(-1, -1, 1, 1)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(self._theme.colour("text" if self.hasFocus() else "strong_border"), 2))
        painter.drawRect(cell)

    def _paint_names(self, painter: QPainter, names: Sequence[str], layout: _Layout) -> None:
        metrics = painter.fontMetrics()
        painter.setPen(self._theme.colour("muted"))
        middle = Qt.TextElideMode.ElideMiddle
        view = self.viewport().rect()
        bottom = min(float(view.height() - layout.below), self._cell(layout, len(names), 0).top())
        for row in self._visible(layout, is_across=False):
            cell = self._cell(layout, row, 0)
            if cell.bottom() <= bottom + 1 and cell.top() >= layout.top - 1:
                width = layout.left - theme.S
                painter.drawText(
                    QRectF(0, cell.top(), width, cell.height()),
                    Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
                    metrics.elidedText(names[row], middle, width),
                )
        for column in self._visible(layout, is_across=True):
            cell = self._cell(layout, 0, column)
            if cell.left() < layout.left - 1:
                continue
            if not layout.is_upright:
                box = QRectF(cell.left(), bottom + 1, cell.width(), layout.below)
                text = metrics.elidedText(names[column], middle, int(cell.width()))
                painter.drawText(box, Qt.AlignmentFlag.AlignHCenter, text)
                continue
            painter.save()
            painter.translate(cell.center().x(), bottom + 2)
            painter.rotate(90)
            text = metrics.elidedText(names[column], middle, layout.below - theme.XS)
            half = metrics.height() / 2
            box = QRectF(0, -half, layout.below, 2 * half)
            painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)
            painter.restore()


@dataclass(frozen=True, slots=True)
class _Layout:
    """Pixels: room for names at the left and below, for the heading at the top; side of a cell."""

    left: int
    top: int
    below: int
    side: float
    is_upright: bool
    """The names below run downwards."""


def _side(width: float, height: float, cells: int, smallest: float) -> float:
    return max(smallest, min(width / cells, height / cells, _LARGEST_CELL_PX))


class ConfusionTable(QTableWidget):
    """The largest confusions of a report: the true class, the answer, how often."""

    def __init__(self) -> None:
        super().__init__(0, 3)
        header = set_up_view(self, "Largest confusions", selects_several=True, elides_middle=True)
        self.setHorizontalHeaderLabels(("True", "Answered", "Images"))
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setMinimumSize(180, 180)
        header.setDefaultAlignment(LEFT)
        for column in (0, 1):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.ResizeToContents)

    def sizeHint(self) -> QSize:
        return QSize(300, 240)

    def show_report(self, report: Report) -> None:
        """Show the largest confusions of a report."""
        self.setAccessibleDescription(describe_confusion(report))
        rows = largest_confusions(report)
        self.setRowCount(len(rows))
        for position, (true, answered, count) in enumerate(rows):
            for column, text in enumerate((true, answered, f"{count:,}")):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                if column == 2:
                    item.setTextAlignment(RIGHT)
                self.setItem(position, column, item)


def largest_confusions(report: Report, most: int = _MOST_ROWS) -> list[tuple[str, str, int]]:
    """(true class, answer, images), the most frequent first; ties in the order of the classes."""
    counts = _mistakes(report)
    order = np.argsort(-counts, axis=None, kind="stable")[:most]
    found = []
    for row, column in zip(*np.unravel_index(order, counts.shape), strict=True):
        if counts[row, column]:
            found.append(
                (report.classes[row], report.classes[column], int(counts[row, column])),
            )
    return found


def describe_confusion(report: Report) -> str:
    """The largest confusion in words; one that happened once is chance, not a habit."""
    counts = _mistakes(report)
    wrong = int(counts.sum())
    right = sum(row[i] for i, row in enumerate(report.confusion))
    if not wrong:
        return f"All {right:,} answers are right."
    share = f"{right:,} of {report.n:,} right."
    pairs = [
        f"{quote_briefly(true)} answered as {quote_briefly(given)}"
        for true, given, _ in largest_confusions(report, 2)
    ]
    most = int(counts.max())
    if most < 2:
        if wrong == 1:
            return f"{share} The one mistake: {pairs[0]}."
        return f"{share} No class was answered as the same other one more than once."
    ties = int((counts == most).sum())
    if ties == 1:
        return f"{share} Most often confused: {pairs[0]} ({most:,})."
    rest = f" and {say_count(ties - 2, 'other pair')}" if ties > 2 else ""
    joined = ", ".join(pairs) if rest else " and ".join(pairs)
    return f"{share} Most often confused: {joined}{rest} ({most:,} each)."


def _mistakes(report: Report) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """int64 [classes, classes]: the confusion without its diagonal."""
    size = len(report.classes)
    counts = np.array(report.confusion, np.int64).reshape(size, size)
    np.fill_diagonal(counts, 0)
    return counts


def _mix(base: QColor, full: QColor, share: float) -> QColor:
    return QColor.fromRgbF(
        base.redF() + (full.redF() - base.redF()) * share,
        base.greenF() + (full.greenF() - base.greenF()) * share,
        base.blueF() + (full.blueF() - base.blueF()) * share,
    )
