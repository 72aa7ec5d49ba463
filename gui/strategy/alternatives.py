"""Tables of the advice: the alternatives to choose from, and the rules with what applied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QPersistentModelIndex,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QGridLayout,
    QHeaderView,
    QTableView,
    QWidget,
)

from gui.kit import theme
from gui.kit.basics import label
from gui.kit.theme import Theme
from gui.kit.words import duration, short_number, strategy_in_words

if TYPE_CHECKING:
    from core.advice.advise import Alternative
    from core.advice.rules import RuleTable

_Index = QModelIndex | QPersistentModelIndex
_ROW_PX = 30
_HEADERS = ("Strategy", "What trains", "Parameters", "About", "Memory", "Risk")
_RIGHT = (2, 3, 4)


class AlternativesModel(QAbstractTableModel):
    """One row per strategy."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: tuple[Alternative, ...] = ()
        self._texts: list[tuple[str, ...]] = []

    def show_alternatives(self, rows: Sequence[Alternative]) -> None:
        self.beginResetModel()
        self._rows = tuple(rows)
        self._texts = [_texts(row) for row in rows]
        self.endResetModel()

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(_HEADERS)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self._texts[index.row()][index.column()]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(index.column())
        if role == Qt.ItemDataRole.ToolTipRole:
            option = self._rows[index.row()]
            return f"{self._texts[index.row()][index.column()]}\n{option.why}"
        return None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return _HEADERS[section]
        if role == Qt.ItemDataRole.ToolTipRole and section == len(_HEADERS) - 1:
            return "Of overfitting: how much learns from how few images."
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(section)
        return None


def _alignment(column: int) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if column in _RIGHT else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter


def _texts(row: Alternative) -> tuple[str, ...]:
    name = strategy_in_words(row.strategy, gradual=row.gradual)
    share = row.trainable_params / row.params if row.params else 0.0
    return (
        f"{name} (advised)" if row.is_advised else name,
        row.trains.removeprefix("the "),
        f"{short_number(row.trainable_params)} ({share:.0%})"
        if share >= 0.01
        else short_number(row.trainable_params),
        duration(row.seconds) + ("" if row.fits_budget else ", over budget"),
        f"{row.memory_mb / 1024:.1f} GB",
        row.risk,
    )


class AlternativesTable(QTableView):
    """`alternative_chosen` carries the row."""

    alternative_chosen = Signal(int)

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self.alternatives = AlternativesModel()
        self.setModel(self.alternatives)
        self.setAccessibleName("Alternatives")
        self.setAccessibleDescription("Choosing a row shows its plan; Finish takes the chosen one.")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(_ROW_PX)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.selectionModel().currentRowChanged.connect(self._row_changed)
        look.changed.connect(self.viewport().update)

    def show_alternatives(self, rows: Sequence[Alternative]) -> None:
        self.alternatives.show_alternatives(rows)
        for position, option in enumerate(rows):
            if option.is_advised:
                self.selectRow(position)
        self.updateGeometry()

    def _height(self) -> int:
        rows = self.alternatives.rowCount()
        return self.horizontalHeader().sizeHint().height() + rows * _ROW_PX + 2 * theme.XS

    def sizeHint(self) -> QSize:
        return QSize(600, self._height())

    def minimumSizeHint(self) -> QSize:
        return QSize(320, self._height())

    def _row_changed(self, current: QModelIndex, _previous: QModelIndex) -> None:
        if current.isValid():
            self.alternative_chosen.emit(current.row())


class RuleGrid(QWidget):
    """A rule in full; the cell that applied is framed, ticked and said first."""

    def __init__(self, table: RuleTable) -> None:
        super().__init__()
        self.applied = table.cells[table.applied[0]][table.applied[1]]
        self.setAccessibleName(table.title)
        self.setAccessibleDescription(
            f"Applies: {table.rows[table.applied[0]]}, {table.columns[table.applied[1]]}: "
            f"{self.applied}"
        )
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        title = f"{table.title} (this one decides)" if table.decides else table.title
        grid.addWidget(label(title, "heading"), 0, 0, 1, len(table.columns) + 1)
        if len(table.columns) > 1:
            for column, text in enumerate(table.columns, start=1):
                grid.addWidget(label(text, "muted-small", wraps=True), 1, column)
        for row, name in enumerate(table.rows):
            grid.addWidget(label(name, "muted-small", wraps=True), row + 2, 0)
            for column, says in enumerate(table.cells[row]):
                is_applied = (row, column) == table.applied
                cell = label(f"✓ {says}" if is_applied else says, "cell", wraps=True)
                cell.setProperty("applied", is_applied)
                grid.addWidget(cell, row + 2, column + 1)
        for column in range(len(table.columns) + 1):
            grid.setColumnStretch(column, 1)
