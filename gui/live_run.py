"""The run of this session as the Train page shows it: events in, plain values out. No Qt."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from core.events import EpochDone, Event, Notice, Progress, RunEnded, RunStarted
from gui.words import count

if TYPE_CHECKING:
    from core.training.runs import RunResult

Phase = Literal[
    "waiting", "preparing", "embedding", "training", "stopping", "done", "stopped", "failed"
]
ENDED: frozenset[Phase] = frozenset({"done", "stopped", "failed"})
# The sentences in which a run tells of files it left out; any other notice counts as a note.
_LEFT_OUT = re.compile(r"^Left out \(([\d,]+)\)|^([\d,]+) files left out|\bwas left out\b")


@dataclass
class LiveRun:
    """Mutable, main thread only; `Session.run_changed` tells of a change."""

    dataset: str
    phase: Phase = "waiting"
    path: Path | None = None
    started: RunStarted | None = None
    progress: Progress | None = None
    epochs: list[EpochDone] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    left_out: int = 0
    """Files named by the notices as left out."""
    other_notices: int = 0
    result: RunResult | None = None
    error: str = ""

    @property
    def is_on(self) -> bool:
        return self.phase not in ENDED

    def apply(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self.started = event
            self.path = Path(event.run)
            self._enter("preparing")
        elif isinstance(event, Progress):
            self.progress = event
            self._enter("embedding")
        elif isinstance(event, EpochDone):
            self.epochs.append(event)
            self._enter("training")
        elif isinstance(event, Notice):
            self.notices.append(event)
            # Counted here, once: a damaged folder sends thousands of them.
            files = _count_left_out(event.text)
            self.left_out += files
            self.other_notices += not files
        elif isinstance(event, RunEnded) and event.status == "failed":
            self.error = event.error

    def _enter(self, phase: Phase) -> None:
        # A run that was asked to stop stays "stopping" whatever it still reports.
        if self.phase != "stopping":
            self.phase = phase

    def sentence(self) -> str:
        """What the run does now, in words."""
        if self.phase == "waiting":
            return "Waiting for its turn"
        if self.phase == "preparing":
            return "Preparing the model and the images"
        if self.phase == "embedding" and self.progress is not None:
            return describe_progress(self.progress)
        if self.phase == "training" and self.epochs:
            return self._epoch_sentence(self.epochs[-1])
        if self.phase == "stopping":
            return "Stopping: what was trained so far is being saved"
        if self.phase == "failed":
            return "The run ended with an error"
        return "Finished" if self.phase == "done" else "Stopped early and saved"

    def _epoch_sentence(self, last: EpochDone) -> str:
        most = f" of at most {self.started.epochs:,}" if self.started is not None else ""
        return (
            f"Training the head: epoch {last.epoch:,}{most}, "
            f"selection accuracy {last.selection_accuracy:.1%}"
        )

    def notice_sentence(self) -> str:
        """How much the notices tell of: `5 files left out · 1 note`; empty without any."""
        parts = []
        if self.left_out:
            parts.append(f"{count(self.left_out, 'file')} left out")
        if self.other_notices:
            parts.append(count(self.other_notices, "note"))
        return " · ".join(parts)

    def loss_sentence(self) -> str:
        """The loss plot in words."""
        if not self.epochs:
            return "The curve starts with the first epoch."
        first, last = self.epochs[0], self.epochs[-1]
        best = min(self.epochs, key=_selection_loss)
        return (
            f"Training loss {first.train_loss:.3f} → {last.train_loss:.3f} over "
            f"{count(len(self.epochs), 'epoch')}; selection loss lowest at epoch {best.epoch:,} "
            f"({best.selection_loss:.3f})."
        )

    def accuracy_sentence(self) -> str:
        """The accuracy plot in words."""
        if not self.epochs:
            return "The curve starts with the first epoch."
        best = max(self.epochs, key=_selection_accuracy)
        last = self.epochs[-1]
        return (
            f"Selection accuracy {last.selection_accuracy:.1%} at epoch {last.epoch:,}, "
            f"highest {best.selection_accuracy:.1%} at epoch {best.epoch:,}."
        )


def describe_progress(progress: Progress) -> str:
    """`Reading and embedding images 213 / 397 · 260 images/s`"""
    note = progress.note[:1].upper() + progress.note[1:]
    done = f" {progress.done:,} / {progress.total:,}" if progress.total else ""
    rate = f" · {progress.images_per_s:,.0f} images/s" if progress.images_per_s else ""
    return f"{note}{done}{rate}"


def _count_left_out(text: str) -> int:
    found = _LEFT_OUT.search(text)
    if found is None:
        return 0
    return int((found[1] or found[2] or "1").replace(",", ""))


def _selection_loss(epoch: EpochDone) -> float:
    return epoch.selection_loss


def _selection_accuracy(epoch: EpochDone) -> float:
    return epoch.selection_accuracy
