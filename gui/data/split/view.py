"""The split of a dataset: what it is, what each part is for, and how to draw another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtWidgets import (
    QHeaderView,
    QScrollArea,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from core.errors import AppError
from gui.data.split.plan import SplitPlanForm
from gui.data.split.table import SplitBar, SplitModel
from gui.data.split.text import describe_parts
from gui.edits import jobs
from gui.edits.commands import DataCommands
from gui.kit import theme
from gui.kit.basics import Card, button, delayed, hbox, label, row, scroll_area, vbox
from gui.kit.table import set_up_view
from gui.kit.theme import Theme, set_role
from gui.kit.workers import JobRunner

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex
    from core.data.splits import SplitPlan

_TYPING_MS = 250
_LEFT_PX = 380


class SplitView(QWidget):
    """A change of the form is shown as a preview; the split itself changes by `Draw this split`."""

    def __init__(self, look: Theme, data: DataCommands, runner: JobRunner) -> None:
        super().__init__()
        self._data = data
        self._runner = runner
        self._dataset: DatasetIndex | None = None
        self._previewed: SplitPlan | None = None
        self._timer = delayed(self, _TYPING_MS, self._preview)
        across = hbox(self, margins=(0, theme.S, 0, 0), spacing=theme.M)
        across.addWidget(self._make_left(look))
        across.addLayout(self._make_table(), 1)
        data.history_changed.connect(self._history_read)

    def _make_left(self, look: Theme) -> QScrollArea:
        inner = QWidget()
        column = vbox(inner, margins=(0, 0, theme.S, 0), spacing=theme.M)
        now = Card(margin=theme.M)
        self.bar = SplitBar(look)
        now.body.addWidget(self.bar)
        self.sentences = label("", "muted", wraps=True)
        now.body.addWidget(self.sentences)
        column.addWidget(now)
        anew = Card("Draw it anew", margin=theme.M)
        self.form = SplitPlanForm()
        self.form.changed.connect(self._form_changed)
        anew.body.addWidget(self.form)
        self.trouble = label("", "small", wraps=True)
        set_role(self.trouble, tone="warning")
        self.trouble.hide()
        anew.body.addWidget(self.trouble)
        self.draw_button = button("Draw this split", self._draw, role="primary")
        self.back_button = button("Use my own split again", self._go_back)
        anew.body.addLayout(row(self.draw_button, self.back_button))
        column.addWidget(anew)
        column.addStretch(1)
        area = scroll_area(inner, has_frame=False)
        area.setMinimumWidth(_LEFT_PX)
        area.setMaximumWidth(_LEFT_PX + 80)
        area.viewport().setAutoFillBackground(False)
        inner.setAutoFillBackground(False)
        return area

    def _make_table(self) -> QVBoxLayout:
        column = vbox()
        self.heading = label("", "muted-small")
        column.addWidget(self.heading)
        self.model = SplitModel()
        table = QTableView()
        table.setModel(self.model)
        name = "Images of every class in each part of the split"
        header = set_up_view(table, name, selects_several=True)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        column.addWidget(table, 1)
        return column

    # -- showing -----------------------------------------------------------------------------

    def show_dataset(self, dataset: DatasetIndex) -> None:
        """Show the split of a dataset and the form that draws another one."""
        from core.data.dataset import SPLITS

        self._dataset = dataset
        self._runner.supersede("split preview")
        self._timer.stop()
        plan = self._data.plan
        self.form.show_plan(plan)
        has_test = bool((dataset.scanned.splits == SPLITS.index("test")).any())
        self.form.allow_test(is_allowed=not has_test)
        self.sentences.setText(describe_parts(dataset, plan))
        is_own = dataset.scanned.split_origin == "folders"
        self.back_button.setText("Use my own split again" if is_own else "Use the usual split")
        self.back_button.setAccessibleName(self.back_button.text())
        self.back_button.setEnabled(plan is not None)
        self._show_now()

    def show_near(self, groups: Sequence[tuple[str, ...]]) -> None:
        """Take over groups of near duplicates that a split can keep together."""
        self.form.show_near(groups)

    def _history_read(self) -> None:
        if self._dataset is not None:
            self.show_dataset(self._dataset)

    def _show_now(self) -> None:
        """The split in force."""
        if self._dataset is None:
            return
        self._previewed = None
        self.heading.setText("The split in force")
        self.bar.show_counts(self._dataset.split_counts())
        self.model.show_dataset(self._dataset)
        self._say_trouble("")

    def _say_trouble(self, text: str) -> None:
        self.trouble.setText(text)
        self.trouble.setVisible(bool(text))
        self.draw_button.setEnabled(not text)

    # -- previewing and drawing --------------------------------------------------------------

    def _form_changed(self) -> None:
        self._timer.start()

    def _preview(self) -> None:
        dataset = self._dataset
        if dataset is None:
            return
        try:
            plan = self.form.plan()
        except AppError as error:
            self._show_now()
            self._say_trouble(str(error))
            return
        self._previewed = plan
        self.heading.setText("Drawing a preview …")
        self._runner.start(
            jobs.preview_split, dataset, plan.to_json(),
            title="Drawing a split", on_done=self._show_preview, on_failed=self._preview_failed,
            quiet=True,
        )  # fmt: skip

    def _show_preview(self, dataset: DatasetIndex) -> None:
        if self._previewed is None:
            return
        self.heading.setText(f"Preview, not in force yet: {self._previewed.in_words}")
        self.bar.show_counts(dataset.split_counts())
        self.model.show_dataset(dataset)
        self._say_trouble("")

    def _preview_failed(self, error: AppError) -> None:
        self._show_now()
        self._say_trouble(str(error))

    def _draw(self) -> None:
        try:
            plan = self.form.plan()
        except AppError as error:
            self._say_trouble(str(error))
            return
        self._data.draw_split(plan)

    def _go_back(self) -> None:
        self._data.draw_split(None)
