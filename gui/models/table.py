"""The table of all models: filtered and sorted by row numbers, so that a keystroke costs little."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QItemSelectionModel, QModelIndex, QPoint, QRect, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QKeyEvent, QKeySequence, QPainter, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from gui.kit.table import (
    LEFT,
    RIGHT,
    Column,
    ColumnTable,
    TableIndex,
    order_of,
    set_up_view,
    set_widths,
)
from gui.kit.theme import Theme
from gui.models.rows import COLUMNS, MODEL_COLUMN, ModelRow, sorted_positions

if TYPE_CHECKING:
    from core.catalog.card import ModelCard

_RIGHT_FLAGS, _LEFT_FLAGS = int(RIGHT), int(LEFT)
_CENTRE_FLAGS = int(Qt.AlignmentFlag.AlignCenter)
_SELECTED = QStyle.StateFlag.State_Selected
ROW_PX = 28
_MOST_ELIDED = 10_000
_NARROWEST_PX = 48
_PAD_PX = 11
"""As the header's sections have it."""


def _column(at: int) -> Column[ModelRow]:
    column = COLUMNS[at]

    def text(row: ModelRow) -> str:
        return row.texts[at]

    return Column(
        column.heading,
        text,
        column.is_number,
        tip=None if column.is_number else text,
        heading_tip=column.tip,
        starts_with_largest=column.starts_with_largest,
        others={Qt.ItemDataRole.AccessibleTextRole: text},
    )


def _name_column(spoken: Callable[[ModelRow], str]) -> Column[ModelRow]:
    return replace(
        _column(MODEL_COLUMN),
        tip=lambda row: row.card.id,
        others={Qt.ItemDataRole.AccessibleTextRole: spoken},
    )


class ModelTableModel(ColumnTable[ModelRow]):
    """Rows of the catalog. A filter is the positions that fit; no proxy asks `data()` of all."""

    def __init__(self) -> None:
        super().__init__(
            [_name_column(self._spoken_name), *(_column(at) for at in range(1, len(COLUMNS)))]
        )
        self._fitting: Collection[int] = ()
        self._order: list[int] = []
        self._shown: list[int] = []
        self._sort_column = -1
        self._is_largest_first = False
        self.compared: dict[str, str] = {}

    def show_listing(self, rows: tuple[ModelRow, ...], fitting: Collection[int]) -> None:
        """New rows under the filter and the order there is."""
        self.beginResetModel()
        self.rows = rows
        self._fitting = frozenset(fitting)
        self._set_order(self._sort_column, largest_first=self._is_largest_first)
        self.endResetModel()

    def filter(self, fitting: Collection[int]) -> bool:
        """Show only the rows at these positions; false where these are shown already."""
        wanted = frozenset(fitting)
        if wanted == self._fitting:
            return False
        self.beginResetModel()
        self._fitting = wanted
        self._pick()
        self.endResetModel()
        return True

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column, unknown values last either way; -1 restores the catalog's order."""
        self.beginResetModel()
        self._set_order(column, largest_first=order == Qt.SortOrder.DescendingOrder)
        self.endResetModel()

    def _set_order(self, column: int, *, largest_first: bool) -> None:
        self._sort_column, self._is_largest_first = column, largest_first
        if column < 0:
            self._order = list(range(len(self.rows)))
        else:
            self._order = sorted_positions(self.rows, column, largest_first=largest_first)
        self._pick()

    def _pick(self) -> None:
        fitting = self._fitting
        self._shown = [position for position in self._order if position in fitting]

    def card(self, row: int) -> ModelCard:
        """The model shown at a line."""
        return self.row_at(row).card

    def mark_compared(self, ids: Sequence[str]) -> None:
        """Number these models, in this order, beside their names."""
        self.compared = {card_id: str(number) for number, card_id in enumerate(ids, start=1)}
        self.update_columns(MODEL_COLUMN, MODEL_COLUMN)

    def compared_as(self, row: int) -> str:
        """The number of a row's model in the comparison; empty for most."""
        return self.compared.get(self.rows[self._shown[row]].card.id, "")

    def _spoken_name(self, row: ModelRow) -> str:
        number = self.compared.get(row.card.id)
        name = row.texts[MODEL_COLUMN]
        return f"{name}, number {number} of the comparison" if number else name

    def row_of(self, card_id: str) -> int:
        """The row that shows a card; -1 where the filter leaves it out."""
        return next(
            (
                row
                for row, position in enumerate(self._shown)
                if self.rows[position].card.id == card_id
            ),
            -1,
        )

    def cell(self, row: int, column: int) -> tuple[str, bool]:
        """The text of a cell, and whether it is a number."""
        return self.rows[self._shown[row]].texts[column], COLUMNS[column].is_number

    def row_at(self, position: int) -> ModelRow:
        return self.rows[self._shown[position]]

    def rowCount(self, parent: TableIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self._shown)


class _CellDelegate(QStyledItemDelegate):
    """Paints a cell as one line of text: through the style sheet it costs four times as much."""

    def __init__(self, look: Theme, parent: ModelTable) -> None:
        super().__init__(parent)
        self._theme = look
        self._table = parent
        self._elided_texts: dict[tuple[str, int], str] = {}
        look.changed.connect(self._take_colours)
        self._take_colours()

    def _take_colours(self) -> None:
        # Kept: to ask the option's palette costs more than to draw the text.
        self._text, self._tint = self._theme.colour("text"), self._theme.colour("tint")

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: TableIndex) -> None:
        rect, row, column = option.rect, index.row(), index.column()
        if row == self._table.chosen_row or option.state & _SELECTED:
            painter.fillRect(rect, self._tint)
        model = self._table.table_model
        text, is_number = model.cell(row, column)
        if not text:
            return
        inner = rect.adjusted(_PAD_PX, 0, -_PAD_PX, 0)
        if column == MODEL_COLUMN and model.compared:
            number = model.compared_as(row)
            if number:
                badge = QRect(inner.right() - 16, inner.center().y() - 8, 17, 17)
                inner.setRight(badge.left() - 4)
                painter.setPen(self._text)
                painter.drawEllipse(badge)
                painter.drawText(badge, _CENTRE_FLAGS, number)
        if not is_number:
            text = self._elided(text, inner.width(), option)
        painter.setPen(self._text)
        painter.drawText(inner, _RIGHT_FLAGS if is_number else _LEFT_FLAGS, text)

    def _elided(self, text: str, width: int, option: QStyleOptionViewItem) -> str:
        known = self._elided_texts.get((text, width))
        if known is None:
            if len(self._elided_texts) > _MOST_ELIDED:
                self._elided_texts.clear()
            known = option.fontMetrics.elidedText(text, Qt.TextElideMode.ElideMiddle, width)
            self._elided_texts[text, width] = known
        return known


class ModelTable(QTableView):
    """The table. The chosen model stays chosen while the filter hides it."""

    model_chosen = Signal(object)
    """The card of the row that became current."""
    model_wanted = Signal(object)
    """Enter or a double click on a row."""
    compare_wanted = Signal(object)
    """Space: the cards of the selected rows, one signal each."""
    copy_wanted = Signal()
    menu_wanted = Signal(object, QPoint)
    """A card, and where on the screen."""
    left_upwards = Signal()

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self.table_model = ModelTableModel()
        self.setItemDelegate(_CellDelegate(look, self))
        self.chosen_id = ""
        self.chosen_row = -1
        self.setModel(self.table_model)
        header = set_up_view(
            self, "Models", selects_several=True, elides_middle=True, row_px=ROW_PX
        )
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerItem)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self._set_up_header(header)
        self.selectionModel().currentRowChanged.connect(self._row_changed)
        self.activated.connect(self._row_activated)

    def _set_up_header(self, header: QHeaderView) -> None:
        header.setMinimumSectionSize(_NARROWEST_PX)
        header.setSortIndicatorClearable(True)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        header.setSortIndicatorShown(True)
        header.setSectionsClickable(True)
        # Fixed widths: resizing to contents would ask for every cell of the catalog.
        set_widths(self, [column.width_px for column in COLUMNS])
        header.sortIndicatorChanged.connect(self._sort)

    # -- what is shown -----------------------------------------------------------------------

    def show_rows(self, rows: tuple[ModelRow, ...], fitting: Collection[int]) -> None:
        """Replace all rows; `fitting` are the positions of those that fit the filter."""
        self.table_model.show_listing(rows, fitting)
        self._mark_chosen(scrolls=True)

    def filter(self, fitting: Collection[int]) -> None:
        """Show only the rows at these positions."""
        if not self.table_model.filter(fitting):
            return
        self._mark_chosen(scrolls=False)
        # Left to its timer, the layout would come after the repaint and cause a second one.
        self.executeDelayedItemsLayout()

    def choose(self, card_id: str) -> None:
        """Make a card the chosen one; its row is current where the filter shows it."""
        self.chosen_id = card_id
        self._mark_chosen(scrolls=True)

    def sort_by(self, key: str) -> None:
        """Sort by a column as a first click on its heading does; `key` names the column."""
        position = next(n for n, column in enumerate(COLUMNS) if column.key == key)
        order = order_of(is_largest_first=COLUMNS[position].starts_with_largest)
        self.horizontalHeader().setSortIndicator(position, order)

    def choose_row(self, row: int) -> None:
        """Make a row the current one."""
        if 0 <= row < self.table_model.rowCount():
            self.setCurrentIndex(self.table_model.index(row, 0))

    def enter(self) -> None:
        """Take the keyboard focus, on the chosen row or else the first one."""
        self.setFocus(Qt.FocusReason.TabFocusReason)
        if not self.currentIndex().isValid():
            self.choose_row(0)

    def _sort(self, column: int, order: Qt.SortOrder) -> None:
        self.table_model.sort(column, order)
        self._mark_chosen(scrolls=True)

    def _mark_chosen(self, *, scrolls: bool) -> None:
        row = self.table_model.row_of(self.chosen_id) if self.chosen_id else -1
        self.chosen_row = row
        if row < 0:
            self.selectionModel().clear()
            self.scrollToTop()
            return
        flags = QItemSelectionModel.SelectionFlag
        # While a person types, the best hits are what they look for, not the row chosen before.
        self.setAutoScroll(scrolls)
        self.selectionModel().setCurrentIndex(
            self.table_model.index(row, 0), flags.ClearAndSelect | flags.Rows
        )
        self.setAutoScroll(True)
        if scrolls:
            self.scrollTo(self.currentIndex())
        else:
            self.scrollToTop()

    def _row_changed(self, current: QModelIndex, _previous: QModelIndex) -> None:
        if not current.isValid():
            return
        self.chosen_row = current.row()
        card = self.table_model.card(current.row())
        if card.id != self.chosen_id:
            self.chosen_id = card.id
            self.model_chosen.emit(card)

    def _row_activated(self, index: QModelIndex) -> None:
        self.model_wanted.emit(self.table_model.card(index.row()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        # The names take what the other columns leave.
        others = sum(self.columnWidth(position) for position in range(1, len(COLUMNS)))
        width = self.viewport().width()
        self.setColumnWidth(0, max(min(COLUMNS[0].width_px, width), width - others))

    def selected_rows(self) -> list[ModelRow]:
        """The selected rows in the order of the table; the chosen one where none is."""
        rows = sorted(index.row() for index in self.selectionModel().selectedRows())
        if not rows and self.chosen_row >= 0:
            rows = [self.chosen_row]
        return [self.table_model.row_at(row) for row in rows]

    def keyPressEvent(self, event: QKeyEvent) -> None:
        is_plain = event.modifiers() == Qt.KeyboardModifier.NoModifier
        if event.key() == Qt.Key.Key_Up and is_plain and self.currentIndex().row() <= 0:
            self.left_upwards.emit()
        elif event.key() == Qt.Key.Key_Space and is_plain:
            for row in self.selected_rows():
                self.compare_wanted.emit(row.card)
        elif event.matches(QKeySequence.StandardKey.Copy):
            self.copy_wanted.emit()
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        by_mouse = event.reason() == QContextMenuEvent.Reason.Mouse
        # Of the viewport: the view's own coordinates begin at the header.
        index = self.indexAt(event.pos()) if by_mouse else self.currentIndex()
        if index.isValid():
            at = event.globalPos()
            if not by_mouse:
                at = self.viewport().mapToGlobal(self.visualRect(index).center())
            self.menu_wanted.emit(self.table_model.card(index.row()), at)
