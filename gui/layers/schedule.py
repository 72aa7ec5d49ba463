"""Stepping through the epochs: what opens when, in the tree and in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QSlider, QWidget

from gui.kit import theme
from gui.kit.basics import ElidedLabel, hbox, icon_button, label
from gui.kit.theme import Theme
from gui.layers.text import schedule_text

if TYPE_CHECKING:
    from core.plan.layer_plan import LayerPlan


class LayerSchedule(QWidget):
    """`epoch` is the one looked at; None: what ever trains, the slider's right end."""

    epoch_chosen = Signal(object)

    def __init__(self, look: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.epoch: int | None = None
        self._plan: LayerPlan | None = None
        line = hbox(self, spacing=theme.XS)
        line.addWidget(label("Epoch", "muted-small"))
        self.back = icon_button(look, "chevron-left", "One epoch back", self._step_back)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Epoch to look at")
        self.slider.setToolTip("Step through the epochs: what trains then shows in the tree")
        self.slider.setPageStep(1)
        self.slider.setFixedWidth(120)
        self.slider.valueChanged.connect(self._moved)
        self.on = icon_button(look, "chevron-right", "One epoch on", self._step_on)
        for part in (self.back, self.slider, self.on):
            line.addWidget(part)
        self.number = label("", "small")
        self.text = ElidedLabel("", "muted-small")
        line.addWidget(self.number)
        line.addSpacing(theme.XS)
        line.addWidget(self.text, 1)
        self.hide()

    def show_plan(self, plan: LayerPlan | None) -> None:
        """The whole plan. Where all opens at once there is nothing to step through."""
        self._plan = plan
        self.setVisible(plan is not None and len(plan.openings()) > 1)
        if plan is None or self.isHidden():
            self.epoch = None
            return
        epochs = plan.recipe.max_epochs_or_default
        if (self.epoch or 0) >= epochs:
            self.epoch = None
        blocker = QSignalBlocker(self.slider)
        self.slider.setRange(1, epochs)
        self.slider.setValue(self.epoch or epochs)
        blocker.unblock()
        self._tell()

    def _step_back(self) -> None:
        self.slider.setValue(self.slider.value() - 1)

    def _step_on(self) -> None:
        self.slider.setValue(self.slider.value() + 1)

    def _moved(self, epoch: int) -> None:
        self.epoch = epoch if epoch < self.slider.maximum() else None
        self._tell()
        self.epoch_chosen.emit(self.epoch)

    def _tell(self) -> None:
        if self._plan is None:
            return
        epoch, epochs = self.slider.value(), self.slider.maximum()
        self.number.setText(f"{epoch} of {epochs}")
        self.text.setText(schedule_text(self._plan, epoch))
        self.slider.setAccessibleDescription(f"Epoch {epoch} of {epochs}. {self.text.text()}")
        self.back.setEnabled(epoch > 1)
        self.on.setEnabled(epoch < epochs)
