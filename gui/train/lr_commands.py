"""Asking for a learning rate, and taking it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from core.errors import AppError
from core.events import Notice
from core.training.lr_finder.curve import check_bounds, rate_text, rate_values
from gui.base.session import Session
from gui.kit.workers import Job, JobRunner, JobSpec
from gui.layers.undo import PlanHistory, PlanRequest
from gui.train import lr_jobs
from gui.train.lr_jobs import RateQuestion

if TYPE_CHECKING:
    from core.training.lr_finder.curve import RateCurve, RatePoint

_KEY = "rates"


class RateCommands(QObject):
    """Main thread only. The answers are signals: they belong to the dialog that asked."""

    point_made = Signal(object)
    progressed = Signal(int, int, str)
    noticed = Signal(str)
    found = Signal(object)
    ended = Signal(str)
    """Failed or cancelled, and why: there is no reading."""

    def __init__(
        self,
        session: Session,
        runner: JobRunner,
        history: PlanHistory,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._runner = runner
        self._history = history
        runner.progressed.connect(self._tell_progress)

    def find(self, values: dict[str, Any], *, lowest: float, highest: float, steps: int) -> None:
        """Test rates on the session's dataset; an earlier test is dropped.

        Raises: AppError for a range that is none.
        """
        check_bounds(lowest, highest, steps)
        dataset = self._session.dataset
        if dataset is None:
            raise AppError("There is nothing to learn from yet.", "Open a folder of images first.")
        question = RateQuestion(dataset, values, lowest, highest, steps)
        self._runner.submit(
            JobSpec(
                _KEY,
                "Finding the learning rate",
                partial(lr_jobs.find_rate, question),
                on_item=self._hear,
                on_success=self._found,
                on_failure=self._failed,
                on_cancel=self._cancelled,
                needs_compute=True,
            )
        )

    def cancel(self) -> None:
        job = self._runner.find(_KEY)
        if job is not None:
            self._runner.cancel(job)

    def drop(self) -> None:
        """Let go of a test that nobody waits for any more."""
        self._runner.supersede(_KEY)

    @property
    def is_on(self) -> bool:
        return self._runner.find(_KEY) is not None

    def use(self, rate: float) -> None:
        """Make it the learning rate of the next run: a step that can be undone.

        Raises: AppError where the recipe holds another value that is refused.
        """
        from core.recipe.recipe import make_recipe

        wish = self._history.now
        values = {**wish.values, **rate_values(make_recipe(wish.values), rate)}
        self._history.change(
            f"use the learning rate {rate_text(rate)}", PlanRequest(wish.model, values)
        )

    def _hear(self, heard: RatePoint | Notice) -> None:
        if isinstance(heard, Notice):
            self.noticed.emit(heard.text)
        else:
            self.point_made.emit(heard)

    def _tell_progress(self, job: Job) -> None:
        if job.work.key == _KEY:
            self.progressed.emit(*job.progress)

    def _found(self, curve: RateCurve) -> None:
        self.found.emit(curve)

    def _failed(self, error: AppError) -> None:
        self.ended.emit(str(error))

    def _cancelled(self) -> None:
        self.ended.emit("The test was cancelled; model and recipe are as before.")
