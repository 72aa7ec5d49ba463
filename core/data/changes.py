"""Finds files that have changed on the disk since a dataset was opened."""

from __future__ import annotations

import os
from collections.abc import Iterable

from core.data.dataset import DatasetIndex


def changed_files(index: DatasetIndex, positions: Iterable[int]) -> list[str]:
    """The files at `positions` whose size or time of change differs from the scan.

    Missing files are left out. Empty if the index has no times.
    """
    if index.modified_ns is None:
        return []
    prefix = os.path.join(str(index.root), "")  # noqa: PTH118
    found = []
    for i in positions:
        try:
            status = os.stat(prefix + index.files[i])  # noqa: PTH116 - per file, and hot
        except (OSError, ValueError):
            continue  # reading the file gives a better error
        if (status.st_size, status.st_mtime_ns) != (index.bytes[i], index.modified_ns[i]):
            found.append(index.files[i])
    return found


def changed_sources(index: DatasetIndex) -> list[str]:
    """Names of the tables and archives that have changed or are missing."""
    found = []
    for path, size, modified_ns in index.stamps:
        try:
            status = path.stat()
        except OSError:
            found.append(path.name)
            continue
        if (status.st_size, status.st_mtime_ns) != (size, modified_ns):
            found.append(path.name)
    return found
