"""What the commands of every feature are made of."""

from __future__ import annotations

from PySide6.QtCore import QObject

from gui.base.session import Session
from gui.kit.workers import JobRunner


class CommandSet(QObject):
    """What a person can ask of one feature. Main thread only.

    A command starts a job on the runner and puts its result into the session or into a signal;
    none blocks.
    """

    def __init__(self, session: Session, runner: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._runner = runner
