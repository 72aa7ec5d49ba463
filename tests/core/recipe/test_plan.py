"""The plan: what trains from which epoch at which rate."""

from __future__ import annotations

import pytest

from core.errors import AppError
from core.plan.layer_plan import plan_of
from core.recipe.plan import make_plan
from core.recipe.recipe import make_recipe
from core.training.context import rate_notices

_SIZES = {"stem": 10, "layer1": 100, "layer2": 200, "layer3": 400, "head": 20}
_GROUPS = [(name, {f"{name}.weight": size}) for name, size in _SIZES.items()]


def plan(**values):
    return make_plan(make_recipe(values), _GROUPS)


def test_gradual_partial_fine_tuning_follows_the_known_schedule():
    made = plan(strategy="partial", layer_groups=2, gradual=True, max_epochs=10)
    assert [group.opens_at for group in made.groups] == [None, None, 7, 4, 1]
    assert made.open_in(3) == ("head",)
    assert made.open_in(4) == ("layer3", "head")
    assert made.open_in(7) == ("layer2", "layer3", "head")


def test_rates_fall_from_the_head_backwards_by_the_layer_decay():
    made = plan(strategy="full", learning_rate=1e-3, layer_decay=0.1)
    rates = [group.learning_rate for group in made.groups]
    assert rates == pytest.approx([1e-7, 1e-6, 1e-5, 1e-4, 1e-3])


def test_nothing_trains_but_the_head_in_feature_extraction():
    made = plan()
    assert made.open_in(40) == ("head",)
    assert (made.trainable_params, made.params) == (20, 730)
    assert made.groups[-1].learning_rate == 0  # a solver fits it


def test_full_fine_tuning_opens_everything_in_time_even_in_few_epochs():
    made = plan(strategy="full", gradual=True, max_epochs=5)
    opens = [group.opens_at for group in made.groups]
    assert opens == sorted(opens, reverse=True)
    assert opens[0] <= 5
    assert made.trainable_params == made.params


def test_more_groups_than_there_are_are_all_of_them():
    assert plan(strategy="partial", layer_groups=99).trainable_params == 730


def test_the_plan_of_a_model_knows_its_layer_groups_without_its_weights():
    made = plan_of(make_recipe({"model": "torchvision/resnet50", "strategy": "partial"}), 10)
    assert [group.name for group in made.groups] == [
        "stem", "layer1", "layer2", "layer3", "layer4", "head",
    ]  # fmt: skip
    assert made.params == 23_528_522
    assert made.groups[-1].params == 20_490


def test_epochs_of_the_openings_can_be_given_as_a_list_or_by_name():
    made = plan(strategy="full", open_at=(4, 7), max_epochs=10)
    assert [group.opens_at for group in made.groups] == [None, None, 7, 4, 1]
    made = plan(strategy="full", open_at={"layer1": 2, "layer3": 5}, max_epochs=10)
    assert [group.opens_at for group in made.groups] == [None, 2, None, 5, 1]


def test_an_opening_that_never_comes_or_of_no_layer_is_refused():
    with pytest.raises(AppError, match="in epoch 12, and there are 10 epochs"):
        plan(strategy="full", open_at=(4, 12), max_epochs=10)
    with pytest.raises(AppError, match="no such layer group") as caught:
        plan(strategy="full", open_at={"layer_3": 2}, max_epochs=10)
    assert "“layer3”" in caught.value.hint


def test_late_and_early_layers_can_have_a_rate_each():
    made = plan(strategy="full", learning_rate=1e-3, late_rate=1e-4, early_rate=1e-5)
    rates = [group.learning_rate for group in made.groups]
    assert rates == pytest.approx([1e-5, 1e-5, 1e-4, 1e-4, 1e-3])
    made = plan(strategy="full", learning_rate=1e-3, layer_decay=0.5, early_rate=1e-5)
    assert [group.learning_rate for group in made.groups][2:] == pytest.approx([2.5e-4, 5e-4, 1e-3])


def test_a_high_rate_is_warned_of_in_fine_tuning_alone():
    assert (
        "destroy" in rate_notices(make_recipe({"strategy": "full", "learning_rate": 0.01}))[0].text
    )
    for values in ({"strategy": "scratch", "learning_rate": 0.1}, {"strategy": "full"}, {}):
        assert not rate_notices(make_recipe(values))
