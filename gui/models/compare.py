"""Up to four models side by side, fact by fact, the best of each fact marked."""

from __future__ import annotations

from collections.abc import Collection, Container, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from gui.kit import text_tables, theme
from gui.kit.basics import button, hbox, label, separator, vbox
from gui.kit.theme import Theme, set_role
from gui.kit.words import count
from gui.models.facts import LATENCY, Fact, best_of

if TYPE_CHECKING:
    from core.catalog.card import ModelCard

MOST_COMPARED = 4
_BEST = "★"
_NAMES_PX, _BAR_PX = 124, 10


class CompareList(QObject):
    """Which cards are compared, in the order in which they were marked."""

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.cards: list[ModelCard] = []

    @property
    def ids(self) -> list[str]:
        """Ids of the models compared, in the order of their marks."""
        return [card.id for card in self.cards]

    def toggle(self, card: ModelCard) -> str:
        """Mark a model or unmark it; a sentence where no more can be compared, else empty."""
        if card.id in self.ids:
            self.remove(card.id)
            return ""
        if len(self.cards) == MOST_COMPARED:
            return (
                f"{card.shown_name} was not marked: {MOST_COMPARED} models can be compared at a "
                "time. Take one out of the comparison first."
            )
        self.cards.append(card)
        self.changed.emit()
        return ""

    def remove(self, card_id: str) -> None:
        """Unmark a model."""
        self.cards = [card for card in self.cards if card.id != card_id]
        self.changed.emit()

    def keep(self, known: Container[str]) -> None:
        """Unmark models that are not in the catalog now; `known` are ids in lower case."""
        self.cards = [card for card in self.cards if card.id.lower() in known]

    def clear(self) -> None:
        """Unmark all models."""
        self.cards = []
        self.changed.emit()


class CompareView(QWidget):
    """Shows cards with their facts; what is done with them, it asks for."""

    use_wanted = Signal(object)
    remove_wanted = Signal(str)
    clear_wanted = Signal()
    measure_wanted = Signal(object)
    cancel_wanted = Signal(str)

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._look = look
        self._cards: tuple[ModelCard, ...] = ()
        self._facts: tuple[tuple[Fact, ...], ...] = ()
        self._measured_now: frozenset[str] = frozenset()
        self.buttons: dict[str, QPushButton] = {}
        """`use`, `remove` or `measure`, a colon and the model's id."""
        self.cells: dict[tuple[str, str], QLabel] = {}
        """(fact, model's id) → where it stands."""
        self._latency_texts: dict[str, str] = {}
        column = vbox(self)
        line = hbox()
        self.hint = label("", "muted")
        line.addWidget(self.hint, 1)
        self.copy_markdown_button = button("Copy as Markdown", self.copy_markdown)
        self.copy_csv_button = button("Copy as CSV", self.copy_csv)
        self.clear_button = button("Clear", self.clear_wanted.emit)
        self.clear_button.setAccessibleName("Take all models out of the comparison")
        for made in (self.copy_markdown_button, self.copy_csv_button, self.clear_button):
            line.addWidget(made)
        column.addLayout(line)
        self._heads = QGridLayout()
        self._heads.setContentsMargins(0, 0, _BAR_PX + theme.S, 0)
        self._heads.setHorizontalSpacing(theme.L)
        column.addLayout(self._heads)
        self._line = separator()
        column.addWidget(self._line)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setAccessibleName("Comparison")
        column.addWidget(self._scroll, 1)
        self.show_cards((), ())

    def show_cards(self, cards: Sequence[ModelCard], facts: Sequence[tuple[Fact, ...]]) -> None:
        """The cards and, for each, its facts: the same ones in the same order."""
        self._cards, self._facts = tuple(cards), tuple(facts)
        self.buttons.clear()
        self.cells.clear()
        has_cards = bool(cards)
        for made in (self.copy_markdown_button, self.copy_csv_button, self.clear_button):
            made.setEnabled(has_cards)
        free = MOST_COMPARED - len(cards)
        if not has_cards:
            self.hint.setText("Nothing is compared yet")
        elif free:
            self.hint.setText(f"{_BEST} best of its row · room for {count(free, 'more', 'more')}")
        else:
            self.hint.setText(f"{_BEST} best of its row")
        self._show_heads()
        bar = self._scroll.verticalScrollBar()
        place = bar.value()
        # Always, where there are columns: those of the head have no bar beside them.
        policy = Qt.ScrollBarPolicy
        self._scroll.setVerticalScrollBarPolicy(
            policy.ScrollBarAlwaysOn if has_cards else policy.ScrollBarAsNeeded
        )
        self._scroll.setWidget(self._make_grid() if has_cards else self._make_empty())
        bar.setValue(place)

    def show_measuring(self, ids: Collection[str]) -> None:
        """Which models are being timed, or wait for it."""
        self._measured_now = frozenset(ids)
        for card in self._cards:
            self._show_measure_button(card)

    # -- building ----------------------------------------------------------------------------

    def _make_empty(self) -> QWidget:
        made = QWidget()
        column = QVBoxLayout(made)
        column.addStretch(1)
        hint = label(
            f"Mark up to {MOST_COMPARED} models in the table or the chart: press Space, or choose "
            "“Compare” in the context menu. They then stand here side by side.",
            "muted",
            wraps=True,
        )
        hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        column.addWidget(hint)
        column.addStretch(2)
        return made

    def _show_heads(self) -> None:
        """Above what scrolls, so that a column is known wherever one reads."""
        while (item := self._heads.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        for place in range(MOST_COMPARED + 1):
            self._heads.setColumnStretch(place, 1 if 0 < place <= len(self._cards) else 0)
        spacer = QWidget()
        spacer.setFixedWidth(_NAMES_PX)
        self._heads.addWidget(spacer, 0, 0)
        for place, card in enumerate(self._cards, start=1):
            self._heads.addWidget(_give_way(self._make_head(card, place)), 0, place)
        self._line.setVisible(bool(self._cards))

    def _make_grid(self) -> QWidget:
        made = QWidget()
        grid = QGridLayout(made)
        grid.setContentsMargins(0, 0, theme.S, 0)
        grid.setHorizontalSpacing(theme.L)
        grid.setVerticalSpacing(theme.XS)
        for place in range(1, len(self._cards) + 1):
            grid.setColumnStretch(place, 1)
        top, line = Qt.AlignmentFlag.AlignTop, 0
        for same in zip(*self._facts, strict=True):
            caption = label(same[0].name, "muted", wraps=True)
            caption.setFixedWidth(_NAMES_PX)
            if same[0].tip:
                caption.setToolTip(same[0].tip)
            grid.addWidget(caption, line, 0, top)
            self._add_row(grid, line, same)
            line += 1
            if same[0].name == LATENCY:
                for place, card in enumerate(self._cards, start=1):
                    grid.addWidget(self._make_measure_button(card), line, place)
                line += 1
        grid.setRowStretch(line, 1)
        return made

    def _add_row(self, grid: QGridLayout, line: int, same: tuple[Fact, ...]) -> None:
        if same[0].is_shared:
            shared = next((fact.text for fact in same if fact.text), "")
            cell = label(shared or "unknown", "body" if shared else "muted", wraps=True)
            grid.addWidget(_give_way(cell), line, 1, 1, len(same))
            return
        best = best_of(same)
        for place, (card, fact) in enumerate(zip(self._cards, same, strict=True)):
            cell = self._make_cell(card, fact, is_best=place in best)
            grid.addWidget(_give_way(cell), line, place + 1, Qt.AlignmentFlag.AlignTop)

    def _make_head(self, card: ModelCard, number: int) -> QWidget:
        made = QWidget()
        column = vbox(made, margins=(0, 0, 0, theme.XS), spacing=theme.XS)
        name = label(f"{number}  {_breakable(card.shown_name)}", "heading", wraps=True)
        name.setToolTip(card.id)
        column.addWidget(name)
        column.addWidget(label(card.source, "muted-small"))
        column.addStretch(1)
        line = hbox(spacing=theme.XS)
        use = button("Use", self._use_clicked)
        remove = button("", self._remove_clicked, icon=(self._look, "close", "muted"))
        remove.setText("")
        remove.setToolTip("Take out of the comparison")
        for key, pressed, what in (
            ("use", use, "Use"),
            ("remove", remove, "Take out of the comparison:"),
        ):
            pressed.setObjectName(f"{key}:{card.id}")
            pressed.setAccessibleName(f"{what} {card.shown_name}")
            self.buttons[f"{key}:{card.id}"] = pressed
            line.addWidget(pressed)
        line.addStretch(1)
        column.addLayout(line)
        return made

    def _make_cell(self, card: ModelCard, fact: Fact, *, is_best: bool) -> QLabel:
        text = fact.text or ("not measured" if fact.name == LATENCY else "unknown")
        cell = label(f"{_BEST} {text}" if is_best else text, "body", wraps=True)
        cell.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        cell.setAccessibleName(f"{fact.name} of {card.shown_name}: {text}{', the best' * is_best}")
        if is_best:
            set_role(cell, role="number")
        elif not fact.text:
            set_role(cell, role="muted")
        elif fact.name == "Licence" and "no commercial use" in fact.text:
            set_role(cell, tone="warning")
        self.cells[fact.name, card.id] = cell
        if fact.name == LATENCY:
            self._latency_texts[card.id] = cell.text()
        return cell

    def _make_measure_button(self, card: ModelCard) -> QPushButton:
        made = button("Measure here", self._measure_clicked)
        made.setObjectName(f"measure:{card.id}")
        made.setToolTip("Time one image on this machine, without its pretrained weights")
        self.buttons[f"measure:{card.id}"] = made
        self._show_measure_button(card)
        return made

    def _show_measure_button(self, card: ModelCard) -> None:
        made = self.buttons.get(f"measure:{card.id}")
        if made is None:
            return
        is_on, name = card.id in self._measured_now, card.shown_name
        made.setText("Cancel" if is_on else "Measure here")
        made.setAccessibleName(
            f"Cancel timing {name}" if is_on else f"Measure the latency of {name} here"
        )
        cell = self.cells.get((LATENCY, card.id))
        if cell is not None:
            cell.setText("measuring …" if is_on else self._latency_texts[card.id])

    # -- asking ------------------------------------------------------------------------------

    def _card_of_sender(self) -> ModelCard | None:
        sender = self.sender()
        name = "" if sender is None else sender.objectName().partition(":")[2]
        return next((card for card in self._cards if card.id == name), None)

    def _use_clicked(self) -> None:
        card = self._card_of_sender()
        if card is not None:
            self.use_wanted.emit(card)

    def _remove_clicked(self) -> None:
        card = self._card_of_sender()
        if card is not None:
            self.remove_wanted.emit(card.id)

    def _measure_clicked(self) -> None:
        card = self._card_of_sender()
        if card is None:
            return
        if card.id in self._measured_now:
            self.cancel_wanted.emit(card.id)
        else:
            self.measure_wanted.emit(card)

    # -- copies ------------------------------------------------------------------------------

    def as_table(self) -> tuple[list[str], list[list[str]]]:
        """A line for each fact, a column for each model; the best are in bold for Markdown."""
        headings = ["", *(card.id for card in self._cards)]
        return headings, [
            [same[0].name, *(fact.text for fact in same)] for same in zip(*self._facts, strict=True)
        ]

    def copy_markdown(self) -> None:
        """Copy the comparison as Markdown, the best of each fact in bold."""
        headings, rows = self.as_table()
        for row, same in zip(rows, zip(*self._facts, strict=True), strict=True):
            for place in best_of(same):
                row[place + 1] = f"**{row[place + 1]}**"
        QGuiApplication.clipboard().setText(text_tables.markdown(headings, rows))

    def copy_csv(self) -> None:
        """Copy the comparison as CSV."""
        QGuiApplication.clipboard().setText(text_tables.comma_separated(*self.as_table()))


def _give_way(made: QWidget) -> QWidget:
    """Take whatever width there is: the columns are equally wide, in the head and below."""
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    policy.setHeightForWidth(made.sizePolicy().hasHeightForWidth())
    made.setSizePolicy(policy)
    return made


def _breakable(text: str) -> str:
    for mark in "_./":
        text = text.replace(mark, f"{mark}\u200b")
    return text
