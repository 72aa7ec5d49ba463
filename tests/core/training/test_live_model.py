"""Trying the model while it trains: answers between two steps, and the same run to the bit."""

from __future__ import annotations

import pytest
import torch

from core.catalog import catalog
from core.data.sources.scan import scan
from core.events import EpochDone, RunStarted, StepDone
from core.models.build import build
from core.plan.step_cost import relative_cost_by_epoch, relative_step_cost
from core.recipe.plan import make_plan
from helpers import LITE0, is_same, of_kind, small_recipe, train, weights_of

pytestmark = pytest.mark.usefixtures("tiny_weights")

RECIPE = small_recipe(learning_rate=1e-3)


@pytest.fixture
def folder(tmp_path, make_image_folder):
    return make_image_folder(tmp_path / "shapes", per_class={"train": 9, "val": 2})


def test_a_run_that_is_asked_between_its_steps_gives_the_bits_of_one_that_is_not(folder):
    index = scan(folder)
    pictures = [index.path(int(i)) for i in index.indices("val")]
    asked = []

    def ask(model):
        if model.step in (0, 2, 4):
            asked.append((model.step, model.epoch, model.classifier().classify(pictures, top=3)))

    _, tried, tried_events = train(folder, RECIPE, between_steps=ask)
    _, plain, plain_events = train(folder, RECIPE)

    assert [(step, epoch) for step, epoch, _ in asked] == [(0, 1), (2, 1), (4, 2)]
    for _step, _epoch, answers in asked:
        assert len(answers) == len(pictures)
        assert all(answer.top and not answer.error for answer in answers)
        assert all(answer.unlike_training is None for answer in answers)
    # It learned in between: the answers are those of other weights.
    first, last = asked[0][2][0].top[0], asked[-1][2][0].top[0]
    assert first.probability != last.probability
    losses = [
        [(e.step, e.loss) for e in of_kind(events, StepDone)]
        for events in (tried_events, plain_events)
    ]
    assert losses[0] == losses[1]
    # On the way the epochs tell how one-sided the answers are.
    shares = [e.top_share for e in of_kind(plain_events, EpochDone)]
    assert len(shares) == 3
    assert all(1 / 3 <= share <= 1 for share in shares)
    (started,) = of_kind(plain_events, RunStarted)
    assert (started.classes, started.work) == (3, ())
    assert is_same(weights_of(tried), weights_of(plain))


def test_a_step_costs_what_its_passes_forward_and_backward_cost():
    shares, names = {"stem": 0.5, "middle": 0.3, "head": 0.2}, ["stem", "middle", "head"]
    assert relative_step_cost(shares, names, names) == pytest.approx(1.0)
    assert relative_step_cost(shares, names, ["head"]) == pytest.approx((1 + 2 * 0.2) / 3)
    assert relative_step_cost(shares, names, ["middle", "head"]) == pytest.approx((1 + 2 * 0.5) / 3)
    # Through the frozen middle on the way to the stem: the gradient of its input alone.
    assert relative_step_cost(shares, names, ["stem", "head"]) == pytest.approx((1 + 1.4 + 0.3) / 3)


def test_layers_that_open_later_make_later_epochs_dearer():
    built = build(catalog.load().resolve(LITE0), num_classes=3)
    gradual = RECIPE.with_values(strategy="full", gradual=True, max_epochs=10)
    plan = make_plan(gradual, built.group_sizes())
    work = relative_cost_by_epoch(built, plan, 10, memory_format=torch.channels_last)
    assert len(work) == 10
    assert list(work) == sorted(work)
    assert work[0] < 0.5
    assert work[-1] == pytest.approx(1.0, abs=0.01)
