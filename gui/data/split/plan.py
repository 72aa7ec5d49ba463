"""How a split is to be drawn: shares or folds, seed, and what must stay together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QCheckBox, QGridLayout, QWidget

from gui.kit import theme
from gui.kit.basics import hbox, label
from gui.kit.inputs import ComboBox, NumberBox
from gui.kit.words import count

if TYPE_CHECKING:
    from core.data.splits import SplitPlan

_MOST_SEED = 999_999


class SplitPlanForm(QWidget):
    """Tells of every change a person makes; `plan` is what it says."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._near: tuple[tuple[str, ...], ...] = ()
        self.method = ComboBox()
        self.method.setAccessibleName("How the parts are drawn")
        self.method.addItem("By shares", "shares")
        self.method.addItem("By folds", "folds")
        self.val = _number("Share of val", 1, 90, 20, " %")
        self.test = _number("Share of test", 0, 90, 0, " %")
        self.fold = _number("Fold that becomes val", 1, 5, 1)
        self.folds = _number("Number of folds", 2, 100, 5)
        self.seed = _number("Seed", 0, _MOST_SEED, 0)
        self.near = QCheckBox("Keep near copies together")
        self.near.setAccessibleName("Keep near copies together")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(theme.M)
        grid.setVerticalSpacing(theme.S)
        grid.addWidget(self.method, 0, 0, 1, 2)
        self._shares = _line(("val", self.val), ("test", self.test))
        self._parts = _line(("fold", self.fold), ("of", self.folds))
        grid.addWidget(self._shares, 1, 0, 1, 2)
        grid.addWidget(self._parts, 2, 0, 1, 2)
        grid.addWidget(_line(("seed", self.seed)), 0, 2)
        grid.addWidget(self.near, 3, 0, 1, 3)
        grid.setColumnStretch(1, 1)
        self.method.currentIndexChanged.connect(self._method_changed)
        self.folds.valueChanged.connect(self._folds_changed)
        for box in (self.val, self.test, self.fold, self.seed):
            box.valueChanged.connect(self._tell)
        self.near.toggled.connect(self._tell)
        self._show_method()
        self.show_near([])

    def plan(self) -> SplitPlan:
        """The plan of the form. Raises: DatasetError for shares that leave nothing to train on."""
        from core.data.splits import SplitPlan

        together = self._near if self.near.isChecked() else ()
        if self.method.currentData() == "folds":
            return SplitPlan(
                seed=self.seed.value(), folds=self.folds.value(), fold=self.fold.value() - 1,
                together=together,
            )  # fmt: skip
        return SplitPlan(
            val=self.val.value() / 100, test=self.test.value() / 100, seed=self.seed.value(),
            together=together,
        )  # fmt: skip

    def show_plan(self, plan: SplitPlan | None) -> None:
        """Show a plan; no signal is emitted."""
        if plan is None:
            return
        blocked = [QSignalBlocker(box) for box in self.findChildren(NumberBox)]
        blocked += [QSignalBlocker(self.method), QSignalBlocker(self.near)]
        self.method.setCurrentIndex(self.method.findData("folds" if plan.folds else "shares"))
        self.val.setValue(round(plan.val * 100))
        self.test.setValue(round(plan.test * 100))
        self.seed.setValue(plan.seed)
        if plan.folds:
            self.folds.setValue(plan.folds)
            self.fold.setMaximum(plan.folds)
            self.fold.setValue(plan.fold + 1)
        self.near.setChecked(bool(plan.together) and bool(self._near))
        del blocked
        self._show_method()

    def show_near(self, groups: Sequence[tuple[str, ...]]) -> None:
        """Take over groups of near duplicates, where they were looked for."""
        self._near = tuple(groups)
        self.near.setEnabled(bool(groups))
        self.near.setToolTip(
            f"{count(len(groups), 'group')} of pictures that are nearly the same"
            if groups
            else "No near copies are known; the Problems tab looks for them."
        )

    def allow_test(self, *, is_allowed: bool) -> None:
        """Enable the share of test; a test set of the dataset's own stays as it is."""
        self.test.setEnabled(is_allowed)
        self.test.setToolTip("" if is_allowed else "The dataset has a test of its own; it stays.")
        if not is_allowed:
            blocked = QSignalBlocker(self.test)
            self.test.setValue(0)
            del blocked

    def _method_changed(self, _position: int) -> None:
        self._show_method()
        self.changed.emit()

    def _show_method(self) -> None:
        is_folds = self.method.currentData() == "folds"
        self._shares.setVisible(not is_folds)
        self._parts.setVisible(is_folds)

    def _folds_changed(self, folds: int) -> None:
        self.fold.setMaximum(folds)
        self.changed.emit()

    def _tell(self, _value: object) -> None:
        self.changed.emit()


def _number(name: str, low: int, high: int, value: int, suffix: str = "") -> NumberBox:
    made = NumberBox()
    made.setRange(low, high)
    made.setValue(value)
    made.setSuffix(suffix)
    made.setAccessibleName(name)
    made.setMinimumWidth(84)
    return made


def _line(*fields: tuple[str, NumberBox]) -> QWidget:
    made = QWidget()
    line = hbox(made)
    for caption, box in fields:
        line.addWidget(label(caption, "muted-small"))
        line.addWidget(box, 1)
    return made
