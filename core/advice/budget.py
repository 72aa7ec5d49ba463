"""A time budget as people write it. No torch: the window reads it while it is typed."""

from __future__ import annotations

from core.errors import AppError


def parse_budget(text: str) -> float:
    """Seconds of `90`, `90s`, `10m` or `1.5h`. Raises: AppError."""
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = -1
    if not seconds > 0:
        raise AppError(f"“{text}” is not a time budget.", "Write for example 90s, 10m or 1.5h.")
    return seconds
