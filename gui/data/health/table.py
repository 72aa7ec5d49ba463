"""The table of findings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QStackedLayout, QTableView, QWidget

from gui.data.health.rows import FindingRow
from gui.kit.basics import label
from gui.kit.words import isolate
from gui.pictures.class_table import ROW_PX

_Index = QModelIndex | QPersistentModelIndex


class FindingModel(QAbstractTableModel):
    """One row per finding; columns: what, where, why."""

    _HEADINGS = ("What", "Where", "Why")

    def __init__(self) -> None:
        super().__init__()
        self._rows: Sequence[FindingRow] = ()

    def show_findings(self, rows: Sequence[FindingRow]) -> None:
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def finding(self, row: int) -> FindingRow:
        return self._rows[row]

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self._HEADINGS)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        finding = self._rows[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            reason = finding.reason[:1].upper() + finding.reason[1:]
            return (finding.title, isolate(finding.place), reason)[index.column()]
        return None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self._HEADINGS[section]
        return None


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
        self.view.setAccessibleName(name)
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.setTabKeyNavigation(False)
        self.view.setShowGrid(False)
        self.view.setWordWrap(False)
        self.view.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.view.verticalHeader().hide()
        self.view.verticalHeader().setDefaultSectionSize(ROW_PX)
        header = self.view.horizontalHeader()
        header.setHighlightSections(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Fixed)
        self.view.setColumnWidth(0, 116)
        self.view.selectionModel().currentRowChanged.connect(self._row_changed)
        self._layout.addWidget(self.view)

    def show_findings(self, rows: Sequence[FindingRow]) -> None:
        self.model.show_findings(rows)
        self._layout.setCurrentWidget(self.view if rows else self._empty)

    def set_empty_text(self, text: str) -> None:
        """The sentence in place of findings."""
        self._empty.setText(text)

    @property
    def current_row(self) -> int:
        """-1 where none is."""
        return self.view.currentIndex().row()

    def choose(self, row: int) -> None:
        """Make a row the current one, and tell."""
        self.view.selectRow(row)

    def text(self, row: int, column: int) -> str:
        return str(self.model.index(row, column).data() or "")

    def resizeEvent(self, event: QResizeEvent) -> None:
        # The pictures of the chosen finding take room from below: it stays in sight.
        super().resizeEvent(event)
        self.view.scrollTo(self.view.currentIndex())

    def _row_changed(self, current: QModelIndex, _previous: QModelIndex) -> None:
        if current.isValid():
            self.chosen.emit(self.model.finding(current.row()))
