"""Pictures for the model in training: asked between two steps of its run. Attached to `Commands`.

The run's own thread answers, on its weights, because it has the compute slot; what is still open
when the run ends goes to what it left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject

from core.events import Event
from core.system.load import Load
from gui.base.session import IN_TRAINING, Session
from gui.kit.workers import JobRunner
from gui.shell.jobs import Answer


class TrialCommands(QObject):
    """Main thread only."""

    def __init__(
        self,
        session: Session,
        runner: JobRunner,
        answered: Callable[[Answer], None],
        classify: Callable[[Sequence[Path]], None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._runner = runner
        self._answered = answered
        self._classify = classify

    def ask(self, paths: Sequence[Path]) -> bool:
        """Have the model in training asked; false where there is none."""
        job = self._runner.find("train")
        if job is None or not self._session.can_try:
            return False
        job.ask_about(paths)
        return True

    def withdraw(self) -> None:
        """Forget what was asked and not yet answered."""
        job = self._runner.find("train")
        if job is not None:
            job.withdraw()

    def hear(self, item: Event | Answer | Load) -> None:
        """What the run's job has to say: events, and answers on the way."""
        if not isinstance(item, Answer):
            self._session.apply_event(item)
        elif any(p.path == item.path and p.asked == IN_TRAINING for p in self._session.pictures):
            self._answered(item)

    def end(self, reference: str) -> None:
        """The run is over: `reference` (empty: whatever there is) answers from now on."""
        session = self._session
        if session.classifier == IN_TRAINING:
            session.set_classifier(reference)
        self._classify(
            [p.path for p in session.pictures if p.is_waiting and p.asked == IN_TRAINING]
        )
