"""What is odd about a dataset: findings in words, each with its pictures, and their table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QStackedLayout, QTableView, QWidget

from gui.widgets.basics import label
from gui.widgets.class_table import ROW_PX
from gui.words import count, isolate

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex

_Index = QModelIndex | QPersistentModelIndex
LEAK, COPY, ODD_SIZE = "leak", "copy", "odd size"
_TITLES = {
    "unreadable": "Unreadable",
    "no permission": "No permission",
    "contradiction": "Two labels",
    LEAK: "Leak",
    COPY: "Copies",
    ODD_SIZE: "Odd size",
    "few images": "Few images",
    "class set": "Class missing",
    "empty class": "Empty class",
    "no class": "No class",
}
_MOST_ODD = 0.05  # of the pictures; what is more frequent is the nature of the dataset
_TINY = 8  # times smaller than the middle picture
_NARROW = 4.0  # times as long as wide


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know about: what kind, of which files or folder, and in words why."""

    kind: str
    place: str
    reason: str
    files: tuple[str, ...] = ()
    """Pictures to look at, relative to the dataset; none where it is about a folder."""

    @property
    def title(self) -> str:
        return _TITLES.get(self.kind, self.kind.capitalize())


def list_findings(dataset: DatasetIndex) -> list[Finding]:
    """Everything, the gravest first: what cannot be used, what flatters the result, what is odd."""
    found = [
        Finding(
            problem.kind,
            problem.file,
            problem.reason,
            () if problem.kind in ("empty class", "few images", "class set") else (problem.file,),
        )
        for problem in dataset.problems
        if problem.kind != "contradiction"  # said once for all copies of a picture, below
    ]
    leaks = set(dataset.leaks)
    torn = {problem.file for problem in dataset.problems if problem.kind == "contradiction"}
    for group in dataset.duplicates:
        what = count(len(group), "file") + " with the same content"
        kind, why = COPY, "in one part of the split; training uses one of them"
        if group in leaks:
            kind, why = LEAK, "in two parts of the split; left out of train, so as to judge fairly"
        if torn.intersection(group):
            kind, why = "contradiction", "in two classes: one label is wrong; left out of train"
        place = ", ".join(group[:4]) + (f" and {len(group) - 4:,} more" if len(group) > 4 else "")
        found.append(Finding(kind, place, f"{what}, {why}", group))
    found += _odd_sizes(dataset)
    order = list(_TITLES)
    return sorted(found, key=lambda finding: (_rank(order, finding.kind), finding.place))


def _rank(order: list[str], kind: str) -> int:
    return order.index(kind) if kind in order else len(order)


def _odd_sizes(dataset: DatasetIndex) -> list[Finding]:
    if not len(dataset):
        return []
    short = np.minimum(dataset.widths, dataset.heights)
    long = np.maximum(dataset.widths, dataset.heights)
    middle = float(np.median(short))
    tiny = short * _TINY < middle
    narrow = long > short * _NARROW
    found = []
    for flags, said in (
        (tiny, f"far smaller than the others, whose short side is about {middle:,.0f} pixels"),
        (narrow, "much longer than wide: a square cut out of it shows a part only"),
    ):
        if not 0 < flags.sum() <= max(1.0, _MOST_ODD * len(dataset)):
            continue
        for i in np.flatnonzero(flags).tolist():
            size = f"{dataset.widths[i]:,} × {dataset.heights[i]:,} pixels"
            file = dataset.files[i]
            found.append(Finding(ODD_SIZE, file, f"{size}, {said}", (file,)))
    return found


class FindingModel(QAbstractTableModel):
    """One row per finding; columns: what, where, why."""

    _HEADINGS = ("What", "Where", "Why")

    def __init__(self) -> None:
        super().__init__()
        self._rows: Sequence[Finding] = ()

    def show_findings(self, rows: Sequence[Finding]) -> None:
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def finding(self, row: int) -> Finding:
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
            return (finding.title, isolate(finding.place), finding.reason)[index.column()]
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

    def show_findings(self, rows: Sequence[Finding]) -> None:
        self.model.show_findings(rows)
        self._layout.setCurrentWidget(self.view if rows else self._empty)

    def text(self, row: int, column: int) -> str:
        return str(self.model.index(row, column).data() or "")

    def resizeEvent(self, event: QResizeEvent) -> None:
        # The pictures of the chosen finding take room from below: it stays in sight.
        super().resizeEvent(event)
        self.view.scrollTo(self.view.currentIndex())

    def _row_changed(self, current: QModelIndex, _previous: QModelIndex) -> None:
        if current.isValid():
            self.chosen.emit(self.model.finding(current.row()))
