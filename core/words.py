"""Words that the command line, the window and the records of runs put together alike."""

from __future__ import annotations

from collections.abc import Sequence


def list_some(names: Sequence[str], most: int = 3) -> str:
    """`a, b, c and 4 more`: the first `most` names, and how many are left out."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
