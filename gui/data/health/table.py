"""The table of findings."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QModelIndex, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHeaderView, QStackedLayout, QTableView, QWidget

from gui.data.health.rows import FindingRow
from gui.kit.basics import label
from gui.kit.table import Column, ColumnTable, set_up_view, set_widths
from gui.kit.words import isolate


def _what(finding: FindingRow) -> str:
    return finding.title


def _where(finding: FindingRow) -> str:
    return isolate(finding.place)


def _why(finding: FindingRow) -> str:
    return finding.reason[:1].upper() + finding.reason[1:]


class FindingModel(ColumnTable[FindingRow]):
    """One row per finding; columns: what, where, why."""

    def __init__(self) -> None:
        texts = {"What": _what, "Where": _where, "Why": _why}
        super().__init__([Column(heading, text, tip=text) for heading, text in texts.items()])


class FindingsTable(QWidget):
    """The findings, or a sentence that all is well."""

    chosen = Signal(object)
    """The finding of the current row."""

    def __init__(self, name: str, *, empty: str) -> None:
        super().__init__()
        self._layout = QStackedLayout(self)
        self._empty = label(empty, "muted")
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._layout.addWidget(self._empty)
        self.model = FindingModel()
        self.view = QTableView()
        self.view.setModel(self.model)
        header = set_up_view(self.view, name, elides_middle=True)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        set_widths(self.view, (116, 0, 0))
        self.view.selectionModel().currentRowChanged.connect(self._row_changed)
        self._layout.addWidget(self.view)

    def show_findings(self, rows: Sequence[FindingRow]) -> None:
        """Replace the findings."""
        self.model.show_rows(rows)
        self._layout.setCurrentWidget(self.view if rows else self._empty)

    def set_empty_text(self, text: str) -> None:
        """The sentence in place of findings."""
        self._empty.setText(text)

    @property
    def current_row(self) -> int:
        """The current row; -1 where none is."""
        return self.view.currentIndex().row()

    def choose(self, row: int) -> None:
        """Make a row the current one and emit `chosen`."""
        self.view.selectRow(row)

    def text(self, row: int, column: int) -> str:
        """The text of a cell."""
        return self.model.text(row, column)

    def resizeEvent(self, event: QResizeEvent) -> None:
        # The pictures of the chosen finding take room from below: it stays in sight.
        super().resizeEvent(event)
        self.view.scrollTo(self.view.currentIndex())

    def _row_changed(self, current: QModelIndex, _previous: QModelIndex) -> None:
        if current.isValid():
            self.chosen.emit(self.model.row_at(current.row()))
