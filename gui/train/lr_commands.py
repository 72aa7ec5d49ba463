"""The learning-rate finder: test rates, and use one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from core.errors import AppError
from core.events import Notice
from core.training.lr_finder.curve import check_bounds, rate_text, rate_values
from gui.base.commands import CommandSet
from gui.base.session import Session
from gui.kit.workers import JobRunner
from gui.layers.undo import PlanHistory, PlanRequest
from gui.train import lr_jobs
from gui.train.lr_jobs import RateQuestion

if TYPE_CHECKING:
    from core.training.lr_finder.curve import RatePoint

_KEY = "rates"


class RateCommands(CommandSet):
    """The answers are signals: they belong to the dialog that asked."""

    point_made = Signal(object)
    progressed = Signal(int, int, str)
    noticed = Signal(str)
    found = Signal(object)
    """`RateCurve`."""
    ended = Signal(str)
    """Failed or cancelled, and why: there is no curve."""

    def __init__(
        self,
        session: Session,
        runner: JobRunner,
        history: PlanHistory,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(session, runner, parent)
        self._history = history

    def find(self, values: dict[str, Any], *, lowest: float, highest: float, steps: int) -> None:
        """Test rates on the session's dataset; an earlier test is dropped.

        Raises: AppError for a range that is none.
        """
        check_bounds(lowest, highest, steps)
        dataset = self._session.dataset
        if dataset is None:
            raise AppError("There is nothing to learn from yet.", "Open a folder of images first.")
        question = RateQuestion(dataset, values, lowest, highest, steps)
        self._runner.start(
            lr_jobs.find_rate, question,
            title="Finding the learning rate", key=_KEY, on_item=self._show_item,
            on_done=self.found.emit, on_failed=self._failed, on_cancel=self._cancelled,
            on_progress=self.progressed.emit, needs_compute=True,
        )  # fmt: skip

    def cancel(self) -> None:
        """Stop the test; `ended` answers."""
        self._runner.cancel(_KEY)

    def drop(self) -> None:
        """Stop a test whose result is not wanted any more."""
        self._runner.supersede(_KEY)

    @property
    def is_on(self) -> bool:
        return self._runner.find(_KEY) is not None

    def use(self, rate: float) -> None:
        """Make `rate` the learning rate of the next run; this can be undone.

        Raises: AppError where the recipe holds another value that is refused.
        """
        from core.recipe.recipe import make_recipe

        now = self._history.now
        values = {**now.values, **rate_values(make_recipe(now.values), rate)}
        self._history.change(
            f"use the learning rate {rate_text(rate)}", PlanRequest(now.model, values)
        )

    def _show_item(self, item: RatePoint | Notice) -> None:
        if isinstance(item, Notice):
            self.noticed.emit(item.text)
        else:
            self.point_made.emit(item)

    def _failed(self, error: AppError) -> None:
        self.ended.emit(str(error))

    def _cancelled(self) -> None:
        self.ended.emit("The test was cancelled; model and recipe are as before.")
