"""The size of the application's cache folder, and emptying it.

Everything in the folder can be computed again. Does not know what the files hold.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from core.events import ShouldStop, check_stop, never_stop
from core.system import paths


def size_bytes(*, should_stop: ShouldStop = never_stop) -> int:
    """Total bytes of all files in the cache folder. Links are not followed."""
    return sum(size for _path, size in _files(should_stop))


def clear(*, keep: Collection[Path] = (), should_stop: ShouldStop = never_stop) -> int:
    """Delete the files of the cache folder except `keep`; returns the bytes freed.

    A file that the system does not let go (open in another process on Windows) stays. Must not
    run beside a training, which reads its features there.

    Raises: Cancelled.
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
