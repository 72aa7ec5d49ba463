"""All runs as a table: sortable, searched as one types, several at once to choose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QSize,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from PySide6.QtGui import QIcon, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from gui.kit import theme
from gui.kit.theme import Theme
from gui.kit.words import isolate, name_model, strategy_in_words

if TYPE_CHECKING:
    from core.runs.run_folder import RunSummary

_Index = QModelIndex | QPersistentModelIndex
SORT_ROLE = Qt.ItemDataRole.UserRole + 1
_ROW_PX = 30
_HEADERS = ("Dataset", "Status", "Accuracy", "Strategy", "Started", "Model", "Selection")
_DATASET, _STATUS, _ACCURACY, _STRATEGY, _STARTED, _MODEL, _SELECTION = range(7)
_WIDTHS = {_STATUS: 112, _ACCURACY: 76, _STRATEGY: 136, _STARTED: 130, _MODEL: 170, _SELECTION: 84}
_SHOWN_FROM = {_MODEL: 780, _SELECTION: 860}
"""Width of the table in pixels from which a column has room; the details say it anyway."""
_NUMBERS = (_ACCURACY, _SELECTION)
_EXPLAINED = {
    _ACCURACY: "On the report set, which chose nothing.",
    _SELECTION: "On the selection images, which chose the epoch: a little too good.",
}
STATUS_ICONS = {
    "done": ("check-circle-outline", "good"),
    "stopped": ("stop-circle-outline", "muted"),
    "failed": ("alert-circle-outline", "bad"),
    "running": ("progress-clock", "accent"),
    "interrupted": ("lightning-bolt-outline", "warning"),
}


class RunsModel(QAbstractTableModel):
    """One row per run, texts made once."""

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._theme = look
        self.runs: tuple[RunSummary, ...] = ()
        self._texts: list[tuple[str, ...]] = []
        self._keys: list[tuple[Any, ...]] = []
        self.searched: list[str] = []
        """What a search looks in, a text per row, in lower case."""
        self._icons: dict[str, QIcon] = {}
        look.changed.connect(self._paint_anew)

    def show_runs(self, runs: Sequence[RunSummary]) -> None:
        self.beginResetModel()
        self.runs = tuple(runs)
        self._texts = [_texts(run) for run in runs]
        self._keys = [_sort_keys(run) for run in runs]
        self.searched = [
            " ".join((run.name, *text)).lower() for run, text in zip(runs, self._texts, strict=True)
        ]
        self.endResetModel()

    def _paint_anew(self) -> None:
        self._icons.clear()
        if self.runs:
            top, bottom = self.index(0, _STATUS), self.index(len(self.runs) - 1, _STATUS)
            self.dataChanged.emit(top, bottom, [Qt.ItemDataRole.DecorationRole])

    def _icon(self, status: str) -> QIcon:
        if status not in self._icons:
            self._icons[status] = self._theme.icon(*STATUS_ICONS[status])
        return self._icons[status]

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self.runs)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(_HEADERS)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row, column = index.row(), index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._texts[row][column]
        if role == SORT_ROLE:
            return self._keys[row][column]
        if role == Qt.ItemDataRole.DecorationRole and column == _STATUS:
            return self._icon(self.runs[row].status)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self.runs[row].name if column == _DATASET else self._texts[row][column]
        return None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return _HEADERS[section]
        if role == Qt.ItemDataRole.ToolTipRole:
            return _EXPLAINED.get(section)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(section)
        return None


def _alignment(column: int) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if column in _NUMBERS else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter


def _texts(run: RunSummary) -> tuple[str, ...]:
    return (
        isolate(run.dataset),
        run.status,
        _percent(run.report_accuracy),
        strategy_in_words(run.strategy),
        f"{run.started:%Y-%m-%d %H:%M}",
        name_model(run.model),
        _percent(run.best_selection_accuracy if run.best_epoch != -1 else None),
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _sort_keys(run: RunSummary) -> tuple[Any, ...]:
    accuracy = -1.0 if run.report_accuracy is None else run.report_accuracy
    selection = -1.0 if run.best_selection_accuracy is None else run.best_selection_accuracy
    return (
        run.dataset.lower(),
        run.status,
        accuracy,
        run.strategy,
        run.started.timestamp(),
        name_model(run.model).lower(),
        selection,
    )


class _Proxy(QSortFilterProxyModel):
    """Rows in which every word of the search stands."""

    def __init__(self, source: RunsModel) -> None:
        super().__init__()
        self._source = source
        self._words: tuple[str, ...] = ()
        self.setSourceModel(source)
        self.setSortRole(SORT_ROLE)

    def search(self, text: str) -> None:
        self._words = tuple(text.lower().split())
        self.invalidate()

    def filterAcceptsRow(self, row: int, parent: _Index) -> bool:
        text = self._source.searched[row]
        return all(word in text for word in self._words)


class RunTable(QTableView):
    """`selection_changed` after each choice, `opened` at a double click or Enter."""

    selection_changed = Signal()
    opened = Signal()
    trash_wanted = Signal()

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self.runs_model = RunsModel(look)
        self.proxy = _Proxy(self.runs_model)
        self.setModel(self.proxy)
        self.setAccessibleName("Runs")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setTabKeyNavigation(False)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setSortingEnabled(True)
        self.setIconSize(QSize(16, 16))
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(_ROW_PX)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setSectionResizeMode(_DATASET, QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(64)
        for column, width in _WIDTHS.items():
            self.setColumnWidth(column, width)
        self.sortByColumn(_STARTED, Qt.SortOrder.DescendingOrder)
        self.selectionModel().selectionChanged.connect(self._selected)
        self.doubleClicked.connect(self._double_clicked)

    def show_runs(self, runs: Sequence[RunSummary]) -> None:
        """The runs, those chosen before still chosen."""
        before = {run.path for run in self.selected}
        self.runs_model.show_runs(runs)
        selection = QItemSelection()
        current = QModelIndex()
        for row in range(self.proxy.rowCount()):
            index = self.proxy.index(row, 0)
            if self._run(index).path in before:
                selection.select(index, index)
                current = index if not current.isValid() else current
        model = self.selectionModel()
        if current.isValid():
            model.setCurrentIndex(current, QItemSelectionModel.SelectionFlag.NoUpdate)
        flags = QItemSelectionModel.SelectionFlag
        model.select(selection, flags.ClearAndSelect | flags.Rows)
        self.selection_changed.emit()

    def search(self, text: str) -> None:
        self.proxy.search(text)
        self.selection_changed.emit()  # Qt says nothing of chosen rows that are filtered away

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        for column, width in _SHOWN_FROM.items():
            self.setColumnHidden(column, self.width() < width)

    def select_path(self, path: Path) -> None:
        for row in range(self.proxy.rowCount()):
            if self._run(self.proxy.index(row, 0)).path == path:
                self.selectRow(row)
                return

    @property
    def shown(self) -> int:
        """How many runs the search leaves."""
        return self.proxy.rowCount()

    @property
    def selected(self) -> list[RunSummary]:
        """Top to bottom."""
        rows = sorted(self.selectionModel().selectedRows(), key=_row_of)
        return [self._run(index) for index in rows]

    def _run(self, index: QModelIndex) -> RunSummary:
        return self.runs_model.runs[self.proxy.mapToSource(index).row()]

    def _selected(self, _now: object, _before: object) -> None:
        self.selection_changed.emit()

    def _double_clicked(self, _index: QModelIndex) -> None:
        self.opened.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.opened.emit()
        elif event.key() == Qt.Key.Key_Delete:
            self.trash_wanted.emit()
        else:
            super().keyPressEvent(event)

    def sizeHint(self) -> QSize:
        return QSize(480, 10 * _ROW_PX + theme.XL)


def _row_of(index: QModelIndex) -> int:
    return index.row()
