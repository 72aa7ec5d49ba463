"""Jobs end in the main thread, exactly once, and never after they were given up."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QObject

from core.errors import AppError
from core.events import EpochDone, StepDone, check_stop
from gui.kit.workers import Crash, JobContext, JobRunner, JobSpec, Mailbox


class _Listener(QObject):
    """Remembers what a job told, and in which thread."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, object]] = []
        self.threads: set[threading.Thread] = set()

    def _note(self, what: str, value: object = None) -> None:
        self.told.append((what, value))
        self.threads.add(threading.current_thread())

    def succeed(self, value: object) -> None:
        self._note("success", value)

    def fail(self, error: AppError) -> None:
        self._note("failure", error)

    def cancel(self) -> None:
        self._note("cancel")

    def item(self, value: object) -> None:
        self._note("item", value)

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _value in self.told]


@pytest.fixture
def runner(qapp) -> Iterator[JobRunner]:
    made = JobRunner()
    yield made
    made.shut_down()


@pytest.fixture
def listener(qapp) -> _Listener:
    return _Listener()


def _work(listener: _Listener, function, key: str = "work", **options) -> JobSpec:
    return JobSpec(
        key,
        key,
        function,
        on_success=listener.succeed,
        on_failure=listener.fail,
        on_cancel=listener.cancel,
        on_item=listener.item,
        **options,
    )


def _wait_for_stop(link: JobContext) -> None:
    while True:
        check_stop(link.should_stop)


def test_a_result_arrives_in_the_main_thread_after_every_item(qtbot, runner, listener) -> None:
    def count(link: JobContext) -> int:
        for number in range(3):
            link.sink(number)
        return 3

    runner.submit(_work(listener, count))
    qtbot.waitUntil(lambda: "success" in listener.kinds)
    assert listener.told == [("item", 0), ("item", 1), ("item", 2), ("success", 3)]
    assert listener.threads == {threading.main_thread()}
    qtbot.waitUntil(lambda: runner.is_idle)


def test_an_app_error_arrives_as_it_is(qtbot, runner, listener) -> None:
    def refuse(link: JobContext) -> None:
        raise AppError("“x” is no dataset.", "Drop another.")

    runner.submit(_work(listener, refuse))
    qtbot.waitUntil(lambda: bool(listener.told))
    ((kind, error),) = listener.told
    assert kind == "failure"
    assert str(error) == "“x” is no dataset. Drop another."


def test_any_other_exception_is_a_crash_with_its_traceback(qtbot, runner, listener) -> None:
    def stumble(link: JobContext) -> None:
        raise KeyError("lost")

    crashes: list[Crash] = []
    runner.crashed.connect(crashes.append)
    runner.submit(_work(listener, stumble))
    qtbot.waitUntil(lambda: bool(listener.told))
    assert listener.kinds == ["failure"]
    assert "in stumble" in crashes[0].details
    assert crashes[0].message == "KeyError: 'lost'"


def test_a_job_cancelled_while_it_runs_says_so(qtbot, runner, listener) -> None:
    job = runner.submit(_work(listener, _wait_for_stop))
    runner.cancel(job)
    qtbot.waitUntil(lambda: bool(listener.told))
    assert listener.kinds == ["cancel"]


def test_a_job_cancelled_before_its_start_never_runs(qtbot, runner, listener) -> None:
    ran: list[str] = []

    def mark(link: JobContext) -> None:
        ran.append("ran")

    first = runner.submit(_work(_Listener(), _wait_for_stop, "first", needs_compute=True))
    second = runner.submit(_work(listener, mark, "second", needs_compute=True))
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

    def compute(link: JobContext) -> None:
        assert running.acquire(blocking=False), "two compute jobs at a time"
        gate.wait(5)
        together.append(1)
        running.release()

    for key in ("a", "b", "c"):
        runner.submit(_work(listener, compute, key, needs_compute=True))
    gate.set()
    qtbot.waitUntil(lambda: len(listener.told) == 3)
    assert listener.kinds == ["success"] * 3
    assert len(together) == 3


def test_a_light_job_does_not_wait_for_the_compute_slot(qtbot, runner, listener) -> None:
    heavy = runner.submit(_work(_Listener(), _wait_for_stop, "heavy", needs_compute=True))
    runner.submit(_work(listener, lambda link: "light", "light"))
    qtbot.waitUntil(lambda: listener.told == [("success", "light")])
    runner.cancel(heavy)


def test_what_a_superseded_job_says_is_ignored(qtbot, runner, listener) -> None:
    started = threading.Event()
    gate = threading.Event()

    def old(link: JobContext) -> str:
        started.set()
        gate.wait(5)
        link.sink("stale")
        return "stale"

    runner.submit(_work(listener, old, "scan"))
    assert started.wait(5)
    runner.submit(_work(listener, lambda link: "new", "scan"))
    gate.set()
    qtbot.waitUntil(lambda: runner.is_idle)
    assert listener.told == [("success", "new")]


def test_progress_reaches_the_listeners_of_the_runner(qtbot, runner, listener) -> None:
    gate = threading.Event()

    def work(link: JobContext) -> None:
        link.on_progress(3, 7, "reading")
        gate.wait(5)

    job = runner.submit(_work(listener, work))
    qtbot.waitUntil(lambda: job.progress == (3, 7, "reading"))
    gate.set()
    qtbot.waitUntil(lambda: runner.is_idle)


def test_shutting_down_waits_for_every_thread(qtbot, listener) -> None:
    runner = JobRunner()
    job = runner.submit(_work(listener, _wait_for_stop))
    runner.shut_down()
    assert job.isFinished()
    qtbot.wait(1)
    assert listener.told == []


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
        runner.submit(_work(listener, lambda link: None, f"job-{number}"))
    qtbot.waitUntil(lambda: runner.is_idle)
    assert listener.kinds == ["success"] * 20
