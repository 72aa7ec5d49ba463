"""The Pareto front: the points that no other one beats in both figures. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Positions of the points (cost, worth) on the front, the cheapest first.

    The lower the first figure and the higher the second, the better. A point is on the front where
    no other is at least as good in both and better in one; of equal points all are. Points with a
    figure that is not a number are left out.
    """
    known = [i for i, (cost, worth) in enumerate(points) if not math.isnan(cost + worth)]
    known.sort(key=lambda i: (points[i][0], -points[i][1], i))
    front: list[int] = []
    best = -math.inf
    for position in known:
        worth = points[position][1]
        if worth > best or (front and points[position] == points[front[-1]]):
            front.append(position)
            best = worth
    return front
