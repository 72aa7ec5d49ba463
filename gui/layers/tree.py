"""The tree of layers as a view: its columns, its keys, its menu."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTreeView

from gui.kit import theme
from gui.kit.theme import Theme
from gui.layers.delegate import LayerDelegate, toggle
from gui.layers.model import (
    FACTOR,
    KIND,
    MACS,
    NAME,
    OUTPUT,
    PARAMS,
    RATE,
    LayerModel,
)

_Index = QModelIndex | QPersistentModelIndex
_WIDTHS = {NAME: 188, KIND: 92, OUTPUT: 106, PARAMS: 90, MACS: 64, FACTOR: 60, RATE: 108}
_GIVES_WAY = (OUTPUT, MACS, KIND)
"""Columns that a narrow tree does without, the first of them first: what is chosen says them."""


class LayerTreeView(QTreeView):
    """Space ticks, Enter or F2 edits the factor; the names take what the other columns leave."""

    left_upwards = Signal()
    line_changed = Signal(QModelIndex)

    def __init__(self, model: LayerModel, look: Theme) -> None:
        super().__init__()
        self._lines = model
        self.setModel(model)
        self.setItemDelegate(LayerDelegate(look, self))
        self.setAccessibleName("Layers")
        self.setUniformRowHeights(True)  # else opening a thousand lines measures each of them
        self.setAlternatingRowColors(False)
        self.setIndentation(theme.M)
        self.setAnimated(False)
        self.setExpandsOnDoubleClick(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header = self.header()
        header.setStretchLastSection(False)
        header.setMinimumSectionSize(40)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        for position, width in _WIDTHS.items():
            self.setColumnWidth(position, width)
        look.changed.connect(self.viewport().update)

    # -- events ------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.share_width()

    def share_width(self) -> None:
        """Hide the columns there is no room for, and give the names the rest."""
        room = self.viewport().width()
        needed = _WIDTHS[NAME] + sum(self._width(column) for column in _WIDTHS if column != NAME)
        for column in _GIVES_WAY:
            is_hidden = needed > room
            if is_hidden:
                needed -= self._width(column)
            if self.isColumnHidden(column) != is_hidden:
                self.setColumnHidden(column, is_hidden)
        others = sum(
            self.columnWidth(column)
            for column in _WIDTHS
            if column != NAME and not self.isColumnHidden(column)
        )
        self.setColumnWidth(NAME, max(_WIDTHS[NAME], room - others))

    def _width(self, column: int) -> int:
        # A hidden column has no width; what it had before is what it needs.
        return self.columnWidth(column) or _WIDTHS[column]

    def keyPressEvent(self, event: QKeyEvent) -> None:
        index = self.currentIndex()
        # Enter comes here from the field too, which then is about to close.
        if index.isValid() and self.state() != QAbstractItemView.State.EditingState:
            if event.key() == Qt.Key.Key_Space:
                toggle(self._lines, index.siblingAtColumn(NAME))
                return
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_F2):
                self.edit_factor(index)
                return
            is_top = index.row() == 0 and not index.parent().isValid()
            if event.key() == Qt.Key.Key_Up and is_top:
                self.left_upwards.emit()
                return
        super().keyPressEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        index = self.indexAt(event.position().toPoint())
        super().mouseDoubleClickEvent(event)
        if not index.isValid() or event.button() != Qt.MouseButton.LeftButton:
            return
        if index.column() == FACTOR:
            self.edit_factor(index)
        elif index.column() != NAME or self._is_right_of_tick(index, event):
            self.setExpanded(
                index.siblingAtColumn(NAME), not self.isExpanded(index.siblingAtColumn(NAME))
            )

    def _is_right_of_tick(self, index: QModelIndex, event: QMouseEvent) -> bool:
        return event.position().x() > self.visualRect(index).left() + 20

    def currentChanged(self, current: _Index, previous: _Index) -> None:
        super().currentChanged(current, previous)
        self.line_changed.emit(self._lines.index(current.row(), NAME, current.parent()))

    def dataChanged(
        self, top_left: _Index, bottom_right: _Index, roles: Sequence[int] = ()
    ) -> None:
        """A tick changes lines all over the tree. Qt would work out where each of them stands,
        150 ms with 1,500 lines open; to paint what is seen takes a tenth of it."""
        if self.state() == QAbstractItemView.State.EditingState:
            super().dataChanged(top_left, bottom_right, roles)
        self.viewport().update()

    # -- doing -------------------------------------------------------------------------------

    def edit_factor(self, index: QModelIndex) -> bool:
        """Open the field for the factor of a line; false where it has none."""
        factor = index.siblingAtColumn(FACTOR)
        if not factor.flags() & Qt.ItemFlag.ItemIsEditable:
            return False
        self.setCurrentIndex(factor)
        self.scrollTo(factor)
        self.edit(factor)
        return True

    def open_way_to(self, index: QModelIndex) -> None:
        """Expand all parents of a line."""
        parent = index.parent()
        while parent.isValid() and not self.isExpanded(parent):
            self.setExpanded(parent, True)
            parent = parent.parent()

    def go_to(self, index: QModelIndex) -> None:
        """Expand the parents of a line, select it and scroll to it."""
        self.open_way_to(index)
        self.setCurrentIndex(index)
        self.scrollTo(index)

    def enter(self) -> None:
        """Take the keyboard focus; the first line becomes current where none is."""
        self.setFocus(Qt.FocusReason.TabFocusReason)
        if not self.currentIndex().isValid():
            self.setCurrentIndex(self._lines.index(0, 0))

    def expand_levels(self, levels: int) -> None:
        """Expand so many levels below the top, and no more; 0 collapses all."""
        blocker = QSignalBlocker(self)
        self.collapseAll()
        if levels:
            self.expandToDepth(levels - 1)
        blocker.unblock()

    def parents(self) -> list[QModelIndex]:
        """All lines that can be opened, from top to bottom."""
        found: list[QModelIndex] = []
        waiting = [QModelIndex()]
        while waiting:
            parent = waiting.pop()
            inside = [
                index
                for row in range(self._lines.rowCount(parent))
                if self._lines.rowCount(index := self._lines.index(row, 0, parent))
            ]
            found += inside
            waiting += reversed(inside)
        return found

    def opened_paths(self) -> set[str]:
        """Paths of the lines that are expanded."""
        return {self._lines.line(index).path for index in self.parents() if self.isExpanded(index)}

    def open_paths(self, paths: set[str]) -> None:
        """Expand the lines with these paths."""
        for index in self.parents():
            if self._lines.line(index).path in paths:
                self.setExpanded(index, True)
