"""All runs as a table: sortable, searched as one types, several at once to choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import (
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QSize,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from PySide6.QtGui import QIcon, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QTableView

from core.catalog.names import shown_name
from gui.kit import theme
from gui.kit.run_status import STATUS_ICONS
from gui.kit.table import (
    ROW_PX,
    SORT_ROLE,
    Column,
    ColumnTable,
    TableIndex,
    set_up_view,
    set_widths,
)
from gui.kit.theme import Theme
from gui.kit.words import isolate, strategy_in_words

if TYPE_CHECKING:
    from core.runs.run_folder import RunSummary

_DATASET, _STATUS, _STARTED, _MODEL, _SELECTION = 0, 1, 4, 5, 6
_WIDTHS = (0, 112, 76, 136, 130, 170, 84)
_SHOWN_FROM = {_MODEL: 780, _SELECTION: 860}
"""Width of the table in pixels from which a column has room; the details say it anyway."""


def _column(
    heading: str,
    text: Callable[[RunSummary], str],
    sort_key: Callable[[RunSummary], Any],
    **others: Any,
) -> Column[RunSummary]:
    return Column(heading, text, sort_key=sort_key, **{"tip": text, **others})


def _accuracy(run: RunSummary) -> str:
    return _percent(run.report_accuracy)


def _selection(run: RunSummary) -> str:
    return _percent(run.best_selection_accuracy if run.best_epoch != -1 else None)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _or_last(share: float | None) -> float:
    return -1.0 if share is None else share


class RunsModel(ColumnTable["RunSummary"]):
    """One row per run."""

    def __init__(self, look: Theme) -> None:
        self._theme = look
        self._icons: dict[str, QIcon] = {}
        super().__init__(
            (
                _column(
                    "Dataset",
                    lambda run: isolate(run.dataset),
                    lambda run: run.dataset.lower(),
                    tip=lambda run: run.name,
                ),
                _column(
                    "Status",
                    lambda run: run.status,
                    lambda run: run.status,
                    others={Qt.ItemDataRole.DecorationRole: self._icon},
                ),
                _column(
                    "Accuracy",
                    _accuracy,
                    lambda run: _or_last(run.report_accuracy),
                    is_number=True,
                    heading_tip="On the report set, which chose nothing.",
                ),
                _column(
                    "Strategy",
                    lambda run: strategy_in_words(run.strategy),
                    lambda run: run.strategy,
                ),
                _column(
                    "Started",
                    lambda run: f"{run.started:%Y-%m-%d %H:%M}",
                    lambda run: run.started.timestamp(),
                ),
                _column(
                    "Model",
                    lambda run: shown_name(run.model),
                    lambda run: shown_name(run.model).lower(),
                ),
                _column(
                    "Held-out check",
                    _selection,
                    lambda run: _or_last(run.best_selection_accuracy),
                    is_number=True,
                    heading_tip=("Accuracy on the images that chose the epoch: a little too good."),
                ),
            )
        )
        self.searched: list[str] = []
        """What a search looks in, a text per row, in lower case."""
        look.changed.connect(self._paint_anew)

    def show_runs(self, runs: Sequence[RunSummary]) -> None:
        """Replace all rows."""
        self.searched = [
            " ".join((run.name, *(column.text(run) for column in self.columns))).lower()
            for run in runs
        ]
        self.show_rows(runs)

    def _paint_anew(self) -> None:
        self._icons.clear()
        self.update_columns(_STATUS, _STATUS, Qt.ItemDataRole.DecorationRole)

    def _icon(self, run: RunSummary) -> QIcon:
        if run.status not in self._icons:
            self._icons[run.status] = self._theme.icon(*STATUS_ICONS[run.status])
        return self._icons[run.status]


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

    def filterAcceptsRow(self, row: int, parent: TableIndex) -> bool:
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
        header = set_up_view(self, "Runs", selects_several=True)
        self.setSortingEnabled(True)
        self.setIconSize(QSize(16, 16))
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        header.setMinimumSectionSize(64)
        set_widths(self, _WIDTHS)
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
        """The number of runs that the search finds."""
        return self.proxy.rowCount()

    @property
    def selected(self) -> list[RunSummary]:
        """The selected runs, from top to bottom."""
        rows = sorted(self.selectionModel().selectedRows(), key=_row_of)
        return [self._run(index) for index in rows]

    def _run(self, index: QModelIndex) -> RunSummary:
        return self.runs_model.row_at(self.proxy.mapToSource(index).row())

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
        return QSize(480, 10 * ROW_PX + theme.XL)


def _row_of(index: QModelIndex) -> int:
    return index.row()
