"""The confusion matrix: rows are the true class, columns the answer.

With many classes a table of the largest confusions stands in its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QHelpEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QToolTip,
    QWidget,
)

from gui import theme
from gui.theme import Theme
from gui.widgets.class_table import ROW_PX
from gui.words import count as say_count

if TYPE_CHECKING:
    from core.evaluation.report import Report

_MOST_LABELLED = 12  # beyond that names and counts would be unreadable; the tooltip has them
MOST_IN_MATRIX = 40  # beyond that cells are too small to tell apart, and slow to paint
_MOST_ROWS = 12
_NAMED_CELL_PX = 28  # below that a name over a column is three dots


class ConfusionMatrix(QWidget):
    """Painted; the text twin (accessible description) names the largest confusion."""

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._theme = look
        self._report: Report | None = None
        self.setMinimumSize(180, 180)
        self.setMouseTracking(True)
        self.setAccessibleName("Confusion matrix")
        look.changed.connect(self.update)

    def show_report(self, report: Report) -> None:
        # Matrices of many classes are the table's; here they would only hold up the window.
        self._report = report if len(report.classes) <= MOST_IN_MATRIX else None
        self.setAccessibleDescription(describe_confusion(report))
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(300, 240)

    def _geometry(self, report: Report) -> tuple[QPointF, float]:
        """Top left corner of the cells and the side of one."""
        metrics = self.fontMetrics()
        names = report.classes if len(report.classes) <= _MOST_LABELLED else ()
        left = min(
            max((metrics.horizontalAdvance(name) for name in names), default=0) + theme.S,
            self.width() // 3,
        )
        top = metrics.height() + theme.XS
        side = min(
            (self.width() - left) / len(report.classes),
            (self.height() - top - (metrics.height() if names else 0)) / len(report.classes),
            56.0,
        )
        return QPointF(left, top), side

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and self._report is not None:
            text = self._describe_cell(self._report, QPointF(event.pos()))
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return super().event(event)

    def _describe_cell(self, report: Report, point: QPointF) -> str:
        origin, side = self._geometry(report)
        column = int((point.x() - origin.x()) // side)
        row = int((point.y() - origin.y()) // side)
        if not (0 <= row < len(report.classes) and 0 <= column < len(report.classes)):
            return ""
        count = report.confusion[row][column]
        return f"{count:,} of “{report.classes[row]}” answered as “{report.classes[column]}”"

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._report is None:
            return
        report = self._report
        painter = QPainter(self)
        painter.setFont(self._theme.font("small"))
        origin, side = self._geometry(report)
        is_labelled = len(report.classes) <= _MOST_LABELLED
        painter.setPen(self._theme.colour("muted"))
        painter.drawText(
            QRectF(0, 0, self.width(), origin.y()),
            "answer →" if not is_labelled else "true ↓  answer →",
        )
        for row, counts in enumerate(report.confusion):
            total = max(1, sum(counts))
            for column, count in enumerate(counts):
                cell = QRectF(
                    origin.x() + column * side, origin.y() + row * side, side - 1, side - 1
                )
                self._paint_cell(
                    painter,
                    cell,
                    count / total,
                    f"{count:,}" if is_labelled and count else "",
                    is_right=row == column,
                )
            if is_labelled:
                self._paint_names(painter, report.classes[row], row, origin, side)

    def _paint_cell(
        self, painter: QPainter, cell: QRectF, share: float, text: str, *, is_right: bool
    ) -> None:
        base = self._theme.colour("sunken")
        full = self._theme.colour("accent" if is_right else "bad")
        strength = share**0.5 if share else 0.0  # the eye should find a single error
        painter.fillRect(cell, _mix(base, full, strength))
        if text and cell.width() >= 14:
            painter.setPen(self._theme.colour("on_accent" if strength > 0.55 else "text"))
            painter.drawText(cell, Qt.AlignmentFlag.AlignCenter, text)

    def _paint_names(
        self, painter: QPainter, name: str, position: int, origin: QPointF, side: float
    ) -> None:
        painter.setPen(self._theme.colour("muted"))
        metrics = painter.fontMetrics()
        width = origin.x() - theme.S
        painter.drawText(
            QRectF(0, origin.y() + position * side, width, side),
            Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
            metrics.elidedText(name, Qt.TextElideMode.ElideRight, int(width)),
        )
        if side < _NAMED_CELL_PX:
            return
        bottom = origin.y() + len(self._report.classes if self._report else ()) * side
        painter.drawText(
            QRectF(origin.x() + position * side, bottom, side - 1, metrics.height() + 2),
            Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignVCenter,
            metrics.elidedText(name, Qt.TextElideMode.ElideRight, int(side)),
        )


class ConfusionTable(QTableWidget):
    """The largest confusions of a report: the true class, the answer, how often."""

    def __init__(self) -> None:
        super().__init__(0, 3)
        self.setAccessibleName("Largest confusions")
        self.setHorizontalHeaderLabels(("True", "Answered", "Images"))
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setTabKeyNavigation(False)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setMinimumSize(180, 180)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_PX)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for column in (0, 1):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.ResizeToContents)

    def sizeHint(self) -> QSize:
        return QSize(300, 240)

    def show_report(self, report: Report) -> None:
        self.setAccessibleDescription(describe_confusion(report))
        rows = largest_confusions(report)
        self.setRowCount(len(rows))
        for position, (true, answered, count) in enumerate(rows):
            for column, text in enumerate((true, answered, f"{count:,}")):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                if column == 2:
                    item.setTextAlignment(
                        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
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
    pairs = [f"“{true}” answered as “{given}”" for true, given, _ in largest_confusions(report, 2)]
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
