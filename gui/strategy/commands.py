"""What a person can ask of the Strategy page: advice, and a check of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Signal

from core.errors import AppError
from gui.base.commands import CommandSet
from gui.strategy import jobs
from gui.strategy.jobs import Question

if TYPE_CHECKING:
    from core.advice.advise import Advice


class AdviceCommands(CommandSet):
    """The answers come as signals: advice belongs to the page that asked."""

    advised = Signal(object)
    advice_ended = Signal()
    """Asking failed or was cancelled: there is no advice."""
    checked = Signal(object)
    check_ended = Signal()

    def ask(self, question: Question) -> None:
        """Ask for advice; an earlier question is dropped."""
        self._session.notice("strategy", "")
        self._runner.supersede("check")
        self._runner.start(
            jobs.advise, question,
            title="Asking for advice", key="advice", on_done=self.advised.emit,
            on_failed=self._advice_failed, on_cancel=self._advice_cancelled, needs_compute=True,
        )  # fmt: skip

    def cancel(self) -> None:
        """Stop asking and checking."""
        self._runner.cancel("advice")
        self._runner.cancel("check")

    def drop(self) -> None:
        """Stop a question whose answer is not wanted any more."""
        self._runner.supersede("advice")
        self._runner.supersede("check")

    def check(self, question: Question, advice: Advice) -> None:
        """Try the strategies of the advice on a small sample."""
        self._session.notice("strategy", "")
        self._runner.start(
            jobs.check, question, advice,
            title="Checking the advice", key="check", on_done=self.checked.emit,
            on_failed=self._check_failed, on_cancel=self._check_cancelled, needs_compute=True,
        )  # fmt: skip

    def _advice_failed(self, error: AppError) -> None:
        self._session.notice_error("strategy", error)
        self.advice_ended.emit()

    def _advice_cancelled(self) -> None:
        self._session.notice("strategy", "Asking was cancelled; nothing was changed.")
        self.advice_ended.emit()

    def _check_failed(self, error: AppError) -> None:
        self._session.notice_error("strategy", error)
        self.check_ended.emit()

    def _check_cancelled(self) -> None:
        self._session.notice("strategy", "The check was cancelled; the advice stays.")
        self.check_ended.emit()
