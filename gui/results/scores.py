"""The per-class table of a report: images, precision, recall and F1, sortable."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import (
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from gui.kit import theme
from gui.kit.table import (
    SHARE_ROLE,
    Column,
    ColumnTable,
    TableIndex,
    set_up_view,
    set_widths,
    sorted_by_key,
)
from gui.kit.theme import Theme

if TYPE_CHECKING:
    from core.runs.report import ClassScore, Report


def _share_column(
    heading: str, share: Callable[[ClassScore], float], heading_tip: str, pattern: str = ".1%"
) -> Column[ClassScore]:
    return Column(
        heading,
        lambda score: format(share(score), pattern),
        is_number=True,
        sort_key=share,
        heading_tip=heading_tip,
        others={SHARE_ROLE: share},
    )


_COLUMNS: tuple[Column[ClassScore], ...] = (
    Column(
        "Class",
        lambda score: score.name,
        sort_key=lambda score: score.name.casefold(),
        tip=lambda score: score.name,
    ),
    Column(
        "Images",
        lambda score: f"{score.n:,}",
        is_number=True,
        sort_key=lambda score: score.n,
        heading_tip="Images of the class that were judged",
    ),
    _share_column(
        "Precision",
        lambda score: score.precision,
        "Of the images answered as this class, how many are of it",
    ),
    _share_column(
        "Recall",
        lambda score: score.recall,
        "Of the images of this class, how many were answered as it",
    ),
    _share_column("F1", lambda score: score.f1, "Harmonic mean of precision and recall", ".3f"),
)


class ScoreModel(ColumnTable["ClassScore"]):
    """One row per class, in the report's order."""

    def __init__(self) -> None:
        super().__init__(_COLUMNS)

    def show_report(self, report: Report | None) -> None:
        """Show the classes of a report; None clears the table."""
        self.show_rows(() if report is None else report.per_class)


class _ShareBar(QStyledItemDelegate):
    """The number, and under it a thin bar as long as the share."""

    def __init__(self, look: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = look

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: TableIndex) -> None:
        share = index.data(SHARE_ROLE)
        if share is None:
            super().paint(painter, option, index)
            return
        rect = QRectF(option.rect)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        if selected:
            painter.fillRect(rect, self._theme.colour("tint"))
        room = rect.adjusted(theme.S, 0, -theme.M, 0)
        track = QRectF(room.x(), rect.bottom() - 6, room.width(), 3)
        painter.fillRect(track, self._theme.colour("border" if selected else "sunken"))
        track.setWidth(track.width() * share)
        painter.fillRect(track, self._theme.colour("accent"))
        painter.setPen(self._theme.colour("text"))
        painter.drawText(
            room.adjusted(0, 0, 0, -4),
            Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
            str(index.data()),
        )


class ScoreTable(QTableView):
    """`class_selected` carries the class's position in the report."""

    class_selected = Signal(int)

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self.score_model = ScoreModel()
        self._sorted = sorted_by_key(self.score_model, self)
        self.setItemDelegate(_ShareBar(look, self))
        header = set_up_view(self, "Per-class table", elides_middle=True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header.setMinimumSectionSize(40)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        set_widths(self, (0, 62, 78, 70, 62))
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.selectionModel().currentRowChanged.connect(self._row_changed)
        look.changed.connect(self.viewport().update)

    def show_report(self, report: Report | None) -> None:
        """Show the classes of a report; None clears the table."""
        self.score_model.show_report(report)

    def sizeHint(self) -> QSize:
        return QSize(380, 300)

    def _row_changed(self, current: QModelIndex, _previous: QModelIndex) -> None:
        if current.isValid():
            self.class_selected.emit(self._sorted.mapToSource(current).row())
