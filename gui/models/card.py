"""One model in full: its figures and where they come from, its family, its other weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QGridLayout,
    QLabel,
    QPushButton,
    QWidget,
)

from core.catalog.card import ModelCard
from core.catalog.families import family_text
from gui.kit import theme
from gui.kit.basics import ElidedLabel, button, hbox, label, scroll_area, separator, vbox
from gui.kit.theme import Theme, set_role
from gui.kit.words import count
from gui.models.facts import card_facts
from gui.models.weights.panel import WeightsBox

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from core.catalog.catalog import Catalog
    from gui.models.rows import ModelRow

_MOST_VARIANTS = 40


class ModelCardView(QWidget):
    """The card scrolls; the button to use the model stays in sight."""

    variant_chosen = Signal(str)
    use_wanted = Signal(object)
    shown = Signal()
    """Another card, or the same one anew."""

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._look = look
        self._card: ModelCard | None = None
        column = vbox(self, margins=(0, theme.S, 0, 0))
        self._scroll = scroll_area(self._make_content(), has_frame=False)
        column.addWidget(self._scroll, 1)
        self.use_button = button(
            "Use this model", self._use, role="primary", icon=(look, "check", "on_accent")
        )
        column.addWidget(self.use_button)

    def _make_content(self) -> QWidget:
        content = QWidget()
        column = vbox(content, margins=(0, 0, theme.S, 0))
        self.name = label("", "heading", wraps=True)
        column.addWidget(self.name)
        self.model_id = label("", "muted-small", wraps=True)
        self.model_id.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.model_id.setToolTip("The model's id: what recipes, runs and the command line call it")
        column.addWidget(self.model_id)
        self.weights = WeightsBox(self._look)
        column.addWidget(self.weights)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(theme.L)
        self._grid.setVerticalSpacing(theme.XS)
        self._grid.setColumnStretch(1, 1)
        self._facts: dict[str, tuple[QLabel, QLabel]] = {}
        column.addLayout(self._grid)
        self.figures_source = label("", "muted-small", wraps=True)
        column.addWidget(self.figures_source)
        self.family = label("", "heading", wraps=True)
        self.ideas = label("", "body", wraps=True)
        self.use = label("", "body", wraps=True)
        self._family_line = separator()
        for part in (self._family_line, self.family, self.ideas, self.use):
            column.addWidget(part)
        self._variants_line = separator()
        self._variants_heading = label("Other weights of this architecture", "heading", wraps=True)
        self._variants = vbox(spacing=0)
        column.addWidget(self._variants_line)
        column.addWidget(self._variants_heading)
        column.addLayout(self._variants)
        column.addStretch(1)
        return content

    # -- showing -----------------------------------------------------------------------------

    @property
    def card(self) -> ModelCard | None:
        """The model shown; None at first."""
        return self._card

    def fact(self, name: str) -> str:
        """The value of a fact by its name."""
        return self._facts[name][0].text()

    def explained(self, name: str) -> str:
        """The second, smaller line of a fact."""
        return self._facts[name][1].text().replace("\u200b", "")

    def show_card(
        self, row: ModelRow, catalog: Catalog, *, here: Collection[str], chosen_id: str
    ) -> None:
        """`here`: ids of the cards whose weights are here; `chosen_id`: the session's model."""
        card = row.card
        is_new = self._card is None or self._card.id != card.id
        self._card = card
        name = card.shown_name
        self.name.setText(_breakable(name))
        self.name.setAccessibleName(name)
        self.weights.show_row(row)
        self.model_id.setText(_breakable(card.id))
        self._show_facts(row, catalog)
        self._show_family(card)
        self._show_variants(card, catalog.variants(card), here)
        self.show_chosen(chosen_id)
        if is_new:
            self._scroll.verticalScrollBar().setValue(0)
        self.shown.emit()

    def show_chosen(self, chosen_id: str) -> None:
        """Mark whether the model shown is the session's."""
        is_chosen = self._card is not None and self._card.id == chosen_id
        self.use_button.setEnabled(self._card is not None and not is_chosen)
        self.use_button.setText(" In use" if is_chosen else " Use this model")
        self.use_button.setAccessibleName(self.use_button.text().strip())

    def _show_facts(self, row: ModelRow, catalog: Catalog) -> None:
        for fact in card_facts(row, catalog):
            if fact.name not in self._facts:
                self._add_fact(fact.name)
            value, more = self._facts[fact.name]
            value.setText(fact.text or "unknown")
            set_role(value, role="body" if fact.text else "muted")
            more.setText(_breakable(fact.tip))
            more.setVisible(bool(fact.tip))
        text = self.fact("Licence")
        set_role(self._facts["Licence"][0], tone="warning" if "no commercial" in text else "")
        self.figures_source.setText(_figures_source(row.card, catalog))

    def _add_fact(self, name: str) -> None:
        line = self._grid.rowCount()
        value, more = label("", "body", wraps=True), label("", "muted-small", wraps=True)
        for part in (value, more):
            part.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        both = vbox(spacing=0)
        both.addWidget(value)
        both.addWidget(more)
        self._grid.addWidget(label(name, "muted"), line, 0, Qt.AlignmentFlag.AlignTop)
        self._grid.addLayout(both, line, 1)
        self._facts[name] = (value, more)

    def _show_family(self, card: ModelCard) -> None:
        text = family_text(card.family)
        for part in (self._family_line, self.family, self.ideas, self.use):
            part.setVisible(text is not None)
        if text is not None:
            self.family.setText(f"{card.family}, {text.year}")
            self.ideas.setText(text.ideas)
            self.use.setText(f"When to use it: {text.use}")

    def _show_variants(
        self, card: ModelCard, variants: Sequence[ModelCard], here: Collection[str]
    ) -> None:
        while (item := self._variants.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                # Not at once: the button that was clicked may still be in its own click.
                widget.hide()
                widget.deleteLater()
        others = [variant for variant in variants if variant.id != card.id]
        self._variants_line.setVisible(bool(others))
        self._variants_heading.setVisible(bool(others))
        for variant in others[:_MOST_VARIANTS]:
            self._variants.addWidget(self._make_variant(variant, is_here=variant.id in here))
        if len(others) > _MOST_VARIANTS:
            more = count(len(others) - _MOST_VARIANTS, "more", "more")
            self._variants.addWidget(label(f"and {more}: search for {card.arch}", "muted-small"))

    def _make_variant(self, variant: ModelCard, *, is_here: bool) -> QPushButton:
        facts: list[str] = [variant.source]
        if variant.top1 is not None:
            facts.append(f"{variant.top1:.1f} %")
        if variant.input_size is not None:
            facts.append(f"{variant.input_size[1]} px")
        if is_here:
            facts.append("here")
        made = QPushButton()
        made.setProperty("role", "row")
        made.setAutoDefault(False)
        made.setObjectName(variant.id)
        made.setAccessibleName(f"{variant.id}, {', '.join(facts)}")
        made.setToolTip(variant.id)
        line = hbox(made, margins=(theme.S, theme.XS, theme.S, theme.XS), spacing=-1)
        name = ElidedLabel(variant.tag or variant.arch)
        name.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        detail = label(" · ".join(facts), "muted-small")
        detail.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        line.addWidget(name, 1)
        line.addWidget(detail)
        made.setMinimumHeight(2 * theme.L)
        made.setMinimumWidth(1)  # names give way; the card is never wider than its place
        made.clicked.connect(self._variant_clicked)
        return made

    def _variant_clicked(self) -> None:
        sender = self.sender()
        if sender is not None:
            self.variant_chosen.emit(sender.objectName())

    def _use(self) -> None:
        if self._card is not None:
            self.use_wanted.emit(self._card)


def _breakable(text: str) -> str:
    """`text` with places at which a long name may go on in the next line."""
    for mark in "_./":
        text = text.replace(mark, f"{mark}\u200b")
    return text


def _figures_source(card: ModelCard, catalog: Catalog) -> str:
    counted = "Parameters and multiply-adds were counted by Graftwork."
    source = catalog.accuracy_source(card)
    if not source:
        return f"No ImageNet-1k accuracy was published for these weights. {counted}"
    return f"Accuracy on ImageNet-1k from {source}. {counted}"
