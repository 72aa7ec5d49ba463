"""The layer tree as an item model: lines by number, all of them kept by the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QPersistentModelIndex, Qt, Signal

from core.models.layers.rows import line_fits, shape_text
from core.plan.layer_text import factor_text, rate_text, state_of, state_text
from gui.layers.text import HEAD_TIP, opening_text

if TYPE_CHECKING:
    from core.models.layers.rows import LayerLine
    from core.plan.layer_plan import LayerPlan, LayerState

_Index = QModelIndex | QPersistentModelIndex
COLUMNS = ("Layer", "Kind", "Output", "Parameters", "MACs", "× rate", "Rate")
NAME, KIND, OUTPUT, PARAMS, MACS, FACTOR, RATE = range(len(COLUMNS))
LINE_ROLE = Qt.ItemDataRole.UserRole + 1
SHARE_ROLE = Qt.ItemDataRole.UserRole + 2
STATE_ROLE = Qt.ItemDataRole.UserRole + 3
"""What the plan does with the line, a `LayerState`; None without a plan."""
WAITS_ROLE = Qt.ItemDataRole.UserRole + 4
"""Whether it trains, and not yet in the epoch that is looked at."""
_TIPS = {
    NAME: "A tick lets a layer learn, with all below it (Space)",
    OUTPUT: "Channels × height × width, or tokens × width, of one image",
    PARAMS: "With those of all layers below",
    MACS: "Share of the model's multiply-adds",
    FACTOR: "Factor on the learning rate of a layer; 0 freezes it. Double click, F2 or Enter",
    RATE: "The highest learning rate of the run",
}
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
_CHECKS = {
    "all": Qt.CheckState.Checked,
    "partly": Qt.CheckState.PartiallyChecked,
    "frozen": Qt.CheckState.Unchecked,
}


@dataclass(slots=True)
class _Item:
    line: LayerLine
    parent: int  # -1: the root
    row: int
    children: list[int] = field(default_factory=list)
    span: tuple[int, int] = (0, 0)
    """The first leaf in it and the one after the last."""


class LayerModel(QAbstractItemModel):
    """Indexes carry the number of a line, not a pointer: no line can be taken for another.

    A tick or a factor is asked for by a signal; `show_plan` then shows what came of it.
    """

    tick_wanted = Signal(object, bool)
    """A line, and whether it is to train."""
    factor_wanted = Signal(object, str)

    def __init__(self) -> None:
        super().__init__()
        self._items: list[_Item] = []
        self._top: list[int] = []
        self._leaves = 0
        self._macs = 1
        self._plan: LayerPlan | None = None
        self._plan_now: LayerPlan | None = None
        self._states: dict[int, LayerState] = {}

    def show_lines(self, lines: Iterable[LayerLine], *, macs: int) -> None:
        """`macs`: those of the whole model, 100 % of the bars."""
        self.beginResetModel()
        self._items = []
        self._leaves = 0
        self._plan = self._plan_now = None
        self._states = {}
        self._top = self._add(lines, -1)
        self._macs = max(1, macs)
        self.endResetModel()

    def _add(self, lines: Iterable[LayerLine], parent: int) -> list[int]:
        numbers = []
        for row, line in enumerate(lines):
            number = len(self._items)
            item = _Item(line, parent, row)
            self._items.append(item)
            first = self._leaves
            item.children = self._add(line.children, number)
            if not item.children:
                self._leaves += 1
            item.span = (first, self._leaves)
            numbers.append(number)
        return numbers

    def show_plan(self, plan: LayerPlan, plan_now: LayerPlan | None = None) -> None:
        """What trains of these lines; `plan_now` is of the epoch that is looked at."""
        self._plan, self._plan_now = plan, plan_now
        self._states = {}
        last = len(COLUMNS) - 1
        for numbers in self._families():
            first = self._index_of(numbers[0])
            self.dataChanged.emit(first, self._index_of(numbers[-1], last))

    def _families(self) -> Iterator[list[int]]:
        """Lines below one line, all together."""
        if self._top:
            yield self._top
        for item in self._items:
            if item.children:
                yield item.children

    def __len__(self) -> int:
        """All lines, open or not."""
        return len(self._items)

    def line(self, index: _Index) -> LayerLine:
        """The layer at an index."""
        return self._items[index.internalId()].line

    def state(self, index: _Index) -> LayerState | None:
        """What the plan ever does with a line; None without a plan."""
        return self._state(index.internalId())

    def depth_of(self, index: _Index) -> tuple[float, float]:
        """Where in the network a line begins and ends: 0 at the first layer, 1 at the last."""
        first, after = self._items[index.internalId()].span
        most = max(1, self._leaves - 1)
        return first / most, max(first, after - 1) / most

    def find(self, text: str) -> list[QModelIndex]:
        """The lines that fit, from top to bottom."""
        if not text.strip():
            return []
        return [
            self._index_of(number)
            for number, item in enumerate(self._items)
            if line_fits(item.line, text)
        ]

    def _state(self, number: int) -> LayerState | None:
        if self._plan is None:
            return None
        known = self._states.get(number)
        if known is None:
            known = state_of(self._plan, self._items[number].line)
            self._states[number] = known
        return known

    def _waits(self, number: int) -> bool:
        state = self._state(number)
        if self._plan_now is None or state is None or not state.trainable_params:
            return False
        return (state.opens_at or 1) > (self._plan_now.epoch or 1)

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

    def flags(self, index: _Index) -> Qt.ItemFlag:
        flags = super().flags(index)
        if not index.isValid():
            return flags
        state = self._state(index.internalId())
        if state is not None and state.lowest_factor is not None:
            if index.column() == NAME:
                flags |= Qt.ItemFlag.ItemIsUserCheckable
            elif index.column() == FACTOR:
                flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        column, number = index.column(), index.internalId()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(number, column)
        if role == Qt.ItemDataRole.CheckStateRole:
            state = self._state(number)
            return _CHECKS.get(state.state) if state is not None and column == NAME else None
        if role == Qt.ItemDataRole.EditRole:
            text = self._text(number, column)
            return "" if column == FACTOR and "–" in text else text
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if column in (PARAMS, FACTOR) else _LEFT
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tip(number, column)
        if role == Qt.ItemDataRole.AccessibleTextRole and column == NAME:
            state = self._state(number)
            word = "" if state is None else state_text(state)
            return f"{self._text(number, NAME)}{f', {word}' if word else ''}"
        if role == LINE_ROLE:
            return self._items[number].line
        if role == SHARE_ROLE:
            return self._items[number].line.macs / self._macs
        if role == STATE_ROLE:
            return self._state(number)
        if role == WAITS_ROLE:
            return self._waits(number)
        return None

    def setData(self, index: _Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        if not index.isValid():
            return False
        line = self.line(index)
        if role == Qt.ItemDataRole.CheckStateRole and index.column() == NAME:
            self.tick_wanted.emit(line, Qt.CheckState(value) == Qt.CheckState.Checked)
            return True
        if role == Qt.ItemDataRole.EditRole and index.column() == FACTOR:
            if str(value).strip() and str(value) != self.data(index, role):
                self.factor_wanted.emit(line, str(value))
            return True
        return False

    def _text(self, number: int, column: int) -> str:
        line = self._items[number].line
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
        state = self._state(number)
        if state is None or self._plan is None:
            return ""
        if column == FACTOR:
            return factor_text(state)
        return opening_text(state) if self._waits(number) else rate_text(state, self._plan.recipe)

    def _tip(self, number: int, column: int) -> str | None:
        line, state = self._items[number].line, self._state(number)
        if column not in (NAME, FACTOR, RATE):
            return None
        if state is not None and state.is_head:
            return HEAD_TIP
        if column == NAME:
            return f"{line.path} · {line.title}"
        if state is None or not state.trainable_params or column != RATE:
            return None
        return opening_text(state)

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
            return _RIGHT if section in (PARAMS, FACTOR) else _LEFT
        return None
