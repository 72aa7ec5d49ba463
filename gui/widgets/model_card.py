"""One model in full: its figures and where they come from, its family, its other weights."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlparse

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from core.models.card import ModelCard
from core.models.family_texts import family_text
from gui import theme
from gui.theme import Theme, set_role
from gui.widgets.basics import ElidedLabel, button, label, separator
from gui.words import count

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_FACTS = ("Parameters", "GMACs", "Top-1", "Top-5", "Top-1 per M", "Input", "Classes", "Licence")
_BYTES_PER_PARAM = 4
_MOST_VARIANTS = 40


class ModelCardView(QWidget):
    """The card scrolls; the button to use the model stays in sight."""

    variant_chosen = Signal(str)
    use_wanted = Signal(object)

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._look = look
        self._card: ModelCard | None = None
        column = QVBoxLayout(self)
        column.setContentsMargins(0, theme.S, 0, 0)
        column.setSpacing(theme.S)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._scroll.setWidget(self._make_content())
        column.addWidget(self._scroll, 1)
        self._fetch_note = label("", "muted-small", wraps=True)
        column.addWidget(self._fetch_note)
        self.use_button = button(
            "Use this model", self._use, role="primary", icon=(look, "check", "on_accent")
        )
        column.addWidget(self.use_button)

    def _make_content(self) -> QWidget:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, theme.S, 0)
        column.setSpacing(theme.S)
        self.name = label("", "heading", wraps=True)
        column.addWidget(self.name)
        self.origin = label("", "muted-small", wraps=True)
        column.addWidget(self.origin)
        grid = QGridLayout()
        grid.setHorizontalSpacing(theme.L)
        grid.setVerticalSpacing(theme.XS)
        grid.setColumnStretch(1, 1)
        self._facts: dict[str, QLabel] = {}
        for row, name in enumerate(_FACTS):
            value = label("", "body", wraps=True)
            value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            self._facts[name] = value
            grid.addWidget(label(name, "muted"), row, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(value, row, 1)
        column.addLayout(grid)
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
        self._variants = QVBoxLayout()
        self._variants.setSpacing(0)
        column.addWidget(self._variants_line)
        column.addWidget(self._variants_heading)
        column.addLayout(self._variants)
        column.addStretch(1)
        return content

    # -- showing -----------------------------------------------------------------------------

    @property
    def card(self) -> ModelCard | None:
        return self._card

    def fact(self, name: str) -> str:
        return self._facts[name].text()

    def show_card(
        self,
        card: ModelCard,
        *,
        variants: Sequence[ModelCard],
        here: Collection[str],
        chosen_id: str,
    ) -> None:
        """`here`: ids of the cards whose weights are here; `chosen_id`: the session's model."""
        is_new = self._card is None or self._card.id != card.id
        self._card = card
        name = card.id.rpartition("/")[2]
        self.name.setText(_breakable(name))
        self.name.setAccessibleName(name)
        self.origin.setText(_breakable(_origin(card, is_here=card.id in here)))
        self._show_facts(card)
        self._show_family(card)
        self._show_variants(card, variants, here)
        self.show_chosen(chosen_id)
        self._fetch_note.setText(fetch_note(card))
        self._fetch_note.setVisible(card.id not in here)
        if is_new:
            self._scroll.verticalScrollBar().setValue(0)

    def show_chosen(self, chosen_id: str) -> None:
        is_chosen = self._card is not None and self._card.id == chosen_id
        self.use_button.setEnabled(self._card is not None and not is_chosen)
        self.use_button.setText(" In use" if is_chosen else " Use this model")
        self.use_button.setAccessibleName(self.use_button.text().strip())

    def _show_facts(self, card: ModelCard) -> None:
        per_m, size = card.top1_per_m, card.input_size
        classes = f"{card.num_classes:,}"
        if card.num_classes == 0:
            classes = "none: it gives features"
        elif card.label_set:
            classes += f" ({card.label_set})"
        else:
            classes += " outputs that are no classes"
        values = {
            "Parameters": "" if card.params is None else f"{card.params:,}",
            "GMACs": "" if card.macs is None else f"{card.macs / 1e9:,.3f}",
            "Top-1": "" if card.top1 is None else f"{card.top1:.2f} %",
            "Top-5": "" if card.top5 is None else f"{card.top5:.2f} %",
            "Top-1 per M": "" if per_m is None else f"{per_m:,.2f} % per million parameters",
            "Input": "" if size is None else f"{size[1]:,} × {size[0]:,} pixels",
            "Classes": classes,
            "Licence": _license_text(card.license),
        }
        for name, value in values.items():
            self._facts[name].setText(value or "unknown")
            set_role(self._facts[name], role="body" if value else "muted")
        is_bound = "no commercial use" in values["Licence"]
        set_role(self._facts["Licence"], tone="warning" if is_bound else "")
        self.figures_source.setText(_figures_source(card))

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
        line = QHBoxLayout(made)
        line.setContentsMargins(theme.S, theme.XS, theme.S, theme.XS)
        name = ElidedLabel(variant.tag or variant.arch)
        name.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        told = label(" · ".join(facts), "muted-small")
        told.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        line.addWidget(name, 1)
        line.addWidget(told)
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


def fetch_note(card: ModelCard) -> str:
    """What the first use of weights costs that are not here."""
    size = "The weights"
    if card.params:
        # Four bytes a parameter, as nearly all files are float32.
        size = f"About {card.params * _BYTES_PER_PARAM / 1e6:,.0f} MB of weights"
    return (
        f"{size} are not on this machine. They are fetched from {_site(card)} at the first use, "
        "which needs a network."
    )


def _origin(card: ModelCard, *, is_here: bool) -> str:
    source = {
        "bundled": "Comes with Graftwork",
        "torchvision": "From torchvision",
        "timm": "From timm",
    }.get(card.source, f"From {card.source}")
    where = "weights on this machine"
    if not is_here:
        name = card.weights.removeprefix("hf-hub:") if card.weights.startswith("hf-hub:") else ""
        where = f"weights at {_site(card)}" + (f" as {name}" if name else "")
    return f"{source} · {where}"


def _breakable(text: str) -> str:
    """`text` with places at which a long name may go on in the next line."""
    for mark in "_./":
        text = text.replace(mark, f"{mark}\u200b")
    return text


def _site(card: ModelCard) -> str:
    if card.weights.startswith("hf-hub:"):
        return "Hugging Face"
    if card.source == "bundled":
        return "the package index"
    return urlparse(card.weights).hostname or "its source"


def _license_text(name: str) -> str:
    if name in ("", "unknown"):
        return ""
    if "-nc-" in name or "noncommercial" in name:
        return f"{name}: no commercial use"
    return name


def _figures_source(card: ModelCard) -> str:
    if card.top1 is None:
        return "No ImageNet-1k accuracy was published for these weights in the tables used here."
    table = (
        "torchvision with the weights"
        if card.source == "torchvision"
        else "timm (results-imagenet.csv)"
    )
    return (
        f"Accuracy on ImageNet-1k as published by {table}; parameters and multiply-adds counted "
        "by Graftwork."
    )
