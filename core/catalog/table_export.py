"""Cards as rows of text: one table for the command line and for what is copied.

No torch. The figures are rounded for people; whoever wants the exact ones takes JSON.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Mapping

from core.catalog.card import Latency, ModelCard

HEADINGS = (
    "model", "family", "params M", "GMACs", "activations M", "top-1 %", "top-5 %",
    "top-1 % per M", "input", "classes", "features", "pretraining", "licence", "weights",
    "latency ms",
)  # fmt: skip


def cells_of(card: ModelCard, *, is_here: bool, latency: Latency | None = None) -> tuple[str, ...]:
    """The cells of a card, one for each heading; unknown values are empty."""
    return (
        card.id,
        card.family,
        _figure(card.params, 1e6, 2),
        _figure(card.macs, 1e9, 3),
        _figure(card.activations, 1e6, 2),
        _figure(card.top1, 1, 3),
        _figure(card.top5, 1, 3),
        _figure(card.top1_per_m, 1, 2),
        "x".join(map(str, card.input_size)) if card.input_size else "",
        str(card.num_classes),
        "" if card.feature_dim is None else str(card.feature_dim),
        card.pretraining,
        card.license,
        "here" if is_here else "online",
        "" if latency is None else f"{latency.median_ms:.2f}",
    )


def _figure(value: float | None, unit: float, digits: int) -> str:
    """Format a number without thousands separators, so that a spreadsheet reads it as one."""
    return "" if value is None else f"{value / unit:.{digits}f}"


def to_markdown(
    cards: Iterable[ModelCard],
    here: Collection[str],
    latencies: Mapping[str, Latency] | None = None,
) -> str:
    """A Markdown table that ends with a line break. `here`: ids whose weights are here."""
    rows = [_escaped(row) for row in _rows(cards, here, latencies)]
    lines = [_escaped(HEADINGS), "| " + " | ".join("---" for _ in HEADINGS) + " |", *rows]
    return "\n".join(lines) + "\n"


def to_csv(
    cards: Iterable[ModelCard],
    here: Collection[str],
    latencies: Mapping[str, Latency] | None = None,
) -> str:
    """The table as comma-separated values, with one line of headings."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADINGS)
    writer.writerows(_rows(cards, here, latencies))
    return out.getvalue()


def _rows(
    cards: Iterable[ModelCard], here: Collection[str], latencies: Mapping[str, Latency] | None
) -> Iterable[tuple[str, ...]]:
    known = latencies or {}
    return (cells_of(card, is_here=card.id in here, latency=known.get(card.id)) for card in cards)


def _escaped(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
