"""The classes of a dataset with their counts and how evenly they are filled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QRectF,
    QSize,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from PySide6.QtGui import QContextMenuEvent, QKeyEvent, QPainter, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QInputDialog,
    QMenu,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from gui.edits.commands import DataCommands
from gui.kit import theme
from gui.kit.theme import Theme
from gui.kit.words import isolate, quote

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex

_Index = QModelIndex | QPersistentModelIndex
SHARE_ROLE = Qt.ItemDataRole.UserRole + 1
SORT_ROLE = Qt.ItemDataRole.UserRole + 2
DIGIT_ROLE = Qt.ItemDataRole.UserRole + 3
"""The key that labels pictures with this class; empty from the tenth class on."""
_DIGITS = 9
_DIGIT_PX = 20
ROW_PX = 30
_SPLIT_PX = 58
_WIDE_PX = 330
"""Below this width the splits' columns give way to the names."""


class ClassModel(QAbstractTableModel):
    """One row per class; columns: class, one per split that holds images, balance."""

    def __init__(self) -> None:
        super().__init__()
        self._classes: tuple[str, ...] = ()
        self._keys: tuple[str, ...] = ()
        self._splits: tuple[str, ...] = ()
        self._counts: list[list[int]] = []
        self._totals: list[int] = []
        self._largest = 1

    def show_dataset(self, dataset: DatasetIndex) -> bool:
        """Whether there are other rows or columns now: after most edits only numbers are new."""
        from core.data.dataset import SPLITS

        table = dataset.class_split_counts()
        columns = [i for i, name in enumerate(SPLITS) if table[:, i].any()]
        splits = tuple(SPLITS[i] for i in columns)
        is_other = (self._classes, self._keys, self._splits) != (
            dataset.classes, dataset.keys, splits,
        )  # fmt: skip
        if is_other:
            self.beginResetModel()
        self._classes, self._keys, self._splits = dataset.classes, dataset.keys, splits
        self._counts = table[:, columns].tolist()
        self._totals = table.sum(axis=1).tolist()
        self._largest = max([1, *self._totals])
        if is_other:
            self.endResetModel()
        elif self._classes:
            last = self.index(len(self._classes) - 1, self.balance_column)
            self.dataChanged.emit(self.index(0, 1), last)
        return is_other

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
            key = "" if row >= _DIGITS else f"\nThe key {row + 1} gives pictures this class."
            shown, folder = self._classes[row], self._keys[row]
            return shown + (f" (folder: {folder})" if folder != shown else "") + key
        if role == SHARE_ROLE and column == self.balance_column:
            return self._totals[row] / self._largest
        if role == DIGIT_ROLE and column == 0:
            return str(row + 1) if row < _DIGITS else ""
        if role == Qt.ItemDataRole.AccessibleTextRole and column == 0 and row < _DIGITS:
            return f"{self._classes[row]}, key {row + 1}"
        if role == SORT_ROLE:
            return self._sort_key(row, column)
        return None

    def _sort_key(self, row: int, column: int) -> int | str:
        if column == 0:
            return self._classes[row].casefold()
        return self._totals[row] if column == self.balance_column else self._counts[row][column - 1]

    def _text(self, row: int, column: int) -> str:
        if column == 0:
            return isolate(self._classes[row])
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


class _NameWithDigit(QStyledItemDelegate):
    """The class, behind the digit that labels pictures with it."""

    def __init__(self, look: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = look

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(option.rect, self._theme.colour("tint"))
        room = QRectF(option.rect)
        painter.save()
        painter.setPen(self._theme.colour("muted"))
        painter.setFont(self._theme.font("small"))
        painter.drawText(
            QRectF(room.left(), room.top(), _DIGIT_PX, room.height()),
            Qt.AlignmentFlag.AlignCenter,
            str(index.data(DIGIT_ROLE) or ""),
        )
        painter.restore()
        inner = QStyleOptionViewItem(option)
        inner.rect = option.rect.adjusted(_DIGIT_PX - theme.XS, 0, 0, 0)
        super().paint(painter, inner, index)


class ClassTable(QTableView):
    """The table. Several classes may be chosen; `classes_selected` carries their rows, none: all"""

    classes_selected = Signal(object)

    def __init__(self, look: Theme, data: DataCommands) -> None:
        super().__init__()
        self._data = data
        self._dataset: DatasetIndex | None = None
        self.class_model = ClassModel()
        self._is_filling = False
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self.class_model)
        self._sorted.setSortRole(SORT_ROLE)
        self.setModel(self._sorted)
        self.setItemDelegate(_BalanceBar(look, self))
        self.setItemDelegateForColumn(0, _NameWithDigit(look, self))
        self.setAccessibleName("Classes")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setTabKeyNavigation(False)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_PX)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setMinimumSectionSize(40)
        header.setSectionsClickable(True)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.selectionModel().selectionChanged.connect(self._selection_changed)
        look.changed.connect(self.viewport().update)

    def show_dataset(self, dataset: DatasetIndex) -> None:
        """What was chosen stays chosen, by its key; nothing is told."""
        keys = self.selected_keys
        self._dataset = dataset
        self._is_filling = True
        if not self.class_model.show_dataset(dataset):
            self._is_filling = False
            return
        self.clearSelection()
        rows = QItemSelection()
        for label in (i for i, key in enumerate(dataset.keys) if key in keys):
            at = self._sorted.mapFromSource(self.class_model.index(label, 0))
            rows.select(at, at)
        flags = QItemSelectionModel.SelectionFlag
        self.selectionModel().select(rows, flags.Select | flags.Rows)
        self._is_filling = False
        self._lay_out_columns()

    def clear_choice(self) -> None:
        """All classes are shown again; nothing is told."""
        self._is_filling = True
        self.clearSelection()
        self._is_filling = False

    def _lay_out_columns(self) -> None:
        header = self.horizontalHeader()
        if not self.class_model.columnCount():
            return
        for column in range(1, self.class_model.balance_column):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            self.setColumnWidth(column, _SPLIT_PX)
            self.setColumnHidden(column, self.width() < _WIDE_PX)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(self.class_model.balance_column, QHeaderView.ResizeMode.Stretch)

    def resizeEvent(self, event: QResizeEvent) -> None:
        was_wide = event.oldSize().width() >= _WIDE_PX
        super().resizeEvent(event)
        if was_wide != (self.width() >= _WIDE_PX):
            self._lay_out_columns()

    def sizeHint(self) -> QSize:
        return QSize(360, 320)

    def minimumSizeHint(self) -> QSize:
        return QSize(160, 120)

    @property
    def selected_classes(self) -> tuple[int, ...]:
        """Rows of the classes in the dataset's order, however the table is sorted."""
        chosen = self.selectionModel().selectedRows()
        return tuple(sorted(self._sorted.mapToSource(index).row() for index in chosen))

    @property
    def selected_keys(self) -> tuple[str, ...]:
        dataset = self._dataset
        return () if dataset is None else tuple(dataset.keys[i] for i in self.selected_classes)

    # -- editing -----------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_F2:
            self.ask_rename()
        elif event.key() == Qt.Key.Key_M and not event.modifiers():
            self.ask_merge()
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if not self.selected_classes:
            return
        menu = QMenu(self)
        rename = menu.addAction("Rename …", self.ask_rename)
        rename.setShortcut("F2")
        rename.setEnabled(len(self.selected_classes) == 1)
        merge = menu.addAction("Merge …", self.ask_merge)
        merge.setShortcut("M")
        merge.setEnabled(len(self.selected_classes) > 1)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(event.globalPos())

    def ask_rename(self) -> None:
        """Another name to show for the selected class; folders keep theirs."""
        dataset, chosen = self._dataset, self.selected_classes
        if dataset is None or len(chosen) != 1:
            return
        self._ask(
            "Rename a class",
            f"Show {quote(dataset.keys[chosen[0]])} as:",
            dataset.classes[chosen[0]],
            self._rename,
        )

    def ask_merge(self) -> None:
        """One name for the selected classes."""
        dataset, chosen = self._dataset, self.selected_classes
        if dataset is None or len(chosen) < 2:
            return
        names = ", ".join(quote(dataset.classes[i]) for i in chosen[:4])
        more = f" and {len(chosen) - 4:,} more" if len(chosen) > 4 else ""
        largest = max(chosen, key=lambda i: int((dataset.labels == i).sum()))
        self._ask(
            "Merge classes",
            f"Make one class of {names}{more}, called:",
            dataset.keys[largest],
            self._merge,
        )

    def _ask(self, title: str, text: str, value: str, taken: Callable[[str], None]) -> None:
        dialog = QInputDialog(self)
        dialog.setWindowTitle(title)
        dialog.setLabelText(text)
        dialog.setTextValue(value)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.textValueSelected.connect(taken)
        dialog.open()

    def _rename(self, shown: str) -> None:
        dataset, keys = self._dataset, self.selected_keys
        if dataset is None or len(keys) != 1 or not shown.strip():
            return
        if shown.strip() != dataset.classes[self.selected_classes[0]]:
            self._data.rename(keys[0], shown)

    def _merge(self, into: str) -> None:
        dataset, keys = self._dataset, self.selected_keys
        if dataset is not None and len(keys) > 1 and into.strip():
            # A name as it is shown stands for the class that is shown so.
            key_of = dict(zip(dataset.classes, dataset.keys, strict=True))
            self._data.merge(keys, key_of.get(into.strip(), into.strip()))

    def _selection_changed(self, _now: object, _before: object) -> None:
        if not self._is_filling:
            self.classes_selected.emit(self.selected_classes)
