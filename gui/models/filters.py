"""What a model must be: words, bounds, and the usual needs. Tells of every change at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QHBoxLayout,
    QMenu,
    QToolButton,
    QWidget,
)

from core.catalog.card import Source
from core.catalog.domains import DomainBackbone, domain_backbones
from core.catalog.presets import PRESETS, Preset, preset
from core.catalog.search import CardFilter
from gui.kit.basics import button, hbox, menu_button, vbox
from gui.kit.inputs import ComboBox, SearchField
from gui.kit.theme import Theme, set_role

if TYPE_CHECKING:
    from core.catalog.catalog import Catalog


@dataclass(frozen=True, slots=True)
class ModelFilter:
    """A filter of the catalog, and what only the window asks.

    `weights`: `here`, `online`, None for anywhere. `is_headless`: only models without a classifier.
    """

    card: CardFilter = field(default_factory=CardFilter)
    weights: str | None = None
    is_headless: bool = False


@dataclass(frozen=True, slots=True)
class _Bound:
    """A choice among steps: `key` is the field of `CardFilter`."""

    key: str
    name: str
    pattern: str
    steps: tuple[float, ...]


_BOUNDS: tuple[_Bound, ...] = (
    _Bound("max_params_m", "Parameters", "≤ {:g} M", (1, 3, 5, 10, 25, 50, 100, 300, 1000)),
    _Bound("max_gmacs", "GMACs", "≤ {:g} G", (0.1, 0.3, 0.6, 1, 2, 5, 10, 20, 50, 100)),
    _Bound("min_top1", "Top-1", "≥ {:g} %", (70, 75, 78, 80, 82, 84, 86, 88)),
    _Bound(
        "max_input_px",
        "Input",
        "≤ {:g} px",
        (128, 160, 192, 224, 240, 256, 288, 320, 384, 448, 512),
    ),
)
_NARROWEST_PX = 79
_WEIGHTS, _ANSWERS = "weights", "head"
"""The choices that are no fields of `CardFilter`."""
_FEWEST_OF_DATA = 5
_SOURCES: tuple[Source, ...] = get_args(Source)


class ModelFilters(QWidget):
    """Two lines of controls; `changed` comes with every keystroke and choice."""

    changed = Signal()
    need_chosen = Signal(object)
    """A `Preset`, whose filter is set by then."""
    domain_chosen = Signal(object)
    """A `DomainBackbone`."""

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._is_setting = False
        column = vbox(self)
        self.search = SearchField(
            look,
            name="Search models",
            hint="Search: words or wildcards, e.g. resnet 50 or *vit*",
        )
        self.search.textChanged.connect(self._tell)
        self.needs = self._make_needs(look)
        self.reset_button = button("Reset", self.reset)
        self.reset_button.setToolTip("Show all models again")
        first = hbox()
        first.addWidget(self.search, 1)
        self.choices: dict[str, ComboBox] = {}
        self.weights = self._add_choice(_WEIGHTS, "Weights", first, stretch=0)
        for where, text in (("here", "Here"), ("online", "Online")):
            self.weights.addItem(text, where)
        self._add_choice("pretraining", "Pretraining", first, stretch=0)
        for made in (self.needs, self.reset_button):
            first.addWidget(made)
        column.addLayout(first)
        second = hbox()
        self._add_choice("source", "Source", second)
        self._add_choice("family", "Family", second)
        for bound in _BOUNDS:
            box = self._add_choice(bound.key, bound.name, second)
            for step in bound.steps:
                box.addItem(bound.pattern.format(step), step)
        self._add_choice("license", "Licence", second)
        self._add_choice(_ANSWERS, "Head", second)
        self.choices[_ANSWERS].setToolTip("Whether its own head answers for classes")
        for head, text in (("classes", "Classifies"), ("features", "Features only")):
            self.choices[_ANSWERS].addItem(text, head)
        column.addLayout(second)
        self._show_state()

    def _make_needs(self, look: Theme) -> QToolButton:
        icon = (look, "lightbulb-on-outline")
        made = menu_button("Usual needs", "Models for the usual needs", icon=icon)
        menu = QMenu(made)
        menu.setToolTipsVisible(True)
        for need in PRESETS:
            action = menu.addAction(f"{need.title}:  {need.models}")
            action.setToolTip(need.why)
            action.setData(need.key)
        domains = menu.addMenu("Pictures of a domain")
        domains.setToolTipsVisible(True)
        for backbone in domain_backbones():
            name = f"{backbone.domains[-1].capitalize()}:  {backbone.id}"
            action = domains.addAction(name)
            action.setToolTip(f"{backbone.why} {backbone.license}. {backbone.restriction}".strip())
            action.setData(backbone)
        menu.triggered.connect(self._need_triggered)
        made.setMenu(menu)
        return made

    def _add_choice(self, key: str, name: str, line: QHBoxLayout, *, stretch: int = 1) -> ComboBox:
        box = ComboBox()
        box.setAccessibleName(name)
        box.setMinimumWidth(_NARROWEST_PX)
        # Its own name stands for "any": seven boxes side by side have no room for captions.
        box.addItem("Params" if name == "Parameters" else name, None)
        box.setToolTip(name)
        box.currentIndexChanged.connect(self._tell)
        self.choices[key] = box
        line.addWidget(box, stretch)
        return box

    # -- values ------------------------------------------------------------------------------

    def show_catalog(self, catalog: Catalog) -> None:
        """Offer the families and licences there are; what was chosen stays."""
        present = {card.source for card in catalog.cards}
        offered = (
            ("source", [source for source in _SOURCES if source in present]),
            ("family", catalog.families),
            ("license", catalog.licenses),
            ("pretraining", pretraining_data(catalog)),
        )
        for key, names in offered:
            box = self.choices[key]
            chosen = box.currentData()
            with QSignalBlocker(box):
                while box.count() > 1:
                    box.removeItem(1)
                for name in names:
                    box.addItem(name, name)
                box.setCurrentIndex(max(0, box.findData(chosen)))

    def wish(self) -> ModelFilter:
        """The filter that the controls show."""
        values: dict[str, Any] = {key: box.currentData() for key, box in self.choices.items()}
        weights, head = values.pop(_WEIGHTS), values.pop(_ANSWERS)
        card = CardFilter(query=self.search.text(), classifies=head == "classes", **values)
        return ModelFilter(card, weights, head == "features")

    def set_wish(self, wish: ModelFilter) -> None:
        """Set all controls and emit `changed` once."""
        # Not by blocking signals: the search field's clear button lives on them.
        self._is_setting = True
        self.search.setText(wish.card.query)
        for key, box in self.choices.items():
            box.setCurrentIndex(max(0, box.findData(_value_of(wish, key))))
        self._is_setting = False
        self._tell()

    def reset(self) -> None:
        """Clear all filters and go to the search."""
        self.set_wish(ModelFilter())
        self.search.setFocus()

    def _need_triggered(self, action: QAction) -> None:
        wanted = action.data()
        if isinstance(wanted, DomainBackbone):
            self.domain_chosen.emit(wanted)
        else:
            self.choose_need(preset(wanted))

    def choose_need(self, need: Preset) -> None:
        """Show the models that serve a need, and nothing else in the way."""
        self.set_wish(ModelFilter(need.filter))
        self.need_chosen.emit(need)

    def parts(self) -> tuple[tuple[str, ModelFilter], ...]:
        """What is asked for, in words, each with the wish that leaves just that out."""
        wish = self.wish()
        parts: list[tuple[str, ModelFilter]] = []
        if wish.card.query.strip():
            without = replace(wish, card=replace(wish.card, query=""))
            parts.append((f"“{wish.card.query.strip()}”", without))
        for key, box in self.choices.items():
            if box.currentIndex() > 0:
                parts.append((f"{box.accessibleName()} {box.currentText()}", _without(wish, key)))
        return tuple(parts)

    def _tell(self, _value: object = None) -> None:
        if not self._is_setting:
            self._show_state()
            self.changed.emit()

    def _show_state(self) -> None:
        self.reset_button.setEnabled(self.wish() != ModelFilter())
        for box in self.choices.values():
            role = "active" if box.currentIndex() > 0 else ""
            if box.property("role") != role:
                set_role(box, role=role)


def _value_of(wish: ModelFilter, key: str) -> Any:
    """What a box has to show; None for its first line."""
    if key == _WEIGHTS:
        return wish.weights
    if key == _ANSWERS:
        return "features" if wish.is_headless else "classes" if wish.card.classifies else None
    return getattr(wish.card, key)


def _without(wish: ModelFilter, key: str) -> ModelFilter:
    """The wish without what one box asks for."""
    if key == _WEIGHTS:
        return replace(wish, weights=None)
    if key == _ANSWERS:
        return replace(wish, card=replace(wish.card, classifies=False), is_headless=False)
    nothing: dict[str, Any] = {key: None}
    return replace(wish, card=replace(wish.card, **nothing))


def pretraining_data(catalog: Catalog) -> list[str]:
    """The data sets that models were trained on, the most frequent first, the rare left out."""
    counts = Counter(
        data for card in catalog.cards for data in card.pretraining.split(", then ") if data
    )
    return [data for data, number in counts.most_common() if number >= _FEWEST_OF_DATA]
