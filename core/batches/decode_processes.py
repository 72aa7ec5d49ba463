"""Processes that decode pictures, for those that fit neither in memory nor on the disk.

Spawned, never forked: a fork under Qt or torch's threads may hang. A child imports Pillow and
numpy, never torch, gets a path and hands back pixels. It ends with its parent, however that ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import DecodeError
from core.images.preprocess import Preprocessing

_PATIENCE_SECONDS = 2.0
"""How long a child may take to end by itself; one that waits for a network share is then killed."""
_TRIAL_PICTURES = 48
_WORTH = 1.15
"""Processes are taken where they are at least so many times as fast: they cost memory."""

Pixels = npt.NDArray[np.uint8]
Read = Callable[[Path, Preprocessing], Pixels]


class Decoders:
    """Child processes that decode. Any thread may call `read`. To be closed.

    At most as many pictures are under way as threads wait in `read`. Where the processes cannot
    be started or are killed, reading goes on in the calling thread and `trouble` says why.
    """

    def __init__(self, processes: int) -> None:
        self.trouble = ""
        self._pool: ProcessPoolExecutor | None = ProcessPoolExecutor(
            processes, mp_context=multiprocessing.get_context("spawn"), initializer=_begin
        )

    def read(self, path: Path, preprocessing: Preprocessing) -> Pixels:
        """A picture at its working size, uint8 [h, w, 3]. Raises: DecodeError."""
        pool = self._pool
        if pool is not None:
            try:
                found = pool.submit(_work, path, preprocessing).result()
            except (BrokenProcessPool, OSError, RuntimeError) as error:
                self.trouble = self.trouble or (
                    "Pictures are no longer decoded in processes of their own, which end "
                    f"({error}); training goes on with threads."
                )
                self._pool = None
            else:
                if isinstance(found, np.ndarray):
                    return found
                raise DecodeError(*found)
        return _read(path, preprocessing)

    def close(self) -> None:
        """No child is left when this returns."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        # No public way to reach them before Python 3.14; None once the pool is broken.
        children: list[Any] = list((getattr(pool, "_processes", None) or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        until = time.monotonic() + _PATIENCE_SECONDS
        for child in children:
            child.join(max(0.0, until - time.monotonic()))
            if child.is_alive():
                child.kill()
                child.join()


def faster(
    paths: Sequence[Path], preprocessing: Preprocessing, *, workers: int
) -> tuple[bool, float]:
    """Whether processes decode these pictures faster than threads here, and how many times as
    fast. Takes as long as about a hundred pictures; the first few of each way are not counted."""
    sample = list(paths[:_TRIAL_PICTURES])
    if len(sample) < 2 * workers:
        return False, 1.0
    by_threads = pictures_per_s(sample, preprocessing, _read, workers=workers)
    decoders = Decoders(workers)
    try:
        by_processes = pictures_per_s(sample, preprocessing, decoders.read, workers=workers)
        if decoders.trouble:
            return False, 0.0
    finally:
        decoders.close()
    return by_processes > _WORTH * by_threads, by_processes / by_threads


def pictures_per_s(
    paths: Sequence[Path], preprocessing: Preprocessing, read: Read, *, workers: int
) -> float:
    """Pictures decoded a second by so many threads that call `read`, once all are at work."""

    def work(path: Path) -> None:
        try:
            read(path, preprocessing)
        except DecodeError:
            return

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, paths[: 2 * workers]))  # starts the processes, fills the disk's cache
        begin = time.perf_counter()
        list(pool.map(work, paths))
        return len(paths) / (time.perf_counter() - begin)


# -- in the child --------------------------------------------------------------------------------


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C asks the parent, which ends this one
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed parent closes nothing, and a child waiting for work would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(path: Path, preprocessing: Preprocessing) -> Pixels | tuple[str, str]:
    """The pixels, or what a DecodeError is made of: errors of two words do not travel."""
    try:
        return _read(path, preprocessing)
    except DecodeError as error:
        return error.path, error.reason


def _read(path: Path, preprocessing: Preprocessing) -> Pixels:
    from core.batches.pixel_cache import read_working

    return read_working(path, preprocessing)
