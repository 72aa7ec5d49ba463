"""Models as points of a chart: what stands on which axis, who is on the front, who is left out.

No Qt. Which rows fit and what is painted is the business of others.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from core.catalog.network_types import NETWORK_TYPES, network_type
from core.catalog.pareto import pareto_front
from gui.kit.words import count

if TYPE_CHECKING:
    from core.catalog.card import ModelCard
    from gui.models.rows import ModelRow

_TICK_PX = 28
_TICKS_ENOUGH = 6
"""So many round percents, and no odder ones come between them."""

AxisKey = Literal["params", "gmacs", "latency"]


@dataclass(frozen=True, slots=True)
class Axis:
    """What a model costs: along the chart, on a logarithmic scale."""

    key: AxisKey
    name: str
    unit: str
    size_name: str
    """What the bubbles are sized by: another cost than the axis."""


AXES: tuple[Axis, ...] = (
    Axis("params", "Parameters", "M", "multiply-adds"),
    Axis("gmacs", "Multiply-adds", "GMACs", "parameters"),
    Axis("latency", "Latency here", "ms", "parameters"),
)
COLOUR_TITLES = {
    "convolutional": "Convolutional",
    "transformer": "Transformer",
    "hybrid": "Hybrid",
    "other": "Other",
}


@dataclass(frozen=True, slots=True)
class ChartPoint:
    """`cost` in the unit of the axis, `top1` in percent; `size` 0…1 of the largest, as a volume."""

    row: ModelRow
    cost: float
    top1: float
    size: float
    colour: int
    """Which of `NETWORK_TYPES`."""

    @property
    def card(self) -> ModelCard:
        """The model of the point."""
        return self.row.card


@dataclass(frozen=True, slots=True)
class ChartPoints:
    """The points in order of their cost, `front` as positions in them, and how many have none."""

    axis: Axis
    points: tuple[ChartPoint, ...]
    front: tuple[int, ...]
    without: int

    def note(self) -> str:
        """How many models are drawn, and how many are not and why."""
        drawn = f"{count(len(self.points), 'model')} drawn, sized by {self.axis.size_name}"
        if not self.without:
            return f"{drawn}."
        lacks = {
            "params": "a published top-1 or a count of parameters",
            "gmacs": "a published top-1 or a count of multiply-adds",
            "latency": "a published top-1 or a latency measured here",
        }[self.axis.key]
        verb = "lacks" if self.without == 1 else "lack"
        return f"{drawn}; {self.without:,} {verb} {lacks}."

    def twin(self) -> str:
        """The chart in words, for screen readers."""
        if not self.points:
            return self.note()
        best = " · ".join(
            f"{point.card.shown_name} {point.top1:.1f} % at {cost_text(point.cost, self.axis)}"
            for point in (self.points[position] for position in self.front)
        )
        return f"{self.note()} No model is better for less than these: {best}."


def axis_of(key: str) -> Axis:
    """The axis with a key."""
    return next(axis for axis in AXES if axis.key == key)


class AllPoints:
    """The points of all rows, worked out once: a filter then only picks among them."""

    def __init__(self, rows: Sequence[ModelRow], axis: Axis) -> None:
        self.axis = axis
        largest = max((_volume(row, axis) or 0.0 for row in rows), default=0.0) or 1.0
        found = []
        for position, row in enumerate(rows):
            cost = _cost(row, axis.key)
            if cost is None or cost <= 0 or row.card.top1 is None:
                continue
            size = ((_volume(row, axis) or 0.0) / largest) ** (1 / 3)
            kind = NETWORK_TYPES.index(network_type(row.card.arch, row.card.family))
            found.append((position, ChartPoint(row, cost, row.card.top1, size, kind)))
        found.sort(key=_by_cost)
        self._found = found

    def fitting(self, positions: Collection[int]) -> ChartPoints:
        """The points of the rows at these positions; rows without a point are only counted."""
        wanted = positions if isinstance(positions, (set, frozenset)) else frozenset(positions)
        shown = tuple(point for position, point in self._found if position in wanted)
        front = pareto_front([(point.cost, point.top1) for point in shown])
        return ChartPoints(self.axis, shown, tuple(sorted(front)), len(wanted) - len(shown))


def _by_cost(found: tuple[int, ChartPoint]) -> tuple[float, float]:
    return found[1].cost, found[1].top1


def _cost(row: ModelRow, key: AxisKey) -> float | None:
    if key == "params":
        return None if row.card.params is None else row.card.params / 1e6
    if key == "gmacs":
        return None if row.card.macs is None else row.card.macs / 1e9
    return row.latency_ms


def _volume(row: ModelRow, axis: Axis) -> float | None:
    return row.card.macs if axis.key == "params" else row.card.params


def cost_text(cost: float, axis: Axis) -> str:
    """`25.6 M`, `0.385 GMACs`, `12.3 ms`."""
    return f"{short_figure(cost)} {axis.unit}"


def short_figure(value: float) -> str:
    """Three figures that count, thousands set apart, no zeros at the end that say nothing."""
    if value >= 100:
        return f"{value:,.0f}"
    digits = 2 - math.floor(math.log10(value)) if value > 0 else 0
    return f"{value:.{max(0, digits)}f}"


def log_ticks(low: float, high: float, *, most: int) -> list[float]:
    """Round costs between `low` and `high`: 1, 2 and 5 of every decade, or fewer."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [step * 10.0**power for power in range(first, last + 1) for step in steps]
        shown = [tick for tick in ticks if low <= tick <= high]
        if len(shown) <= most or steps == (1,):
            return shown
    return []


def height_of(top1: float) -> float:
    """Where a top-1 in percent stands: by the errors that are left, on a logarithmic scale.

    Half the errors is the same step everywhere. On an even scale a few weak models would press
    all that are of use into one strip.
    """
    return -math.log10(max(100 - top1, 0.01))


def top1_ticks(low: float, high: float, *, height_px: float) -> list[float]:
    """Round percents to mark between two heights, the roundest first."""
    per_px = (high - low) / max(height_px, 1.0)
    shown: list[float] = []
    for step in (10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1):
        for number in range(1, round(100 / step)):
            tick = round(number * step, 1)
            height = height_of(tick)
            if low <= height <= high and all(
                abs(height - height_of(other)) >= _TICK_PX * per_px for other in shown
            ):
                shown.append(tick)
        if len(shown) >= _TICKS_ENOUGH:
            break
    return sorted(shown)
