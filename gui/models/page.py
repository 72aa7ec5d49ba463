"""Models: every pretrained model the catalog knows, its card and its layers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QSplitter, QStackedWidget, QTabWidget, QWidget

from core.errors import AppError
from core.models.resolve import resolve_model
from gui.base.page import Page
from gui.base.session import Session
from gui.kit import theme
from gui.kit.basics import delayed, label
from gui.kit.settings import Settings
from gui.kit.theme import Theme
from gui.kit.view_switch import ViewSwitch
from gui.kit.words import count
from gui.layers.commands import LayerCommands
from gui.layers.control import LayerControl
from gui.layers.view import LayerView
from gui.models.card import ModelCardView
from gui.models.chart.view import ModelChartView
from gui.models.commands import ModelCommands
from gui.models.compare import CompareView
from gui.models.compare_control import CompareControl
from gui.models.filters import ModelFilter, ModelFilters
from gui.models.menu import ModelMenu
from gui.models.no_match import NoModelFits
from gui.models.rows import make_row
from gui.models.table import ModelTable
from gui.models.weights.control import WeightsControl

if TYPE_CHECKING:
    from core.catalog.card import ModelCard
    from core.catalog.domains import DomainBackbone
    from core.catalog.presets import Preset
    from gui.layers.jobs import Layers
    from gui.models.jobs import CatalogRows
    from gui.models.rows import ModelRow

_LAYERS_AFTER_MS = 150
"""A person who arrows through the table asks for the layers of the model they stop at."""
_CARD_SHARE, _LAYERS_SHARE = 0.40, 0.75
_VIEWS = (
    ("table", "Table", "table"),
    ("chart", "Chart", "chart-bubble"),
    ("compare", "Compare", "compare-horizontal"),
)


class ModelsPage(Page):
    """The table on the left; on the right the chosen model as a card or as a tree of layers."""

    def __init__(
        self,
        session: Session,
        settings: Settings,
        look: Theme,
        *,
        commands: ModelCommands,
        layers: LayerCommands,
    ) -> None:
        super().__init__("Models", session, settings, look)
        self._commands = commands
        self._layer_commands = layers
        self._listing: CatalogRows | None = None
        self._expected = ""
        self._here: frozenset[str] = frozenset()
        self.menu = ModelMenu(self)
        self.switch = ViewSwitch(look, _VIEWS)
        self.filters = ModelFilters(look)
        self.body.addWidget(self.filters)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.setHandleWidth(theme.M)
        self.splitter.addWidget(self._make_left())
        self.splitter.addWidget(self._make_tabs())
        self.body.addWidget(self.splitter, 1)
        self.compare = CompareView(look)
        self.compare.hide()
        self.body.addWidget(self.compare, 1)
        self.comparison = CompareControl(
            self.compare, self.table, self.chart, self.switch, commands, self.notices, self._row_of
        )
        self.compare.use_wanted.connect(self._use)
        self.weights = WeightsControl(self, self.card, commands, self.notices, look)
        self.header.addWidget(self.weights.add_menu)
        self.header.addWidget(self.switch)
        self._shares = [_CARD_SHARE, _LAYERS_SHARE]
        self._shown_tab = 0
        self._layers_soon = delayed(self, _LAYERS_AFTER_MS, self._ask_for_layers)
        self._connect()
        find = QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self)
        find.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        find.activated.connect(self.focus_search)

    # -- building ----------------------------------------------------------------------------

    def _make_left(self) -> QWidget:
        self.stack = QStackedWidget()
        self.table = ModelTable(self.look)
        self.chart = ModelChartView(self.look)
        self._waiting = label("Reading the catalog …", "muted")
        self._waiting.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.no_fit = NoModelFits(self.filters, self._count_fitting)
        for view in (self.table, self.chart, self._waiting, self.no_fit):
            self.stack.addWidget(view)
        self.stack.setCurrentWidget(self._waiting)
        self.stack.setMinimumWidth(196)
        return self.stack

    def _make_tabs(self) -> QTabWidget:
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setAccessibleName("Card and layers")
        self.card = ModelCardView(self.look)
        self.layers = LayerView(self.look)
        self.layer_control = LayerControl(
            self.layers, self.session, self._layer_commands, self.notices
        )
        self.tabs.addTab(self.card, "Card")
        self.tabs.addTab(self.layers, "Layers")
        self.tabs.setMinimumWidth(240)
        return self.tabs

    def _connect(self) -> None:
        self._commands.catalog_listed.connect(self._show_listing)
        self._commands.catalog_failed.connect(self._show_failure)
        self._layer_commands.layers_known.connect(self._show_layers)
        self._layer_commands.layers_failed.connect(self._show_layer_error)
        self._layer_commands.tree_wanted.connect(self._show_tree)
        self.layers.room_wanted.connect(self._give_room)
        self.filters.changed.connect(self._filter)
        self.filters.need_chosen.connect(self._show_need)
        self.filters.domain_chosen.connect(self._show_domain)
        self.filters.search.down_pressed.connect(self._enter_view)
        self.no_fit.wish_chosen.connect(self._take_wish)
        self.table.left_upwards.connect(self._to_search)
        self.table.model_chosen.connect(self._show_card)
        self.table.model_wanted.connect(self._use)
        self.table.copy_wanted.connect(self._copy_rows)
        self.chart.point_chosen.connect(self._point_chosen)
        self.chart.point_wanted.connect(self._use)
        for view in (self.table, self.chart):
            view.menu_wanted.connect(self._open_menu)
        self.menu.use_wanted.connect(self._use)
        self.menu.compare_wanted.connect(self.comparison.toggle)
        self.switch.chosen.connect(self._show_view)
        self._commands.weights.added.connect(self._expect)
        self.card.use_wanted.connect(self._use)
        self.card.variant_chosen.connect(self.choose)
        self.tabs.currentChanged.connect(self._tab_changed)
        self.splitter.splitterMoved.connect(self._remember_share)
        self.session.models_changed.connect(self._show_chosen)
        self.session.recipe_changed.connect(self._want_layers)
        self.session.dataset_changed.connect(self._want_layers)

    # -- the table and the chart -------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        # Every time: weights may have been fetched meanwhile. The catalog itself is read once.
        self._commands.list_catalog()
        self._share_width()
        self._want_layers()

    def _show_listing(self, listing: CatalogRows) -> None:
        is_known = self._listing is not None and listing.rows == self._listing.rows
        if is_known and not self._expected:
            return
        is_first = self._listing is None
        self._listing = listing
        self._here = frozenset(card.id for card in listing.cards_here)
        self.filters.show_catalog(listing.catalog)
        fitting = self._fitting(self.filters.wish())
        self.table.show_rows(listing.rows, fitting)
        self.chart.show_rows(listing.rows, fitting)
        self._show_count()
        self.comparison.show_catalog(listing.catalog)
        if is_first or self._expected:
            self.choose(self._expected or self.session.model_id)
            self._expected = ""
        elif self.card.card is not None:
            self._show_card(self.card.card)

    def _expect(self, card_id: str) -> None:
        """Choose a model as soon as the catalog, read again, has it."""
        self.filters.reset()
        self._expected = card_id

    def _show_failure(self, error: AppError) -> None:
        self._waiting.setText("The catalog could not be read.")
        self.notices.show_error(error)

    def _fitting(self, wish: ModelFilter) -> list[int]:
        listing = self._listing
        if listing is None:
            return []
        positions = listing.catalog.positions(wish.card)
        rows = listing.rows
        if wish.weights is not None:
            is_here = wish.weights == "here"
            positions = [position for position in positions if rows[position].is_here == is_here]
        if wish.is_headless:
            positions = [place for place in positions if rows[place].is_headless]
        return positions

    def _filter(self) -> None:
        if self._listing is None:
            return
        fitting = self._fitting(self.filters.wish())
        self.table.filter(fitting)
        self.chart.filter(fitting)
        self._show_count()

    def _show_count(self) -> None:
        listing = self._listing
        if listing is None:
            return
        shown, total = self.table.table_model.rowCount(), len(listing.rows)
        if shown == total:
            self.set_subtitle(count(total, "model"))
        else:
            self.set_subtitle(f"{shown:,} of {count(total, 'model')}")
        if not shown:
            self.no_fit.show_ways()
            self.stack.setCurrentWidget(self.no_fit)
        else:
            self.stack.setCurrentWidget(
                self.chart if self.switch.current == "chart" else self.table
            )

    def _count_fitting(self, wish: ModelFilter) -> int:
        return len(self._fitting(wish))

    def _take_wish(self, wish: ModelFilter) -> None:
        self.filters.set_wish(wish)
        self.filters.search.setFocus()

    def _show_view(self, key: str) -> None:
        """Table and chart beside the card; the comparison over the whole page."""
        is_compared = key == "compare"
        self.filters.setVisible(not is_compared)
        self.splitter.setVisible(not is_compared)
        self.compare.setVisible(is_compared)
        if self._listing is not None:
            self._show_count()
        if not is_compared:
            self._share_width()

    def _enter_view(self) -> None:
        if self.stack.currentWidget() is self.chart:
            self.chart.chart.setFocus(Qt.FocusReason.TabFocusReason)
        else:
            self.table.enter()

    def _show_need(self, need: Preset) -> None:
        """In the order that the need asks for, with the model to begin with chosen."""
        self.table.sort_by("gmacs" if need.sort == "macs" else need.sort)
        self.choose(need.recommended[0])
        self.notices.show_notice(f"{need.title}: {need.models}. {need.why}")

    def _show_domain(self, backbone: DomainBackbone) -> None:
        """A backbone trained on one domain's pictures, whether or not the table has it."""
        if self._listing is None:
            return
        card = replace(
            resolve_model(backbone.id),
            license=backbone.license,
            pretraining=backbone.pretraining,
            input_size=backbone.input_size,
        )
        self.filters.reset()
        self.table.choose(card.id)
        self._show_card(card)
        bound = f" ({backbone.restriction})" if backbone.restriction else ""
        self.notices.show_notice(
            f"{card.shown_name}, for {', '.join(backbone.domains)} pictures: {backbone.why} "
            f"Licence: {backbone.license}{bound}."
        )

    def focus_search(self) -> None:
        """Ctrl+F: the search of the layers while they are worked with, else that of the table."""
        focused = self.focusWidget()
        in_layers = focused is not None and self.layers.isAncestorOf(focused)
        field = self.layers.search if in_layers else self.filters.search
        if self.switch.current == "compare":
            self.switch.choose("table")
        field.setFocus(Qt.FocusReason.ShortcutFocusReason)
        field.selectAll()

    def _to_search(self) -> None:
        self.filters.search.setFocus(Qt.FocusReason.BacktabFocusReason)

    # -- the chosen model --------------------------------------------------------------------

    def choose(self, card_id: str) -> None:
        """Show a model, whether or not the filter shows its row."""
        if self._listing is None:
            return
        card = self._listing.catalog.by_id.get(card_id.lower())
        if card is None:
            card = self._listing.rows[0].card
        self.table.choose(card.id)
        self._show_card(card)

    def _point_chosen(self, card: ModelCard) -> None:
        self.table.choose(card.id)
        self._show_card(card)

    def _show_card(self, card: ModelCard) -> None:
        if self._listing is None:
            return
        row = self._row_of(card) or make_row(card, is_here=card.id in self._here)
        self.card.show_card(
            row, self._listing.catalog, here=self._here, chosen_id=self.session.model_id
        )
        self.chart.chart.choose(card.id)
        self._want_layers()

    def _show_chosen(self) -> None:
        self.card.show_chosen(self.session.model_id)

    def _use(self, card: ModelCard) -> None:
        self._commands.use_model(card)
        text = f"{card.shown_name} is what the next run trains."
        if card.id not in self._here:
            text += " Its weights are fetched when it starts, which needs a network."
        dropped = self._layer_commands.history.dropped
        self.notices.show_notice(f"{text} {dropped}".strip())

    def _copy_rows(self) -> None:
        self.menu.show_rows(self.table.selected_rows())
        self.menu.copy_cells()

    def _open_menu(self, card: ModelCard, at: QPoint) -> None:
        rows = self.table.selected_rows() if self.stack.currentWidget() is self.table else []
        if card.id not in [row.card.id for row in rows]:
            rows = [row for row in (self._row_of(card),) if row is not None]
        self.menu.prepare(
            card,
            rows,
            chosen_id=self.session.model_id,
            is_compared=card.id in self.comparison.list.ids,
        )
        self.menu.popup(at)

    def _row_of(self, card: ModelCard) -> ModelRow | None:
        rows = () if self._listing is None else self._listing.rows
        return next((row for row in rows if row.card.id == card.id), None)

    # -- the layers --------------------------------------------------------------------------

    def _tab_changed(self, position: int) -> None:
        self._shown_tab = position
        self._give_room(self.layers.room_button.isChecked())
        self._share_width()
        self._want_layers()

    def _remember_share(self, _position: int, _handle: int) -> None:
        left, right = self.splitter.sizes()
        if left + right:
            self._shares[self._shown_tab] = right / (left + right)

    def _share_width(self) -> None:
        """A tree needs more room than a card; each keeps the width a person gave it."""
        width = max(1, self.splitter.width())
        right = int(width * self._shares[self._shown_tab])
        self.splitter.setSizes([width - right, right])

    def _give_room(self, is_wanted: bool) -> None:
        """Let the layers have the whole page, as long as they are what is looked at."""
        is_whole = is_wanted and self.tabs.currentWidget() is self.layers
        for part in (self.switch, self.filters, self.stack):
            part.setVisible(not is_whole)

    def _show_tree(self) -> None:
        """The layers of the model that the next run trains."""
        self.tabs.setCurrentWidget(self.layers)
        self.choose(self.session.model_id)

    def _want_layers(self) -> None:
        """Soon, and only while they can be seen."""
        if self.card.card is not None and self.layers.isVisible():
            self._layers_soon.start()

    def _ask_for_layers(self) -> None:
        card = self.card.card
        if card is None:
            return
        if self.layers.shown_model not in ("", card.id):
            self.layers.show_waiting(card.id)
        self._layer_commands.show_layers(card)

    def _show_layers(self, layers: Layers) -> None:
        card = self.card.card
        if card is not None and layers.question.card.id == card.id:
            self.layers.show_layers(layers)

    def _show_layer_error(self, error: AppError) -> None:
        self.layers.show_error(error)
