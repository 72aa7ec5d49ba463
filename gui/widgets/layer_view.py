"""The layers of one model: a tree with kinds, shapes, parameters, costs and what trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import (
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRectF,
    QSize,
    Qt,
)
from PySide6.QtGui import QGuiApplication, QPainter, QPen, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QMenu,
    QStackedWidget,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolButton,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from core.models.collapse import LayerLine, to_csv, to_markdown, trains_text, walk
from gui import theme
from gui.theme import Theme
from gui.widgets.basics import label
from gui.widgets.layer_model import (
    KIND,
    LINE_ROLE,
    MACS,
    NAME,
    OUTPUT,
    PARAMS,
    SHARE_ROLE,
    TRAINS,
    LayerModel,
)
from gui.widgets.model_filters import SearchField
from gui.words import count

if TYPE_CHECKING:
    from core.errors import AppError
    from gui.jobs_layers import Layers

_Index = QModelIndex | QPersistentModelIndex
_WIDTHS = {NAME: 172, KIND: 94, OUTPUT: 108, PARAMS: 88, MACS: 62, TRAINS: 76}
_MOST_EXPANDED = 4000
"""Lines that "all" opens at once: more take longer than a person waits for a click."""
_MOST_OPENED_BY_SEARCH = 200
_MARK_PX = 8
_BAR_PX = 3
_PAD_PX = 8
"""As the header's sections have it."""
_STRATEGIES = {
    "feature-extraction": "feature extraction",
    "partial": "partial fine-tuning",
    "full": "full fine-tuning",
}


class _LayerDelegate(QStyledItemDelegate):
    """Paints the kind's mark, the bar of the MACs and the mark of what trains."""

    def __init__(self, look: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = look

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        return QSize(_WIDTHS[index.column()], 26)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        column = index.column()
        if column == NAME:
            super().paint(painter, option, index)
            return
        # The background and the selection are the style's, the content is ours.
        plain = QStyleOptionViewItem(option)
        self.initStyleOption(plain, index)
        plain.text = ""
        widget = option.widget
        widget.style().drawControl(QStyle.ControlElement.CE_ItemViewItem, plain, painter, widget)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rect = QRectF(option.rect).adjusted(_PAD_PX, 0, -_PAD_PX, 0)
        line: LayerLine = index.data(LINE_ROLE)
        if column == KIND:
            self._paint_mark(painter, rect, f"kind_{line.kind}", text=line.kind, is_filled=True)
        elif column == MACS:
            self._paint_bar(painter, rect, index.data(SHARE_ROLE), str(index.data()))
        elif column == TRAINS:
            if line.params:
                word = trains_text(line)
                token = "muted" if word == "frozen" else "accent"
                self._paint_mark(painter, rect, token, text=word, is_filled=word == "all")
        else:
            side = Qt.AlignmentFlag.AlignRight if column == PARAMS else Qt.AlignmentFlag.AlignLeft
            painter.setPen(self._theme.colour("text"))
            painter.drawText(rect, side | Qt.AlignmentFlag.AlignVCenter, str(index.data()))
        painter.restore()

    def _paint_mark(
        self, painter: QPainter, rect: QRectF, token: str, *, text: str, is_filled: bool
    ) -> None:
        colour = self._theme.colour(token)
        painter.setPen(QPen(colour, 1.4))
        painter.setBrush(colour if is_filled else Qt.BrushStyle.NoBrush)
        top = rect.top() + (rect.height() - _MARK_PX) / 2
        mark = QRectF(rect.left(), top, _MARK_PX, _MARK_PX)
        if token.startswith("kind_"):
            painter.drawRoundedRect(mark, 2, 2)
        else:
            painter.drawEllipse(mark)
        painter.setPen(self._theme.colour("muted" if text == "frozen" else "text"))
        painter.drawText(
            rect.adjusted(_MARK_PX + theme.S, 0, _PAD_PX, 0),
            Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter,
            text,
        )

    def _paint_bar(self, painter: QPainter, rect: QRectF, share: float, text: str) -> None:
        if not text:
            return
        painter.setPen(self._theme.colour("text"))
        painter.drawText(
            rect.adjusted(0, 0, 0, -_BAR_PX),
            Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
            text,
        )
        painter.setPen(Qt.PenStyle.NoPen)
        track = QRectF(rect.left(), rect.bottom() - _BAR_PX - 2, rect.width(), _BAR_PX)
        painter.setBrush(self._theme.colour("sunken"))
        painter.drawRoundedRect(track, 1.5, 1.5)
        track.setWidth(max(2.0, track.width() * min(1.0, share)))
        painter.setBrush(self._theme.colour("series_1"))
        painter.drawRoundedRect(track, 1.5, 1.5)


class _Tree(QTreeView):
    """The names take what the other columns leave."""

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        others = sum(self.columnWidth(position) for position in _WIDTHS if position != NAME)
        self.setColumnWidth(NAME, max(_WIDTHS[NAME], self.viewport().width() - others))


class LayerView(QWidget):
    """Search, tree, totals; or a sentence in the tree's place."""

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._look = look
        self._layers: Layers | None = None
        self._found: list[QModelIndex] = []  # good until the model is filled again
        self._found_at = 0
        column = QVBoxLayout(self)
        column.setContentsMargins(0, theme.S, 0, 0)
        column.setSpacing(theme.S)
        column.addLayout(self._make_tools())
        self.stack = QStackedWidget()
        self.tree = self._make_tree()
        self.message = label("", "muted", wraps=True)
        self.message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.message.setContentsMargins(theme.XL, theme.XL, theme.XL, theme.XL)
        self.stack.addWidget(self.tree)
        self.stack.addWidget(self.message)
        column.addWidget(self.stack, 1)
        self.totals = label("", "muted-small", wraps=True)
        self.totals.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column.addWidget(self.totals)
        look.changed.connect(self.tree.viewport().update)
        self.show_nothing()

    def _make_tools(self) -> QHBoxLayout:
        line = QHBoxLayout()
        line.setSpacing(theme.XS)
        self.search = SearchField(self._look, name="Search layers", hint="Search the layers")
        self.search.textChanged.connect(self._search)
        self.search.returnPressed.connect(self._show_next)
        self.search.down_pressed.connect(self._enter_tree)
        line.addWidget(self.search, 1)
        self.hits = label("", "muted-small")
        line.addWidget(self.hits)
        expand = QMenu(self)
        for text, slot in (
            ("&First level", self.expand_one),
            ("&Two levels", self.expand_two),
            ("&All levels", self.expand_all),
        ):
            expand.addAction(text, slot)
        self.expand_button = self._make_menu_button("Expand", "unfold-more-horizontal", expand)
        line.addWidget(self.expand_button)
        copy = QMenu(self)
        copy.addAction("What is shown as &Markdown", self.copy_markdown)
        copy.addAction("All layers as &CSV", self.copy_csv)
        self._copy_menu = copy
        self.copy_button = self._make_menu_button("Copy", "content-copy", copy)
        line.addWidget(self.copy_button)
        return line

    def _make_menu_button(self, text: str, icon: str, menu: QMenu) -> QToolButton:
        made = QToolButton()
        made.setText(f" {text}")
        made.setAccessibleName(f"{text} layers")
        made.setProperty("role", "menu")
        made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        made.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        made.setMenu(menu)
        self._look.give_icon(made, icon)
        return made

    def _make_tree(self) -> QTreeView:
        self.model = LayerModel()
        tree = _Tree()
        tree.setModel(self.model)
        tree.setItemDelegate(_LayerDelegate(self._look, tree))
        tree.setAccessibleName("Layers")
        tree.setUniformRowHeights(True)  # else opening a thousand lines measures each of them
        tree.setAlternatingRowColors(False)
        tree.setIndentation(theme.M)
        tree.setAnimated(False)
        tree.setExpandsOnDoubleClick(True)
        tree.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        tree.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        tree.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        tree.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        tree.customContextMenuRequested.connect(self._show_menu)
        header = tree.header()
        header.setStretchLastSection(False)
        header.setMinimumSectionSize(48)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        for position, width in _WIDTHS.items():
            tree.setColumnWidth(position, width)
        return tree

    # -- showing -----------------------------------------------------------------------------

    @property
    def shown_model(self) -> str:
        """The id of the model whose layers are shown; empty while there are none."""
        return "" if self._layers is None else self._layers.question.card.id

    def show_layers(self, layers: Layers) -> None:
        """The answer to a question. What a person had opened stays open in the same model."""
        known = self._layers
        is_same = known is not None and known.tree.model == layers.tree.model
        opened = self._opened_paths() if is_same else set()
        self._layers = layers
        self._found = []
        self.model.show_lines(layers.lines, macs=layers.tree.macs)
        if opened:
            for index in self._indexes(QModelIndex()):
                if self.model.line(index).path in opened:
                    self.tree.setExpanded(index, True)
        self.stack.setCurrentWidget(self.tree)
        self.totals.setText(describe_totals(layers))
        self._set_tools_enabled(is_enabled=True)
        self._search(self.search.text())

    def show_waiting(self, name: str) -> None:
        self._show_message(f"Working out the layers of {name} …")

    def show_error(self, error: AppError) -> None:
        self._show_message(str(error))

    def show_nothing(self) -> None:
        self._show_message("Choose a model to see its layers.")

    def _show_message(self, text: str) -> None:
        self._layers = None
        self._found = []
        self.model.show_lines((), macs=0)
        self.message.setText(text)
        self.stack.setCurrentWidget(self.message)
        self.totals.setText("")
        self.hits.setText("")
        self._set_tools_enabled(is_enabled=False)

    def _set_tools_enabled(self, *, is_enabled: bool) -> None:
        for tool in (self.expand_button, self.copy_button):
            tool.setEnabled(is_enabled)

    def _indexes(self, parent: QModelIndex) -> list[QModelIndex]:
        """All indexes that can have children, from top to bottom."""
        found = []
        for row in range(self.model.rowCount(parent)):
            index = self.model.index(row, 0, parent)
            if self.model.rowCount(index):
                found += [index, *self._indexes(index)]
        return found

    def _opened_paths(self) -> set[str]:
        return {
            self.model.line(index).path
            for index in self._indexes(QModelIndex())
            if self.tree.isExpanded(index)
        }

    # -- expanding ---------------------------------------------------------------------------

    def expand_one(self) -> None:
        self.tree.collapseAll()
        self.tree.expandToDepth(0)

    def expand_two(self) -> None:
        self.tree.collapseAll()
        self.tree.expandToDepth(1)

    def expand_all(self) -> None:
        if len(self.model) > _MOST_EXPANDED:
            self.expand_two()
            self.hits.setText(f"{count(len(self.model), 'line')}: two levels opened")
            return
        self.tree.expandAll()

    # -- searching ---------------------------------------------------------------------------

    def _search(self, text: str) -> None:
        """Search the lines themselves, then open the way to what was found."""
        found = self.model.find(text)
        self._found = found
        self._found_at = 0
        self.hits.setText(count(len(found), "hit") if text.strip() and self._layers else "")
        for index in found[:_MOST_OPENED_BY_SEARCH]:
            self._open_way_to(index)
        if found:
            self._go_to(found[0])

    def _show_next(self) -> None:
        if self._found:
            self._found_at = (self._found_at + 1) % len(self._found)
            index = self._found[self._found_at]
            self._open_way_to(index)
            self._go_to(index)
            self.hits.setText(f"{self._found_at + 1:,} of {count(len(self._found), 'hit')}")

    def _open_way_to(self, index: QModelIndex) -> None:
        parent = index.parent()
        while parent.isValid() and not self.tree.isExpanded(parent):
            self.tree.setExpanded(parent, True)
            parent = parent.parent()

    def _go_to(self, index: QModelIndex) -> None:
        self.tree.setCurrentIndex(index)
        self.tree.scrollTo(index)

    def _enter_tree(self) -> None:
        self.tree.setFocus(Qt.FocusReason.TabFocusReason)
        if not self.tree.currentIndex().isValid():
            self.tree.setCurrentIndex(self.model.index(0, 0))

    # -- copying -----------------------------------------------------------------------------

    def copy_markdown(self) -> None:
        if self._layers is not None:
            shown = self._shown_lines(QModelIndex(), 0)
            QGuiApplication.clipboard().setText(to_markdown(shown, tree=self._layers.tree))

    def copy_csv(self) -> None:
        if self._layers is not None:
            QGuiApplication.clipboard().setText(to_csv(self._layers.lines))

    def _shown_lines(self, parent: QModelIndex, depth: int) -> list[tuple[int, LayerLine]]:
        shown = []
        for row in range(self.model.rowCount(parent)):
            index = self.model.index(row, 0, parent)
            shown.append((depth, self.model.line(index)))
            if self.tree.isExpanded(index):
                shown += self._shown_lines(index, depth + 1)
        return shown

    def _show_menu(self, point: QPoint) -> None:
        if self._layers is not None:
            self._copy_menu.popup(self.tree.viewport().mapToGlobal(point))


def describe_totals(layers: Layers) -> str:
    """What trains of the whole, under which strategy, and the cost of one image."""
    tree, question = layers.tree, layers.question
    share = tree.trainable_params / tree.params if tree.params else 0.0
    strategy = _STRATEGIES.get(layers.strategy, layers.strategy)
    if question.num_classes is None and question.card.num_classes == 0:
        head = "whose head comes with the classes of a dataset"
    elif question.num_classes is None:
        head = "with the head it was published with"
    else:
        head = f"with a new head for {count(question.num_classes, 'class', 'classes')}"
    percent = f"{share:.2%}" if share < 0.1 else f"{share:.0%}"
    return (
        f"{tree.trainable_params:,} of {tree.params:,} parameters train ({percent}): {strategy}, "
        f"{head}. {tree.macs / 1e9:,.2f} GMACs an image, "
        f"{count(sum(1 for _, line in walk(layers.lines) if not line.is_run), 'layer')}."
    )
