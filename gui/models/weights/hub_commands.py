"""What a person can ask of a torch.hub repository: look, say yes, list, explain. Main thread only.

Looking reads files. Nothing of a repository runs before `trust`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from gui.kit.workers import JobRunner
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
        self._start(
            "Looking at the repository", self.sources_known.emit, jobs.look_at_repository, name
        )

    def trust(self, sources: Sources) -> None:
        """Keep the person's consent to run the repository's code, and list its models."""
        name = sources.repo.text
        self._start(
            f"Asking {name} for its models", self.entries_known.emit, jobs.trust_repository, name
        )

    def list_entries(self, sources: Sources) -> None:
        """List the models of a repository that is trusted."""
        name = sources.repo.text
        self._start(
            f"Asking {name} for its models", self.entries_known.emit, jobs.list_entries, name
        )

    def ask_for_help(self, sources: Sources, entry: str) -> None:
        """Read what the repository says about one of its models."""
        name = sources.repo.text
        self._start(
            f"Asking {name} about {entry}", self.help_known.emit, jobs.help_of_entry, name, entry
        )

    def stop(self) -> None:
        """Stop a question whose answer is not wanted any more."""
        self._runner.supersede(_KEY)

    def _start(
        self, title: str, on_done: Callable[[Any], None], function: Callable[..., Any], *args: str
    ) -> None:
        self._runner.start(
            function, *args,
            title=title, key=_KEY, on_done=on_done, on_failed=self.failed.emit,
            on_cancel=self.cancelled.emit,
        )  # fmt: skip
