"""Counts in words, the same way everywhere in the window. No Qt."""

from __future__ import annotations


def count(number: int, one: str, many: str = "") -> str:
    """`1 epoch`, `2 epochs`, `12,000 classes`; `many` where adding an s is not enough."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
