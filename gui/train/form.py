"""The recipe as a form. What is allowed and what a key means, it asks the recipe's schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QCheckBox, QLineEdit, QVBoxLayout, QWidget

from core.catalog.names import shown_name
from core.errors import AppError
from core.recipe.explanations import EXPLANATIONS
from core.recipe.presets import PRESETS, preset_values
from core.recipe.recipe import Recipe, make_recipe
from gui.kit import theme
from gui.kit.basics import FoldButton, button, label, row, vbox
from gui.kit.inputs import ComboBox, NumberBox
from gui.kit.theme import Theme
from gui.kit.words import count
from gui.train.fields import (
    CHOICES,
    EMPTY,
    FIELDS,
    LEARN,
    TASKS,
    FormField,
    as_text,
    is_of_use,
    keys_of,
)

if TYPE_CHECKING:
    from core.catalog.card import ModelCard
    from core.runs.run_folder import RunSummary

_INT_MAX = 2**31 - 1
_OWN = "Own values"


class RecipeForm(QWidget):
    """Model, strategy and what belongs to it; the rest under “More settings”."""

    model_chosen = Signal(str)
    values_changed = Signal()
    layers_wanted = Signal()
    """The tree in which single layers are frozen, opened or given rates."""
    rates_cleared = Signal()

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._boxes: dict[str, QWidget] = {}
        self._captions: dict[str, QWidget] = {}
        self._cards: tuple[ModelCard, ...] = ()
        self._layer_rates: dict[str, float] = {}
        self._has_tasks = False
        self._column = vbox(self, spacing=theme.XS)
        self.model = ComboBox()
        self.model.activated.connect(self._model_activated)
        self._add("model", "Model", self.model, self._column)
        self._model_facts = label("", "muted-small", wraps=True)
        self._column.addWidget(self._model_facts)
        self._add_preset()
        for field in FIELDS:
            if not field.section:
                self._add(field.key, field.caption, self._make_box(field), self._column)
        self._column.addWidget(self._make_by_hand())
        self._column.addSpacing(theme.S)
        self._toggle = FoldButton(look, "More settings", self._show_more)
        self._column.addWidget(self._toggle)
        self._more = QWidget()
        column = QVBoxLayout(self._more)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.XS)
        self._headings: dict[str, QWidget] = {}
        for field in FIELDS:
            if field.section and field.section not in self._headings:
                heading = label(field.section, "section")
                heading.setIndent(0)
                self._headings[field.section] = heading
                column.addWidget(heading)
            if field.section:
                self._add(field.key, field.caption, self._make_box(field), column)
        self._more.hide()
        self._column.addWidget(self._more)
        self._column.addStretch(1)
        self.show_values({})

    # -- building ----------------------------------------------------------------------------

    def _make_by_hand(self) -> QWidget:
        """Show what the layer tree adds to the strategy; it is changed there."""
        self.by_hand = QWidget()
        column = QVBoxLayout(self.by_hand)
        column.setContentsMargins(0, theme.S, 0, 0)
        column.setSpacing(theme.XS)
        self.by_hand_text = label("", "small", wraps=True)
        column.addWidget(self.by_hand_text)
        self.show_tree_button = button("Show", self.layers_wanted.emit)
        self.show_tree_button.setAccessibleName("Show the layers")
        self.clear_rates_button = button("Clear", self.rates_cleared.emit)
        self.clear_rates_button.setAccessibleName("Clear what is set by hand for layers")
        column.addLayout(row(self.show_tree_button, self.clear_rates_button))
        return self.by_hand

    def _add_preset(self) -> None:
        self.preset = ComboBox()
        self.preset.addItem(_OWN, "")
        for name, preset in PRESETS.items():
            self.preset.addItem(preset.caption, name)
            about = self.preset.count() - 1
            self.preset.setItemData(about, preset.about, Qt.ItemDataRole.ToolTipRole)
        self.preset.activated.connect(self._preset_activated)
        caption = label("Preset", "muted-small")
        caption.setBuddy(self.preset)
        self.preset.setAccessibleName("Preset")
        self.preset_about = label("", "muted-small", wraps=True)
        self._column.addSpacing(theme.XS)
        self._column.addWidget(caption)
        self._column.addWidget(self.preset)
        self._column.addWidget(self.preset_about)

    def _make_box(self, field: FormField) -> QWidget:
        key = field.key
        if key in CHOICES:
            combo = ComboBox()
            for value, text in CHOICES[key]:
                combo.addItem(text, value)
            combo.activated.connect(self._changed)
            return combo
        annotation = Recipe.model_fields[key].annotation
        if annotation is bool:
            tick = QCheckBox(field.caption)
            tick.toggled.connect(self._changed)
            return tick
        if annotation in (int, int | None):
            number = NumberBox()
            number.setRange(*_limits(key))
            number.valueChanged.connect(self._changed)
            return number
        edit = QLineEdit()
        edit.setAcceptDrops(False)  # drops belong to the window
        if key in EMPTY or Recipe.model_fields[key].default is None:
            edit.setPlaceholderText(EMPTY.get(key, "as the augmentation"))
        edit.editingFinished.connect(self._changed)
        return edit

    def _add(self, key: str, text: str, box: QWidget, column: QVBoxLayout) -> None:
        tip = _explain(key)
        box.setAccessibleName(text)
        box.setAccessibleDescription(tip)
        box.setToolTip(tip)
        self._boxes[key] = box
        column.addSpacing(theme.XS)
        if not isinstance(box, QCheckBox):
            caption = label(text, "muted-small")
            caption.setBuddy(box)
            self._captions[key] = caption
            column.addWidget(caption)
        column.addWidget(box)

    # -- models ------------------------------------------------------------------------------

    def show_models(self, cards: Sequence[ModelCard], current: str) -> None:
        """The models on offer; `current` is offered even where it is none of them."""
        self._cards = tuple(cards)
        self.model.clear()
        for card in self._cards:
            self.model.addItem(card.shown_name, card.id)
        if current and self.model.findData(current) < 0:
            self.model.insertItem(0, shown_name(current), current)
        self.model.setCurrentIndex(max(0, self.model.findData(current)))
        self.model.setEnabled(bool(cards))
        self._show_facts()

    def _model_activated(self, position: int) -> None:
        self._show_facts()
        self.model_chosen.emit(self.model.itemData(position))

    def _show_facts(self) -> None:
        known = {card.id: card for card in self._cards}
        card = known.get(self.model.currentData())
        self._model_facts.setText(describe_card(card) if card is not None else "")
        self._model_facts.setVisible(card is not None)

    def show_teachers(self, runs: Sequence[RunSummary]) -> None:
        """Offer these runs as teachers, then the models; the chosen one stays chosen."""
        offered = [(f"run:{run.name}", f"Run {run.name}") for run in runs]
        offered += [(card.id, card.shown_name) for card in self._cards]
        self._offer("teacher", offered)

    def show_tasks(self, names: Sequence[str]) -> None:
        """The dataset's further label columns; without any the choice is not shown."""
        self._has_tasks = bool(names)
        several = [("all", f"All: {', '.join(names)}")] if len(names) > 1 else []
        self._offer("tasks", [*several, *((name, name) for name in names)])
        self._show_fields()

    def _offer(self, key: str, offered: Sequence[tuple[str, str]]) -> None:
        """Fill a box with these choices, below its first entry, “none”."""
        box, current = self._boxes[key], self._value(key)
        assert isinstance(box, ComboBox)
        blocker = QSignalBlocker(box)
        while box.count() > 1:
            box.removeItem(1)
        for value, text in offered:
            box.addItem(text, value)
        blocker.unblock()
        self._set(key, current)

    # -- values ------------------------------------------------------------------------------

    @property
    def strategy(self) -> str:
        return str(self.box("strategy").currentData())

    def values(self) -> dict[str, Any]:
        """The values for the recipe: the keys of the chosen strategy."""
        values: dict[str, Any] = {}
        for key in keys_of(self.strategy):
            if self._has_tasks or key not in TASKS:
                values[key] = self._value(key)
        if self._layer_rates and self.strategy in LEARN:
            values["layer_rates"] = dict(self._layer_rates)
        if self.model.currentData():
            values["model"] = self.model.currentData()
        return values

    def _value(self, key: str) -> Any:
        box = self._boxes[key]
        if isinstance(box, ComboBox):
            return box.currentData()
        if isinstance(box, QCheckBox):
            return box.isChecked()
        if isinstance(box, NumberBox):
            return box.value()
        assert isinstance(box, QLineEdit)
        return box.text().strip()

    def show_values(self, values: Mapping[str, Any]) -> None:
        """Show these values, and the recipe's own defaults for the others."""
        defaults = Recipe()
        strategy = values.get("strategy", defaults.strategy)
        epochs = make_recipe({"strategy": strategy}).max_epochs_or_default
        self._layer_rates = dict(values.get("layer_rates", {}))
        for field in FIELDS:
            value = values.get(field.key, getattr(defaults, field.key))
            if field.key == "max_epochs" and value is None:
                value = epochs
            self._set(field.key, value)
        self._show_fields()

    def _set(self, key: str, value: Any) -> None:
        box = self._boxes[key]
        blocker = QSignalBlocker(box)
        if isinstance(box, ComboBox):
            value = as_text(value) if key in ("teacher", "tasks") else value
            if key in ("teacher", "tasks") and value and box.findData(value) < 0:
                box.addItem(value, value)  # of a recipe: kept, and refused where it is not there
            box.setCurrentIndex(max(0, box.findData(value)))
        elif isinstance(box, QCheckBox):
            box.setChecked(bool(value))
        elif isinstance(box, NumberBox):
            box.setValue(int(value))
        elif isinstance(box, QLineEdit):
            box.setText("" if key == "class_weights" and value == "none" else as_text(value))
        blocker.unblock()

    def box(self, key: str) -> Any:
        """The field of a key."""
        return self._boxes[key]

    def number(self, key: str) -> NumberBox:
        box = self._boxes[key]
        assert isinstance(box, NumberBox)
        return box

    def _changed(self) -> None:
        if self.sender() is self._boxes["strategy"]:
            # What suits one strategy is no default of another.
            self._set("max_epochs", make_recipe({"strategy": self.strategy}).max_epochs_or_default)
        self._show_fields()
        self.values_changed.emit()

    def _preset_activated(self, position: int) -> None:
        name = self.preset.itemData(position)
        if name:  # what it does not say goes back to its default, but the seed and the layers stay
            kept = {"seed": self._value("seed"), "layer_rates": dict(self._layer_rates)}
            self.show_values({**kept, **preset_values(name)})
            self.values_changed.emit()
        else:
            self._show_preset()

    def _show_preset(self) -> None:
        """Which preset the values are, if they are one."""
        name = next((name for name in PRESETS if self._is_preset(name)), "")
        self.preset.setCurrentIndex(max(0, self.preset.findData(name)))
        self.preset_about.setText(PRESETS[name].about if name else "")
        self.preset_about.setVisible(bool(name))

    def _is_preset(self, name: str) -> bool:
        wanted = preset_values(name)
        if wanted["strategy"] != self.strategy:
            return False
        keys = [key for key in keys_of(self.strategy) if key != "seed"]
        try:
            ours = make_recipe({key: self._value(key) for key in keys})
        except AppError:
            return False
        theirs = make_recipe(wanted)
        return ours.max_epochs_or_default == theirs.max_epochs_or_default and all(
            getattr(ours, key) == getattr(theirs, key) for key in keys if key != "max_epochs"
        )

    def _show_fields(self) -> None:
        wanted = {key for key in keys_of(self.strategy) if is_of_use(key, self._choices())}
        if not self._has_tasks:
            wanted -= set(TASKS)
        for field in FIELDS:
            for part in (self._boxes[field.key], self._captions.get(field.key)):
                if part is not None:
                    part.setVisible(field.key in wanted)
        for section, heading in self._headings.items():
            heading.setVisible(any(f.key in wanted for f in FIELDS if f.section == section))
        number = len(self._layer_rates)
        self.by_hand.setVisible(bool(number) and self.strategy in LEARN)
        self.by_hand_text.setText(f"{count(number, 'layer')} set by hand in Models → Layers")
        self._show_preset()

    def _choices(self) -> dict[str, Any]:
        """The values that decide which other fields are shown."""
        boxes = self._boxes.items()
        return {key: self._value(key) for key, box in boxes if not isinstance(box, QLineEdit)}

    def _show_more(self, is_shown: bool) -> None:
        self._more.setVisible(is_shown)
        self._toggle.setText("Fewer settings" if is_shown else "More settings")


def describe_card(card: ModelCard) -> str:
    """Size, accuracy and input of a model in one line; unknown facts are left out."""
    facts = []
    if card.params:
        facts.append(f"{card.params / 1e6:.1f} M parameters")
    if card.top1:
        facts.append(f"{card.top1:.1f}% ImageNet top-1")
    if card.input_size:
        facts.append(f"{card.input_size[1]} px")
    return " · ".join(facts)


def _explain(key: str) -> str:
    return EXPLANATIONS[key]


def _limits(key: str) -> tuple[int, int]:
    low, high = 0, _INT_MAX
    for rule in Recipe.model_fields[key].metadata:
        low = getattr(rule, "ge", low)
        high = getattr(rule, "le", high)
    return low, high
