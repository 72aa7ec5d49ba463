"""Counts, sizes and strategies in words, the same way everywhere in the window. No Qt."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from core.words import list_some

_LONGEST_NAME = 60


def count(number: int, one: str, many: str = "") -> str:
    """`1 epoch`, `2 epochs`, `12,000 classes`; give `many` where adding an s is not enough."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def isolate(text: str) -> str:
    """The text on one line, between Unicode isolates where it runs from right to left.

    Without them such a name scrambles the numbers and quotation marks beside it; a line break in
    a name (a folder may have one) would tear the sentence or the row it stands in.
    """
    if not text.isprintable():
        text = " ".join(text.split())
    if text.isascii() or not any(unicodedata.bidirectional(c) in ("R", "AL") for c in text):
        return text
    return f"\u2068{text}\u2069"


def quote(name: str) -> str:
    """A name in quotation marks, isolated where that is needed."""
    return f"“{isolate(name)}”"


def quote_briefly(name: str) -> str:
    """As `quote`, a very long name without its middle.

    A label cannot break a name of 255 characters: it would push aside what stands beside it.
    """
    half = _LONGEST_NAME // 2
    return quote(name if len(name) <= _LONGEST_NAME else f"{name[:half]}…{name[-half:]}")


def quote_some(names: Sequence[str], most: int = 3) -> str:
    """`“a”, “b”, “c” and 4 more`: as `list_some`, each name in quotation marks."""
    return list_some([quote(name) for name in names], most)


def short_number(number: int) -> str:
    """`928`, `14 k`, `1.65 M`: parameters at a glance."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            scaled = number / size
            return f"{scaled:.0f} {unit}" if scaled >= 100 else f"{scaled:.3g} {unit}"
    return f"{number}"


_STRATEGIES = {
    "feature-extraction": "Feature extraction",
    "partial": "Partial fine-tuning",
    "full": "Full fine-tuning",
    "scratch": "From scratch",
}


def strategy_in_words(strategy: str, *, gradual: bool = False, by_hand: bool = False) -> str:
    """`Partial fine-tuning, gradual, by hand`; an unknown strategy keeps its name.

    `by_hand`: layers have rates of their own.
    """
    name = _STRATEGIES.get(strategy, strategy)
    if strategy == "feature-extraction":  # only the head learns, whatever the other keys say
        return name
    opens = gradual and strategy != "scratch"  # where all begins anew, all learns at once
    parts = (name, "gradual" if opens else "", "by hand" if by_hand else "")
    return ", ".join(part for part in parts if part)


def duration(seconds: float) -> str:
    """`8 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 1:
        return "under 1 s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    hours, rest = divmod(whole // 60, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def file_size(size_bytes: float) -> str:
    """`17.3 MB`, `1.2 GB`: decimal units, as download pages give them."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= scale:
            number = size_bytes / scale
            return f"{number:,.0f} {unit}" if number >= 100 else f"{number:.3g} {unit}"
    return f"{size_bytes:.0f} bytes"
