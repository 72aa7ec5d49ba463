"""Models: every pretrained model the catalog knows, its card and its layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QSplitter, QStackedWidget, QTabWidget, QVBoxLayout, QWidget

from core.errors import AppError
from core.models.search import CardFilter
from gui import theme
from gui.commands import Commands
from gui.pages.page import Page
from gui.session import Session
from gui.settings import Settings
from gui.theme import Theme
from gui.widgets.basics import button, label
from gui.widgets.layer_view import LayerView
from gui.widgets.model_card import ModelCardView
from gui.widgets.model_filters import ModelFilters, Wish
from gui.widgets.model_table import ModelTable
from gui.words import count

if TYPE_CHECKING:
    from core.models.card import ModelCard
    from gui.jobs_layers import Layers
    from gui.jobs_models import CatalogRows

_LAYERS_AFTER_MS = 150
"""A person who arrows through the table asks for the layers of the model they stop at."""
_CARD_SHARE, _LAYERS_SHARE = 0.40, 0.75
_MOST_WAYS_OUT = 4


class ModelsPage(Page):
    """The table on the left; on the right the chosen model as a card or as a tree of layers."""

    def __init__(
        self, session: Session, commands: Commands, settings: Settings, look: Theme
    ) -> None:
        super().__init__("Models", session, commands, settings, look)
        self._listing: CatalogRows | None = None
        self._here: frozenset[str] = frozenset()
        self._ways_out: list[tuple[str, Wish]] = []
        self.filters = ModelFilters(look)
        self.body.addWidget(self.filters)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.setHandleWidth(theme.M)
        self.splitter.addWidget(self._make_left())
        self.splitter.addWidget(self._make_tabs())
        self.body.addWidget(self.splitter, 1)
        self._shares = [_CARD_SHARE, _LAYERS_SHARE]
        self._shown_tab = 0
        self._layers_soon = QTimer(self)
        self._layers_soon.setSingleShot(True)
        self._layers_soon.setInterval(_LAYERS_AFTER_MS)
        self._layers_soon.timeout.connect(self._ask_for_layers)
        self._connect()
        find = QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self)
        find.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        find.activated.connect(self.focus_search)

    # -- building ----------------------------------------------------------------------------

    def _make_left(self) -> QWidget:
        self.stack = QStackedWidget()
        self.table = ModelTable(self.look)
        self.stack.addWidget(self.table)
        self._waiting = label("Reading the catalog …", "muted")
        self._waiting.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.stack.addWidget(self._waiting)
        self._empty = QWidget()
        column = QVBoxLayout(self._empty)
        column.setContentsMargins(theme.L, theme.XL, theme.L, theme.XL)
        column.setSpacing(theme.S)
        column.addStretch(1)
        self.empty_hint = label("", "muted", wraps=True)
        column.addWidget(label("No model fits", "heading"))
        column.addWidget(self.empty_hint)
        self._ways_out_box = QVBoxLayout()
        self._ways_out_box.setSpacing(theme.S)
        column.addLayout(self._ways_out_box)
        column.addStretch(2)
        self.stack.addWidget(self._empty)
        self.stack.setCurrentWidget(self._waiting)
        self.stack.setMinimumWidth(196)
        return self.stack

    def _make_tabs(self) -> QTabWidget:
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setAccessibleName("Card and layers")
        self.card = ModelCardView(self.look)
        self.layers = LayerView(self.look)
        self.tabs.addTab(self.card, "Card")
        self.tabs.addTab(self.layers, "Layers")
        self.tabs.setMinimumWidth(240)
        return self.tabs

    def _connect(self) -> None:
        models = self.commands.models
        models.catalog_listed.connect(self._show_listing)
        models.catalog_failed.connect(self._show_failure)
        self.commands.layers.layers_known.connect(self._show_layers)
        self.commands.layers.layers_failed.connect(self._show_layer_error)
        self.filters.changed.connect(self._filter)
        self.filters.need_chosen.connect(self._choose_first)
        self.filters.search.down_pressed.connect(self.table.enter)
        self.table.left_upwards.connect(self._to_search)
        self.table.model_chosen.connect(self._show_card)
        self.table.model_wanted.connect(self._use)
        self.card.use_wanted.connect(self._use)
        self.card.variant_chosen.connect(self.choose)
        self.tabs.currentChanged.connect(self._tab_changed)
        self.splitter.splitterMoved.connect(self._remember_share)
        self.session.models_changed.connect(self._show_chosen)
        self.session.recipe_changed.connect(self._want_layers)
        self.session.dataset_changed.connect(self._want_layers)

    # -- the table ---------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        # Every time: weights may have been fetched meanwhile. The catalog itself is read once.
        self.commands.models.list_catalog()
        self._share_width()
        self._want_layers()

    def _show_listing(self, listing: CatalogRows) -> None:
        here = frozenset(card.id for card in listing.cards_here)
        if self._listing is not None and here == self._here:
            return
        is_first = self._listing is None
        self._listing, self._here = listing, here
        self.filters.show_catalog(listing.catalog)
        self.table.show_rows(listing.rows, self._fitting(self.filters.wish()))
        self._show_count()
        if is_first:
            self.choose(self.session.model_id)
        elif self.card.card is not None:
            self._show_card(self.card.card)

    def _show_failure(self, error: AppError) -> None:
        self._waiting.setText("The catalog could not be read.")
        self.notices.show_error(error)

    def _fitting(self, wish: Wish) -> list[int]:
        listing = self._listing
        if listing is None:
            return []
        positions = listing.catalog.positions(wish.card)
        if wish.here_only:
            return [position for position in positions if listing.rows[position].is_here]
        return positions

    def _filter(self) -> None:
        if self._listing is None:
            return
        self.table.filter(self._fitting(self.filters.wish()))
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
        if shown:
            self.stack.setCurrentWidget(self.table)
        else:
            self._show_ways_out()
            self.stack.setCurrentWidget(self._empty)

    def _show_ways_out(self) -> None:
        """Which part of the filter to loosen, and what each would show."""
        while (item := self._ways_out_box.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        parts = self.filters.parts()
        names = ", ".join(name for name, _ in parts)
        self._ways_out = [(f"Without {name}", wish) for name, wish in parts if self._fitting(wish)]
        if not self._ways_out and len(parts) > 1:
            wish = self.filters.wish()
            words = Wish(CardFilter(query=wish.card.query))
            if wish.card.query.strip() and self._fitting(words):
                self._ways_out = [(f"Only “{wish.card.query.strip()}”", words)]
        self._ways_out = self._ways_out[:_MOST_WAYS_OUT]
        self.empty_hint.setText(
            f"Nothing fits {names}. Fewer letters find more; wildcards work too: *vit*"
            if len(parts) == 1
            else f"Nothing fits all of {names}."
        )
        for text, wish in self._ways_out:
            hits = count(len(self._fitting(wish)), "model")
            self._add_way_out(f"{text}: {hits}", self._loosen)
        self._add_way_out("Show all models", self.filters.reset)

    def _add_way_out(self, text: str, clicked: Callable[[], None]) -> None:
        self._ways_out_box.addWidget(button(text, clicked), 0, Qt.AlignmentFlag.AlignLeft)

    def _loosen(self) -> None:
        for position, (_, wish) in enumerate(self._ways_out):
            item = self._ways_out_box.itemAt(position)
            if item is not None and item.widget() is self.sender():
                self.filters.set_wish(wish)
                self.filters.search.setFocus()
                return

    def _choose_first(self) -> None:
        self.table.choose_row(0)

    def focus_search(self) -> None:
        """Ctrl+F: the search of the layers while they are worked with, else that of the table."""
        focused = self.focusWidget()
        in_layers = focused is not None and self.layers.isAncestorOf(focused)
        field = self.layers.search if in_layers else self.filters.search
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

    def _show_card(self, card: ModelCard) -> None:
        if self._listing is None:
            return
        self.card.show_card(
            card,
            variants=self._listing.catalog.variants(card),
            here=self._here,
            chosen_id=self.session.model_id,
        )
        self._want_layers()

    def _show_chosen(self) -> None:
        self.card.show_chosen(self.session.model_id)

    def _use(self, card: ModelCard) -> None:
        self.commands.models.use_model(card)
        text = f"{card.id} is what the next run trains."
        if card.id not in self._here:
            text += " Its weights are fetched when it starts, which needs a network."
        self.notices.show_notice(text)

    # -- the layers --------------------------------------------------------------------------

    def _tab_changed(self, position: int) -> None:
        self._shown_tab = position
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
        self.commands.layers.show_layers(card)

    def _show_layers(self, layers: Layers) -> None:
        card = self.card.card
        if card is not None and layers.question.card.id == card.id:
            self.layers.show_layers(layers)

    def _show_layer_error(self, error: AppError) -> None:
        self.layers.show_error(error)
