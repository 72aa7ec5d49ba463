"""The layer tree as an item model: lines by number, all of them kept by the model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QPersistentModelIndex, Qt

from core.models.collapse import line_fits, shape_text, trains_text

if TYPE_CHECKING:
    from core.models.collapse import LayerLine

_Index = QModelIndex | QPersistentModelIndex
COLUMNS = ("Layer", "Kind", "Output", "Parameters", "MACs", "Trains")
NAME, KIND, OUTPUT, PARAMS, MACS, TRAINS = range(len(COLUMNS))
LINE_ROLE = Qt.ItemDataRole.UserRole + 1
SHARE_ROLE = Qt.ItemDataRole.UserRole + 2
_TIPS = {
    OUTPUT: "Channels × height × width, or tokens × width, of one image",
    PARAMS: "With those of all layers below",
    MACS: "Share of the model's multiply-adds",
    TRAINS: "Under the plan as it is now",
}
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter


@dataclass(slots=True)
class _Item:
    line: LayerLine
    parent: int  # -1: the root
    row: int
    children: list[int] = field(default_factory=list)


class LayerModel(QAbstractItemModel):
    """Indexes carry the number of a line, not a pointer: no line can be taken for another."""

    def __init__(self) -> None:
        super().__init__()
        self._items: list[_Item] = []
        self._top: list[int] = []
        self._macs = 1

    def show_lines(self, lines: Iterable[LayerLine], *, macs: int) -> None:
        """`macs`: those of the whole model, 100 % of the bars."""
        self.beginResetModel()
        self._items = []
        self._top = self._add(lines, -1)
        self._macs = max(1, macs)
        self.endResetModel()

    def _add(self, lines: Iterable[LayerLine], parent: int) -> list[int]:
        numbers = []
        for row, line in enumerate(lines):
            number = len(self._items)
            item = _Item(line, parent, row)
            self._items.append(item)
            item.children = self._add(line.children, number)
            numbers.append(number)
        return numbers

    def __len__(self) -> int:
        """All lines, open or not."""
        return len(self._items)

    def line(self, index: _Index) -> LayerLine:
        return self._items[index.internalId()].line

    def find(self, text: str) -> list[QModelIndex]:
        """The lines that fit, from top to bottom."""
        if not text.strip():
            return []
        return [
            self._index_of(number)
            for number, item in enumerate(self._items)
            if line_fits(item.line, text)
        ]

    def _index_of(self, number: int, column: int = 0) -> QModelIndex:
        return self.createIndex(self._items[number].row, column, number)

    def _children(self, parent: _Index) -> list[int]:
        return self._items[parent.internalId()].children if parent.isValid() else self._top

    # -- Qt ----------------------------------------------------------------------------------

    def index(
        self,
        row: int,
        column: int,
        parent: _Index = QModelIndex(),  # noqa: B008 - Qt's signature
    ) -> QModelIndex:
        if not self.hasIndex(row, column, parent):
            return QModelIndex()
        return self.createIndex(row, column, self._children(parent)[row])

    def parent(self, index: _Index) -> QModelIndex:  # type: ignore[override]
        if not index.isValid():
            return QModelIndex()
        number = self._items[index.internalId()].parent
        return QModelIndex() if number < 0 else self._index_of(number)

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.column() > 0 else len(self._children(parent))

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return len(COLUMNS)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        column = index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(self._items[index.internalId()].line, column)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if column == PARAMS else _LEFT
        if role == Qt.ItemDataRole.ToolTipRole and column == NAME:
            line = self._items[index.internalId()].line
            return f"{line.path} · {line.title}"
        if role == LINE_ROLE:
            return self._items[index.internalId()].line
        if role == SHARE_ROLE:
            return self._items[index.internalId()].line.macs / self._macs
        return None

    def _text(self, line: LayerLine, column: int) -> str:
        if column == NAME:
            return f"{line.name}  {line.title}"
        if column == KIND:
            return line.kind
        if column == OUTPUT:
            return shape_text(line.output_shape)
        if column == PARAMS:
            return f"{line.params:,}" if line.params else ""
        if column == MACS:
            return f"{line.macs / self._macs:.1%}" if line.macs else ""
        return trains_text(line)

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section]
        if role == Qt.ItemDataRole.ToolTipRole:
            return _TIPS.get(section)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if section == PARAMS else _LEFT
        return None
