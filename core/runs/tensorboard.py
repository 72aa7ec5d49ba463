"""Writes the events of a run as TensorBoard scalars; `events.jsonl` stays the record that counts.

`tensorboard --logdir RUNS` shows them; a resumed run shows each step once.
"""

from __future__ import annotations

import time
from pathlib import Path

from core.events import EpochDone, Event, RunEnded, RunResumed, RunStarted, StepDone

_STEP_SECONDS = 0.2
"""Shortest time between two steps that are written: a fast device makes hundreds a second."""


class TensorBoardLog:
    """Writes the numbers of a run's events. One thread at a time.

    A full disk ends the log, not the run: `trouble` then says why.
    """

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._make = SummaryWriter
        self._folder = folder
        self._writer: SummaryWriter | None = None
        self._groups: tuple[str, ...] = ()
        self._tasks: tuple[str, ...] = ()
        self._purge_step: int | None = None
        self._last_step_at = 0.0
        self._pending: StepDone | None = None
        self.trouble = ""

    def log_event(self, event: Event) -> None:
        """Write what TensorBoard shows of an event."""
        if self.trouble:
            return
        try:
            if isinstance(event, RunStarted):
                self._groups, self._tasks = event.groups, event.tasks
            elif isinstance(event, RunResumed):
                self.close()
                self._purge_step = event.step + 1
            elif isinstance(event, StepDone):
                self._pending = event
                if time.monotonic() - self._last_step_at >= _STEP_SECONDS:
                    self._write_step()
            elif isinstance(event, EpochDone):
                self._write_step()
                self._write_epoch(event)
            elif isinstance(event, RunEnded):
                self.close()
        except OSError as error:
            self.trouble = error.strerror or str(error)

    def _scalar(self, name: str, value: float, step: int) -> None:
        if self._writer is None:
            self._writer = self._make(str(self._folder), purge_step=self._purge_step)
        self._writer.add_scalar(name, value, step)

    def _write_step(self) -> None:
        event, self._pending = self._pending, None
        if event is None:
            return
        self._last_step_at = time.monotonic()
        self._scalar("loss/step", event.loss, event.step)
        self._scalar("speed/images per second", event.images_per_s, event.step)
        if event.memory_mb:
            self._scalar("memory/MB", event.memory_mb, event.step)
        names = self._groups or tuple(str(i) for i in range(len(event.rates)))
        for name, rate in zip(names, event.rates, strict=False):
            self._scalar(f"rate/{name}", rate, event.step)

    def _write_epoch(self, event: EpochDone) -> None:
        at = event.step or event.epoch  # a head that is fitted directly has no steps
        self._scalar("loss/train", event.train_loss, at)
        self._scalar("loss/selection", event.selection_loss, at)
        self._scalar("accuracy/train", event.train_accuracy, at)
        self._scalar("accuracy/selection", event.selection_accuracy, at)
        names = self._tasks or tuple(str(i) for i in range(len(event.task_accuracies)))
        for name, share in zip(names, event.task_accuracies, strict=False):
            if share is not None:
                self._scalar(f"accuracy of tasks/{name}", share, at)

    def close(self) -> None:
        """Write everything to the disk and close the file; the next event opens a new one."""
        if self._writer is not None:
            self._write_step()
            self._writer.close()
            self._writer = None
