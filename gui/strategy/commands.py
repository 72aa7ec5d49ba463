"""What a person can ask of the Strategy page: advice, and a check of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from core.errors import AppError
from gui.base.session import Session
from gui.kit.workers import JobRunner, JobSpec
from gui.strategy import jobs
from gui.strategy.jobs import Question

if TYPE_CHECKING:
    from core.advice.advise import Advice
    from core.advice.check import Check


class AdviceCommands(QObject):
    """Main thread only. The answers come as signals: advice belongs to the page that asked."""

    advised = Signal(object)
    advice_ended = Signal()
    """Failed or cancelled: there is none."""
    checked = Signal(object)
    check_ended = Signal()

    def __init__(self, session: Session, runner: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._runner = runner

    def ask(self, question: Question) -> None:
        """Ask for advice; an earlier question is dropped."""
        self._session.notice("strategy", "")
        self._runner.supersede("check")
        self._runner.submit(
            JobSpec(
                "advice",
                "Asking for advice",
                partial(jobs.advise, question),
                on_success=self._advised,
                on_failure=self._advice_failed,
                on_cancel=self._advice_cancelled,
                needs_compute=True,
            )
        )

    def cancel(self) -> None:
        for key in ("advice", "check"):
            job = self._runner.find(key)
            if job is not None:
                self._runner.cancel(job)

    def drop(self) -> None:
        """Let go of a question that nobody waits for any more."""
        self._runner.supersede("advice")
        self._runner.supersede("check")

    def check(self, question: Question, advice: Advice) -> None:
        """Try the arms on a small sample."""
        self._session.notice("strategy", "")
        self._runner.submit(
            JobSpec(
                "check",
                "Checking the advice",
                partial(jobs.check, question, advice),
                on_success=self._checked,
                on_failure=self._check_failed,
                on_cancel=self._check_cancelled,
                needs_compute=True,
            )
        )

    def _advised(self, advice: Advice) -> None:
        self.advised.emit(advice)

    def _advice_failed(self, error: AppError) -> None:
        self._session.notice_error("strategy", error)
        self.advice_ended.emit()

    def _advice_cancelled(self) -> None:
        self._session.notice("strategy", "Asking was cancelled; nothing was changed.")
        self.advice_ended.emit()

    def _checked(self, check: Check) -> None:
        self.checked.emit(check)

    def _check_failed(self, error: AppError) -> None:
        self._session.notice_error("strategy", error)
        self.check_ended.emit()

    def _check_cancelled(self) -> None:
        self._session.notice("strategy", "The check was cancelled; the advice stays.")
        self.check_ended.emit()
