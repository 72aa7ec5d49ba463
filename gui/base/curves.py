"""The steps of a run as growing columns, and what a plot asks of them. No Qt.

numpy is imported when something is drawn: the first paint does without it.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.events import StepDone
from core.runs.curve_findings import LossTrack
from gui.base.pyramid import Pyramid

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MOST_POINTS = 4_000
"""Of one line on the screen: more than a plot has pixels."""
DEFAULT_SMOOTHING = 0.9
_STEADY_STEPS = 3
_DROP = 0.6
"""A rate that stood still and then is at most this share of itself has dropped."""


@dataclass(frozen=True, slots=True)
class RateDrop:
    """At this step the rate fell at once, to `share` of what it had been."""

    step: int
    share: float


@dataclass(frozen=True, slots=True)
class Curve:
    """A column over the epochs, to be drawn in part. `scale` turns its values into the plot's."""

    steps: array[float]
    values: Pyramid
    steps_per_epoch: int
    scale: float = 1.0
    only_positive: bool = False
    """Whether a zero is no value: the learning rate of a frozen layer group."""

    @property
    def span(self) -> tuple[float, float] | None:
        """First and last epoch; None while there is nothing."""
        if not self.steps:
            return None
        return self.steps[0] / self.steps_per_epoch, self.steps[-1] / self.steps_per_epoch

    def between(
        self, low: float, high: float, most: int = MOST_POINTS
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Points of the epochs `low` … `high` and one beyond on either side."""
        import numpy as np

        start = bisect_left(self.steps, low * self.steps_per_epoch) - 1
        stop = bisect_right(self.steps, high * self.steps_per_epoch) + 1
        places, y = self.values.thin(start, stop, most)
        x = np.frombuffer(self.steps)[places] if len(places) else np.empty(0)
        y = y * self.scale
        if self.only_positive:
            is_there = y > 0
            x, y = x[is_there], y[is_there]
        return x / self.steps_per_epoch, y

    def at(self, epoch: float) -> float | None:
        """The value nearest to this epoch, from all values and not from the thinned ones."""
        if not self.steps:
            return None
        wanted = epoch * self.steps_per_epoch
        place = min(bisect_left(self.steps, wanted), len(self.steps) - 1)
        if place and wanted - self.steps[place - 1] < self.steps[place] - wanted:
            place -= 1
        value = self.values[place] * self.scale
        return None if self.only_positive and not value > 0 else value


class StepCurves:
    """One value a step: loss, smoothed loss, rates by layer group, images/s, memory."""

    def __init__(self) -> None:
        self.step = array("d")
        self.loss = Pyramid()
        self.smooth = Pyramid()
        self.images_per_s = Pyramid()
        self.memory_mb = Pyramid()
        self.rates: list[Pyramid] = []
        self.drops: list[RateDrop] = []
        self.track = LossTrack()
        self.smoothing = DEFAULT_SMOOTHING
        self._sum = 0.0
        self._weight = 0.0
        self._last = 0.0
        self._steady: list[tuple[float, int]] = []  # by group: its rate, for how many steps

    def __len__(self) -> int:
        return len(self.step)

    def add(self, event: StepDone) -> None:
        self.track.add(event)
        self.step.append(event.step)
        self.loss.append(event.loss)
        # What is no number leaves the mean as it was.
        self._last = event.loss if math.isfinite(event.loss) else self._last
        # An exponential mean, divided by the weights there are: no pull towards zero at first.
        share = self.smoothing
        self._sum = share * self._sum + (1 - share) * self._last
        self._weight = share * self._weight + (1 - share)
        self.smooth.append(self._sum / self._weight)
        self.images_per_s.append(event.images_per_s)
        self.memory_mb.append(event.memory_mb)
        while len(self.rates) < len(event.rates):
            self.rates.append(Pyramid())
            self._steady.append((0.0, 0))
        self._look_for_drop(event)
        for column, rate in zip(self.rates, event.rates, strict=True):
            column.append(rate)

    def _look_for_drop(self, event: StepDone) -> None:
        """The steps at which the learning rate dropped at once, as a step schedule lets it."""
        shares = []
        for place, rate in enumerate(event.rates):
            before, steps = self._steady[place]
            if steps >= _STEADY_STEPS and 0 < rate < _DROP * before:
                shares.append(rate / before)
            self._steady[place] = (rate, steps + 1 if rate == before else 1)
        if shares:
            self.drops.append(RateDrop(event.step, min(shares)))

    def curve(
        self, values: Pyramid, per_epoch: int, scale: float = 1.0, *, only_positive: bool = False
    ) -> Curve:
        return Curve(self.step, values, max(1, per_epoch), scale, only_positive)

    def set_smoothing(self, share: float) -> None:
        """Smooth the losses again; each step keeps `share` (0 … below 1) of the mean before it."""
        if share == self.smoothing:
            return
        self.smoothing = share
        if not self.step:
            return
        smooth, self._sum, self._weight = _smoothed(self.loss, share)
        self.smooth.replace(smooth)

    def forget_after(self, step: int) -> None:
        """Remove the steps after this one: a resumed run makes them again."""
        keep = bisect_right(self.step, step)
        del self.step[keep:]
        for column in (self.loss, self.smooth, self.images_per_s, self.memory_mb, *self.rates):
            column.cut(keep)
        self.drops = [drop for drop in self.drops if drop.step <= step]
        self.track = LossTrack()
        for place, made in enumerate(self.step):
            rates = tuple(column[place] for column in self.rates)
            self.track.add(StepDone(int(made), 0, self.loss[place], rates, 0.0))
        self._steady = [(column[-1] if keep else 0.0, 1) for column in self.rates]
        self._sum = self._weight = self._last = 0.0
        if keep:
            _smooth, self._sum, self._weight = _smoothed(self.loss, self.smoothing)
            self._last = self._sum / self._weight


def _smoothed(losses: Pyramid, share: float) -> tuple[npt.NDArray[np.float32], float, float]:
    """The exponential means of all losses, and the sum and the weight of the last one.

    In rows of a length whose powers stay far from the largest number, one cumulated sum each.
    """
    import numpy as np

    loss = np.array(losses[:], dtype=np.float64)
    is_number = np.isfinite(loss)
    if not is_number.all():
        last = np.maximum.accumulate(np.where(is_number, np.arange(len(loss)), 0))
        loss = np.nan_to_num(loss[last], nan=0.0, posinf=0.0, neginf=0.0)
    if share == 0:
        return loss.astype(np.float32), float(loss[-1]), 1.0
    length = max(1, min(256, int(-12 / math.log10(share))))
    rows = -(-len(loss) // length)
    table = np.zeros((rows, length))
    table.ravel()[: len(loss)] = loss
    powers = share ** np.arange(length)
    own = (1 - share) * np.cumsum(table / powers, axis=1) * powers
    carried = np.zeros(rows)
    for row in range(1, rows):
        carried[row] = carried[row - 1] * share**length + own[row - 1, -1]
    sums = (own + share * carried[:, None] * powers).ravel()[: len(loss)]
    weights = 1 - share ** np.arange(1, len(loss) + 1)
    return (sums / weights).astype(np.float32), float(sums[-1]), float(weights[-1])
