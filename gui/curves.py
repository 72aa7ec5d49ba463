"""The steps of a run as growing columns, and how they are thinned for a plot. No Qt.

numpy is imported when something is drawn: the first paint does without it.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.events import StepDone
from core.training.reading import LossTrack

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MOST_POINTS = 2_000
"""Of one line on the screen: more than a plot has pixels."""
_SMOOTHING = 0.9


class StepCurves:
    """One value a step: loss, smoothed loss, rates by layer group, images/s, memory."""

    def __init__(self) -> None:
        self.step = array("d")
        self.loss = array("d")
        self.smooth = array("d")
        self.images_per_s = array("d")
        self.memory_mb = array("d")
        self.rates: list[array[float]] = []
        self.track = LossTrack()
        self._sum = 0.0
        self._weight = 0.0

    def __len__(self) -> int:
        return len(self.step)

    def add(self, event: StepDone) -> None:
        self.track.add(event)
        self.step.append(event.step)
        self.loss.append(event.loss)
        # An exponential mean, divided by the weights there are: no pull towards zero at first.
        self._sum = _SMOOTHING * self._sum + (1 - _SMOOTHING) * event.loss
        self._weight = _SMOOTHING * self._weight + (1 - _SMOOTHING)
        self.smooth.append(self._sum / self._weight)
        self.images_per_s.append(event.images_per_s)
        self.memory_mb.append(event.memory_mb)
        while len(self.rates) < len(event.rates):
            self.rates.append(array("d"))
        for column, rate in zip(self.rates, event.rates, strict=True):
            column.append(rate)

    def forget_after(self, step: int) -> None:
        """Take back the steps after this one: a resumed run makes them again."""
        keep = sum(1 for made in self.step if made <= step)
        columns = (self.step, self.loss, self.smooth, self.images_per_s, self.memory_mb)
        for column in (*columns, *self.rates):
            del column[keep:]
        if keep:
            self._sum = self.smooth[-1] * self._weight
        self.track = LossTrack()
        for place, step in enumerate(self.step):
            rates = tuple(column[place] for column in self.rates)
            self.track.add(StepDone(int(step), 0, self.loss[place], rates, 0.0))


def thin(
    x: Sequence[float], y: Sequence[float], most: int = MOST_POINTS
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """At most `most` points that look the same: the lowest and the highest of each stretch.

    The last point is always there.
    """
    import numpy as np

    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(xs) <= most:
        return xs.copy(), ys.copy()
    stretches = most // 2 - 1
    length = -(-len(xs) // stretches)
    starts = np.arange(0, len(xs), length)
    low = np.minimum.reduceat(ys, starts)
    high = np.maximum.reduceat(ys, starts)
    middles = xs[np.minimum(starts + length // 2, len(xs) - 1)]
    thin_x = np.repeat(xs[starts], 2)
    thin_x[1::2] = middles
    thin_y = np.empty(2 * len(starts))
    thin_y[0::2], thin_y[1::2] = low, high
    return np.append(thin_x, xs[-1]), np.append(thin_y, ys[-1])
