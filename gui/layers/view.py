"""The layers of one model: the tree, what of it trains, and what a person wants of that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, QPoint, Qt, Signal
from PySide6.QtGui import QGuiApplication, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QMenu,
    QStackedWidget,
    QToolButton,
    QWidget,
)

from core.plan.layer_text import plan_to_csv, plan_to_markdown
from gui.kit import theme
from gui.kit.basics import hbox, icon_button, label, menu_button, vbox
from gui.kit.inputs import SearchField
from gui.kit.theme import Theme
from gui.kit.words import count
from gui.layers.bar import LayerBar
from gui.layers.delegate import toggle
from gui.layers.info import LayerInfo
from gui.layers.model import NAME, SHARE_ROLE, LayerModel
from gui.layers.schedule import LayerSchedule
from gui.layers.text import model_text
from gui.layers.totals import LayerTotals
from gui.layers.tree import LayerTreeView

if TYPE_CHECKING:
    from core.errors import AppError
    from core.models.layers.rows import LayerLine
    from core.plan.layer_plan import LayerPlan
    from gui.layers.jobs import Layers

_MOST_EXPANDED = 4000
"""Lines that "all" opens at once: more take longer than a person waits for a click."""
_MOST_OPENED_BY_SEARCH = 200
_INFO_FROM_PX = 430
"""A lower view gives the tree the room of the explanation, until a person asks for it."""


class _LayerSearch(SearchField):
    """Enter goes to the next hit, Shift+Enter to the one before."""

    step_wanted = Signal(int)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            is_back = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
            self.step_wanted.emit(-1 if is_back else 1)
        else:
            super().keyPressEvent(event)


class LayerView(QWidget):
    """Search, presets, tree, schedule, totals, explanation; or a sentence in their place.

    It asks by signals and shows what came of it by `show_plan`; it decides nothing.
    """

    shown = Signal()
    """Another model's layers stand here, or the same anew: they want a plan."""
    tick_wanted = Signal(object, bool)
    factor_wanted = Signal(object, str)
    preset_wanted = Signal(str)
    epoch_wanted = Signal(object)
    room_wanted = Signal(bool)
    """The whole page, or a part of it again."""
    file_wanted = Signal(str)
    """Save all layers as a table, `md` or `csv`."""

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._look = look
        self.layers: Layers | None = None
        self.plan: LayerPlan | None = None
        self._found: list[QModelIndex] = []  # good until the model is filled again
        self._found_at = 0
        column = vbox(self, margins=(0, theme.S, 0, 0), spacing=theme.XS)
        column.addLayout(self._make_tools())
        self.bar = LayerBar(look)
        self.bar.preset_wanted.connect(self.preset_wanted)
        column.addWidget(self.bar)
        self.stack = QStackedWidget()
        self.tree = self._make_tree()
        self.message = label("", "muted", wraps=True)
        self.message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.message.setContentsMargins(theme.XL, theme.XL, theme.XL, theme.XL)
        self.stack.addWidget(self.tree)
        self.stack.addWidget(self.message)
        column.addWidget(self.stack, 1)
        self.schedule = LayerSchedule(look)
        self.schedule.epoch_chosen.connect(self.epoch_wanted)
        column.addWidget(self.schedule)
        self.totals = LayerTotals()
        column.addWidget(self.totals)
        self.info = LayerInfo(look)
        column.addWidget(self.info)
        self.info.hide()
        self._is_info_chosen = False
        self.show_nothing()

    # -- building ----------------------------------------------------------------------------

    def _make_tools(self) -> QHBoxLayout:
        line = hbox(spacing=theme.XS)
        self.search = _LayerSearch(self._look, name="Search layers", hint="Search the layers")
        self.search.textChanged.connect(self._search)
        self.search.step_wanted.connect(self._step)
        self.search.down_pressed.connect(self._enter_tree)
        line.addWidget(self.search, 1)
        self.hits = label("", "muted-small")
        line.addWidget(self.hits)
        look = self._look
        self.back_button = icon_button(look, "chevron-up", "Previous hit", self._show_previous)
        self.next_button = icon_button(look, "chevron-down", "Next hit", self._show_next)
        line.addWidget(self.back_button)
        line.addWidget(self.next_button)
        expand = QMenu(self)
        for text, slot in (
            ("&First level", self.expand_one),
            ("&Two levels", self.expand_two),
            ("T&hree levels", self.expand_three),
            ("&All levels", self.expand_all),
            ("&Nothing", self.collapse),
        ):
            expand.addAction(text, slot)
        self.expand_button = self._make_menu_button("Expand", "unfold-more-horizontal", expand)
        line.addWidget(self.expand_button)
        self._copy_menu = QMenu(self)
        for text, slot in (
            ("Copy what is shown as &Markdown", self.copy_markdown),
            ("Copy all layers as &CSV", self.copy_csv),
            ("Save what is shown as Mar&kdown …", self._save_markdown),
            ("Save all layers as CS&V …", self._save_csv),
        ):
            self._copy_menu.addAction(text, slot)
        self.copy_button = self._make_menu_button("Copy", "content-copy", self._copy_menu)
        line.addWidget(self.copy_button)
        self.explain_button = icon_button(self._look, "help-circle-outline", "Explain")
        self.explain_button.setCheckable(True)
        self.explain_button.setProperty("role", "toggle")
        self.explain_button.setToolTip("Explain the selected layer below the tree")
        self.explain_button.toggled.connect(self._show_info)
        self.explain_button.clicked.connect(self._remember_info)
        line.addWidget(self.explain_button)
        self.room_button = icon_button(self._look, "arrow-expand-all", "More room")
        self.room_button.setCheckable(True)
        self.room_button.setProperty("role", "toggle")
        self.room_button.setToolTip("Give the layers the whole page, without the list of models")
        self.room_button.toggled.connect(self.room_wanted)
        line.addWidget(self.room_button)
        return line

    def _make_menu_button(self, text: str, icon: str, menu: QMenu) -> QToolButton:
        made = menu_button(text, f"{text} layers", icon=(self._look, icon))
        made.setMenu(menu)
        return made

    def _make_tree(self) -> LayerTreeView:
        self.model = LayerModel()
        self.model.tick_wanted.connect(self.tick_wanted)
        self.model.factor_wanted.connect(self.factor_wanted)
        tree = LayerTreeView(self.model, self._look)
        tree.customContextMenuRequested.connect(self._open_menu)
        tree.line_changed.connect(self._explain)
        tree.left_upwards.connect(self._leave_tree)
        return tree

    # -- showing -----------------------------------------------------------------------------

    @property
    def shown_model(self) -> str:
        """The id of the model whose layers are shown; empty while there are none."""
        return "" if self.layers is None else self.layers.question.card.id

    def show_layers(self, layers: Layers) -> None:
        """The answer to a question. What a person had opened stays open in the same model."""
        known = self.layers
        if known is not layers:
            is_same = known is not None and known.tree.model == layers.tree.model
            opened = self.tree.opened_paths() if is_same else set()
            self.layers = layers
            self.plan = None
            self._found = []
            self.model.show_lines(layers.lines, macs=layers.tree.macs)
            self.tree.open_paths(opened)
            self.stack.setCurrentWidget(self.tree)
            self._set_tools_enabled(is_enabled=True)
            self.info.show_model(model_text(layers))
            self._search(self.search.text())
        self.shown.emit()

    def show_plan(
        self,
        plan: LayerPlan,
        *,
        now: LayerPlan | None = None,
        presets: Mapping[str, bool],
        hint: str = "",
    ) -> None:
        """What trains of the layers shown; `now` is of the epoch that is looked at."""
        if self.layers is None:
            return
        self.plan = plan
        self.model.show_plan(plan, now)
        self.schedule.show_plan(plan)
        self.totals.show_plan(plan, now or plan, hint=hint)
        self.bar.show_presets(presets)
        self._explain(self.tree.currentIndex())

    def show_waiting(self, name: str) -> None:
        """Show that the layers of a model are being worked out."""
        self._show_message(f"Working out the layers of {name} …")

    def show_error(self, error: AppError) -> None:
        """Show why there are no layers."""
        self._show_message(str(error))

    def show_nothing(self) -> None:
        """Show that no model is chosen."""
        self._show_message("Choose a model to see its layers.")

    def _show_message(self, text: str) -> None:
        self.layers = None
        self.plan = None
        self._found = []
        self.model.show_lines((), macs=0)
        self.message.setText(text)
        self.stack.setCurrentWidget(self.message)
        self.totals.clear()
        self.schedule.show_plan(None)
        self.bar.show_presets({})
        self.hits.setText("")
        self.info.show_model("")
        self._set_tools_enabled(is_enabled=False)

    def _set_tools_enabled(self, *, is_enabled: bool) -> None:
        for tool in (self.expand_button, self.copy_button):
            tool.setEnabled(is_enabled)
        self._show_hits()

    def _show_info(self, is_wanted: bool) -> None:
        self.info.setVisible(is_wanted)

    def _remember_info(self) -> None:
        self._is_info_chosen = True

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if not self._is_info_chosen:
            self.explain_button.setChecked(self.height() >= _INFO_FROM_PX)

    def _explain(self, index: QModelIndex) -> None:
        if not index.isValid():
            self.info.show_line(None)
            return
        state = self.model.state(index)
        self.info.show_line(
            self.model.line(index),
            share=index.data(SHARE_ROLE),
            depth=self.model.depth_of(index),
            is_head=state is not None and state.is_head,
        )

    # -- expanding ---------------------------------------------------------------------------

    def expand_one(self) -> None:
        """Expand one level."""
        self.tree.expand_levels(1)

    def expand_two(self) -> None:
        """Expand two levels."""
        self.tree.expand_levels(2)

    def expand_three(self) -> None:
        """Expand three levels."""
        self.tree.expand_levels(3)

    def expand_all(self) -> None:
        """Expand everything; of a very large model two levels only."""
        if len(self.model) > _MOST_EXPANDED:
            self.expand_two()
            self.hits.setText(f"{count(len(self.model), 'line')}: two levels opened")
            return
        self.tree.expandAll()

    def collapse(self) -> None:
        """Collapse everything."""
        self.tree.expand_levels(0)

    # -- searching ---------------------------------------------------------------------------

    def _search(self, text: str) -> None:
        """Search the lines themselves, then open the way to what was found."""
        self._found = self.model.find(text)
        self._found_at = 0
        for index in self._found[:_MOST_OPENED_BY_SEARCH]:
            self.tree.open_way_to(index)
        if self._found:
            self.tree.go_to(self._found[0])
        self._show_hits()

    def _show_hits(self) -> None:
        is_asked = bool(self.search.text().strip()) and self.layers is not None
        self.hits.setText(count(len(self._found), "hit") if is_asked else "")
        for button in (self.back_button, self.next_button):
            button.setVisible(is_asked)
            button.setEnabled(len(self._found) > 1)

    def _show_next(self) -> None:
        self._step(1)

    def _show_previous(self) -> None:
        self._step(-1)

    def _step(self, by: int) -> None:
        if self._found:
            self._found_at = (self._found_at + by) % len(self._found)
            self.tree.go_to(self._found[self._found_at])
            self.hits.setText(f"{self._found_at + 1:,} of {count(len(self._found), 'hit')}")

    def _enter_tree(self) -> None:
        if self.layers is not None:
            self.tree.enter()

    def _leave_tree(self) -> None:
        self.search.setFocus(Qt.FocusReason.BacktabFocusReason)

    # -- copying -----------------------------------------------------------------------------

    def as_markdown(self) -> str:
        """What is shown, with the totals; empty without a plan."""
        if self.plan is None:
            return ""
        return plan_to_markdown(self._shown_lines(QModelIndex(), 0), self.plan)

    def as_csv(self) -> str:
        """All layers, one a line; empty without a plan."""
        if self.layers is None or self.plan is None:
            return ""
        return plan_to_csv(self.layers.lines, self.plan)

    def copy_markdown(self) -> None:
        """Copy the layers to the clipboard as Markdown."""
        if text := self.as_markdown():
            QGuiApplication.clipboard().setText(text)

    def copy_csv(self) -> None:
        """Copy the layers to the clipboard as CSV."""
        if text := self.as_csv():
            QGuiApplication.clipboard().setText(text)

    def _save_markdown(self) -> None:
        self.file_wanted.emit("md")

    def _save_csv(self) -> None:
        self.file_wanted.emit("csv")

    def _shown_lines(self, parent: QModelIndex, depth: int) -> list[tuple[int, LayerLine]]:
        shown = []
        for row in range(self.model.rowCount(parent)):
            index = self.model.index(row, 0, parent)
            shown.append((depth, self.model.line(index)))
            if self.tree.isExpanded(index):
                shown += self._shown_lines(index, depth + 1)
        return shown

    # -- the menu of a line ------------------------------------------------------------------

    def _open_menu(self, point: QPoint) -> None:
        if self.layers is None:
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        index = self.tree.currentIndex().siblingAtColumn(NAME)
        if index.isValid() and index.flags() & Qt.ItemFlag.ItemIsUserCheckable:
            checked = Qt.CheckState(index.data(Qt.ItemDataRole.CheckStateRole))
            is_on = checked == Qt.CheckState.Checked
            menu.addAction("&Freeze" if is_on else "&Train", self._toggle_current)
            menu.addAction("Set the &rate's factor …", self._edit_current)
            menu.addSeparator()
        menu.addActions(self._copy_menu.actions())
        menu.popup(self.tree.viewport().mapToGlobal(point))

    def _toggle_current(self) -> None:
        toggle(self.model, self.tree.currentIndex().siblingAtColumn(NAME))

    def _edit_current(self) -> None:
        self.tree.edit_factor(self.tree.currentIndex())
