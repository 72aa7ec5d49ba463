"""Jobs end in the main thread, exactly once, and never after they were given up."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QObject

from core.errors import AppError
from core.events import EpochDone, StepDone, check_stop
from gui.kit.workers import Crash, Job, JobContext, JobRunner, Mailbox
from helpers import WAIT_S


class _Listener(QObject):
    """Records what a job delivers, and in which thread."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, object]] = []
        self.threads: set[threading.Thread] = set()

    def _note(self, what: str, value: object = None) -> None:
        self.events.append((what, value))
        self.threads.add(threading.current_thread())

    def succeed(self, value: object) -> None:
        self._note("success", value)

    def fail(self, error: AppError) -> None:
        self._note("failure", error)

    def cancel(self) -> None:
        self._note("cancel")

    def item(self, value: object) -> None:
        self._note("item", value)

    def progress(self, *progress: object) -> None:
        self._note("progress", progress)

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _value in self.events]


@pytest.fixture
def runner(qapp) -> Iterator[JobRunner]:
    made = JobRunner()
    yield made
    made.shut_down()


@pytest.fixture
def listener(qapp) -> _Listener:
    return _Listener()


def _start(runner: JobRunner, listener: _Listener, function, key: str = "job", **options) -> Job:
    return runner.start(
        function,
        title=key,
        on_done=listener.succeed,
        on_failed=listener.fail,
        on_cancel=listener.cancel,
        on_item=listener.item,
        **options,
    )


def _wait_for_stop(context: JobContext) -> None:
    while True:
        check_stop(context.should_stop)


def test_a_result_arrives_in_the_main_thread_after_every_item(qtbot, runner, listener) -> None:
    def count(context: JobContext) -> int:
        for number in range(3):
            context.sink(number)
        return 3

    _start(runner, listener, count)
    qtbot.waitUntil(lambda: "success" in listener.kinds)
    assert listener.events == [("item", 0), ("item", 1), ("item", 2), ("success", 3)]
    assert listener.threads == {threading.main_thread()}
    qtbot.waitUntil(lambda: runner.is_idle)


def test_an_app_error_arrives_as_it_is(qtbot, runner, listener) -> None:
    def refuse(context: JobContext) -> None:
        raise AppError("“x” is no dataset.", "Drop another.")

    _start(runner, listener, refuse)
    qtbot.waitUntil(lambda: bool(listener.events))
    ((kind, error),) = listener.events
    assert kind == "failure"
    assert str(error) == "“x” is no dataset. Drop another."


def test_a_failure_that_no_callback_takes_is_a_signal_with_the_page_to_show_it(
    qtbot, runner, listener
) -> None:
    def refuse(name: str, context: JobContext) -> None:
        raise AppError(f"“{name}” is no dataset.", "Drop another.")

    with qtbot.waitSignal(runner.failed) as failed:
        runner.start(refuse, "x", title="Reading", page="data", on_done=listener.succeed)
    page, error = failed.args
    assert (page, str(error)) == ("data", "“x” is no dataset. Drop another.")
    assert listener.kinds == []


def test_any_other_exception_is_a_crash_with_its_traceback(qtbot, runner, listener) -> None:
    def stumble(context: JobContext) -> None:
        raise KeyError("lost")

    crashes: list[Crash] = []
    runner.crashed.connect(crashes.append)
    _start(runner, listener, stumble)
    qtbot.waitUntil(lambda: bool(listener.events))
    assert listener.kinds == ["failure"]
    assert "in stumble" in crashes[0].details
    assert crashes[0].message == "KeyError: 'lost'"


def test_a_job_cancelled_while_it_runs_says_so(qtbot, runner, listener) -> None:
    job = _start(runner, listener, _wait_for_stop)
    runner.cancel(job)
    qtbot.waitUntil(lambda: bool(listener.events))
    assert listener.kinds == ["cancel"]


def test_a_job_cancelled_before_its_start_never_runs(qtbot, runner, listener) -> None:
    ran: list[str] = []

    def mark(context: JobContext) -> None:
        ran.append("ran")

    first = _start(runner, _Listener(), _wait_for_stop, "first", needs_compute=True)
    second = _start(runner, listener, mark, "second", needs_compute=True)
    assert runner.is_waiting(second)
    runner.cancel(second)
    assert listener.kinds == ["cancel"]
    runner.cancel(first)
    qtbot.waitUntil(lambda: runner.is_idle)
    assert ran == []


def test_compute_jobs_take_turns(qtbot, runner, listener) -> None:
    gate = threading.Event()
    together: list[int] = []
    running = threading.Semaphore(1)

    def compute(context: JobContext) -> None:
        assert running.acquire(blocking=False), "two compute jobs at a time"
        gate.wait(WAIT_S)
        together.append(1)
        running.release()

    for key in ("a", "b", "c"):
        _start(runner, listener, compute, key, needs_compute=True)
    gate.set()
    qtbot.waitUntil(lambda: len(listener.events) == 3)
    assert listener.kinds == ["success"] * 3
    assert len(together) == 3


def test_a_light_job_does_not_wait_for_the_compute_slot(qtbot, runner, listener) -> None:
    heavy = _start(runner, _Listener(), _wait_for_stop, "heavy", needs_compute=True)
    _start(runner, listener, lambda context: "light", "light")
    qtbot.waitUntil(lambda: listener.events == [("success", "light")])
    runner.cancel(heavy)


def test_what_a_superseded_job_says_is_ignored(qtbot, runner, listener) -> None:
    started = threading.Event()
    gate = threading.Event()

    def old(context: JobContext) -> str:
        started.set()
        gate.wait(WAIT_S)
        context.sink("stale")
        return "stale"

    _start(runner, listener, old, "scan")
    assert started.wait(WAIT_S)
    _start(runner, listener, lambda context: "new", "scan")
    gate.set()
    qtbot.waitUntil(lambda: runner.is_idle)
    assert listener.events == [("success", "new")]


def test_progress_reaches_the_listeners_of_the_runner(qtbot, runner, listener) -> None:
    gate = threading.Event()

    def work(context: JobContext) -> None:
        context.on_progress(3, 7, "reading")
        gate.wait(WAIT_S)

    job = _start(runner, listener, work, on_progress=listener.progress)
    qtbot.waitUntil(lambda: job.progress == (3, 7, "reading"))
    assert listener.events == [("progress", (3, 7, "reading"))]
    gate.set()
    qtbot.waitUntil(lambda: runner.is_idle)


def test_shutting_down_waits_for_every_thread(qtbot, listener) -> None:
    runner = JobRunner()
    job = _start(runner, listener, _wait_for_stop)
    runner.shut_down()
    assert job.isFinished()
    qtbot.wait(1)
    assert listener.events == []


def test_a_full_mailbox_drops_old_steps_and_nothing_else() -> None:
    mailbox = Mailbox(step_capacity=2)
    epoch = EpochDone(1, 0.5, 0.5, 0.5, 0.5, 0.1)
    mailbox.post(epoch)
    for step in range(5):
        mailbox.post(StepDone(step, 1, 0.5, (0.1,), 10.0))
    items = mailbox.drain()
    assert items[0] is epoch
    assert [item.step for item in items[1:]] == [3, 4]
    assert mailbox.drain() == []


def test_jobs_end_without_leaving_a_thread(qtbot, runner, listener) -> None:
    for number in range(20):
        _start(runner, listener, lambda context: None, f"job-{number}")
    qtbot.waitUntil(lambda: runner.is_idle)
    assert listener.kinds == ["success"] * 20
