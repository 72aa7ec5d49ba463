"""What the window reads and loads after its first paint: the models, the runs, the libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from core.errors import AppError
from gui.base.commands import CommandSet
from gui.base.session import Session
from gui.kit.workers import JobContext, JobRunner
from gui.models import jobs as model_jobs
from gui.runs.commands import RunsCommands

if TYPE_CHECKING:
    from core.catalog.card import ModelCard
    from core.diagnostics.warmup import Machine


def warm_up(context: JobContext) -> Machine:
    """Import everything heavy once, the plots' library first: a page may want it any moment."""
    import pyqtgraph  # noqa: F401 - loaded here so that the Train page finds it loaded

    from core.diagnostics import warmup

    return warmup.warm_up(on_progress=context.on_progress, should_stop=context.should_stop)


class StartUp(CommandSet):
    """Each step starts the next one when it ends."""

    def __init__(
        self, session: Session, runner: JobRunner, runs: RunsCommands, parent: QObject
    ) -> None:
        super().__init__(session, runner, parent)
        self._runs = runs
        runs.refreshed.connect(self._warm_up)
        runs.refresh_failed.connect(self._failed)

    def begin(self) -> None:
        """Read the models, then the runs, then load the libraries.

        One after the other: three threads that import at once keep the window from its turn.
        """
        self._runner.start(
            model_jobs.list_models,
            title="Reading the catalog", key="models", on_done=self._models_listed,
            on_failed=self._failed, quiet=True,
        )  # fmt: skip

    def _models_listed(self, cards: tuple[ModelCard, ...]) -> None:
        self._session.set_models(cards)
        self._runs.refresh()

    def _failed(self, error: AppError) -> None:
        self._session.notice_error("start", error)
        self._warm_up()

    def _warm_up(self) -> None:
        if self._session.machine is None and self._runner.find("warm-up") is None:
            self._runner.start(
                warm_up,
                title="Loading libraries", key="warm-up", on_done=self._session.set_machine,
                page="start", needs_compute=True,
            )  # fmt: skip
