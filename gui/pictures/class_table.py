"""The classes of a dataset with their counts and how evenly they are filled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QItemSelection, QItemSelectionModel, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QKeyEvent, QPainter, QResizeEvent
from PySide6.QtWidgets import (
    QHeaderView,
    QMenu,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from gui.edits.commands import DataCommands
from gui.kit import dialogs, theme
from gui.kit.table import (
    SHARE_ROLE,
    Column,
    ColumnTable,
    TableIndex,
    set_up_view,
    sorted_by_key,
)
from gui.kit.theme import Theme
from gui.kit.words import isolate, quote, quote_some

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex

DIGIT_ROLE = Qt.ItemDataRole.UserRole + 3
_DIGITS = 9
_DIGIT_PX = 20
_SPLIT_PX = 58
_WIDE_PX = 330
"""Below this width the splits' columns give way to the names."""


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A class with its images in each split that is shown; `share` of the largest class, 0…1."""

    name: str
    key: str
    digit: str
    """The key that labels pictures with this class; empty from the tenth class on."""
    counts: tuple[int, ...]
    total: int
    share: float

    @property
    def tip(self) -> str:
        """The tooltip of the name."""
        digit = f"\nThe key {self.digit} gives pictures this class." if self.digit else ""
        folder = f" (folder: {self.key})" if self.key != self.name else ""
        return self.name + folder + digit

    @property
    def spoken(self) -> str | None:
        """What a screen reader says where the class has a digit; None elsewhere."""
        return f"{self.name}, key {self.digit}" if self.digit else None


def _columns(splits: Sequence[str]) -> tuple[Column[ClassRow], ...]:
    return (
        Column(
            "Class",
            lambda row: isolate(row.name),
            sort_key=lambda row: row.name.casefold(),
            tip=lambda row: row.tip,
            others={
                DIGIT_ROLE: lambda row: row.digit,
                Qt.ItemDataRole.AccessibleTextRole: lambda row: row.spoken,
            },
        ),
        *(_split_column(split, position) for position, split in enumerate(splits)),
        Column(
            "Total",
            lambda row: f"{row.total:,}",
            sort_key=lambda row: row.total,
            others={SHARE_ROLE: lambda row: row.share},
        ),
    )


def _split_column(split: str, position: int) -> Column[ClassRow]:
    return Column(
        split,
        lambda row: f"{row.counts[position]:,}",
        is_number=True,
        sort_key=lambda row: row.counts[position],
    )


class ClassModel(ColumnTable[ClassRow]):
    """One row per class; columns: class, one per split that holds images, total."""

    def show_dataset(self, dataset: DatasetIndex) -> bool:
        """Show the classes of a dataset; whether rows or columns changed, not only numbers."""
        from core.data.dataset import SPLITS

        table = dataset.class_split_counts()
        shown = [i for i in range(len(SPLITS)) if table[:, i].any()]
        largest = max([1, *table.sum(axis=1).tolist()])
        rows = tuple(
            ClassRow(
                name, key, str(at + 1) if at < _DIGITS else "", tuple(table[at, shown].tolist()),
                int(table[at].sum()), float(table[at].sum() / largest),
            )
            for at, (name, key) in enumerate(zip(dataset.classes, dataset.keys, strict=True))
        )  # fmt: skip
        columns = _columns([SPLITS[i] for i in shown]) if rows else ()
        if _titles(rows, columns) != _titles(self.rows, self.columns):
            self.show_rows(rows, columns)
            return True
        self.rows = rows
        self.update_columns(1, self.balance_column)
        return False

    @property
    def balance_column(self) -> int:
        return len(self.columns) - 1


def _titles(rows: Sequence[ClassRow], columns: Sequence[Column[ClassRow]]) -> list[object]:
    return [[(row.name, row.key) for row in rows], [column.heading for column in columns]]


class _BalanceBar(QStyledItemDelegate):
    """A bar as long as the class is full, the number at its right."""

    def __init__(self, look: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = look

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: TableIndex) -> None:
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

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: TableIndex) -> None:
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
    """The table of classes. `classes_selected` carries the selected rows; none stands for all."""

    classes_selected = Signal(object)

    def __init__(self, look: Theme, data: DataCommands) -> None:
        super().__init__()
        self._data = data
        self._dataset: DatasetIndex | None = None
        self.class_model = ClassModel()
        self._is_filling = False
        self._sorted = sorted_by_key(self.class_model, self)
        self.setItemDelegate(_BalanceBar(look, self))
        self.setItemDelegateForColumn(0, _NameWithDigit(look, self))
        header = set_up_view(self, "Classes", selects_several=True, elides_middle=True)
        header.setMinimumSectionSize(40)
        header.setSectionsClickable(True)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.selectionModel().selectionChanged.connect(self._selection_changed)
        look.changed.connect(self.viewport().update)

    def show_dataset(self, dataset: DatasetIndex) -> None:
        """Show a dataset; classes stay selected by their key, and no signal is emitted."""
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
        """Select no class, so that all are shown; no signal is emitted."""
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
        """Positions of the selected classes in the dataset, ascending whatever the sort order."""
        chosen = self.selectionModel().selectedRows()
        return tuple(sorted(self._sorted.mapToSource(index).row() for index in chosen))

    @property
    def selected_keys(self) -> tuple[str, ...]:
        """Keys of the selected classes."""
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
        """Ask for another name to show for the selected class; its folder is not renamed."""
        dataset, chosen = self._dataset, self.selected_classes
        if dataset is None or len(chosen) != 1:
            return
        dialogs.ask_for_text(
            self,
            "Rename a class",
            f"Show {quote(dataset.keys[chosen[0]])} as:",
            self._rename,
            value=dataset.classes[chosen[0]],
        )

    def ask_merge(self) -> None:
        """Ask for the name of the class that the selected classes become."""
        dataset, chosen = self._dataset, self.selected_classes
        if dataset is None or len(chosen) < 2:
            return
        names = quote_some([dataset.classes[i] for i in chosen], 4)
        largest = max(chosen, key=lambda i: int((dataset.labels == i).sum()))
        dialogs.ask_for_text(
            self,
            "Merge classes",
            f"Make one class of {names}, called:",
            self._merge,
            value=dataset.keys[largest],
        )

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
