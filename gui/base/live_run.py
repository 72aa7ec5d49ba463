"""The run of this session as the Train page shows it: events in, plain values out. No Qt."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from core.events import (
    CheckpointSaved,
    DryRun,
    EpochDone,
    Event,
    Notice,
    PlanChanged,
    Progress,
    RunEnded,
    RunResumed,
    RunStarted,
    StepDone,
)
from core.runs.curve_findings import CurveFinding, analyze_curves, make_curves
from core.runs.time_left import seconds_left
from core.system.load import Load
from gui.base.curves import StepCurves
from gui.kit.words import count, duration

if TYPE_CHECKING:
    from core.runs.report import RunResult

Phase = Literal[
    "waiting",
    "preparing",
    "embedding",
    "training",
    "paused",
    "stopping",
    "done",
    "stopped",
    "failed",
]
ENDED: frozenset[Phase] = frozenset({"done", "stopped", "failed"})
# The sentences about files that a run left out; any other notice counts as a note.
_LEFT_OUT = re.compile(r"^Left out \(([\d,]+)\)|^([\d,]+) files left out|\bwas left out\b")


@dataclass
class LiveRun:
    """The run under way. Main thread only; `Session.run_changed` follows a change."""

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
    steps: StepCurves = field(default_factory=StepCurves)
    changes: list[PlanChanged] = field(default_factory=list)
    resumed_at: list[int] = field(default_factory=list)
    """The steps after which the run was resumed."""
    best_epoch: int | None = None
    load: Load | None = None
    dry_run: DryRun | None = None
    """Time and memory of a step, measured by two steps before the first one."""
    result: RunResult | None = None
    error: str = ""

    @property
    def is_fine_tuning(self) -> bool:
        return self.started is not None and self.started.steps_per_epoch > 0

    @property
    def epoch(self) -> int | None:
        """The epoch under way, counted from 1; None while there is none."""
        if not self.is_fine_tuning or self.phase not in ("training", "paused", "stopping"):
            return None
        done = self.epochs[-1].epoch if self.epochs else 0
        return min(done + 1, self.started.epochs if self.started else 1)

    @property
    def is_on(self) -> bool:
        return self.phase not in ENDED

    @property
    def resumable(self) -> Path | None:
        """The folder of the run where it can be resumed: stopped, or failed between steps."""
        if self.result is not None:
            has_state = self.result.strategy != "feature-extraction"
            return self.result.run if has_state and self.result.status == "stopped" else None
        return self.path if self.phase == "failed" and len(self.steps) else None

    def apply(self, event: Event | Load) -> None:
        if isinstance(event, Load):
            self.load = event
        elif isinstance(event, RunStarted):
            self.started = event
            self.path = Path(event.run)
            self._enter("preparing")
        elif isinstance(event, Progress):
            self.progress = event
            # A look at the selection images between two epochs is part of the training.
            self._enter("training" if self.epochs and self.is_fine_tuning else "embedding")
        elif isinstance(event, StepDone):
            self.steps.add(event)
            self.progress = None
            self._enter("training")
        elif isinstance(event, EpochDone):
            self.epochs.append(event)
            self.progress = None
            self._enter("training")
        elif isinstance(event, DryRun):
            self.dry_run = event
            self.progress = None
            self._enter("training")
        elif isinstance(event, PlanChanged):
            self.changes.append(event)
        elif isinstance(event, CheckpointSaved) and event.kind == "best":
            self.best_epoch = event.epoch
        elif isinstance(event, RunResumed):
            self._go_back(event)
        elif isinstance(event, Notice):
            self.notices.append(event)
            # Counted here, once: a damaged folder sends thousands of them.
            files = _count_left_out(event.text)
            self.left_out += files
            self.other_notices += not files
        elif isinstance(event, RunEnded) and event.status == "failed":
            self.error = event.error

    def _enter(self, phase: Phase) -> None:
        # A run that was asked to stop or to pause stays so whatever it still reports.
        if self.phase not in ("stopping", "paused"):
            self.phase = phase

    def _go_back(self, event: RunResumed) -> None:
        """Drop what came after the step that the run resumes from."""
        self.steps.forget_after(event.step)
        self.resumed_at = [step for step in self.resumed_at if step < event.step]
        if event.step:
            self.resumed_at.append(event.step)
        self.epochs = [epoch for epoch in self.epochs if epoch.epoch <= event.epoch]
        self.changes = [change for change in self.changes if change.epoch <= event.epoch + 1]
        self.error = ""

    def seconds_left(self) -> float | None:
        """The time left, unless early stopping ends the run before; None where unknown."""
        started = self.started
        if started is None or not started.steps_per_epoch:
            return None
        done = int(self.steps.step[-1]) if len(self.steps) else 0
        learned = [epoch for epoch in self.epochs if epoch.epoch > 0]
        since = learned[-1].epoch * started.steps_per_epoch if learned else 0
        fit_images = started.train_images - started.selection_images
        recent = self.steps.images_per_s[-min(50, max(0, done - since)) :] if done > since else []
        images = fit_images / started.steps_per_epoch
        return seconds_left(
            started,
            self.epochs,
            steps_done=done,
            recent_step_seconds=[images / speed for speed in recent if speed],
        )

    def sentence(self) -> str:
        """What the run does now, in words."""
        if self.phase == "waiting":
            return "Waiting for its turn"
        if self.phase == "preparing":
            return "Preparing the model and the images"
        if self.phase == "paused":
            return "Paused. What else computes waits until the run goes on or is stopped"
        if self.phase == "embedding" and self.progress is not None:
            return describe_progress(self.progress)
        if self.phase == "training" and self.progress is not None:
            return describe_progress(self.progress)
        if self.phase == "training" and self.is_fine_tuning:
            return self._step_sentence()
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
            f"accuracy in the held-out check {last.selection_accuracy:.1%}"
        )

    def _step_sentence(self) -> str:
        started = self.started
        assert started is not None
        text = f"Epoch {self.epoch or started.epochs:,} of at most {started.epochs:,}"
        if len(self.steps):
            step = int(self.steps.step[-1])
            text += f" · step {step:,} · {self.steps.images_per_s[-1]:,.1f} images/s"
        elif self.dry_run is not None:
            return f"{text} · {describe_dry_run(self.dry_run)}"
        left = self.seconds_left()
        return text if left is None else f"{text} · about {duration(left)} left"

    def notice_sentence(self) -> str:
        """The number of notices: `5 files left out · 1 note`; empty without any."""
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
        if len(self.steps):
            return (
                f"{self.steps.smooth[-1]:.3f} smoothed; lowest in the held-out check at epoch "
                f"{best.epoch:,}: {best.selection_loss:.3f}."
            )
        return (
            f"Training loss {first.train_loss:.3f} → {last.train_loss:.3f} over "
            f"{count(len(self.epochs), 'epoch')}; loss in the held-out check lowest at epoch "
            f"{best.epoch:,} ({best.selection_loss:.3f})."
        )

    def accuracy_sentence(self) -> str:
        """The accuracy plot in words."""
        if not self.epochs:
            return "The curve starts with the first epoch."
        best = max(self.epochs, key=_how_good)
        last = self.epochs[-1]
        names = self.started.tasks if self.started is not None else ()
        tasks = "".join(
            f" {name}: {share:.1%}."
            for name, share in zip(names, last.task_accuracies, strict=False)
            if share is not None
        )
        return (
            f"Held-out check {last.selection_accuracy:.1%}, highest "
            f"{best.selection_accuracy:.1%} at epoch {best.epoch:,}.{tasks}"
        )

    def rates_sentence(self) -> str:
        """The plot of the learning rates in words."""
        if self.started is None or not self.steps.rates:
            return "The curve starts with the first step."
        now = [column[-1] for column in self.steps.rates]
        open_ = [rate for rate in now if rate]
        text = f"{len(open_)} of {count(len(now), 'group')} train"
        return f"{text}, {min(open_):.1e} to {max(open_):.1e}." if open_ else f"{text}."

    def speed_sentence(self) -> str:
        """The plot of the throughput in words."""
        if not len(self.steps):
            return "The curve starts with the first step."
        recent = self.steps.images_per_s[-50:]
        text = f"{sum(recent) / len(recent):,.1f} images/s over the last {len(recent):,} steps"
        if self.load is not None:
            text += f" · CPU {self.load.cpu:.0%}"
            text += "" if self.load.gpu is None else f" · GPU {self.load.gpu:.0%}"
        return f"{text}."

    def memory_sentence(self) -> str:
        """The plot of the memory in words."""
        if not len(self.steps):
            return "The curve starts with the first step."
        memory = self.steps.memory_mb
        _least, most = memory.extremes(0, len(memory))
        text = f"{memory[-1] / 1024:,.1f} GB in use, {most / 1024:,.1f} GB at most"
        load = self.load
        if load is not None and load.gpu_memory_mb is not None and load.gpu_total_mb is not None:
            used, total = load.gpu_memory_mb / 1024, load.gpu_total_mb / 1024
            text += f"; {used:,.1f} of {total:,.1f} GB of the GPU taken by all programs"
        return f"{text}."

    def findings(self) -> tuple[CurveFinding, ...]:
        """The findings about the curves, the most serious first; empty if there are none."""
        return analyze_curves(make_curves(self.started, self.epochs, self.steps.track))

    def reading(self) -> str:
        """The same as text, a line each."""
        return "\n".join(finding.text for finding in self.findings())


def describe_dry_run(dry_run: DryRun) -> str:
    """`tried out: 0.82 s a step, 1.2 GB of memory, about 5 min of steps`"""
    return (
        f"tried out: {dry_run.seconds_per_step:.2g} s a step, "
        f"{dry_run.memory_mb / 1024:.1f} GB of memory, about {duration(dry_run.seconds_total)} of "
        "steps"
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


def _how_good(epoch: EpochDone) -> tuple[float, float]:
    return epoch.selection_accuracy, -epoch.selection_loss
