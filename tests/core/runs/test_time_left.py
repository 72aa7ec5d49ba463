"""The time that is left, held against constructed runs whose times are known."""

from __future__ import annotations

import random

import pytest

from core.events import EpochDone, RunStarted
from core.runs.time_left import seconds_left

FIT, SELECTION, REPORT, STEPS = 160, 40, 40, 10


def started(epochs, work=(), selection=SELECTION):
    return RunStarted(
        "r", "m", "full", "cpu", "float32", FIT + selection, selection, REPORT, epochs,
        groups=("stem", "head"), steps_per_epoch=STEPS, work=work,
    )  # fmt: skip


class Constructed:
    """A run whose steps cost `step_seconds(epoch)` and whose look at selection `look_seconds`."""

    def __init__(self, epochs, step_seconds, look_seconds, *, work=(), noise=0.0):
        rng = random.Random(0)
        self.started = started(epochs, work)
        self.steps = [
            [step_seconds(e) * rng.uniform(1 - noise, 1 + noise) for _ in range(STEPS)]
            for e in range(1, epochs + 1)
        ]
        self.look = look_seconds
        self.epochs = [EpochDone(0, 0.5, 0.8, 0.5, 0.8, 3.0)]
        for number, steps in enumerate(self.steps, start=1):
            speed = FIT / sum(steps)
            self.epochs.append(
                EpochDone(number, 0.5, 0.8, 0.5, 0.8, sum(steps) + look_seconds, images_per_s=speed)
            )

    def left(self, epochs_done, steps_into=0):
        """(told, true) once so many epochs and steps of the next are done."""
        recent = self.steps[epochs_done][:steps_into] if steps_into else []
        told = seconds_left(
            self.started,
            self.epochs[: epochs_done + 1],
            steps_done=epochs_done * STEPS + steps_into,
            recent_step_seconds=recent,
        )
        true = sum(sum(steps) + self.look for steps in self.steps[epochs_done:])
        return told, true - sum(recent) + self.look * REPORT / SELECTION


def test_even_epochs_are_foretold_after_the_first_one():
    run = Constructed(10, lambda epoch: 2.0, 6.0, noise=0.2)
    for done, into in ((1, 0), (1, 7), (4, 3), (9, 0)):
        told, true = run.left(done, into)
        assert told == pytest.approx(true, rel=0.1)


def test_epochs_that_grow_dearer_as_layers_open_are_foretold_by_the_plan():
    work = (0.34,) * 3 + (0.6,) * 3 + (1.0,) * 4
    run = Constructed(10, lambda epoch: 3 * work[epoch - 1], 4.0, work=work, noise=0.2)
    for done, into in ((1, 0), (1, 5), (3, 0), (3, 6), (8, 2)):
        told, true = run.left(done, into)
        assert told == pytest.approx(true, rel=0.2), (done, into)


def test_a_plan_that_is_off_by_a_third_is_put_right_by_the_steps_themselves():
    work = (0.34, 0.34, 1.0, 1.0, 1.0)
    run = Constructed(5, lambda epoch: 1.3 if epoch > 2 else 0.34, 2.0, work=work)
    told, true = run.left(2, 8)
    assert told == pytest.approx(true, rel=0.2)


def test_in_the_first_epoch_the_steps_alone_foretell():
    run = Constructed(5, lambda epoch: 2.0, 2.0 * STEPS / FIT * SELECTION / 3)
    told, true = run.left(0, 6)
    assert told == pytest.approx(true, rel=0.05)


def test_nothing_is_left_at_the_end_but_the_report():
    run = Constructed(3, lambda epoch: 2.0, 6.0)
    told, true = run.left(3)
    assert told == pytest.approx(true) == pytest.approx(6.0)


def test_nothing_is_foretold_where_nothing_is_known():
    assert seconds_left(started(5), [], steps_done=0, recent_step_seconds=[]) is None
