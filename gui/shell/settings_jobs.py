"""The jobs of the settings dialog. Core is imported inside: it takes seconds to load."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gui.kit.workers import JobContext


def measure_cache(context: JobContext) -> int:
    from core.system import disk_cache

    return disk_cache.size_bytes(should_stop=context.should_stop)


def clear_cache(keep: Sequence[Path], context: JobContext) -> int:
    """Clear the cache; returns the bytes freed.

    Needs the compute slot: a training reads its features in the cache.
    """
    from core.system import disk_cache

    return disk_cache.clear(keep=keep, should_stop=context.should_stop)
