"""Work on files in threads, with progress and a prompt stop, also where a drive does not answer.

A read from a network share that stalls never returns and cannot be broken off. So files are only
read by threads that nobody has to wait for: after a stop they are left behind, and as daemons they
do not keep the process from ending either.
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
"""Nothing has moved for so long: the note says for what it waits."""

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
    """Calls `work(i)` once for every i below `count`, in several threads, in no set order.

    `on_progress` and `should_stop` are called by the calling thread only, about thirty times a
    second. After a stop at most one `work` call per thread is still running; it is not waited for.
    Where nothing has moved for `STALL_SECONDS` the note says so, with `name(i)` of what hangs.
    `chunk`: how many a thread takes at a time; few where one takes long.

    Raises: Cancelled; whatever `work` raises.
    """
    check_stop(should_stop)
    on_progress(0, count, note)
    if not count:
        return
    stop = threading.Event()
    done = [0] * -(-count // chunk)
    # Files mostly wait for the disk, and decoding releases the GIL: more threads than cores pay.
    threads = min(16, (os.cpu_count() or 1) + 2, len(done))
    at = [-1] * threads
    numbers = itertools.count()
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def run(thread: int) -> None:
        try:
            # next() of a count is one step under the GIL: no number is taken twice.
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
            watch.tell(sum(done), count, lambda: name(next((i for i in at if i >= 0), 0)))
            check_stop(should_stop)
    finally:
        stop.set()


def patiently(
    work: Callable[[ShouldStop], _T],
    *,
    note: str,
    name: str,
    on_progress: OnProgress,
    should_stop: ShouldStop,
) -> _T:
    """`work(should_stop)`, which may hang on a drive: a stop is heeded at once all the same.

    `name` is what is waited for; progress is told only where nothing has come for
    `STALL_SECONDS`. `work` runs in another thread and is left behind there after a stop.

    Raises: Cancelled; whatever `work` raises.
    """
    check_stop(should_stop)
    stop, ended = threading.Event(), queue.SimpleQueue[BaseException | None]()
    answers: list[_T] = []

    def run() -> None:
        try:
            answers.append(work(stop.is_set))
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
                watch.tell_stall(0, 0, lambda: name)
                check_stop(should_stop)
                continue
            if error is not None:
                raise error
            return answers[0]
    finally:
        stop.set()


class _StallNotice:
    """Tells progress, and says so when there is none."""

    def __init__(self, note: str, on_progress: OnProgress) -> None:
        self._note, self._on_progress = note, on_progress
        self._done, self._moved_at = -1, time.monotonic()

    def tell(self, done: int, count: int, name: Callable[[], str]) -> None:
        if not self.tell_stall(done, count, name):
            self._on_progress(done, count, self._note)

    def tell_stall(self, done: int, count: int, name: Callable[[], str]) -> bool:
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
