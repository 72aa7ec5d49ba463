"""Decodes pictures in child processes, for pictures that fit neither in memory nor on the disk.

Spawned, never forked: a fork under Qt or torch's threads may hang. A child imports Pillow and
numpy, never torch, gets a path and returns pixels. It exits with its parent, however that ends.
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
"""Time for a child to exit by itself; one that waits for a network share is then killed."""
_TRIAL_PICTURES = 48
_MIN_SPEEDUP = 1.15
"""Processes are used only if they are at least so many times as fast: they cost memory."""

Pixels = npt.NDArray[np.uint8]
Read = Callable[[Path, Preprocessing], Pixels]


class Decoders:
    """A pool of child processes that decode. Any thread may call `read`. Must be closed.

    At most as many pictures are in progress as threads wait in `read`. If the processes cannot be
    started or are killed, the calling thread decodes and `trouble` says why.
    """

    def __init__(self, processes: int) -> None:
        self.trouble = ""
        self._pool: ProcessPoolExecutor | None = ProcessPoolExecutor(
            processes, mp_context=multiprocessing.get_context("spawn"), initializer=_start_child
        )

    def read(self, path: Path, preprocessing: Preprocessing) -> Pixels:
        """A picture at its working size, uint8 [h, w, 3]. Raises: DecodeError."""
        pool = self._pool
        if pool is not None:
            try:
                found = pool.submit(_read_in_child, path, preprocessing).result()
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
        """End all child processes; none is left when this returns."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        # There is no public access to them before Python 3.14; None if the pool is broken.
        children: list[Any] = list((getattr(pool, "_processes", None) or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        until = time.monotonic() + _PATIENCE_SECONDS
        for child in children:
            child.join(max(0.0, until - time.monotonic()))
            if child.is_alive():
                child.kill()
                child.join()


def compare_with_threads(
    paths: Sequence[Path], preprocessing: Preprocessing, *, workers: int
) -> tuple[bool, float]:
    """(whether processes are worth it for these pictures, their speed relative to threads).

    Decodes about a hundred pictures; the first few of each way are not counted.
    """
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
    return by_processes > _MIN_SPEEDUP * by_threads, by_processes / by_threads


def pictures_per_s(
    paths: Sequence[Path], preprocessing: Preprocessing, read: Read, *, workers: int
) -> float:
    """Pictures decoded a second by `workers` threads that call `read`, after a warm-up."""

    def work(path: Path) -> None:
        try:
            read(path, preprocessing)
        except DecodeError:
            return

    with ThreadPoolExecutor(workers) as pool:
        # Warm-up: starts the processes, fills the cache of the disk.
        list(pool.map(work, paths[: 2 * workers]))
        begin = time.perf_counter()
        list(pool.map(work, paths))
        return len(paths) / (time.perf_counter() - begin)


# -- in the child --------------------------------------------------------------------------------


def _start_child() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C stops the parent, which ends its children
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Exit when the parent has ended: a killed parent does not close its pool."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _read_in_child(path: Path, preprocessing: Preprocessing) -> Pixels | tuple[str, str]:
    """The pixels, or the two arguments of a DecodeError, which cannot be unpickled itself."""
    try:
        return _read(path, preprocessing)
    except DecodeError as error:
        return error.path, error.reason


def _read(path: Path, preprocessing: Preprocessing) -> Pixels:
    from core.batches.pixel_cache import read_working

    return read_working(path, preprocessing)
