"""The result of a learning-rate range test, and the rate it suggests. No torch: the window uses it.

The test (Smith 2017) raises the rate exponentially from step to step and records the loss. Two
rules are common: the rate at which the smoothed loss falls fastest, and a tenth of the rate at
which it is lowest. A head that was fitted first leaves a loss near zero that can hardly fall, so
losses are compared by their logarithm, and a fall counts only where it is larger than the
differences between batches.
"""

from __future__ import annotations

import csv
import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from core.errors import AppError

if TYPE_CHECKING:
    from core.recipe.recipe import Recipe

LOWEST, HIGHEST, STEPS = 1e-7, 1.0, 70
FEWEST_STEPS, MOST_STEPS = 20, 1000
_FLOOR = 1e-3
"""Nats added before the logarithm: losses below it count as equal."""
_LAG_DECADES = 0.25
"""How far the smoothed loss lags behind, for any number of steps."""
_SIGMAS = 3.0
_RISE = math.log(1.25)
_FALL = math.log(1.1)
_DIVERGED = 4.0
_OF_CHANCE = 0.1
_SAFE, _FAR = 3.0, 100.0
_SLOPE_POINTS = 3
"""Points on either side of the one whose slope is computed."""

End = Literal["diverged", "highest"]


@dataclass(frozen=True, slots=True)
class RatePoint:
    """One step: the head's rate, the batch's loss in nats before the step, and smoothed."""

    step: int
    rate: float
    loss: float
    smooth: float


@dataclass(frozen=True, slots=True)
class Reading:
    """The suggested rate and why. Rates are the head's; None where the curve does not show them."""

    suggestion: float | None
    reason: str
    steepest: float | None = None
    """Where the smoothed loss falls fastest."""
    tenth: float | None = None
    """A tenth of the rate at which the smoothed loss is lowest."""
    lowest: float | None = None
    rises_at: float | None = None
    """The highest rate before the loss rises for good."""


@dataclass(frozen=True, slots=True)
class RateCurve:
    """The result of a range test. groups: each trained layer group and its rate as a share of the
    head's, stem first. end: `diverged` where the loss ended the test before its highest rate."""

    points: tuple[RatePoint, ...]
    end: End
    reading: Reading
    model: str
    strategy: str
    groups: tuple[tuple[str, float], ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def write_csv(self, path: Path) -> None:
        """Write the points as CSV. Raises: AppError where that fails."""
        write_points(path, self.points)


class Smoother:
    """A bias-corrected exponential mean of the logarithm of the loss.

    The logarithm keeps one hard batch from outweighing many easy ones.
    """

    def __init__(self, lowest: float, highest: float, steps: int) -> None:
        lag = max(1.0, _LAG_DECADES * (steps - 1) / math.log10(highest / lowest))
        self.keep = lag / (1 + lag)
        self._sum = self._weight = 0.0

    def add(self, loss: float) -> float:
        """Add a loss; returns the smoothed loss."""
        self._sum = self.keep * self._sum + (1 - self.keep) * _log(loss)
        self._weight = self.keep * self._weight + 1 - self.keep
        return max(0.0, math.exp(self._sum / self._weight) - _FLOOR)


def check_bounds(lowest: float, highest: float, steps: int) -> None:
    """Raises: AppError for a range or a number of steps that cannot be tested."""
    if not (math.isfinite(lowest) and math.isfinite(highest) and 0 < lowest < highest):
        raise AppError(
            f"Rates from {lowest:g} to {highest:g} are no range.",
            f"Both must be above 0, the lowest first; usual: {LOWEST:g} to {HIGHEST:g}.",
        )
    if highest < 10 * lowest:
        raise AppError(
            f"From {lowest:g} to {highest:g} is too narrow a range for a test.",
            "Test at least a factor of ten.",
        )
    if not FEWEST_STEPS <= steps <= MOST_STEPS:
        raise AppError(
            f"{steps} steps cannot be tested.", f"Choose {FEWEST_STEPS} to {MOST_STEPS:,}."
        )


def rate_at(step: int, lowest: float, highest: float, steps: int) -> float:
    """The rate of a step, counted from 1; rates grow by the same factor at each step."""
    if step >= steps:
        return highest
    return lowest * (highest / lowest) ** ((step - 1) / (steps - 1))


def has_diverged(points: Sequence[RatePoint], classes: int) -> bool:
    """Whether the smoothed loss is above four times its lowest, or, where that is near zero, above
    four times a tenth of the loss of guessing among the classes."""
    last = points[-1]
    if not math.isfinite(last.loss):
        return True
    best = min(point.smooth for point in points)
    return last.smooth > _DIVERGED * max(best, _OF_CHANCE * math.log(max(2, classes)))


def read(points: Sequence[RatePoint], end: End, keep: float) -> Reading:
    """The suggestion for these points. `keep`: the smoother's."""
    if len(points) < 2 * _SLOPE_POINTS + 1:
        return Reading(
            None, "The loss diverged within the first steps: start the test at a lower rate."
        )
    smooth = [_log(point.smooth) for point in points]
    raw = [_log(point.loss) for point in points]
    begin = raw[: max(2 * _SLOPE_POINTS, len(points) // 5)]
    level, spread = statistics.fmean(begin), _noise(raw)
    noise = spread * math.sqrt((1 - keep) / (1 + keep))
    doubt = math.hypot(noise, spread / math.sqrt(len(begin)))
    bottom = min(range(len(begin), len(points)), key=smooth.__getitem__)
    limit = smooth[bottom] + max(_SIGMAS * noise, _RISE)
    edge = max(i for i, value in enumerate(smooth) if value <= limit)
    rises_at = points[edge].rate if edge < len(points) - 1 or end == "diverged" else None
    falls = smooth[bottom] < level - max(_SIGMAS * doubt, _FALL)
    if falls and points[bottom].rate * _FAR >= (rises_at or 0.0):
        return _read_fall(points, smooth, bottom, rises_at)
    return _read_flat(points, rises_at)


def _read_fall(
    points: Sequence[RatePoint], smooth: Sequence[float], bottom: int, rises_at: float | None
) -> Reading:
    end = min(bottom, len(points) - 1 - _SLOPE_POINTS)
    # Farther below the rise the loss hardly moves, and the steepest slope is noise.
    first = next(i for i, p in enumerate(points) if p.rate * _FAR >= (rises_at or p.rate))
    begin = min(max(_SLOPE_POINTS, first), end)
    at = min(range(begin, end + 1), key=lambda i: _slope(smooth, i))
    steepest, lowest = points[at].rate, points[bottom].rate
    suggestion = steepest
    reason = (
        f"The smoothed loss falls fastest at {rate_text(steepest)} and is lowest, "
        f"{points[bottom].smooth:.3g}, at {rate_text(lowest)}."
    )
    if rises_at is None:
        reason += " It had not risen again by the highest rate tested."
    elif steepest > rises_at / _SAFE:
        suggestion = rises_at / _SAFE
        reason += (
            f" That is close to {rate_text(rises_at)}, after which it rises: a third of it is "
            "suggested."
        )
    else:
        reason += f" After {rate_text(rises_at)} it rises."
    return Reading(
        suggestion=rounded(suggestion),
        reason=reason,
        steepest=steepest,
        tenth=lowest / 10,
        lowest=lowest,
        rises_at=rises_at,
    )


def _read_flat(points: Sequence[RatePoint], rises_at: float | None) -> Reading:
    if rises_at is None:
        return Reading(
            None,
            f"Up to {rate_text(points[-1].rate)} the loss neither falls nor rises beyond what "
            "batches differ by: test higher rates, or more steps.",
        )
    if rises_at / 10 < points[0].rate:
        return Reading(
            None,
            f"The loss rises from {rate_text(rises_at)} on, near the lowest rate tested: "
            "start the test at a lower rate.",
            rises_at=rises_at,
        )
    return Reading(
        suggestion=rounded(rises_at / 10),
        reason=f"Up to {rate_text(rises_at)} the loss stays where it is, within what batches "
        "differ by; a head that was fitted to these images already leaves little to gain. Above "
        "that it rises: a tenth of that rate is suggested.",
        rises_at=rises_at,
    )


def describe_rate(points: Sequence[RatePoint], reading: Reading | None, rate: float) -> str:
    """A sentence about the loss at a rate; empty without points."""
    if not points:
        return ""
    nearest = min(points, key=lambda point: abs(math.log(point.rate / rate)))
    text = f"At {rate_text(rate)} the smoothed loss is {nearest.smooth:.3g}"
    edge = reading.rises_at if reading is not None else None
    if edge is None:
        return f"{text}."
    if rate > edge:
        return f"{text}: it rises here, the rate is too high."
    if rate > edge / _SAFE:
        return f"{text}, close to {rate_text(edge)}, after which it rises."
    if rate < edge / _FAR:
        return f"{text}; {edge / rate:,.0f} times below where it rises: safe, and slow."
    return f"{text}, {edge / rate:.1f} times below where it rises."


def rate_values(recipe: Recipe, rate: float) -> dict[str, float]:
    """The recipe's values that make this the head's rate. `late_rate` and `early_rate`, where set,
    change by the same factor, as they did in the test."""
    values = {"learning_rate": rate}
    for key in ("late_rate", "early_rate"):
        own = getattr(recipe, key)
        if own is not None:
            values[key] = min(1.0, rounded(own * rate / recipe.learning_rate))
    return values


def rate_text(rate: float) -> str:
    """`2.8e-4`: two digits, as a range test is not more exact."""
    mantissa, exponent = f"{rate:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}" if int(exponent) else mantissa


def rounded(rate: float) -> float:
    """The rate with two digits."""
    return float(f"{rate:.1e}")


def write_points(path: Path, points: Sequence[RatePoint]) -> None:
    """Write step, rate, loss and smoothed loss as CSV. Raises: AppError where that fails."""
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["step", "rate", "loss", "smoothed_loss"])
            writer.writerows([p.step, p.rate, p.loss, p.smooth] for p in points)
    except OSError as error:
        raise AppError(f"{path} cannot be written: {error.strerror or error}.") from error


def _log(loss: float) -> float:
    return math.log(max(loss, 0.0) + _FLOOR)


def _noise(raw: Sequence[float]) -> float:
    """How much batches differ at one rate: the standard deviation from one step to the next.

    From the median, which is robust to the fall and the rise of the curve.
    """
    steps = [abs(b - a) for a, b in itertools.pairwise(raw)]
    return 1.4826 * statistics.median(steps) / math.sqrt(2)


def _slope(values: Sequence[float], at: int) -> float:
    """The slope of the line through the points around `at`."""
    span = range(-_SLOPE_POINTS, _SLOPE_POINTS + 1)
    return sum(k * values[at + k] for k in span) / sum(k * k for k in span)
