"""Training: start a run, resume one, pause and stop it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject

from core.errors import AppError
from core.events import Event
from core.system.load import Load
from gui.base.commands import CommandSet
from gui.base.live_run import LiveRun
from gui.base.session import Session
from gui.classify.commands import ClassifyCommands
from gui.classify.jobs import Answer
from gui.kit.words import count, quote
from gui.kit.workers import JobRunner
from gui.runs.commands import RunsCommands
from gui.train import jobs
from gui.train.queue_commands import QueueCommands

if TYPE_CHECKING:
    from core.runs.report import RunResult


class TrainCommands(CommandSet):
    """One run at a time; `queue` holds the ones that wait."""

    def __init__(
        self,
        session: Session,
        runner: JobRunner,
        runs: RunsCommands,
        classify: ClassifyCommands,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(session, runner, parent)
        self._runs = runs
        self._classify = classify
        self.queue = QueueCommands(session, runner, self._begin, self)

    def start(self, values: dict[str, Any]) -> None:
        """Train on the session's dataset; `values` are the recipe's."""
        if not self._can_train():
            return
        dataset = self._session.dataset
        if dataset is None:
            self._session.notice(
                "train", "There is nothing to train on yet. Open a folder of images first."
            )
            return
        name = dataset.name or dataset.root.name
        self._begin(LiveRun(name), jobs.train, values, dataset)

    def resume(self, path: Path) -> None:
        """Go on with a fine-tuning that was stopped or cut off."""
        if not self._can_train():
            return
        known = next((run for run in self._session.runs if run.path == path), None)
        name = known.dataset if known is not None else path.name
        self._begin(LiveRun(name, path=path), jobs.resume_run, path)

    def _can_train(self) -> bool:
        """Show the Train page; false, with a notice there, where a run is on already."""
        self._session.show_page("train")
        self._session.notice("train", "")
        if self._runner.find("train") is None:
            return True
        self._session.notice(
            "train",
            "A run is on already. Stop it first (Shift+F5), or wait for its end.",
            "warning",
        )
        return False

    def _begin(self, live: LiveRun, function: Callable[..., RunResult], *args: Any) -> None:
        self._session.begin_run(live)
        self._runner.start(
            function, *args,
            title=f"Training on {quote(live.dataset)}", key="train", on_done=self._trained,
            on_failed=self._failed, on_cancel=self._cancelled, on_item=self._show_item,
            needs_compute=True,
        )  # fmt: skip

    def pause(self) -> None:
        """Hold the run at its next step, or let it go on."""
        job = self._runner.find("train")
        if job is None or job.is_stopping:
            return
        if job.is_paused:
            job.go_on()
        else:
            job.pause()
        self._session.pause_run(is_paused=job.is_paused)

    def stop(self) -> None:
        """Ask the run to stop at its next step; what it learned is saved."""
        job = self._runner.find("train")
        if job is not None:
            self._session.stop_run()
            self._runner.cancel(job)

    # -- what a run sends, and its end -------------------------------------------------------

    def _show_item(self, item: Event | Load | Answer) -> None:
        if isinstance(item, Answer):
            self._classify.show_live_answer(item)
        else:
            self._session.apply_event(item)

    def _trained(self, result: RunResult) -> None:
        self._session.end_run(result)
        self._classify.replace_model_in_training(str(result.run))
        if result.report is not None:
            self._session.show_run(result.run)
        # Answers on the page keep their model, and a person's choice stands.
        if not self._session.is_classifier_chosen and not self._session.pictures:
            self._session.set_classifier(str(result.run))
        if result.status == "stopped":
            self._session.notice(
                "train",
                f"The run was stopped after {count(result.epochs, 'epoch')}; what it learned "
                "is saved and can be used." + _about_resuming(result) + self.queue.held,
            )
        self._runs.refresh()

    def _failed(self, error: AppError) -> None:
        self._session.end_run(None, str(error))
        self._classify.replace_model_in_training("")
        self._session.notice_error("train", error)

    def _cancelled(self) -> None:
        self._session.end_run(None)
        self._classify.replace_model_in_training("")
        self._session.notice(
            "train",
            "The run was stopped before anything was trained; there is nothing to keep."
            + self.queue.held,
        )


def _about_resuming(result: RunResult) -> str:
    if result.strategy == "feature-extraction":
        return ""
    if result.report is None:
        return " It can be resumed; there is no report before that."
    return " It can be resumed."
