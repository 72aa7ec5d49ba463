"""What has changed on the disk since a dataset was opened."""

from __future__ import annotations

import os
from collections.abc import Iterable

from core.data.dataset import DatasetIndex


def changed_files(index: DatasetIndex, positions: Iterable[int]) -> list[str]:
    """Those of the images whose size or time is not what the scan saw; gone ones are not told.

    Empty where the index does not know the times.
    """
    if index.modified_ns is None:
        return []
    prefix = os.path.join(str(index.root), "")  # noqa: PTH118
    found = []
    for i in positions:
        try:
            status = os.stat(prefix + index.files[i])  # noqa: PTH116 - per file, and hot
        except (OSError, ValueError):
            continue  # whoever reads it says why it cannot be read
        if (status.st_size, status.st_mtime_ns) != (index.bytes[i], index.modified_ns[i]):
            found.append(index.files[i])
    return found


def changed_sources(index: DatasetIndex) -> list[str]:
    """Names of the tables and archives that are not as they were, or gone."""
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
