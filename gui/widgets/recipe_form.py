"""The recipe as a short form. What the recipe allows, it asks the recipe's schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QLineEdit, QToolButton, QVBoxLayout, QWidget

from core.recipe import Recipe
from gui import theme
from gui.theme import Theme
from gui.widgets.basics import label
from gui.widgets.inputs import ComboBox, NumberBox

if TYPE_CHECKING:
    from core.models.card import ModelCard

_INT_MAX = 2**31 - 1


class RecipeForm(QWidget):
    """Model, epochs, seed; the rest under “More”."""

    model_chosen = Signal(str)

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._theme = look
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(theme.XS)
        self._numbers: dict[str, NumberBox] = {}
        self.model = ComboBox()
        self.model.activated.connect(self._model_activated)
        self._add("Model", self.model, self._column)
        self._model_facts = label("", "muted-small", wraps=True)
        self._column.addWidget(self._model_facts)
        self._add_number("epochs", "Most epochs", self._column)
        self._add_number("seed", "Seed", self._column)
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
        self._column.addWidget(self._make_more())
        self._column.addStretch(1)
        self._cards: tuple[ModelCard, ...] = ()

    def _make_more(self) -> QWidget:
        self._more = QWidget()
        column = QVBoxLayout(self._more)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.XS)
        self._add_number("patience", "Patience (epochs)", column)
        self._add_number("selection_folds", "Selection folds", column)
        self.l2 = QLineEdit()
        self.l2.setPlaceholderText("chosen on selection")
        self.l2.setAcceptDrops(False)  # drops belong to the window
        self._add("L2 penalty", self.l2, column, _explain("l2"))
        self._more.hide()
        return self._more

    def _add_number(self, key: str, text: str, column: QVBoxLayout) -> None:
        box = NumberBox()
        low, high = _limits(key)
        box.setRange(low, high)
        box.setValue(Recipe.model_fields[key].default)
        self._numbers[key] = box
        self._add(text, box, column, _explain(key))

    def _add(self, text: str, box: QWidget, column: QVBoxLayout, tip: str = "") -> None:
        caption = label(text, "muted-small")
        caption.setBuddy(box)
        box.setAccessibleName(text)
        box.setAccessibleDescription(tip)
        box.setToolTip(tip)
        column.addSpacing(theme.XS)
        column.addWidget(caption)
        column.addWidget(box)

    def show_models(self, cards: Sequence[ModelCard], current: str) -> None:
        self._cards = tuple(cards)
        self.model.clear()
        for card in self._cards:
            self.model.addItem(name_model(card.id), card.id)
        self.model.setCurrentIndex(max(0, self.model.findData(current)))
        self.model.setEnabled(bool(cards))
        self._show_facts()

    def values(self) -> dict[str, Any]:
        """What the recipe is made from; only what the form knows."""
        values: dict[str, Any] = {key: box.value() for key, box in self._numbers.items()}
        if self.model.currentData():
            values["model"] = self.model.currentData()
        values["l2"] = self.l2.text().strip()
        return values

    def number(self, key: str) -> NumberBox:
        return self._numbers[key]

    def _model_activated(self, position: int) -> None:
        self._show_facts()
        self.model_chosen.emit(self.model.itemData(position))

    def _show_facts(self) -> None:
        position = self.model.currentIndex()
        if 0 <= position < len(self._cards):
            self._model_facts.setText(describe_card(self._cards[position]))

    def _show_more(self, is_shown: bool) -> None:
        self._more.setVisible(is_shown)
        self._theme.give_icon(self._toggle, "chevron-down" if is_shown else "chevron-right")
        self._toggle.setText("Fewer settings" if is_shown else "More settings")


def name_model(model_id: str) -> str:
    """`bundled/tf_efficientnet_lite0` → `EfficientNet-Lite0`; others keep their id's last part."""
    name = model_id.rpartition("/")[2]
    lite = name.removeprefix("tf_efficientnet_lite")
    return f"EfficientNet-Lite{lite}" if lite != name else name


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
