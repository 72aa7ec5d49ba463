"""The confusion matrix: rows are the true class, columns the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QHelpEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QToolTip, QWidget

from gui import theme
from gui.theme import Theme

if TYPE_CHECKING:
    from core.evaluation.report import Report

_MOST_LABELLED = 12  # beyond that names and counts would be unreadable; the tooltip has them


class ConfusionMatrix(QWidget):
    """Painted; the text twin (accessible description) names the largest confusion."""

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._theme = look
        self._report: Report | None = None
        self.setMinimumSize(200, 180)
        self.setMouseTracking(True)
        self.setAccessibleName("Confusion matrix")
        look.changed.connect(self.update)

    def show_report(self, report: Report) -> None:
        self._report = report
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
        return f"{count:,} of {report.classes[row]} answered as {report.classes[column]}"

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
                    str(count) if is_labelled and count else "",
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
        bottom = origin.y() + len(self._report.classes if self._report else ()) * side
        painter.drawText(
            QRectF(origin.x() + position * side, bottom, side - 1, metrics.height() + 2),
            Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignVCenter,
            metrics.elidedText(name, Qt.TextElideMode.ElideRight, int(side)),
        )


def describe_confusion(report: Report) -> str:
    """The largest confusion in words."""
    worst = max(
        (
            (count, row, column)
            for row, counts in enumerate(report.confusion)
            for column, count in enumerate(counts)
            if row != column
        ),
        default=(0, 0, 0),
    )
    right = sum(report.confusion[i][i] for i in range(len(report.classes)))
    if worst[0] == 0:
        return f"All {right:,} answers are right."
    count, row, column = worst
    return (
        f"{right:,} of {report.n:,} right. Most often confused: {report.classes[row]} "
        f"answered as {report.classes[column]} ({count:,})."
    )


def _mix(base: QColor, full: QColor, share: float) -> QColor:
    return QColor.fromRgbF(
        base.redF() + (full.redF() - base.redF()) * share,
        base.greenF() + (full.greenF() - base.greenF()) * share,
        base.blueF() + (full.blueF() - base.blueF()) * share,
    )
