"""What is wrong with a dataset, as a plain table of two columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStackedLayout,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from gui.widgets.basics import label
from gui.widgets.class_table import ROW_PX

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex

_MOST_ROWS = 500  # a table widget holds objects; who has more problems mends the first ones first


class FindingsTable(QWidget):
    """Rows of (what, why), or a sentence that all is well."""

    def __init__(self, name: str, *, empty: str) -> None:
        super().__init__()
        self._layout = QStackedLayout(self)
        self._empty = label(empty, "muted")
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._layout.addWidget(self._empty)
        self._table = QTableWidget(0, 2)
        self._table.setAccessibleName(name)
        self._table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self._table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self._table.setTabKeyNavigation(False)
        self._table.setShowGrid(False)
        self._table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self._table.verticalHeader().hide()
        self._table.verticalHeader().setDefaultSectionSize(ROW_PX)
        header = self._table.horizontalHeader()
        header.setHighlightSections(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self._layout.addWidget(self._table)

    def show_rows(self, headings: tuple[str, str], rows: Sequence[tuple[str, str]]) -> None:
        self._table.setHorizontalHeaderLabels(headings)
        self._table.setRowCount(min(len(rows), _MOST_ROWS))
        for i, cells in enumerate(rows[:_MOST_ROWS]):
            for column, text in enumerate(cells):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                self._table.setItem(i, column, item)
        self._layout.setCurrentWidget(self._table if rows else self._empty)

    def text(self, row: int, column: int) -> str:
        item = self._table.item(row, column)
        return "" if item is None else item.text()


def list_problems(dataset: DatasetIndex) -> list[tuple[str, str]]:
    return [(problem.file, f"{problem.kind}: {problem.reason}") for problem in dataset.problems]


def list_duplicates(dataset: DatasetIndex) -> list[tuple[str, str]]:
    """Groups of copies; those in more than one split first, because they flatter the result."""
    leaks = set(dataset.leaks)
    rows = [(", ".join(group), "in two splits: a leak") for group in dataset.leaks]
    rows += [
        (", ".join(group), "in one split") for group in dataset.duplicates if group not in leaks
    ]
    return rows
