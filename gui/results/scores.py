"""The per-class table of a report: images, precision, recall and F1, sortable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QPersistentModelIndex,
    QRectF,
    QSize,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from gui.kit import theme
from gui.kit.theme import Theme
from gui.pictures.class_table import ROW_PX, SHARE_ROLE, SORT_ROLE

if TYPE_CHECKING:
    from core.runs.report import Report

_Index = QModelIndex | QPersistentModelIndex
_HEADINGS = ("Class", "Images", "Precision", "Recall", "F1")
_MEANINGS = (
    "",
    "Images of the class that were judged",
    "Of the images answered as this class, how many are of it",
    "Of the images of this class, how many were answered as it",
    "Harmonic mean of precision and recall",
)


class ScoreModel(QAbstractTableModel):
    """One row per class, in the report's order."""

    def __init__(self) -> None:
        super().__init__()
        self._report: Report | None = None

    def show_report(self, report: Report | None) -> None:
        self.beginResetModel()
        self._report = report
        self.endResetModel()

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() or self._report is None else len(self._report.per_class)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(_HEADINGS)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or self._report is None:
            return None
        score, column = self._report.per_class[index.row()], index.column()
        value = (score.name, score.n, score.precision, score.recall, score.f1)[column]
        if role == Qt.ItemDataRole.DisplayRole:
            if isinstance(value, float):
                return f"{value:.1%}" if column < 4 else f"{value:.3f}"
            return value if isinstance(value, str) else f"{value:,}"
        if role == SHARE_ROLE:
            return value if isinstance(value, float) else None
        if role == SORT_ROLE:
            return value.casefold() if isinstance(value, str) else value
        if role == Qt.ItemDataRole.ToolTipRole and column == 0:
            return score.name
        if role == Qt.ItemDataRole.TextAlignmentRole and column == 1:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return _HEADINGS[section]
        if role == Qt.ItemDataRole.ToolTipRole:
            return _MEANINGS[section]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignLeft if section == 0 else Qt.AlignmentFlag.AlignRight
            return side | Qt.AlignmentFlag.AlignVCenter
        return None


class _ShareBar(QStyledItemDelegate):
    """The number, and under it a thin bar as long as the share."""

    def __init__(self, look: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = look

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
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
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self.score_model)
        self._sorted.setSortRole(SORT_ROLE)
        self.setModel(self._sorted)
        self.setItemDelegate(_ShareBar(look, self))
        self.setAccessibleName("Per-class table")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_PX)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setMinimumSectionSize(40)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column, width in ((1, 62), (2, 78), (3, 70), (4, 62)):
            self.setColumnWidth(column, width)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.selectionModel().currentRowChanged.connect(self._row_changed)
        look.changed.connect(self.viewport().update)

    def show_report(self, report: Report | None) -> None:
        self.score_model.show_report(report)

    def sizeHint(self) -> QSize:
        return QSize(380, 300)

    def _row_changed(self, current: QModelIndex, _previous: QModelIndex) -> None:
        if current.isValid():
            self.class_selected.emit(self._sorted.mapToSource(current).row())
