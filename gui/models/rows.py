"""The catalog as rows of a table: texts and sort keys made once, so that typing costs nothing.

No Qt. Made in a worker; the table only looks things up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.catalog.search import ADDED_SOURCES

if TYPE_CHECKING:
    from core.catalog.card import Latency, ModelCard
    from core.models.weights.weights import WeightsState

SortKey = str | float


@dataclass(frozen=True, slots=True)
class Column:
    """`tip` says what the heading is too short for."""

    key: str
    heading: str
    width_px: int
    is_number: bool = True
    starts_with_largest: bool = False
    tip: str = ""


COLUMNS: tuple[Column, ...] = (
    Column("model", "Model", 236, is_number=False),
    Column("params", "Params, M", 82, tip="Parameters in millions, every tensor counted once"),
    Column("gmacs", "GMACs", 70, tip="Billions of multiply-adds for one image"),
    Column("top1", "Top-1", 62, starts_with_largest=True, tip="ImageNet-1k top-1 in percent"),
    Column("family", "Family", 116, is_number=False),
    Column("top5", "Top-5", 62, starts_with_largest=True, tip="ImageNet-1k top-5 in percent"),
    Column(
        "top1_per_m",
        "Top-1 / M",
        78,
        starts_with_largest=True,
        tip="Top-1 percent per million parameters",
    ),
    Column("input", "Input", 74, tip="Pixels of the image it is given"),
    Column("classes", "Classes", 70, starts_with_largest=True, tip="0: features only"),
    Column("latency", "Latency, ms", 88, tip="One image on this machine, where it was measured"),
    Column("pretraining", "Pretraining", 150, is_number=False, tip="The data it was trained on"),
    Column("source", "Source", 92, is_number=False),
    Column("license", "Licence", 112, is_number=False),
    Column(
        "weights",
        "Weights",
        96,
        is_number=False,
        tip="On this machine, or online: fetched at the first use",
    ),
)
MODEL_COLUMN, WEIGHTS_COLUMN = 0, len(COLUMNS) - 1


_WHERE = {
    "bundled": "bundled",
    "downloaded": "downloaded",
    "imported": "imported",
    "online": "online",
    "none": "gone",
}


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One card; `texts` and `keys` go with `COLUMNS`, a key of None is unknown."""

    card: ModelCard
    is_here: bool
    latency: Latency | None
    """Of one image on this machine, where it was measured."""
    state: WeightsState | None
    texts: tuple[str, ...]
    keys: tuple[SortKey | None, ...]

    @property
    def is_headless(self) -> bool:
        """Whether its own head answers for no classes."""
        of_its_own = self.card.source in ADDED_SOURCES and self.card.num_classes > 0
        return not self.card.label_set and not of_its_own

    @property
    def latency_ms(self) -> float | None:
        """Median milliseconds for one image on this machine; None where it was not measured."""
        return None if self.latency is None else self.latency.median_ms


def make_row(
    card: ModelCard,
    *,
    is_here: bool,
    latency: Latency | None = None,
    state: WeightsState | None = None,
) -> ModelRow:
    """The row of a model; `state`: where exactly its weights are, if that is known."""
    per_m, size = card.top1_per_m, card.input_size
    latency_ms = None if latency is None else latency.median_ms
    where = ("here" if is_here else "online") if state is None else _WHERE[state.where]
    cells: tuple[tuple[str, SortKey | None], ...] = (
        (card.shown_name, card.shown_name.lower()),
        (number_text(card.params, 1e6), card.params),
        (number_text(card.macs, 1e9), card.macs),
        ("" if card.top1 is None else f"{card.top1:.1f}", card.top1),
        (card.family, card.family.lower() or None),
        ("" if card.top5 is None else f"{card.top5:.1f}", card.top5),
        ("" if per_m is None else f"{per_m:,.2f}", per_m),
        (size_text(size), None if size is None else size[0] * size[1]),
        (f"{card.num_classes:,}", card.num_classes),
        ("" if latency_ms is None else f"{latency_ms:,.1f}", latency_ms),
        (card.pretraining, card.pretraining.lower() or None),
        (card.source, card.source),
        (card.license, card.license.lower() if card.license not in ("", "unknown") else None),
        (where, f"{0 if is_here else 1}{where}"),
    )
    texts, keys = zip(*cells, strict=True)
    return ModelRow(card, is_here, latency, state, texts, keys)


def sorted_positions(rows: tuple[ModelRow, ...], column: int, *, largest_first: bool) -> list[int]:
    """Positions of the rows in order of a column; unknown ones last in either direction."""
    known = [position for position, row in enumerate(rows) if row.keys[column] is not None]
    unknown = [position for position, row in enumerate(rows) if row.keys[column] is None]

    def key(position: int) -> SortKey:
        value = rows[position].keys[column]
        assert value is not None
        return value

    known.sort(key=key, reverse=largest_first)
    return known + unknown


def number_text(value: int | None, unit: float) -> str:
    """A count in `unit`s: more digits for the small ones, thousands set apart."""
    if value is None:
        return ""
    number = value / unit
    return f"{number:,.1f}" if number >= 10 else f"{number:,.2f}"


def size_text(size: tuple[int, int] | None) -> str:
    """`224`, or width × height where an image is no square."""
    if size is None:
        return ""
    height, width = size
    return str(width) if width == height else f"{width} × {height}"
