"""Older recipes under today's names: the one place that knows what the keys were called before.

A recipe file says its format. One that does not is of format 1, in which four keys had other
names and `batch_size` meant another thing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from core.errors import AppError

FORMAT = 2
RENAMED = {
    "step_images": "batch_size",
    "batch_size": "embed_batch_size",
    "weight_average": "ema_decay",
    "epochs": "max_epochs",
}
"""Names of format 1 and what they are called now."""
NO_LONGER_KEYS = {old: new for old, new in RENAMED.items() if old not in RENAMED.values()}
"""The old names that are no key of any meaning today."""

_ONLY_NEW = frozenset(RENAMED.values()) - frozenset(RENAMED)
_ASSIGNMENT = re.compile(
    rf"^(?P<before>[ \t]*(?:#[ \t]*)?)(?P<key>{'|'.join(RENAMED)})(?=[ \t]*=)", re.MULTILINE
)


def upgrade(document: Mapping[str, Any]) -> dict[str, Any]:
    """The keys and values of a recipe file of any format, under today's names, without `format`.

    Raises: AppError for a format of a later version, and for names of format 2 in a file that
    does not say that it is one: its `batch_size` would silently mean another thing.
    """
    values = dict(document)
    number = values.pop("format", 1)
    if number == FORMAT:
        return values
    if number != 1:
        raise AppError(
            f"The recipe has the format {number}; this version of Graftwork reads 1 and {FORMAT}.",
            "Update Graftwork, or write the recipe anew.",
        )
    for key in values:
        if key in _ONLY_NEW:
            raise AppError(
                f"The recipe has the key “{key}”, which is of format {FORMAT}, and does not say "
                "its format.",
                f"Write “format = {FORMAT}” as its first line.",
            )
    return rename(values)


def rename(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values under names of format 1, under today's names."""
    return {RENAMED.get(key, key): value for key, value in values.items()}


def rename_in_text(text: str) -> str:
    """The text of a file of format 1 with today's names, in assignments and in those that are
    commented out; everything else stays."""
    return _ASSIGNMENT.sub(lambda found: found["before"] + RENAMED[found["key"]], text)
