"""How a range test is read: synthetic curves with a known answer, in words a person can act on."""

from __future__ import annotations

import csv
import itertools
import math
import random

import pytest

from core.errors import AppError
from core.recipe.recipe import Recipe
from core.training.lr_finder.curve import (
    RatePoint,
    Smoother,
    check_bounds,
    describe_rate,
    has_diverged,
    rate_at,
    rate_text,
    rate_values,
    read,
    write_points,
)

STEPS = 70


def curve(loss_at, *, steps=STEPS, lowest=1e-7, highest=1.0, noise=0.0, classes=10, seed=0):
    """(points, end, keep) of a test in which the loss at a rate is `loss_at(rate)`."""
    rng, smoother = random.Random(seed), Smoother(lowest, highest, steps)
    points = []
    for step in range(1, steps + 1):
        rate = rate_at(step, lowest, highest, steps)
        loss = loss_at(rate) * math.exp(rng.gauss(0, noise))
        points.append(RatePoint(step, rate, loss, smoother.add(loss)))
        if has_diverged(points, classes):
            return points, "diverged", smoother.keep
    return points, "highest", smoother.keep


def textbook(rate):
    """2.3 nats; falls around 1e-3, is lowest at 1e-2 and runs away after 3e-2."""
    fall = 1.8 / (1 + (1e-3 / rate) ** 2)
    return 2.3 - fall + (rate / 3e-2) ** 3


def fitted(rate):
    """A fitted head: near nothing until it is torn at 1e-3."""
    return 0.01 + (rate / 1e-3) ** 4


def test_rates_rise_by_one_factor_and_end_where_they_should():
    rates = [rate_at(step, 1e-7, 1.0, STEPS) for step in range(1, STEPS + 1)]
    factors = [b / a for a, b in itertools.pairwise(rates)]
    assert rates[0] == 1e-7
    assert rates[-1] == 1.0
    assert factors == pytest.approx([factors[0]] * len(factors))


def test_smoothing_is_corrected_for_its_start_and_trails_alike_for_any_number_of_steps():
    for steps in (40, 400):
        smoother = Smoother(1e-7, 1.0, steps)
        assert smoother.add(2.0) == pytest.approx(2.0)
        assert smoother.add(2.0) == pytest.approx(2.0)
    few, many = Smoother(1e-7, 1.0, 71).keep, Smoother(1e-7, 1.0, 701).keep
    assert many / (1 - many) == pytest.approx(10 * few / (1 - few))


@pytest.mark.parametrize("seed", range(5))
def test_the_fastest_fall_is_suggested_where_the_loss_falls(seed):
    points, end, keep = curve(textbook, noise=0.1, seed=seed)
    reading = read(points, end, keep)
    assert end == "diverged"
    assert 3e-4 < reading.suggestion < 6e-3
    assert reading.suggestion == pytest.approx(reading.steepest, rel=0.05)
    assert 3e-3 < reading.lowest < 6e-2
    assert reading.tenth == pytest.approx(reading.lowest / 10)
    assert "falls fastest" in reading.reason


@pytest.mark.parametrize("seed", range(5))
def test_where_a_fitted_head_leaves_nothing_to_fall_a_tenth_of_the_rise_is_suggested(seed):
    points, end, keep = curve(fitted, noise=0.5, seed=seed)
    reading = read(points, end, keep)
    assert reading.steepest is None
    assert 1e-5 < reading.suggestion < 1e-4
    assert reading.suggestion == pytest.approx(reading.rises_at / 10, rel=0.05)
    assert "within what batches differ by" in reading.reason


def test_one_hard_batch_neither_ends_the_test_nor_becomes_the_answer():
    def with_an_outlier(rate):
        return 0.1 if 8e-6 < rate < 1e-5 else fitted(rate)

    points, end, keep = curve(with_an_outlier, noise=0.3)
    assert any(point.loss > 0.05 and point.rate < 1e-5 for point in points)
    reading = read(points, end, keep)
    assert points[-1].rate > 1e-4
    assert 1e-5 < reading.suggestion < 1e-4


def test_a_fall_right_before_the_rise_is_kept_away_from():
    def cliff(rate):
        return 2.3 if rate < 5e-4 else 0.4 if rate < 1.5e-3 else 40.0

    reading = read(*curve(cliff))
    assert reading.steepest > reading.rises_at / 3
    assert reading.suggestion == pytest.approx(reading.rises_at / 3, rel=0.05)
    assert "a third" in reading.reason


def test_a_curve_that_shows_nothing_suggests_nothing_and_says_what_to_do():
    level = read(*curve(lambda rate: 1.0, highest=1e-5, noise=0.2))
    assert level.suggestion is None
    assert "test higher rates" in level.reason
    torn = read(*curve(lambda rate: 1.0 if rate < 1e-2 else 1e3, lowest=5e-3))
    assert torn.suggestion is None
    assert "lower rate" in torn.reason
    assert read([], "diverged", 0.5).suggestion is None


def test_a_loss_that_is_no_number_ends_the_test():
    assert has_diverged([RatePoint(1, 1e-7, math.nan, 1.0)], 10)


def test_the_marker_is_told_how_far_it_is_from_the_rise():
    points, end, keep = curve(textbook)
    reading = read(points, end, keep)
    assert "too high" in describe_rate(points, reading, reading.rises_at * 2)
    assert "close to" in describe_rate(points, reading, reading.rises_at / 2)
    assert "10.0 times below" in describe_rate(points, reading, reading.rises_at / 10)
    assert "slow" in describe_rate(points, reading, 1e-7)
    assert describe_rate([], None, 1e-3) == ""


@pytest.mark.parametrize(
    ("rate", "text"), [(2.8e-4, "2.8e-4"), (1e-7, "1e-7"), (1.0, "1.0"), (0.031, "3.1e-2")]
)
def test_rates_are_written_shortly(rate, text):
    assert rate_text(rate) == text


@pytest.mark.parametrize(
    ("lowest", "highest", "steps", "said"),
    [
        (1e-3, 1e-4, 70, "no range"),
        (0.0, 1.0, 70, "no range"),
        (math.nan, 1.0, 70, "no range"),
        (1e-3, 5e-3, 70, "too narrow"),
        (1e-7, 1.0, 5, "5 steps"),
    ],
)
def test_a_range_that_is_none_is_refused_in_a_sentence(lowest, highest, steps, said):
    with pytest.raises(AppError, match=said):
        check_bounds(lowest, highest, steps)


def test_the_curve_is_written_as_csv(tmp_path):
    points, _end, _keep = curve(textbook)
    write_points(tmp_path / "curve.csv", points)
    with (tmp_path / "curve.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["rate"]) for row in rows] == [point.rate for point in points]
    assert set(rows[0]) == {"step", "rate", "loss", "smoothed_loss"}
    with pytest.raises(AppError, match="cannot be written"):
        write_points(tmp_path / "nowhere" / "curve.csv", points)


def test_rates_of_layers_with_numbers_of_their_own_move_with_the_heads():
    recipe = Recipe(strategy="full", learning_rate=1e-3, late_rate=1e-4, early_rate=1e-5)
    assert rate_values(recipe, 2e-4) == pytest.approx(
        {"learning_rate": 2e-4, "late_rate": 2e-5, "early_rate": 2e-6}
    )
    assert rate_values(Recipe(), 2e-4) == {"learning_rate": 2e-4}
