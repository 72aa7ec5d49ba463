"""Measures memory: what this process uses, its peak, and how much is still available."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType

import psutil

_CGROUP_2 = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current"))
_CGROUP_1 = (
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
_STATS = ("memory.stat", "inactive_file", "total_inactive_file")
_SAMPLE_EVERY_S = 0.004

_process = psutil.Process()


def available_bytes() -> int:
    """Memory this process can still allocate before the system ends it.

    The machine's available memory, or what is left of the container's limit if that is less.
    """
    free = int(psutil.virtual_memory().available)
    for limit_file, used_file in (_CGROUP_2, _CGROUP_1):
        left = _left_in_group(limit_file, used_file)
        if left is not None:
            free = min(free, left)
    return free


def _left_in_group(limit_file: Path, used_file: Path) -> int | None:
    """Bytes left of a control group's limit; None without a limit."""
    try:
        limit, used = int(limit_file.read_text()), int(used_file.read_text())
    except (OSError, ValueError):  # no such group, or “max”: no limit
        return None
    # The kernel frees cached file pages when a process needs memory: they do not count as used.
    name, *keys = _STATS
    try:
        lines = (used_file.parent / name).read_text().splitlines()
        stats = dict(line.split() for line in lines)
        used -= max(int(stats.get(key, 0)) for key in keys)
    except (OSError, ValueError):
        pass
    return max(0, limit - used)


def resident_bytes() -> int:
    """Memory this process uses now (resident set size), in bytes."""
    return int(_process.memory_info().rss)


class PeakMemory:
    """Measures the peak memory growth of this process inside a `with` block.

    A thread samples every few milliseconds, because an operation may free its memory again before
    it returns.
    """

    def __init__(self) -> None:
        self._first = self._peak = 0
        self._is_over = threading.Event()

    @property
    def growth_bytes(self) -> int:
        """Peak memory inside the block minus the memory at its start."""
        return max(0, self._peak - self._first)

    def __enter__(self) -> PeakMemory:
        self._first = self._peak = resident_bytes()
        self._thread = threading.Thread(target=self._watch, name="peak-memory", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join()
        self._peak = max(self._peak, resident_bytes())

    def _watch(self) -> None:
        while not self._is_over.wait(_SAMPLE_EVERY_S):
            self._peak = max(self._peak, resident_bytes())
