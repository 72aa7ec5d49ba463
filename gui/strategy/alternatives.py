"""Tables of the advice: the alternatives to choose from, and the rules with what applied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, QSize, Qt, Signal
from PySide6.QtWidgets import QGridLayout, QHeaderView, QTableView, QWidget

from gui.kit import theme
from gui.kit.basics import label
from gui.kit.table import ROW_PX, Column, ColumnTable, set_up_view
from gui.kit.theme import Theme
from gui.kit.words import duration, short_number, strategy_in_words

if TYPE_CHECKING:
    from core.advice.advise import Alternative
    from core.advice.rules import RuleTable


def _name(row: Alternative) -> str:
    name = strategy_in_words(row.strategy, gradual=row.gradual)
    return f"{name} (advised)" if row.is_advised else name


def _parameters(row: Alternative) -> str:
    number = short_number(row.trainable_params)
    share = row.trainable_params / row.params if row.params else 0.0
    return f"{number} ({share:.0%})" if share >= 0.01 else number


def _duration(row: Alternative) -> str:
    return duration(row.seconds) + ("" if row.fits_budget else ", over budget")


def _column(
    heading: str,
    text: Callable[[Alternative], str],
    *,
    is_number: bool = False,
    heading_tip: str = "",
) -> Column[Alternative]:
    return Column(
        heading,
        text,
        is_number,
        tip=lambda row: f"{text(row)}\n{row.why}",
        heading_tip=heading_tip,
    )


_COLUMNS = (
    _column("Strategy", _name),
    _column("What trains", lambda row: row.trains.removeprefix("the ")),
    _column("Parameters", _parameters, is_number=True),
    _column("About", _duration, is_number=True),
    _column("Memory", lambda row: f"{row.memory_mb / 1024:.1f} GB", is_number=True),
    _column(
        "Risk",
        lambda row: row.risk,
        heading_tip="Of overfitting: how much learns from how few images.",
    ),
)


class AlternativesTable(QTableView):
    """`alternative_chosen` carries the row."""

    alternative_chosen = Signal(int)

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self.alternatives = ColumnTable(_COLUMNS)
        self.setModel(self.alternatives)
        self.setAccessibleDescription("Choosing a row shows its plan; Finish takes the chosen one.")
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header = set_up_view(self, "Alternatives")
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.selectionModel().currentRowChanged.connect(self._row_changed)
        look.changed.connect(self.viewport().update)

    def show_alternatives(self, rows: Sequence[Alternative]) -> None:
        self.alternatives.show_rows(rows)
        for position, option in enumerate(rows):
            if option.is_advised:
                self.selectRow(position)
        self.updateGeometry()

    def _height(self) -> int:
        rows = self.alternatives.rowCount()
        return self.horizontalHeader().sizeHint().height() + rows * ROW_PX + 2 * theme.XS

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
