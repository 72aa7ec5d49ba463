"""The steps of a run as columns: what is thinned keeps every peak, at any length."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core.events import StepDone
from gui.base.curves import StepCurves
from gui.base.pyramid import Pyramid


def pyramid(values) -> Pyramid:
    made = Pyramid()
    for value in values:
        made.append(value)
    return made


def curves(losses, rates=lambda step: (0.1,)):
    made = StepCurves()
    for step, loss in enumerate(losses, start=1):
        made.add(StepDone(step, 1, loss, rates(step), 10.0, 100.0))
    return made


def test_extremes_of_any_part_are_those_of_the_values() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal(20_011).astype(np.float32)
    made = pyramid(values)
    for _ in range(300):
        start, stop = sorted(rng.integers(0, len(values) + 1, 2).tolist())
        if start < stop:
            part = values[start:stop]
            assert made.extremes(start, stop) == (part.min(), part.max())


def test_extremes_stay_right_while_the_column_grows_and_is_cut() -> None:
    rng = np.random.default_rng(1)
    values: list[float] = []
    made = Pyramid()
    for _ in range(60):
        for value in rng.standard_normal(int(rng.integers(1, 400))).astype(np.float32).tolist():
            values.append(value)
            made.append(value)
        if rng.random() < 0.3:
            keep = int(rng.integers(1, len(values) + 1))
            del values[keep:]
            made.cut(keep)
        start = int(rng.integers(0, len(values)))
        assert made.extremes(start, len(values)) == (min(values[start:]), max(values[start:]))


@pytest.mark.parametrize("most", [100, 999, 4000])
def test_a_thinned_part_is_short_in_order_and_keeps_peaks_and_end(most: int) -> None:
    rng = np.random.default_rng(2)
    values = rng.standard_normal(50_000).astype(np.float32)
    made = pyramid(values)
    for _ in range(40):
        start, stop = sorted(rng.integers(0, len(values) + 1, 2).tolist())
        if stop - start < 2:
            continue
        places, drawn = made.thin(start, stop, most)
        assert len(places) <= most
        assert (np.diff(places) >= 0).all()
        assert start <= places[0] <= places[-1] == stop - 1
        assert (drawn.min(), drawn.max()) == (values[start:stop].min(), values[start:stop].max())
        assert drawn[-1] == values[stop - 1]
        # No stretch is left out: neighbours are never farther apart than two stretches.
        if stop - start > most:
            assert np.diff(places).max() <= 16 * (stop - start) / most + 4


def test_what_is_no_number_is_a_gap_and_no_extreme() -> None:
    made = pyramid([1.0, math.nan, 3.0, 2.0] * 500 + [math.nan] * 4000)
    assert made.extremes(0, 2000) == (1.0, 3.0)
    assert all(math.isnan(value) for value in made.extremes(2000, 6000))


def test_a_part_of_a_curve_comes_with_its_own_detail() -> None:
    made = curves([9.0 if step == 54_321 else 1.0 for step in range(1, 60_001)])
    curve = made.curve(made.loss, 1000)
    assert curve.span == (0.001, 60.0)
    x, y = curve.between(0, 60, 500)
    assert y.max() == 9.0
    x, y = curve.between(54.3, 54.4, 500)
    assert len(x) == 103  # every step, and one beyond on either side
    assert x[y.argmax()] == pytest.approx(54.321)
    assert curve.at(54.3211) == 9.0
    assert curve.at(54.3) == 1.0


def test_smoothing_starts_at_the_first_value_and_follows() -> None:
    made = curves([2.0, 2.0, 2.0, 1.0])
    assert made.smooth[:3] == pytest.approx([2.0, 2.0, 2.0])
    assert 1.0 < made.smooth[3] < 2.0


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.99])
def test_smoothing_anew_gives_what_smoothing_step_by_step_gives(share: float) -> None:
    losses = np.random.default_rng(3).random(3_000).tolist()
    losses[100] = math.nan
    anew = curves(losses)
    anew.set_smoothing(share)
    stepwise = StepCurves()
    stepwise.smoothing = share
    for step, loss in enumerate(losses, start=1):
        stepwise.add(StepDone(step, 1, loss, (0.1,), 1.0))
    assert anew.smooth[:] == pytest.approx(stepwise.smooth[:], rel=1e-5)
    for made in (anew, stepwise):  # and goes on from there
        made.add(StepDone(3_001, 1, 5.0, (0.1,), 1.0))
    assert anew.smooth[-1] == pytest.approx(stepwise.smooth[-1], rel=1e-5)


def test_a_rate_that_drops_at_once_is_told_and_a_gliding_one_is_not() -> None:
    stepped = curves([1.0] * 30, lambda step: (0.0, 1e-3 * 0.1 ** ((step - 1) // 10)))
    assert [drop.step for drop in stepped.drops] == [11, 21]
    assert stepped.drops[0].share == pytest.approx(0.1, rel=1e-3)
    gliding = curves([1.0] * 30, lambda step: (1e-3 * (1 + math.cos(math.pi * step / 30)),))
    assert gliding.drops == []


def test_steps_taken_back_are_forgotten_everywhere() -> None:
    made = curves([1.0 + step / 100 for step in range(50)])
    before = made.smooth[29]
    made.forget_after(30)
    assert len(made) == len(made.loss) == len(made.smooth) == len(made.rates[0]) == 30
    assert made.track.steps == 30
    assert made.smooth[-1] == pytest.approx(before)
    made.add(StepDone(31, 1, 1.3, (0.1,), 10.0, 100.0))
    assert made.smooth[-1] == pytest.approx(curves([1 + s / 100 for s in range(31)]).smooth[-1])
