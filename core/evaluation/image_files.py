"""Checks whether the images of a run still exist and are unchanged. No torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.events import ShouldStop, check_stop, never_stop


@dataclass(frozen=True, slots=True)
class ImagesState:
    """The missing and changed images of a run, relative to `root`.

    is_there: whether `root` exists.
    """

    root: Path
    is_there: bool
    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


def check_images(
    dataset: Mapping[str, Any],
    files: Sequence[str],
    *,
    since: float,
    should_stop: ShouldStop = never_stop,
) -> ImagesState:
    """Check which of a run's `files` are missing or changed.

    dataset: the content of the run's dataset.json. since: start of the run, seconds since 1970;
    only files written later are read and compared with their content hash.

    Raises: Cancelled.
    """
    root = Path(dataset["root"])
    if not root.is_dir():
        return ImagesState(root, is_there=False)
    hashes = dict(zip(dataset.get("files", ()), dataset.get("hashes", ()), strict=False))
    missing, changed = [], []
    for file in files:
        check_stop(should_stop)
        path = root / file
        try:
            if path.stat().st_mtime > since and hashes.get(file):
                content = path.read_bytes()
                if hashlib.blake2b(content, digest_size=16).hexdigest() != hashes[file]:
                    changed.append(file)
        except OSError:
            missing.append(file)
    return ImagesState(root, is_there=True, missing=tuple(missing), changed=tuple(changed))
