"""A run that was cut off, and the offer to go on with it. Hidden where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal

from gui.kit import theme
from gui.kit.basics import Card, button, label, row, vbox
from gui.kit.theme import Theme
from gui.kit.words import quote, strategy_in_words

if TYPE_CHECKING:
    from core.runs.run_folder import RunSummary


class RecoverCard(Card):
    """Offers to resume the newest run that was cut off with its process and has a saved state."""

    recover_wanted = Signal(object)
    """The path of the run."""

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._dismissed: set[Path] = set()
        self._run: RunSummary | None = None
        self._runs: tuple[RunSummary, ...] = ()
        line = row(spacing=theme.M, stretch=False)
        words = vbox(spacing=0)
        words.addWidget(label("Recover the run?", "heading"))
        self.text = label("", "muted", wraps=True)
        words.addWidget(self.text)
        line.addLayout(words, 1)
        self.later_button = button("Not now", self._dismiss, role="flat")
        self.recover_button = button(
            "Recover it", self._recover, icon=(look, "play-circle-outline", "accent")
        )
        line.addWidget(self.later_button)
        line.addWidget(self.recover_button)
        self.body.addLayout(line)
        self.hide()

    def show_runs(self, runs: Sequence[RunSummary]) -> None:
        """All runs, newest first."""
        self._runs = tuple(runs)
        self._run = next((run for run in runs if self._is_offered(run)), None)
        if self._run is not None:
            strategy = strategy_in_words(self._run.strategy)
            self.text.setText(
                f"{strategy} on {quote(self._run.dataset)}, begun {self._run.started:%d %b %H:%M}, "
                "was cut off: the program ended before it did. It goes on from its last state, to "
                "the same result as if nothing had happened."
            )
        self.setVisible(self._run is not None)

    def _is_offered(self, run: RunSummary) -> bool:
        return (
            run.status == "interrupted"
            and run.can_resume
            and not run.is_archived
            and run.path not in self._dismissed
        )

    def _recover(self) -> None:
        if self._run is not None:
            self.recover_wanted.emit(self._run.path)

    def _dismiss(self) -> None:
        """Hide the card for this session; on Runs the run can be resumed at any time."""
        if self._run is not None:
            self._dismissed.add(self._run.path)
        self.show_runs(self._runs)
