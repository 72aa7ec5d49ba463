"""Threads of the window: the only file of gui/ that has any.

A `Job` runs one function in a `QThread`. A `JobRunner` keeps every job, delivers its items and its
result in the main thread and lets one job at a time have the compute slot. Nothing here knows what
the functions do.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from PySide6.QtCore import QObject, QThread, QTimer, Signal

from core.errors import AppError, Cancelled
from core.events import OnProgress, ShouldStop, StepDone, check_stop, never_stop

_DRAIN_MS = 33  # about 30 times a second: smooth, and a burst of steps costs one repaint
_MAILBOX_STEPS = 512
_COMPUTE_NICENESS = 10
_HELD_SECONDS = 0.05
_QUESTIONS_AT_ONCE = 16


class Mailbox:
    """Keeps what a job has sent until the main thread collects it. Any thread may call.

    Of the items only `StepDone` is ever dropped, the oldest first; of the progress only the
    newest is kept.
    """

    def __init__(self, step_capacity: int = _MAILBOX_STEPS) -> None:
        self._lock = threading.Lock()
        self._items: deque[object] = deque()
        self._steps = 0
        self._step_capacity = step_capacity
        self._progress: tuple[int, int, str] | None = None

    def post(self, item: object) -> None:
        with self._lock:
            self._items.append(item)
            if isinstance(item, StepDone):
                self._steps += 1
                if self._steps > self._step_capacity:
                    self._drop_oldest_step()

    def _drop_oldest_step(self) -> None:
        for position, item in enumerate(self._items):
            if isinstance(item, StepDone):
                del self._items[position]
                self._steps -= 1
                return

    def report(self, done: int, total: int, note: str) -> None:
        self._progress = (done, total, note)

    def drain(self) -> list[object]:
        with self._lock:
            items = list(self._items)
            self._items.clear()
            self._steps = 0
        return items

    def take_progress(self) -> tuple[int, int, str] | None:
        progress, self._progress = self._progress, None
        return progress


@dataclass(frozen=True, slots=True)
class JobContext:
    """What a job's function calls to report to the window; `sink` sends any frozen object.

    `take_questions` and `is_held` are for a job that answers while it works: what the window has
    asked since the last call, and whether the job is paused (then the call takes 0.05 s).
    """

    on_progress: OnProgress
    sink: Callable[[object], None]
    should_stop: ShouldStop
    take_questions: Callable[[], list[Any]] = list
    is_held: Callable[[], bool] = never_stop


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What a job runs and what is called at its events: the arguments of `JobRunner.start`."""

    key: str
    title: str
    function: Callable[[JobContext], Any]
    on_done: Callable[[Any], None] | None = None
    on_failed: Callable[[AppError], None] | None = None
    on_cancel: Callable[[], None] | None = None
    on_item: Callable[[Any], None] | None = None
    on_progress: OnProgress | None = None
    page: str = "here"
    needs_compute: bool = False
    queue_up: bool = False
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Crash:
    """An unexpected error, that is a bug; `details` is its traceback."""

    title: str
    message: str
    details: str


class Job(QThread):
    """One call of one function in its own thread. Made and kept by a `JobRunner`."""

    succeeded = Signal(object)
    failed = Signal(object)
    cancelled = Signal(object)

    def __init__(self, spec: JobSpec) -> None:
        super().__init__()
        self.spec = spec
        self.mailbox = Mailbox()
        self.progress: tuple[int, int, str] = (0, 0, "")
        self.phase_started_at = 0.0  # when the note of the progress last changed
        self.result: Any = None
        self.error: AppError | Crash | None = None
        # An Event, made before the start: a queued slot would not be delivered while run() works,
        # and requestInterruption() before the start is lost.
        self._stop = threading.Event()
        self._goes_on = threading.Event()
        self._goes_on.set()
        self._questions: deque[Any] = deque()

    def ask_about(self, questions: Iterable[Any]) -> None:
        """Queue questions for the function, which answers them at its next boundary."""
        self._questions.extend(questions)

    def withdraw(self) -> None:
        """Drop the questions that are not answered yet."""
        self._questions.clear()

    def _take_questions(self) -> list[Any]:
        """The next questions, a few at a time: the function has its own work to do."""
        taken: list[Any] = []
        with suppress(IndexError):  # another thread has withdrawn them
            while self._questions and len(taken) < _QUESTIONS_AT_ONCE:
                taken.append(self._questions.popleft())
        return taken

    def _is_held(self) -> bool:
        return not self._goes_on.is_set() and not self._goes_on.wait(_HELD_SECONDS)

    def ask_to_stop(self) -> None:
        """Make `should_stop` true, also of a job that is paused."""
        self._stop.set()
        self._goes_on.set()

    def pause(self) -> None:
        """Let the function wait at its next boundary, inside its call of `should_stop`."""
        if not self._stop.is_set():
            self._goes_on.clear()

    def go_on(self) -> None:
        """End the pause."""
        self._goes_on.set()

    @property
    def is_paused(self) -> bool:
        return not self._goes_on.is_set()

    def _should_stop(self) -> bool:
        self._goes_on.wait()
        return self._stop.is_set()

    @property
    def is_stopping(self) -> bool:
        return self._stop.is_set()

    def run(self) -> None:
        if self.spec.needs_compute:
            _yield_to_window()
        context = JobContext(
            self.mailbox.report,
            self.mailbox.post,
            self._should_stop,
            self._take_questions,
            self._is_held,
        )
        try:
            check_stop(context.should_stop)
            self.result = self.spec.function(context)
        except Cancelled:
            self.cancelled.emit(self)
        except AppError as error:
            # The traceback would keep the frames of the job alive, and with them its arrays.
            self.error = error.with_traceback(None)
            self.failed.emit(self)
        except BaseException as error:  # noqa: BLE001 - whatever leaves run() leaves the window waiting
            self.error = Crash(
                self.spec.title,
                f"{type(error).__name__}: {error}",
                traceback.format_exc(),
            )
            self.failed.emit(self)
        else:
            self.succeeded.emit(self)


def _yield_to_window() -> None:
    """Give this thread, and those it starts, a lower priority than the window's.

    On Linux a thread has a niceness of its own and hands it on to the threads it makes; elsewhere
    a process has one for all of its threads, which would be of no use.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _COMPUTE_NICENESS)


class JobRunner(QObject):
    """Starts jobs, keeps them and delivers what they send. Main thread only."""

    jobs_changed = Signal()
    progressed = Signal(object)
    """The `Job`."""
    failed = Signal(str, object)
    """(page, AppError) of a job that was started without `on_failed`."""
    crashed = Signal(object)
    """The `Crash`; the failure of the job is delivered as well."""
    idle = Signal()
    """No job is left in its thread."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._threads: list[Job] = []  # started, and not yet known to have left their thread
        self._current: list[Job] = []  # waiting or running, and still wanted
        self._waiting: deque[Job] = deque()
        self._slot: Job | None = None
        self._is_shut = False
        self._timer = QTimer(self)
        self._timer.setInterval(_DRAIN_MS)
        self._timer.timeout.connect(self._tick)

    # -- starting and stopping ---------------------------------------------------------------

    def start(
        self,
        function: Callable[..., Any],
        *args: Any,
        title: str,
        key: str = "",
        on_done: Callable[[Any], None] | None = None,
        on_failed: Callable[[AppError], None] | None = None,
        on_cancel: Callable[[], None] | None = None,
        on_item: Callable[[Any], None] | None = None,
        on_progress: OnProgress | None = None,
        page: str = "here",
        needs_compute: bool = False,
        queue_up: bool = False,
        quiet: bool = False,
    ) -> Job:
        """Call `function(*args, context)` in a thread; `context` is a `JobContext`.

        A job stops and replaces the earlier one of its `key` (empty: its title), unless it is to
        `queue_up`. One that `needs_compute` waits for the compute slot. `quiet`: too short and too
        frequent for the status line.

        The callbacks come in the main thread: `on_item` for each object that was sent,
        `on_progress`, and at the end one of `on_done` with the result, `on_failed` (without it:
        the signal `failed`, which names `page`) and `on_cancel`. Connect bound methods.
        """
        spec = JobSpec(
            key or title, title, partial(function, *args), on_done, on_failed, on_cancel, on_item,
            on_progress, page, needs_compute, queue_up, quiet,
        )  # fmt: skip
        if not queue_up:
            self.supersede(spec.key)
        job = Job(spec)
        job.succeeded.connect(self._job_succeeded)
        job.failed.connect(self._job_failed)
        job.cancelled.connect(self._job_cancelled)
        if self._is_shut:
            return job  # asked by a late timer: no window is left for the result
        self._current.append(job)
        if needs_compute:
            self._waiting.append(job)
            self._fill_slot()
        else:
            self._start(job)
        self.jobs_changed.emit()
        return job

    def supersede(self, key: str) -> None:
        """Stop the jobs of this key and drop whatever they still send."""
        for job in [job for job in self._current if job.spec.key == key]:
            self._current.remove(job)
            job.ask_to_stop()
            if job in self._waiting:
                self._waiting.remove(job)
        self.jobs_changed.emit()

    def cancel(self, job: Job | str) -> None:
        """Ask a job (or the one of this key) to stop at its next boundary; one that waits never
        starts."""
        if isinstance(job, str):
            found = self.find(job)
            if found is None:
                return
            job = found
        job.ask_to_stop()
        if job in self._waiting:
            self._waiting.remove(job)
            self._finish(job)
            if job.spec.on_cancel is not None:
                job.spec.on_cancel()
        self.jobs_changed.emit()

    def find(self, key: str) -> Job | None:
        """The wanted job of this key, waiting or running."""
        return next((job for job in self._current if job.spec.key == key), None)

    def is_waiting(self, job: Job) -> bool:
        return job in self._waiting

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Wanted jobs worth showing, the running ones first."""
        shown = [job for job in self._current if not job.spec.quiet]
        return tuple(sorted(shown, key=self.is_waiting))

    @property
    def slot_holder(self) -> Job | None:
        return self._slot

    @property
    def is_idle(self) -> bool:
        return not self._threads and not self._waiting

    def stop_all(self) -> None:
        """Ask every job to stop; `idle` is emitted when the last one has left its thread."""
        for job in [*self._waiting]:
            self.cancel(job)
        for job in self._threads:
            job.ask_to_stop()
        self.jobs_changed.emit()

    def shut_down(self) -> None:
        """Stop everything and wait for it. Blocks; for when no window is left to look at."""
        self._is_shut = True
        self._waiting.clear()
        self._current.clear()
        for job in self._threads:
            job.ask_to_stop()
        for job in self._threads:
            job.wait()
        self._threads.clear()
        self._slot = None
        self._timer.stop()

    # -- running -----------------------------------------------------------------------------

    def _fill_slot(self) -> None:
        # A job that was superseded keeps the slot until its thread has ended: two torch jobs at
        # a time would share the process-wide random state.
        if self._slot is None and self._waiting:
            self._slot = self._waiting.popleft()
            self._start(self._slot)

    def _start(self, job: Job) -> None:
        self._threads.append(job)
        job.phase_started_at = time.monotonic()
        job.start()
        self._timer.start()

    def _tick(self) -> None:
        for job in list(self._threads):
            self._deliver(job)
            if job.isFinished() and job not in self._current:
                self._reap(job)
        if not self._threads:
            self._timer.stop()
            self.idle.emit()

    def _deliver(self, job: Job) -> None:
        items = job.mailbox.drain()
        progress = job.mailbox.take_progress()
        if job not in self._current:
            return
        if progress is not None:
            if progress[2] != job.progress[2]:
                job.phase_started_at = time.monotonic()
            job.progress = progress
            self.progressed.emit(job)
            if job.spec.on_progress is not None:
                job.spec.on_progress(*progress)
        if job.spec.on_item is not None:
            for item in items:
                job.spec.on_item(item)

    def _reap(self, job: Job) -> None:
        job.wait()
        self._threads.remove(job)
        job.deleteLater()
        if job is self._slot:
            self._slot = None
            self._fill_slot()
            self.jobs_changed.emit()

    # -- ends --------------------------------------------------------------------------------

    def _finish(self, job: Job) -> bool:
        """Deliver what is left of a job and forget it; false for one that was superseded."""
        if job not in self._current:
            return False
        self._deliver(job)
        self._current.remove(job)
        self.jobs_changed.emit()
        return True

    def _job_succeeded(self, job: Job) -> None:
        result, job.result = job.result, None
        if self._finish(job) and job.spec.on_done is not None:
            job.spec.on_done(result)

    def _job_failed(self, job: Job) -> None:
        if not self._finish(job):
            return
        error = job.error
        if isinstance(error, Crash):
            self.crashed.emit(error)
            error = AppError(
                f"“{error.title}” ended with an unexpected error.",
                "Everything else is as it was; the details are in the log.",
            )
        if job.spec.on_failed is not None and error is not None:
            job.spec.on_failed(error)
        elif error is not None:
            self.failed.emit(job.spec.page, error)

    def _job_cancelled(self, job: Job) -> None:
        if self._finish(job) and job.spec.on_cancel is not None:
            job.spec.on_cancel()
