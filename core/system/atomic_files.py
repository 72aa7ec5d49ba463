"""Writes files completely or not at all. Knows nothing of what is in them."""

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
    """Give the block a temporary file, and replace `path` by it when the block succeeds.

    The file is replaced in one step and flushed to the disk: a crash, a power cut or a full disk
    leaves the old file.

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
    """Flush the folder entry, so that a power cut does not bring the old file back.

    Systems that cannot flush folders (Windows) are ignored.
    """
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` in one step; a full disk or a crash leaves the old file.

    Raises: OSError.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, in one step. Raises: OSError, UnicodeEncodeError."""
    write_bytes(path, text.encode())


def write_json(path: Path, document: Any) -> None:
    """Write `document` as indented JSON, in one step. Raises: OSError."""
    try:
        write_text(path, json.dumps(document, ensure_ascii=False, indent=1) + "\n")
    except UnicodeEncodeError:  # a file name that is not UTF-8 can only be written escaped
        write_text(path, json.dumps(document, indent=1) + "\n")
