"""The same work for every file of a folder, in threads, with progress and a prompt stop."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

from core.events import OnProgress, ShouldStop, check_stop

_CHUNK = 128
_POLL_SECONDS = 0.03


def in_threads(
    work: Callable[[int], None],
    count: int,
    *,
    note: str,
    on_progress: OnProgress,
    should_stop: ShouldStop,
) -> None:
    """Calls `work(i)` once for every i below `count`, in several threads, in no set order.

    `on_progress` and `should_stop` are called by the calling thread only, about thirty times a
    second. After a stop at most one `work` call per thread is still running; it is not waited for.

    Raises: Cancelled; whatever `work` raises.
    """
    check_stop(should_stop)
    on_progress(0, count, note)
    if not count:
        return
    stop = threading.Event()
    done = [0] * -(-count // _CHUNK)

    def chunk(number: int) -> None:
        for i in range(number * _CHUNK, min(count, (number + 1) * _CHUNK)):
            if stop.is_set():
                return
            work(i)
            done[number] += 1

    # Files mostly wait for the disk, and decoding releases the GIL: more threads than cores pay.
    threads = min(16, (os.cpu_count() or 1) + 2, len(done))
    pool = ThreadPoolExecutor(threads, thread_name_prefix="files")
    try:
        pending: set[Future[None]] = {pool.submit(chunk, number) for number in range(len(done))}
        while pending:
            finished, pending = wait(pending, timeout=_POLL_SECONDS, return_when=FIRST_EXCEPTION)
            for future in finished:
                future.result()
            on_progress(sum(done), count, note)
            check_stop(should_stop)
    finally:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
