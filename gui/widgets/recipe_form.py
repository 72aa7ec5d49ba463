"""The recipe as a form. What is allowed and what a key means, it asks the recipe's schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QSignalBlocker, QSize, Qt, Signal
from PySide6.QtWidgets import QCheckBox, QLineEdit, QToolButton, QVBoxLayout, QWidget

from core.recipe import Recipe, make_recipe
from gui import theme
from gui.theme import Theme
from gui.widgets.basics import button, label, row
from gui.widgets.inputs import ComboBox, NumberBox
from gui.words import count, name_model, strategy_in_words

if TYPE_CHECKING:
    from core.models.card import ModelCard

_INT_MAX = 2**31 - 1
_HEAD, _TUNE, _PARTIAL = "feature-extraction", ("partial", "full"), ("partial",)
_BOTH = (_HEAD, *_TUNE)
_CHOICES = {
    "strategy": [(key, strategy_in_words(key)) for key in _BOTH],
    "augmentation": [("none", "None"), ("light", "Light"), ("strong", "Strong")],
    "auto_augment": [("off", "Off"), ("rand", "RandAugment"), ("trivial", "TrivialAugment")],
    "sampling": [("natural", "As they come"), ("balanced", "Each class as often")],
}
_FIELDS: tuple[tuple[str, str, tuple[str, ...], bool], ...] = (
    # key, caption, strategies it belongs to, whether it stands under “More settings”
    ("strategy", "Strategy", _BOTH, False),
    ("layer_groups", "Last layer groups that train", _PARTIAL, False),
    ("epochs", "Most epochs", _BOTH, False),
    ("learning_rate", "Learning rate of the head", _TUNE, False),
    ("augmentation", "Augmentation", _TUNE, False),
    ("gradual", "Open the layers gradually", _TUNE, False),
    ("open_every", "Epochs between openings", _TUNE, True),
    ("layer_decay", "Rate from group to group", _TUNE, True),
    ("step_images", "Images per step", _TUNE, True),
    ("weight_decay", "Weight decay", _TUNE, True),
    ("weight_average", "Mean of the weights (share kept)", _TUNE, True),
    ("warmup", "Warm-up (share of the steps)", _TUNE, True),
    ("sampling", "Classes in an epoch", _TUNE, True),
    ("crop_area", "Crops: least share of the area", _TUNE, True),
    ("flip_horizontal", "Mirrored left to right (chance)", _TUNE, True),
    ("flip_vertical", "Mirrored top to bottom (chance)", _TUNE, True),
    ("rotation", "Turned by up to (degrees)", _TUNE, True),
    ("brightness", "Brightness (share)", _TUNE, True),
    ("contrast", "Contrast (share)", _TUNE, True),
    ("saturation", "Saturation (share)", _TUNE, True),
    ("hue", "Hue (share)", _TUNE, True),
    ("auto_augment", "Drawn operations", _TUNE, True),
    ("rand_magnitude", "Strength of RandAugment", _TUNE, True),
    ("erasing", "Erased rectangle (chance)", _TUNE, True),
    ("mixup", "Mixup (0: off)", _TUNE, True),
    ("cutmix", "CutMix (0: off)", _TUNE, True),
    ("patience", "Patience (epochs)", _BOTH, True),
    ("selection_folds", "Selection folds", _BOTH, True),
    ("l2", "L2 penalty of the head", _BOTH, True),
    ("seed", "Seed", _BOTH, True),
)


class RecipeForm(QWidget):
    """Model, strategy and what belongs to it; the rest under “More settings”."""

    model_chosen = Signal(str)
    values_changed = Signal()
    layers_wanted = Signal()
    """The tree in which single layers are frozen, opened or given rates."""
    rates_cleared = Signal()

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._theme = look
        self._boxes: dict[str, QWidget] = {}
        self._captions: dict[str, QWidget] = {}
        self._cards: tuple[ModelCard, ...] = ()
        self._layer_rates: dict[str, float] = {}
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(theme.XS)
        self.model = ComboBox()
        self.model.activated.connect(self._model_activated)
        self._add("model", "Model", self.model, self._column)
        self._model_facts = label("", "muted-small", wraps=True)
        self._column.addWidget(self._model_facts)
        for key, caption, _strategies, is_more in _FIELDS:
            if not is_more:
                self._add(key, caption, self._make_box(key), self._column)
        self._column.addWidget(self._make_by_hand())
        self._column.addSpacing(theme.S)
        self._toggle = QToolButton()
        self._toggle.setProperty("role", "flat")
        self._toggle.setObjectName("more")
        self._toggle.setText("More settings")
        self._toggle.setAccessibleName("More settings")
        self._toggle.setCheckable(True)
        self._toggle.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._toggle.setIconSize(QSize(theme.ICON_PX, theme.ICON_PX))
        look.give_icon(self._toggle, "chevron-right")
        self._toggle.toggled.connect(self._show_more)
        self._column.addWidget(self._toggle)
        self._more = QWidget()
        column = QVBoxLayout(self._more)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.XS)
        for key, caption, _strategies, is_more in _FIELDS:
            if is_more:
                self._add(key, caption, self._make_box(key), column)
        self._more.hide()
        self._column.addWidget(self._more)
        self._column.addStretch(1)
        self.show_values({})

    # -- building ----------------------------------------------------------------------------

    def _make_by_hand(self) -> QWidget:
        """What the layer tree adds to the strategy: said here, and changed there."""
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

    def _make_box(self, key: str) -> QWidget:
        if key in _CHOICES:
            combo = ComboBox()
            for value, text in _CHOICES[key]:
                combo.addItem(text, value)
            combo.activated.connect(self._changed)
            return combo
        field = Recipe.model_fields[key]
        if field.annotation is bool:
            tick = QCheckBox(next(caption for k, caption, *_ in _FIELDS if k == key))
            tick.toggled.connect(self._changed)
            return tick
        if field.annotation in (int, int | None):
            number = NumberBox()
            number.setRange(*_limits(key))
            number.valueChanged.connect(self._changed)
            return number
        edit = QLineEdit()
        edit.setAcceptDrops(False)  # drops belong to the window
        if field.default is None:
            edit.setPlaceholderText("chosen on selection" if key == "l2" else "as the augmentation")
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
            self.model.addItem(name_model(card.id), card.id)
        if current and self.model.findData(current) < 0:
            self.model.insertItem(0, name_model(current), current)
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

    # -- values ------------------------------------------------------------------------------

    @property
    def strategy(self) -> str:
        return str(self.box("strategy").currentData())

    def values(self) -> dict[str, Any]:
        """What the recipe is made from: the keys of the chosen strategy."""
        values: dict[str, Any] = {}
        for key in self._keys_of(self.strategy):
            box = self._boxes[key]
            if isinstance(box, ComboBox):
                values[key] = box.currentData()
            elif isinstance(box, QCheckBox):
                values[key] = box.isChecked()
            elif isinstance(box, NumberBox):
                values[key] = box.value()
            elif isinstance(box, QLineEdit):
                values[key] = box.text().strip()
        if self._layer_rates and self.strategy in _TUNE:
            values["layer_rates"] = dict(self._layer_rates)
        if self.model.currentData():
            values["model"] = self.model.currentData()
        return values

    def show_values(self, values: Mapping[str, Any]) -> None:
        """Show these values, and the recipe's own defaults for the others."""
        defaults = Recipe()
        strategy = values.get("strategy", defaults.strategy)
        epochs = make_recipe({"strategy": strategy}).most_epochs
        self._layer_rates = dict(values.get("layer_rates", {}))
        for key, _caption, _strategies, _is_more in _FIELDS:
            value = values.get(key, getattr(defaults, key))
            if key == "epochs" and value is None:
                value = epochs
            self._set(key, value)
        self._show_fields()

    def _set(self, key: str, value: Any) -> None:
        box = self._boxes[key]
        blocker = QSignalBlocker(box)
        if isinstance(box, ComboBox):
            box.setCurrentIndex(max(0, box.findData(value)))
        elif isinstance(box, QCheckBox):
            box.setChecked(bool(value))
        elif isinstance(box, NumberBox):
            box.setValue(int(value))
        elif isinstance(box, QLineEdit):
            box.setText(f"{value:g}" if isinstance(value, float) else str(value or ""))
        blocker.unblock()

    def box(self, key: str) -> Any:
        """The field of a key."""
        return self._boxes[key]

    def number(self, key: str) -> NumberBox:
        box = self._boxes[key]
        assert isinstance(box, NumberBox)
        return box

    def _keys_of(self, strategy: str) -> Iterator[str]:
        for key, _caption, strategies, _is_more in _FIELDS:
            if strategy in strategies:
                yield key

    def _changed(self) -> None:
        if self.sender() is self._boxes["strategy"]:
            # What suits one strategy is no default of another.
            self._set("epochs", make_recipe({"strategy": self.strategy}).most_epochs)
        self._show_fields()
        self.values_changed.emit()

    def _show_fields(self) -> None:
        wanted = set(self._keys_of(self.strategy))
        for key, _caption, _strategies, _is_more in _FIELDS:
            for part in (self._boxes[key], self._captions.get(key)):
                if part is not None:
                    part.setVisible(key in wanted)
        number = len(self._layer_rates)
        self.by_hand.setVisible(bool(number) and self.strategy in _TUNE)
        self.by_hand_text.setText(f"{count(number, 'layer')} set by hand in Models → Layers")

    def _show_more(self, is_shown: bool) -> None:
        self._more.setVisible(is_shown)
        self._theme.give_icon(self._toggle, "chevron-down" if is_shown else "chevron-right")
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
    return Recipe.model_fields[key].description or ""


def _limits(key: str) -> tuple[int, int]:
    low, high = 0, _INT_MAX
    for rule in Recipe.model_fields[key].metadata:
        low = getattr(rule, "ge", low)
        high = getattr(rule, "le", high)
    return low, high
