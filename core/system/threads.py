"""Runs work on files in threads, with progress and a prompt stop, even if a drive does not answer.

A read from a stalled network share never returns and cannot be interrupted. So only daemon threads
read files: after a stop they are abandoned, and they do not keep the process from exiting.
"""

from __future__ import annotations

import itertools
import os
import queue
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from core.events import OnProgress, ShouldStop, check_stop

_CHUNK = 128
_POLL_SECONDS = 0.03
STALL_SECONDS = 10.0
"""After so long without progress the note names the file that is waited for."""

_T = TypeVar("_T")


def in_threads(
    work: Callable[[int], None],
    count: int,
    *,
    note: str,
    on_progress: OnProgress,
    should_stop: ShouldStop,
    name: Callable[[int], str] = str,
    chunk: int = _CHUNK,
) -> None:
    """Call `work(i)` once for every i below `count`, in several threads, in no fixed order.

    `on_progress` and `should_stop` are called by the calling thread only, about thirty times a
    second. After a stop at most one `work` call per thread is still running, which is abandoned.
    After `STALL_SECONDS` without progress the note says so and contains `name(i)` of a call that
    hangs. `chunk`: how many calls a thread claims at a time; few if a call is slow.

    Raises: Cancelled; whatever `work` raises.
    """
    check_stop(should_stop)
    on_progress(0, count, note)
    if not count:
        return
    stop = threading.Event()
    done = [0] * -(-count // chunk)
    # The work mostly waits for the disk, and decoding releases the GIL: more threads than cores
    # are faster.
    threads = min(16, (os.cpu_count() or 1) + 2, len(done))
    at = [-1] * threads
    numbers = itertools.count()
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def run(thread: int) -> None:
        try:
            # next() of a count is atomic under the GIL: no number is claimed twice.
            while not stop.is_set() and (number := next(numbers)) < len(done):
                for i in range(number * chunk, min(count, (number + 1) * chunk)):
                    if stop.is_set():
                        return
                    at[thread] = i
                    work(i)
                    done[number] += 1
        except BaseException as error:  # noqa: BLE001 - raised again by the calling thread
            ended.put(error)
        else:
            at[thread] = -1
            ended.put(None)

    for thread in range(threads):
        threading.Thread(target=run, args=(thread,), name="files", daemon=True).start()
    watch = _StallNotice(note, on_progress)
    try:
        running = threads
        while running:
            try:
                error = ended.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                pass
            else:
                running -= 1
                if error is not None:
                    raise error
            watch.report(sum(done), count, lambda: name(next((i for i in at if i >= 0), 0)))
            check_stop(should_stop)
    finally:
        stop.set()


def run_interruptible(
    work: Callable[[ShouldStop], _T],
    *,
    note: str,
    name: str,
    on_progress: OnProgress,
    should_stop: ShouldStop,
) -> _T:
    """The result of `work(should_stop)`, which may hang on a drive; a stop takes effect at once.

    `work` runs in another thread, which is abandoned after a stop. `on_progress` is called only
    after `STALL_SECONDS` without a result, with a note that contains `name`.

    Raises: Cancelled; whatever `work` raises.
    """
    check_stop(should_stop)
    stop, ended = threading.Event(), queue.SimpleQueue[BaseException | None]()
    results: list[_T] = []

    def run() -> None:
        try:
            results.append(work(stop.is_set))
        except BaseException as error:  # noqa: BLE001 - raised again by the calling thread
            ended.put(error)
        else:
            ended.put(None)

    threading.Thread(target=run, name="files", daemon=True).start()
    watch = _StallNotice(note, on_progress)
    try:
        while True:
            try:
                error = ended.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                watch.report_stall(0, 0, lambda: name)
                check_stop(should_stop)
                continue
            if error is not None:
                raise error
            return results[0]
    finally:
        stop.set()


class _StallNotice:
    """Reports progress, or that there has been none for `STALL_SECONDS`."""

    def __init__(self, note: str, on_progress: OnProgress) -> None:
        self._note, self._on_progress = note, on_progress
        self._done, self._moved_at = -1, time.monotonic()

    def report(self, done: int, count: int, name: Callable[[], str]) -> None:
        """Report progress; `name()` is what is waited for."""
        if not self.report_stall(done, count, name):
            self._on_progress(done, count, self._note)

    def report_stall(self, done: int, count: int, name: Callable[[], str]) -> bool:
        """Report a stall if there is one; returns whether there is."""
        now = time.monotonic()
        if done != self._done:
            self._done, self._moved_at = done, now
        if now - self._moved_at < STALL_SECONDS:
            return False
        self._on_progress(
            done,
            count,
            f"{self._note}: waiting for {name()}; the drive or the network does not answer",
        )
        return True
