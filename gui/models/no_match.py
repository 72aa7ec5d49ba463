"""In place of the table where no model fits: what to loosen, and what each would show."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QWidget

from core.catalog.search import CardFilter
from gui.kit import theme
from gui.kit.basics import button, label, vbox
from gui.kit.words import count
from gui.models.filters import ModelFilter, ModelFilters

_MOST_WAYS_OUT = 4


class NoModelFits(QWidget):
    """`wish_chosen` carries a wish under which models are shown again."""

    wish_chosen = Signal(object)

    def __init__(self, filters: ModelFilters, fitting: Callable[[ModelFilter], int]) -> None:
        """`fitting` counts the models that a wish leaves."""
        super().__init__()
        self._filters = filters
        self._fitting = fitting
        self._wishes: list[ModelFilter] = []
        column = vbox(self, margins=(theme.L, theme.XL, theme.L, theme.XL))
        column.addStretch(1)
        self.hint = label("", "muted", wraps=True)
        column.addWidget(label("No model fits", "heading"))
        column.addWidget(self.hint)
        self._ways = vbox()
        column.addLayout(self._ways)
        column.addStretch(2)

    def show_ways(self) -> None:
        """Which part of the filter to loosen, and what each would show."""
        while (item := self._ways.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        parts = self._filters.parts()
        names = ", ".join(name for name, _ in parts)
        ways = [(f"Without {name}", wish) for name, wish in parts if self._fitting(wish)]
        if not ways and len(parts) > 1:
            query = self._filters.wish().card.query
            words = ModelFilter(CardFilter(query=query))
            if query.strip() and self._fitting(words):
                ways = [(f"Only “{query.strip()}”", words)]
        self._wishes = [wish for _, wish in ways[:_MOST_WAYS_OUT]]
        self.hint.setText(
            f"Nothing fits {names}. Fewer letters find more; wildcards work too: *vit*"
            if len(parts) == 1
            else f"Nothing fits all of {names}."
        )
        left = Qt.AlignmentFlag.AlignLeft
        for text, wish in ways[:_MOST_WAYS_OUT]:
            hits = count(self._fitting(wish), "model")
            self._ways.addWidget(button(f"{text}: {hits}", self._loosen), 0, left)
        self._ways.addWidget(button("Show all models", self._filters.reset), 0, left)

    def _loosen(self) -> None:
        for position, wish in enumerate(self._wishes):
            item = self._ways.itemAt(position)
            if item is not None and item.widget() is self.sender():
                self.wish_chosen.emit(wish)
                return
