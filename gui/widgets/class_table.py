"""The classes of a dataset with their counts and how evenly they are filled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QPersistentModelIndex,
    QRectF,
    QSize,
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

from gui import theme
from gui.theme import Theme

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex

_Index = QModelIndex | QPersistentModelIndex
SHARE_ROLE = Qt.ItemDataRole.UserRole + 1
ROW_PX = 30


class ClassModel(QAbstractTableModel):
    """One row per class; columns: class, one per split that holds images, balance."""

    def __init__(self) -> None:
        super().__init__()
        self._classes: tuple[str, ...] = ()
        self._splits: tuple[str, ...] = ()
        self._counts: list[list[int]] = []
        self._totals: list[int] = []

    def show_dataset(self, dataset: DatasetIndex) -> None:
        from core.data.dataset import SPLITS

        self.beginResetModel()
        table = dataset.class_split_counts()
        columns = [i for i, name in enumerate(SPLITS) if table[:, i].any()]
        self._classes = dataset.classes
        self._splits = tuple(SPLITS[i] for i in columns)
        self._counts = table[:, columns].tolist()
        self._totals = table.sum(axis=1).tolist()
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
            return self._totals[row] / max(1, *self._totals)
        return None

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
    """The table; `class_selected` carries the row of the class."""

    class_selected = Signal(int)

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self.class_model = ClassModel()
        self.setModel(self.class_model)
        self.setItemDelegate(_BalanceBar(look, self))
        self.setAccessibleName("Classes")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_PX)
        self.horizontalHeader().setHighlightSections(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.selectionModel().currentRowChanged.connect(self._row_changed)
        look.changed.connect(self.viewport().update)

    def show_dataset(self, dataset: DatasetIndex) -> None:
        self.class_model.show_dataset(dataset)
        header = self.horizontalHeader()
        for column in range(1, self.class_model.balance_column):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            self.setColumnWidth(column, 64)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(self.class_model.balance_column, QHeaderView.ResizeMode.Stretch)
        self.selectRow(0)

    def sizeHint(self) -> QSize:
        return QSize(420, 320)

    def _row_changed(self, current: QModelIndex, _previous: QModelIndex) -> None:
        if current.isValid():
            self.class_selected.emit(current.row())
