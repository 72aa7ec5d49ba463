"""The wizard's questions: which data and model, how far from photographs, how much time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QWidget,
)

from core.advice.rules import DOMAINS, Domain, Thresholds, parse_budget
from core.errors import AppError
from gui.kit import theme
from gui.kit.basics import Card, ElidedLabel, FoldButton, Stat, hbox, label, row, vbox
from gui.kit.inputs import ComboBox, LineEdit, NumberBox
from gui.kit.theme import Theme
from gui.kit.words import count, short_number
from gui.strategy.step_bar import Choice

if TYPE_CHECKING:
    from core.catalog.card import ModelCard
    from core.data.dataset import DatasetIndex

_FIELD_PX = 120


class DataStep(QWidget):
    """The open dataset as the rules see it, and the model."""

    model_chosen = Signal(str)

    def __init__(self, look: Theme) -> None:
        super().__init__()
        column = vbox(self, spacing=theme.M)
        data = Card("Dataset")
        self.name = ElidedLabel("", "muted")
        data.body.addWidget(self.name)
        line = hbox(spacing=0)
        captions = ("classes", "training images", "median per class", "fewest", "most")
        self.stats = {caption: Stat(caption) for caption in captions}
        for stat in self.stats.values():
            line.addWidget(stat)
        line.addStretch(1)
        data.body.addLayout(line)
        self.balance = label("", "muted", wraps=True)
        data.body.addWidget(self.balance)
        column.addWidget(data)
        model = Card("Model")
        self.model = ComboBox()
        self.model.setAccessibleName("Model")
        self.model.setMaximumWidth(520)
        self.model.activated.connect(self._model_activated)
        model.body.addWidget(self.model)
        self.model_facts = label("", "muted", wraps=True)
        model.body.addWidget(self.model_facts)
        column.addWidget(model)
        column.addStretch(1)
        self._cards: tuple[ModelCard, ...] = ()

    def show_dataset(self, dataset: DatasetIndex) -> None:
        self.name.setText(f"{dataset.name or dataset.root.name}  ·  {dataset.location}")
        train = dataset.class_split_counts()[:, 0]
        if not len(train):  # nobody has labelled a picture yet
            train = np.zeros(1, dtype=np.int64)
        fewest, most = int(train.min()), int(train.max())
        self.stats["classes"].set_value(f"{len(dataset.classes):,}")
        self.stats["training images"].set_value(f"{int(train.sum()):,}")
        self.stats["median per class"].set_value(f"{np.median(train):,.0f}")
        self.stats["fewest"].set_value(f"{fewest:,}", tone="warning" if fewest < 10 else "")
        self.stats["most"].set_value(f"{most:,}")
        self.balance.setText(_describe_balance(dataset, fewest, most))

    def show_models(self, cards: Sequence[ModelCard], model_id: str) -> None:
        self._cards = tuple(cards)
        self.model.clear()
        for card in self._cards:
            self.model.addItem(card.id, card.id)
        at = self.model.findData(model_id)
        if at < 0 and model_id:  # chosen elsewhere, beyond the models offered here
            self.model.addItem(model_id, model_id)
            at = self.model.count() - 1
        self.model.setCurrentIndex(at)
        self._show_facts(model_id)

    def _model_activated(self, position: int) -> None:
        self.model_chosen.emit(str(self.model.itemData(position)))

    def _show_facts(self, model_id: str) -> None:
        card = next((c for c in self._cards if c.id == model_id), None)
        facts = []
        if card is not None:
            facts.append(card.family)
            if card.params:
                facts.append(f"{short_number(card.params)} parameters")
            if card.top1:
                facts.append(f"{card.top1:.1f} % top-1 on ImageNet")
            if card.input_size:
                facts.append(f"{card.input_size[0]} × {card.input_size[1]} pixels")
        self.model_facts.setText(" · ".join(facts))


def _describe_balance(dataset: DatasetIndex, fewest: int, most: int) -> str:
    median = "The rules go by the median number of training images per class."
    if fewest == most:
        return f"Every class has as many images. {median}"
    if not fewest:
        return f"A class has no training image at all. {median}"
    times = most / fewest
    if times < 1.5:
        return f"The classes are evenly filled. {median}"
    small = dataset.classes[int(np.argmin(dataset.class_split_counts()[:, 0]))]
    return (
        f"The largest class has {times:.1f} times the images of the smallest, “{small}” "
        f"({count(fewest, 'image')}). {median}"
    )


class _Choices(QWidget):
    """Some choices of which one holds."""

    changed = Signal()

    def __init__(self, heading: str, name: str) -> None:
        super().__init__()
        self.column = vbox(self, spacing=theme.M)
        self.card = Card(heading)
        self.column.addWidget(self.card)
        self.group = QButtonGroup(self)
        self.choices: dict[str, Choice] = {}
        self.setAccessibleName(name)

    def add(self, key: str, title: str, explanation: str) -> Choice:
        made = Choice(title, explanation)
        self.choices[key] = made
        self.group.addButton(made.button)
        self.card.body.addWidget(made)
        made.chosen.connect(self.changed)
        return made

    @property
    def key(self) -> str:
        return next(key for key, made in self.choices.items() if made.button.isChecked())

    @property
    def first(self) -> QWidget:
        """Who gets the focus when the step is shown."""
        return self.choices[self.key].button


class DomainStep(_Choices):
    """How far the images are from the photographs the model was pretrained on."""

    def __init__(self) -> None:
        super().__init__("How like photographs are your images?", "Domain")
        self.add(
            "auto",
            "Measure it",
            "The pretrained classifier looks at up to 100 of your training images. How unsure it "
            "is of them tells: about 0.2 of the most it can be for photographs, about 0.8 for "
            "steel defects or handwriting.",
        )
        titles: dict[Domain, str] = {
            "similar": "Similar",
            "somewhat": "Somewhat different",
            "different": "Very different",
        }
        for domain, title in titles.items():
            words = DOMAINS[domain].rpartition(": ")
            kind = words[0] if domain == "similar" else ""
            examples = f"{kind}: {words[2]}" if kind else words[2]
            self.add(domain, title, examples[0].upper() + examples[1:] + ".")
        self.choices["auto"].button.setChecked(True)
        self.measured = label("", "muted", wraps=True)
        self.measured.hide()
        self.card.body.addWidget(self.measured)
        self.column.addStretch(1)

    @property
    def domain(self) -> Domain | Literal["auto"]:
        return self.key  # type: ignore[return-value]

    def show_measured(self, text: str) -> None:
        """What the last measurement said; empty: there was none."""
        self.measured.setText(text)
        self.measured.setVisible(bool(text))


class BudgetStep(_Choices):
    """How long a training may take, and from where on a set counts as large."""

    def __init__(self, look: Theme) -> None:
        super().__init__("How long may a training take on this machine?", "Budget")
        self.add("none", "No limit", "")
        self.add("1m", "1 minute", "")
        self.add("10m", "10 minutes", "")
        self.add("1h", "1 hour", "")
        self.add("custom", "Another time", "")
        self.choices["none"].button.setChecked(True)
        self.custom = LineEdit("Time to train", "e.g. 90s, 30m, 1.5h")
        self.custom.setFixedWidth(2 * _FIELD_PX)
        self.custom.textEdited.connect(self._custom_edited)
        line = row(self.custom)
        line.setContentsMargins(theme.XL, 0, 0, 0)
        self.card.body.addLayout(line)
        self.problem = label("", "body", wraps=True)
        theme.set_role(self.problem, tone="bad")
        self.problem.hide()
        self.card.body.addWidget(self.problem)
        self.column.addWidget(self._make_thresholds(look))
        self.column.addStretch(1)

    def _make_thresholds(self, look: Theme) -> QWidget:
        side = QWidget()
        column = vbox(side, spacing=theme.XS)
        self.more = FoldButton(look, "When does a set count as large?", self._show_more)
        column.addWidget(self.more)
        self._limits = Card(margin=theme.M)
        known = Thresholds()
        self.medium = _number("Medium from, images per class", known.medium)
        self.large = _number("Large from, images per class", known.large)
        line = row(
            label("Medium from"), self.medium, label("and large from"), self.large,
            label("training images per class", "muted"),
        )  # fmt: skip
        self._limits.body.addLayout(line)
        self._limits.hide()
        column.addWidget(self._limits)
        return side

    def _show_more(self, is_open: bool) -> None:
        self._limits.setVisible(is_open)

    def _custom_edited(self, _text: str) -> None:
        self.choices["custom"].button.setChecked(True)
        self.problem.hide()
        self.changed.emit()

    @property
    def thresholds(self) -> Thresholds:
        return Thresholds(self.medium.value(), self.large.value())

    def read_budget(self) -> float | None:
        """Seconds; None: no limit. Raises: AppError for a time that is none."""
        if self.key == "none":
            return None
        return parse_budget(self.custom.text().strip() if self.key == "custom" else self.key)

    def check(self) -> bool:
        """Whether what was entered makes sense; says so where it does not."""
        problem = ""
        try:
            self.read_budget()
        except AppError as error:
            problem = str(error)
            if not self.custom.text().strip():
                problem = "Write how long it may take, for example 90s, 10m or 1.5h."
            self.custom.setFocus()
        if not problem and self.medium.value() >= self.large.value():
            problem = "A large set must have more images per class than a medium one."
            self.more.setChecked(True)
            self.large.setFocus()
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        return not problem


def _number(name: str, value: int) -> NumberBox:
    box = NumberBox()
    box.setRange(2, 10_000_000)
    box.setValue(value)
    box.setAccessibleName(name)
    box.setFixedWidth(_FIELD_PX)
    return box
