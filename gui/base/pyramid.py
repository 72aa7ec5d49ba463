"""A growing column of numbers that can be drawn at any length: lowest and highest by stretch.

Level k holds the extremes of stretches of 4^k values. They are made once a stretch is complete,
when somebody looks: an append costs the same at a million values as at ten, and a picture of any
part costs what its points cost. No Qt; numpy is imported when something is drawn, because the
first paint does without it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_FACTOR = 4


class Pyramid:
    """float32 values. Whatever is not a number is a gap in the curve and no extreme."""

    def __init__(self) -> None:
        self._values = array("f")
        self._lows: list[array[float]] = []  # by level, from stretches of four upwards
        self._highs: list[array[float]] = []

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[float]:
        return iter(self._values)

    @overload
    def __getitem__(self, place: int) -> float: ...
    @overload
    def __getitem__(self, place: slice) -> list[float]: ...
    def __getitem__(self, place: int | slice) -> float | list[float]:
        found = self._values[place]
        return found if isinstance(found, float) else list(found)

    def append(self, value: float) -> None:
        self._values.append(value)

    def replace(self, values: npt.NDArray[np.float32]) -> None:
        """Replace all values."""
        self._values = array("f", values.tobytes())
        self._lows, self._highs = [], []

    def cut(self, keep: int) -> None:
        """Forget all but the first `keep` values."""
        del self._values[keep:]
        stretch = 1
        for low, high in zip(self._lows, self._highs, strict=True):
            stretch *= _FACTOR
            del low[keep // stretch :]
            del high[keep // stretch :]

    def extremes(self, start: int, stop: int) -> tuple[float, float]:
        """The lowest and the highest of values[start:stop]; (nan, nan) where there are none."""
        import numpy as np

        x, y = self.thin(start, stop, 64)
        if not len(x) or np.isnan(y).all():
            return float("nan"), float("nan")
        return float(np.nanmin(y)), float(np.nanmax(y))

    def thin(
        self, start: int, stop: int, most: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """(places, values) of values[start:stop], at most about `most` of them, that look the
        same: the lowest and the highest of each stretch, the last value always there."""
        import numpy as np

        start, stop = max(0, start), min(stop, len(self._values))
        values = np.frombuffer(self._values, np.float32)
        if stop - start <= most:
            return np.arange(start, stop), values[start:stop].astype(np.float64)
        level, stretch = 0, 1
        while 2 * ((stop - start) // stretch + 2) + 1 > most:
            level, stretch = level + 1, stretch * _FACTOR
        if level == 0:
            return np.arange(start, stop), values[start:stop].astype(np.float64)
        lows, highs = self._level(level)
        first, last = -(-start // stretch), stop // stretch
        if first >= last:  # no whole stretch inside
            edges = [(start, stop)]
            inner = np.arange(0)
        else:
            edges = [(start, first * stretch), (last * stretch, stop)]
            inner = np.arange(first, last)
        places = np.repeat(inner * stretch, 2)
        places[1::2] += stretch // 2
        drawn = np.empty(2 * len(inner))
        drawn[0::2], drawn[1::2] = lows[inner], highs[inner]
        for begin, end in edges:
            if begin < end:
                low, high = _reduce(values[begin:end])
                at = [begin, begin + (end - begin) // 2]
                is_before = begin < first * stretch
                places = np.concatenate([at, places] if is_before else [places, at])
                pair = [low, high]
                drawn = np.concatenate([pair, drawn] if is_before else [drawn, pair])
        return np.append(places, stop - 1), np.append(drawn, float(values[stop - 1]))

    def _level(self, level: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Extremes of the complete stretches of a level, made as far as they are not there yet."""
        import numpy as np

        while len(self._lows) < level:
            self._lows.append(array("f"))
            self._highs.append(array("f"))
        # The level below as two columns: of the values themselves both are the same.
        below_low = below_high = np.frombuffer(self._values, np.float32)
        for low, high in zip(self._lows[:level], self._highs[:level], strict=True):
            done, whole = len(low), len(below_low) // _FACTOR
            if done < whole:
                part = slice(done * _FACTOR, whole * _FACTOR)
                low.frombytes(np.fmin.reduce(below_low[part].reshape(-1, _FACTOR), 1).tobytes())
                high.frombytes(np.fmax.reduce(below_high[part].reshape(-1, _FACTOR), 1).tobytes())
            below_low = np.frombuffer(low, np.float32) if low else np.empty(0, np.float32)
            below_high = np.frombuffer(high, np.float32) if high else np.empty(0, np.float32)
        return below_low, below_high


def _reduce(values: npt.NDArray[np.float32]) -> tuple[float, float]:
    import numpy as np

    return float(np.fmin.reduce(values)), float(np.fmax.reduce(values))
