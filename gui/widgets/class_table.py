"""The classes of a dataset with their counts and how evenly they are filled."""

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
from PySide6.QtGui import QPainter, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from gui import theme
from gui.theme import Theme

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex

_Index = QModelIndex | QPersistentModelIndex
SHARE_ROLE = Qt.ItemDataRole.UserRole + 1
SORT_ROLE = Qt.ItemDataRole.UserRole + 2
ROW_PX = 30
_SPLIT_PX = 58
_WIDE_PX = 330
"""Below this width the splits' columns give way to the names."""


class ClassModel(QAbstractTableModel):
    """One row per class; columns: class, one per split that holds images, balance."""

    def __init__(self) -> None:
        super().__init__()
        self._classes: tuple[str, ...] = ()
        self._splits: tuple[str, ...] = ()
        self._counts: list[list[int]] = []
        self._totals: list[int] = []
        self._largest = 1

    def show_dataset(self, dataset: DatasetIndex) -> None:
        from core.data.dataset import SPLITS

        self.beginResetModel()
        table = dataset.class_split_counts()
        columns = [i for i, name in enumerate(SPLITS) if table[:, i].any()]
        self._classes = dataset.classes
        self._splits = tuple(SPLITS[i] for i in columns)
        self._counts = table[:, columns].tolist()
        self._totals = table.sum(axis=1).tolist()
        self._largest = max(1, *self._totals)
        self.endResetModel()

    @property
    def balance_column(self) -> int:
        return len(self._splits) + 1

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self._classes)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() or not self._classes else len(self._splits) + 2

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row, column = index.row(), index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(row, column)
        if role == Qt.ItemDataRole.TextAlignmentRole and 0 < column < self.balance_column:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.ToolTipRole and column == 0:
            return self._classes[row]
        if role == SHARE_ROLE and column == self.balance_column:
            return self._totals[row] / self._largest
        if role == SORT_ROLE:
            return self._sort_key(row, column)
        return None

    def _sort_key(self, row: int, column: int) -> int | str:
        if column == 0:
            return self._classes[row].casefold()
        return self._totals[row] if column == self.balance_column else self._counts[row][column - 1]

    def _text(self, row: int, column: int) -> str:
        if column == 0:
            return self._classes[row]
        if column < self.balance_column:
            return f"{self._counts[row][column - 1]:,}"
        return f"{self._totals[row]:,}"

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return ("Class", *self._splits, "Total")[section]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            right = 0 < section < self.balance_column
            side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        return None


class _BalanceBar(QStyledItemDelegate):
    """A bar as long as the class is full, the number at its right."""

    def __init__(self, look: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = look

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        share = index.data(SHARE_ROLE)
        if share is None:
            super().paint(painter, option, index)
            return
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        rect = QRectF(option.rect)
        if selected:
            painter.fillRect(rect, self._theme.colour("tint"))
        number_px = painter.fontMetrics().horizontalAdvance("0,000,000")
        track = QRectF(
            rect.x() + theme.M - 1,
            rect.center().y() - 3,
            max(8.0, rect.width() - number_px - 2 * theme.S),
            6,
        )
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.colour("border" if selected else "sunken"))
        painter.drawRoundedRect(track, 3, 3)
        painter.setBrush(self._theme.colour("accent"))
        bar = QRectF(track)
        bar.setWidth(max(6.0, track.width() * share))
        painter.drawRoundedRect(bar, 3, 3)
        painter.setPen(self._theme.colour("text"))
        painter.drawText(
            rect.adjusted(0, 0, -theme.M, 0),
            Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
            str(index.data()),
        )
        painter.restore()


class ClassTable(QTableView):
    """The table. Several classes may be chosen; `classes_selected` carries their rows, none: all"""

    classes_selected = Signal(object)

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self.class_model = ClassModel()
        self._is_filling = False
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self.class_model)
        self._sorted.setSortRole(SORT_ROLE)
        self.setModel(self._sorted)
        self.setItemDelegate(_BalanceBar(look, self))
        self.setAccessibleName("Classes")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setTabKeyNavigation(False)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_PX)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setMinimumSectionSize(40)
        header.setSectionsClickable(True)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.selectionModel().selectionChanged.connect(self._selection_changed)
        look.changed.connect(self.viewport().update)

    def show_dataset(self, dataset: DatasetIndex) -> None:
        """Nothing is chosen afterwards, and nothing told."""
        self._is_filling = True
        self.class_model.show_dataset(dataset)
        self.clearSelection()
        self._is_filling = False
        self._lay_out_columns()

    def _lay_out_columns(self) -> None:
        header = self.horizontalHeader()
        if not self.class_model.columnCount():
            return
        for column in range(1, self.class_model.balance_column):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            self.setColumnWidth(column, _SPLIT_PX)
            self.setColumnHidden(column, self.width() < _WIDE_PX)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(self.class_model.balance_column, QHeaderView.ResizeMode.Stretch)

    def resizeEvent(self, event: QResizeEvent) -> None:
        was_wide = event.oldSize().width() >= _WIDE_PX
        super().resizeEvent(event)
        if was_wide != (self.width() >= _WIDE_PX):
            self._lay_out_columns()

    def sizeHint(self) -> QSize:
        return QSize(360, 320)

    def minimumSizeHint(self) -> QSize:
        return QSize(160, 120)

    @property
    def selected_classes(self) -> tuple[int, ...]:
        """Rows of the classes in the dataset's order, however the table is sorted."""
        chosen = self.selectionModel().selectedRows()
        return tuple(sorted(self._sorted.mapToSource(index).row() for index in chosen))

    def _selection_changed(self, _now: object, _before: object) -> None:
        if not self._is_filling:
            self.classes_selected.emit(self.selected_classes)
