"""The plan of a recipe, for the picture of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from core.errors import AppError
from gui.base.commands import CommandSet
from gui.base.session import Session
from gui.kit.basics import delayed
from gui.kit.workers import JobRunner
from gui.train import jobs

if TYPE_CHECKING:
    from core.recipe.plan import Plan

_WAIT_MS = 150


class PlanCommands(CommandSet):
    """Only the newest request is answered, once nobody has typed for a moment."""

    planned = Signal(object)

    def __init__(self, session: Session, runner: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(session, runner, parent)
        self._question: tuple[dict[str, Any], int] | None = None
        self._answered: tuple[dict[str, Any], int] | None = None
        self._plan: Plan | None = None
        self._timer = delayed(self, _WAIT_MS, self._submit)

    def ask(self, values: dict[str, Any], classes: int) -> None:
        """Work out the plan; `planned` is emitted, at once where nothing has changed."""
        self._question = (values, classes)
        if self._question == self._answered and self._plan is not None:
            self.planned.emit(self._plan)
            return
        self._timer.start()

    def _submit(self) -> None:
        if self._question is None:
            return
        values, classes = self._question
        self._answered = self._question
        self._runner.start(
            jobs.plan_of, values, classes,
            title="Drawing the plan", on_done=self._planned, on_failed=self._failed, quiet=True,
        )  # fmt: skip

    def _planned(self, plan: Plan) -> None:
        self._plan = plan
        self.planned.emit(plan)

    def _failed(self, error: AppError) -> None:
        """The plan before it stays; a refused value is shown when the run is started."""
        self._answered = None
