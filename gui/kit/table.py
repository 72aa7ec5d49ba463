"""One item model for every flat table, and the set-up its views share. Knows no feature."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
)
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

Row = TypeVar("Row")
TableIndex = QModelIndex | QPersistentModelIndex
SHARE_ROLE = Qt.ItemDataRole.UserRole + 1
"""0…1: how long the bar of a cell is; None for a cell without one."""
SORT_ROLE = Qt.ItemDataRole.UserRole + 2
ROW_PX = 30
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
_TEXT = Qt.ItemDataRole.DisplayRole
_TIP = Qt.ItemDataRole.ToolTipRole
_ALIGNMENT = Qt.ItemDataRole.TextAlignmentRole


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """What a column shows of a row. Getters are called when a view asks, once a cell and role."""

    heading: str
    text: Callable[[Row], str]
    is_number: bool = False
    """Heading and cells stand at the right."""
    sort_key: Callable[[Row], Any] | None = None
    tip: Callable[[Row], str | None] | None = None
    heading_tip: str = ""
    starts_with_largest: bool = False
    """The first click on the heading sorts downwards."""
    others: Mapping[int, Callable[[Row], Any]] = field(default_factory=dict)
    """Getters of further roles: icon, share, accessible text."""


class ColumnTable(QAbstractTableModel, Generic[Row]):
    """A list of rows and a tuple of columns as a Qt model."""

    def __init__(self, columns: Sequence[Column[Row]] = ()) -> None:
        super().__init__()
        self.columns: tuple[Column[Row], ...] = tuple(columns)
        self.rows: tuple[Row, ...] = ()

    def show_rows(self, rows: Sequence[Row], columns: Sequence[Column[Row]] | None = None) -> None:
        """Replace all rows, and the columns where some are given."""
        self.beginResetModel()
        self.rows = tuple(rows)
        if columns is not None:
            self.columns = tuple(columns)
        self.endResetModel()

    def row_at(self, position: int) -> Row:
        """The row shown at a line of the table."""
        return self.rows[position]

    def text(self, position: int, column: int) -> str:
        """The text of a cell."""
        return self.columns[column].text(self.row_at(position))

    def update_columns(self, first: int, last: int, *roles: int) -> None:
        """Have neighbouring columns of all rows painted again; `roles`: only these changed."""
        if count := self.rowCount():
            self.dataChanged.emit(self.index(0, first), self.index(count - 1, last), list(roles))

    def rowCount(self, parent: TableIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: TableIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self.columns)

    def data(self, index: TableIndex, role: int = _TEXT) -> Any:
        if not index.isValid():
            return None
        column = self.columns[index.column()]
        if role == _ALIGNMENT:
            return RIGHT if column.is_number else LEFT
        getter: Callable[[Row], Any] | None
        if role == _TEXT:
            getter = column.text
        elif role == SORT_ROLE:
            getter = column.sort_key
        elif role == _TIP:
            getter = column.tip
        else:
            getter = column.others.get(role)
        return None if getter is None else getter(self.row_at(index.row()))

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = _TEXT) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        column = self.columns[section]
        if role == _TEXT:
            return column.heading
        if role == _TIP:
            return column.heading_tip or None
        if role == _ALIGNMENT:
            return RIGHT if column.is_number else LEFT
        if role == Qt.ItemDataRole.InitialSortOrderRole:
            return order_of(is_largest_first=column.starts_with_largest)
        return None


def order_of(*, is_largest_first: bool) -> Qt.SortOrder:
    """Qt's word for a direction of sorting."""
    return Qt.SortOrder.DescendingOrder if is_largest_first else Qt.SortOrder.AscendingOrder


def sorted_by_key(model: ColumnTable[Any], view: QTableView) -> QSortFilterProxyModel:
    """Put a model that sorts by `sort_key` between a model and its view; the view sorts by it."""
    proxy = QSortFilterProxyModel(view)
    proxy.setSourceModel(model)
    proxy.setSortRole(SORT_ROLE)
    view.setModel(proxy)
    return proxy


def set_up_view(
    view: QTableView,
    name: str,
    *,
    selects_several: bool = False,
    elides_middle: bool = False,
    row_px: int = ROW_PX,
) -> QHeaderView:
    """What all tables share: whole rows are selected, no grid, one line a row; gives the header.

    `name` is what a screen reader says. Tab leaves the table instead of walking its cells.
    """
    modes = QAbstractItemView.SelectionMode
    view.setAccessibleName(name)
    view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    view.setSelectionMode(modes.ExtendedSelection if selects_several else modes.SingleSelection)
    view.setTabKeyNavigation(False)
    view.setShowGrid(False)
    view.setWordWrap(False)
    if elides_middle:
        view.setTextElideMode(Qt.TextElideMode.ElideMiddle)
    view.verticalHeader().hide()
    view.verticalHeader().setDefaultSectionSize(row_px)
    header = view.horizontalHeader()
    header.setHighlightSections(False)
    return header


def set_widths(view: QTableView, widths: Sequence[int]) -> None:
    """Pixels of each column; 0 takes what the others leave. Needs the model to be set."""
    for position, width in enumerate(widths):
        if width:
            view.setColumnWidth(position, width)
        else:
            view.horizontalHeader().setSectionResizeMode(position, QHeaderView.ResizeMode.Stretch)
