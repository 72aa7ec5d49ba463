"""What trains of the whole model, what that costs, and what the strategy is called now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from gui.kit.basics import label, vbox
from gui.layers.text import memory_text, strategy_text, trained_text

if TYPE_CHECKING:
    from core.plan.layer_plan import LayerPlan


class LayerTotals(QWidget):
    """Three lines that can be selected and copied."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = vbox(self, spacing=0)
        self.trained = label("", "heading", wraps=True)
        self.strategy = label("", "small", wraps=True)
        self.memory = label("", "muted-small", wraps=True)
        for line in (self.trained, self.strategy, self.memory):
            line.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            column.addWidget(line)
        self.trained.setAccessibleName("What trains")

    def show_plan(self, plan: LayerPlan, now: LayerPlan, *, hint: str) -> None:
        """`now`: the plan, or that of the epoch looked at; `hint` follows the strategy."""
        self.trained.setText(trained_text(now))
        self.strategy.setText(" ".join(part for part in (f"{strategy_text(plan)}.", hint) if part))
        self.memory.setText(f"{memory_text(plan)}.")

    def clear(self) -> None:
        """Show nothing."""
        for line in (self.trained, self.strategy, self.memory):
            line.clear()

    def text(self) -> str:
        """All lines."""
        return "\n".join(line.text() for line in (self.trained, self.strategy, self.memory))
