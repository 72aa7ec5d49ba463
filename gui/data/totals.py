"""The dataset in a few figures and sentences, above its tabs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from gui.data.split.text import describe_split
from gui.kit import theme
from gui.kit.basics import Card, ElidedLabel, Stat, hbox, label
from gui.kit.words import count, quote

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex
    from core.data.splits import SplitPlan

_UNEVEN = 3  # times as many images in the largest class as in the smallest: worth a sentence


class DatasetTotals(Card):
    """`stats` by name; sentences that have nothing to say are hidden."""

    def __init__(self, check_line: QWidget) -> None:
        super().__init__(margin=theme.M)
        self.body.setSpacing(theme.XS)
        line = hbox(spacing=0)
        names = ("images", "classes", "train", "val", "test", "no label", "excluded", "problems")
        self.stats = {name: Stat(name) for name in names}
        self.stats["test"].setToolTip("Not touched until you ask for it")
        for stat in self.stats.values():
            line.addWidget(stat)
        line.addStretch(1)
        line.addWidget(check_line)
        self.body.addLayout(line)
        self.split_line = ElidedLabel("", "muted")
        self.body.addWidget(self.split_line)
        self.balance_line = label("", "muted", wraps=True)
        self.body.addWidget(self.balance_line)
        self.notes_line = label("", "muted", wraps=True)
        self.notes_line.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.body.addWidget(self.notes_line)

    def show_dataset(self, dataset: DatasetIndex, plan: SplitPlan | None) -> None:
        """`plan`: how a person had the split drawn, if so."""
        splits = dataset.split_counts()
        self.stats["images"].set_value(f"{len(dataset):,}")
        self.stats["classes"].set_value(f"{len(dataset.classes):,}")
        some = {
            **{name: splits.get(name, 0) for name in ("train", "val", "test")},
            "no label": len(dataset.unlabelled),
            "excluded": len(dataset.excluded),
        }
        for name, images in some.items():
            self.stats[name].setVisible(images > 0)
            self.stats[name].set_value(f"{images:,}")
        self.split_line.setText(describe_split(dataset, plan))
        self.balance_line.setText(describe_balance(dataset))
        self.balance_line.setVisible(bool(self.balance_line.text()))
        self.notes_line.setText(" ".join(dataset.notes))
        self.notes_line.setVisible(bool(dataset.notes))

    def show_problems(self, number: int) -> None:
        """Show how many findings there are."""
        self.stats["problems"].set_value(f"{number:,}", tone="warning" if number else "")


def describe_balance(dataset: DatasetIndex) -> str:
    """A sentence where the largest class is many times the smallest; else nothing."""
    counts = dataset.class_counts()
    if not counts:
        return ""
    largest = max(counts, key=lambda name: counts[name])
    smallest = min(counts, key=lambda name: counts[name])
    times = counts[largest] / max(1, counts[smallest])
    if times < _UNEVEN:
        return ""
    return (
        f"Uneven: {quote(largest)} has {count(counts[largest], 'image')}, {times:,.0f} times as "
        f"many as {quote(smallest)} ({counts[smallest]:,}). Look at the balanced accuracy and the "
        "F1 of the small classes, not at the accuracy alone."
    )
