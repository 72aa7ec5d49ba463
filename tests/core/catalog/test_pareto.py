"""Which points of a chart nobody beats."""

from __future__ import annotations

import math
import random

from core.catalog.pareto import pareto_front


def test_a_point_is_on_the_front_where_none_is_cheaper_and_better():
    points = [(3.0, 80.0), (1.0, 70.0), (2.0, 69.0), (2.0, 75.0), (4.0, 80.0)]
    assert pareto_front(points) == [1, 3, 0]


def test_equal_points_are_all_on_the_front():
    assert pareto_front([(1.0, 5.0), (2.0, 4.0), (1.0, 5.0)]) == [0, 2]


def test_no_points_have_no_front_and_an_unknown_figure_is_left_out():
    assert pareto_front([]) == []
    assert pareto_front([(math.nan, 99.0), (1.0, math.nan), (2.0, 3.0)]) == [2]


def test_the_front_is_the_one_found_by_comparing_every_pair():
    draw = random.Random(0)
    points = [(float(draw.randrange(30)), float(draw.randrange(30))) for _ in range(200)]

    def beats(a: tuple[float, float], b: tuple[float, float]) -> bool:
        return a[0] <= b[0] and a[1] >= b[1] and a != b

    wanted = {i for i, p in enumerate(points) if not any(beats(q, p) for q in points)}
    assert set(pareto_front(points)) == wanted
