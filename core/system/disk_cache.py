"""The application's cache: how large it is, and emptying it. All in it can be computed again."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from core.events import ShouldStop, check_stop, never_stop
from core.system import paths


def size_bytes(*, should_stop: ShouldStop = never_stop) -> int:
    """Bytes of all files in the cache folder. Links are not followed."""
    return sum(size for _path, size in _files(should_stop))


def clear(*, keep: Collection[Path] = (), should_stop: ShouldStop = never_stop) -> int:
    """Delete what is in the cache folder but `keep`; returns the bytes freed.

    A file that another process holds open stays. Must not run beside a training, which reads its
    features there.
    """
    kept = {str(path) for path in keep}
    freed = 0
    for path, size in _files(should_stop):
        if str(path) in kept:
            continue
        try:
            path.unlink()
        except OSError:
            continue
        freed += size
    return freed


def _files(should_stop: ShouldStop) -> Iterator[tuple[Path, int]]:
    for folder, _folders, names in os.walk(paths.cache_dir()):
        for name in names:
            check_stop(should_stop)
            path = Path(folder) / name
            try:
                yield path, path.lstat().st_size
            except OSError:
                continue
