"""Which pictures of a gallery are selected; a hundred thousand cost one byte each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]


class Selection:
    """Positions 0…size-1, some of them selected. A range runs from the anchor."""

    def __init__(self, size: int = 0) -> None:
        self._flags = np.zeros(size, dtype=np.bool_)
        self._anchor = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, position: int) -> bool:
        return 0 <= position < len(self._flags) and bool(self._flags[position])

    @property
    def positions(self) -> Positions:
        """int64, ascending."""
        return np.flatnonzero(self._flags)

    def choose(self, positions: int | Positions) -> None:
        """Select these and no others."""
        self._flags[:] = False
        self._flags[positions] = True
        if np.ndim(positions) == 0:
            self._anchor = int(positions)
        self._count_again()

    def toggle(self, position: int) -> None:
        """Add a picture to the selection or take it out."""
        self._flags[position] = not self._flags[position]
        self._anchor = position
        self._count_again()

    def extend(self, position: int, *, keeps: bool = False) -> None:
        """From the anchor to here; `keeps` what was selected before."""
        if not keeps:
            self._flags[:] = False
        low, high = sorted((self._anchor, position))
        self._flags[low : high + 1] = True
        self._count_again()

    def choose_all(self) -> None:
        """Select all pictures."""
        self._flags[:] = True
        self._count_again()

    def clear(self) -> None:
        """Select nothing."""
        self._flags[:] = False
        self._count = 0

    def moved(self, places: Positions, size: int) -> Selection:
        """The same pictures after they moved: `places[old]` is the new position, -1: gone."""
        new = Selection(size)
        kept = places[self._flags]
        new._flags[kept[kept >= 0]] = True
        new._count_again()
        if self._anchor < len(places) and places[self._anchor] >= 0:
            new._anchor = int(places[self._anchor])
        return new

    def _count_again(self) -> None:
        self._count = int(np.count_nonzero(self._flags))


def place_after(places: Positions, position: int) -> int:
    """Where the eye goes when pictures moved: to the new place of `position`; where that is gone,
    to that of the next one still there, else of the one before; 0 where none is."""
    after = places[position:]
    there = after[after >= 0]
    if len(there):
        return int(there[0])
    before = places[:position]
    there = before[before >= 0]
    return int(there[-1]) if len(there) else 0
