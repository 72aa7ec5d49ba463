"""The row of filters above the gallery: what, in which part, with which name, in which order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QGridLayout, QWidget

from gui.edits.picture_index import PictureFilter, Show
from gui.kit import theme
from gui.kit.basics import delayed
from gui.kit.inputs import ComboBox, LineEdit
from gui.kit.theme import Theme

_TYPING_MS = 150
_ORDERS = (
    ("By folder", "folder"),
    ("By name", "name"),
    ("Largest first", "size"),
    ("By class", "class"),
)


class PictureFilters(QWidget):
    """Tells of every change; `value` is the filter, but for the classes, which the table has."""

    changed = Signal()

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self.show_choice = ComboBox()
        self.show_choice.setAccessibleName("Which pictures")
        self.split_choice = ComboBox()
        self.split_choice.setAccessibleName("Split")
        self.order_choice = ComboBox()
        self.order_choice.setAccessibleName("Order of the pictures")
        for text, order in _ORDERS:
            self.order_choice.addItem(text, order)
        self.search = LineEdit("Part of the file name", "Part of a file name", can_clear=True)
        self._typing = delayed(self, _TYPING_MS, self.changed)
        self.search.textChanged.connect(self._typed)
        for choice in (self.show_choice, self.split_choice, self.order_choice):
            choice.currentIndexChanged.connect(self._choice_changed)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(theme.S)
        grid.addWidget(self.show_choice, 0, 0)
        grid.addWidget(self.split_choice, 0, 1)
        grid.addWidget(self.search, 1, 0)
        grid.addWidget(self.order_choice, 1, 1)
        grid.setColumnStretch(0, 3)
        grid.setColumnStretch(1, 2)
        self.show_counts({}, {}, excluded=0, unlabelled=0)

    @property
    def value(self) -> PictureFilter:
        """The filter that the controls show; its classes are chosen in the table of classes."""
        show, _, kind = (self.show_choice.currentData() or "all").partition(":")
        return PictureFilter(
            split=self.split_choice.currentData() or "",
            show=cast(Show, show),
            kind=kind,
            text=self.search.text().strip(),
            order=self.order_choice.currentData(),
        )

    @property
    def is_open(self) -> bool:
        """Whether every picture passes."""
        value = self.value
        return value.show == "all" and not value.split and not value.text

    def show_counts(
        self,
        splits: Mapping[str, int],
        kinds: Mapping[str, int],
        *,
        excluded: int,
        unlabelled: int,
    ) -> None:
        """Fill the choices as the dataset has them; what was chosen stays where it still is.

        `kinds`: pictures with a finding, by its title.
        """
        choices = [("All pictures", "all")]
        if unlabelled:
            choices.append((f"Without a label ({unlabelled:,})", "unlabelled"))
        if kinds:
            choices.append(("With a problem", "problems"))
            choices += [(f"  {title} ({n:,})", f"problems:{title}") for title, n in kinds.items()]
        choices.append(("Wrong predictions", "wrong"))
        choices.append((f"Excluded ({excluded:,})" if excluded else "Excluded", "excluded"))
        _refill(self.show_choice, choices)
        parts = [("All splits", ""), *((name, name) for name in splits)]
        if unlabelled:
            parts.append(("no part", "none"))
        _refill(self.split_choice, parts)

    def choose(self, show: str, *, split: str = "") -> None:
        """Choose among the kinds of pictures (`all`, `excluded`, `problems:Leak` …), and tell."""
        blocked = [QSignalBlocker(self.show_choice), QSignalBlocker(self.split_choice)]
        self.show_choice.setCurrentIndex(max(0, self.show_choice.findData(show)))
        self.split_choice.setCurrentIndex(max(0, self.split_choice.findData(split)))
        del blocked
        self.changed.emit()

    def clear(self) -> None:
        """Let every picture pass and emit `changed`."""
        blocked = QSignalBlocker(self.search)
        self.search.clear()
        del blocked
        self._typing.stop()
        self.choose("all")

    def _typed(self) -> None:
        self._typing.start()

    def _choice_changed(self, _position: int) -> None:
        self.changed.emit()


def _refill(choice: ComboBox, items: list[tuple[str, str]]) -> None:
    """Fill a box without a signal; the choice is kept where it still exists."""
    before = choice.currentData()
    known = [(choice.itemText(i), choice.itemData(i)) for i in range(choice.count())]
    if known == items:
        return
    blocked = QSignalBlocker(choice)
    choice.clear()
    for text, data in items:
        choice.addItem(text, data)
    choice.setCurrentIndex(max(0, choice.findData(before)))
    del blocked
