"""Files written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """An empty new file beside `path`; where the block ends well it takes its place, in one step
    and on the disk itself. A crash, a power cut or a full disk leaves the old file.

    Raises: OSError.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    temporary = Path(name)
    os.close(handle)
    try:
        yield temporary
        with temporary.open("r+b") as file:  # Windows syncs only what may be written
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner may read; a result is shared like any file.
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """The new name is on the disk as well; where a system cannot, the old file may come back."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step; a full disk or a crash leaves the old file.

    Raises: OSError.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: Path, document: Any) -> None:
    try:
        write_text(path, json.dumps(document, ensure_ascii=False, indent=1) + "\n")
    except UnicodeEncodeError:  # a file name that is not UTF-8: escaped it survives
        write_text(path, json.dumps(document, indent=1) + "\n")
