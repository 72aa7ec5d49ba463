"""How much memory a process has, takes, and may still take."""

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
_LOOK_EVERY_S = 0.004

_process = psutil.Process()


def available_bytes() -> int:
    """What can be taken before the system ends the process: the machine's free memory, or what is
    left of the share that its container has."""
    free = int(psutil.virtual_memory().available)
    for limit_file, used_file in (_CGROUP_2, _CGROUP_1):
        left = _left_in_group(limit_file, used_file)
        if left is not None:
            free = min(free, left)
    return free


def _left_in_group(limit_file: Path, used_file: Path) -> int | None:
    try:
        limit, used = int(limit_file.read_text()), int(used_file.read_text())
    except (OSError, ValueError):  # no such group, or “max”: no limit
        return None
    # Pages of files that were read are given back when memory is wanted.
    name, *keys = _STATS
    try:
        lines = (used_file.parent / name).read_text().splitlines()
        stats = dict(line.split() for line in lines)
        used -= max(int(stats.get(key, 0)) for key in keys)
    except (OSError, ValueError):
        pass
    return max(0, limit - used)


def resident_bytes() -> int:
    """What the process has in memory now."""
    return int(_process.memory_info().rss)


class PeakMemory:
    """The most the process grew by inside the `with`, in bytes, seen every few milliseconds.

    A thread looks: what an operation takes and gives back is gone when it returns.
    """

    def __init__(self) -> None:
        self._first = self._most = 0
        self._is_over = threading.Event()

    @property
    def growth_bytes(self) -> int:
        return max(0, self._most - self._first)

    def __enter__(self) -> PeakMemory:
        self._first = self._most = resident_bytes()
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
        self._most = max(self._most, resident_bytes())

    def _watch(self) -> None:
        while not self._is_over.wait(_LOOK_EVERY_S):
            self._most = max(self._most, resident_bytes())
