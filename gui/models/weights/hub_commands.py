"""What a person can ask of a torch.hub repository: look, say yes, list, explain. Main thread only.

Looking reads files. Nothing of a repository runs before `trust`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from gui.kit.workers import JobContext, JobRunner, JobSpec
from gui.models.weights import jobs

if TYPE_CHECKING:
    from core.models.weights.torch_hub import Sources

_KEY = "hub-repository"


class HubCommands(QObject):
    """One repository at a time: a new question drops the one before."""

    sources_known = Signal(object)
    entries_known = Signal(object)
    help_known = Signal(str)
    failed = Signal(object)
    cancelled = Signal()

    def __init__(self, runner: JobRunner, parent: QObject) -> None:
        super().__init__(parent)
        self._runner = runner

    def look_at(self, name: str) -> None:
        """What would run; of a repository that is trusted already, at once what it offers."""
        self._submit("Looking at the repository", partial(jobs.look_at_repository, name),
                     self.sources_known.emit)  # fmt: skip

    def trust(self, sources: Sources) -> None:
        """The person's yes; it is kept, and the models are listed."""
        name = sources.repo.text
        self._submit(f"Asking {name} for its models",
                     partial(jobs.trust_repository, name),
                     self.entries_known.emit)  # fmt: skip

    def list_entries(self, sources: Sources) -> None:
        name = sources.repo.text
        self._submit(f"Asking {name} for its models", partial(jobs.list_entries, name),
                     self.entries_known.emit)  # fmt: skip

    def ask_for_help(self, sources: Sources, entry: str) -> None:
        name = sources.repo.text
        self._submit(f"Asking {name} about {entry}",
                     partial(jobs.help_of_entry, name, entry),
                     self.help_known.emit)  # fmt: skip

    def stop(self) -> None:
        """Nobody waits for an answer any more."""
        self._runner.supersede(_KEY)

    def _submit(
        self, title: str, function: Callable[[JobContext], Any], done: Callable[[Any], None]
    ) -> None:
        self._runner.submit(
            JobSpec(
                _KEY,
                title,
                function,
                on_success=done,
                on_failure=self.failed.emit,
                on_cancel=self.cancelled.emit,
            )
        )
