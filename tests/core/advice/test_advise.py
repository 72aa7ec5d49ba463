"""Advice: what evidence and budget make of the table, and what everything costs."""

from __future__ import annotations

import pytest

from core.advice.advise import advise, overrule
from core.advice.check import Arm, Check, check
from core.advice.estimate import (
    Cost,
    Sizes,
    Speed,
    TrainingSpeed,
    cost_of_fine_tuning,
    cost_of_head,
)
from core.advice.evidence import Evidence
from core.advice.rules import Thresholds, decide, rule_tables
from core.data.sources.scan import scan
from core.recipe.plan import make_plan
from core.recipe.recipe import make_recipe
from helpers import TINY


def evidence(accuracy):
    return Evidence(400, 0.8, 100, accuracy, (accuracy - 0.03, min(1, accuracy + 0.03)), 100.0)


def test_a_head_that_is_right_already_overrules_the_table_with_its_reason():
    decision, reasons = overrule(
        decide(5_000, "somewhat"), evidence(0.995), per_class=5_000, domain="somewhat"
    )
    assert decision.strategy == "feature-extraction"
    assert not decision.gradual
    assert "99.5%" in reasons[0]


def test_a_poor_head_far_from_photographs_asks_for_a_check_of_fine_tuning():
    decision, reasons = overrule(
        decide(300, "somewhat"), evidence(0.6), per_class=300, domain="somewhat"
    )
    assert decision.strategy == "feature-extraction"
    assert "check partial fine-tuning" in reasons[0]


@pytest.mark.parametrize(
    ("per_class", "domain", "accuracy"),
    [(300, "similar", 0.6), (50, "somewhat", 0.6), (300, "somewhat", 0.9), (5_000, "similar", 0.9)],
)
def test_otherwise_the_table_stands(per_class, domain, accuracy):
    table = decide(per_class, domain)
    assert overrule(table, evidence(accuracy), per_class=per_class, domain=domain) == (table, ())


def test_the_applied_cell_of_each_rule_is_what_the_rule_says():
    deciding, by_size, by_both = rule_tables(5_000, "different")
    assert deciding.cells[1][2] == "full fine-tuning, gradual"
    assert deciding.applied == (1, 2)
    assert by_size.cells[by_size.applied[0]] == ("partial fine-tuning",)
    assert by_both.applied == (1, 2)
    moved, *_ = rule_tables(500, "similar", thresholds=Thresholds(medium=400, large=4_000))
    assert moved.applied == (1, 0)
    assert moved.rows[0] == "fewer than 400 per class"


_SPEED = Speed(embedded_per_s=100, head_epochs=20, head_seconds=0.1, multiply_adds_per_s=1e10)


def sizes(train, classes=2):
    return Sizes(
        train=train, fit=train * 4 // 5, selection=train // 5, report=0, classes=classes, folds=5
    )


def test_the_fit_of_the_head_counts_where_there_are_many_classes():
    few = cost_of_head(sizes(1_000), _SPEED, 1_280).seconds
    many = cost_of_head(sizes(1_000, classes=200), _SPEED, 1_280).seconds
    assert few == pytest.approx(10, rel=0.2)  # the embedding
    assert many > few + 10


def test_gradual_opening_costs_less_than_training_everything_from_the_start():
    sizes_of = {"stem": 10, "layer1": 100, "layer2": 200, "head": 20}
    groups = [(name, {f"{name}.weight": size}) for name, size in sizes_of.items()]
    trained = TrainingSpeed(images_per_s=10, memory_mb=500)

    def seconds(**values):
        recipe = make_recipe({"strategy": "full", **values})
        plan = make_plan(recipe, groups)
        return cost_of_fine_tuning(
            sizes(1_000), _SPEED, trained, plan, recipe, probe=Cost(10, 400), pixel_bytes=150_528
        ).seconds

    everything = seconds()
    # 10 epochs: 800 images learned at 10 a second, 200 judged at 100 a second; the probe first
    assert everything == pytest.approx(10 * (80 + 2) + 10)
    assert seconds(gradual=True) < 0.9 * everything
    assert seconds(max_epochs=5) == pytest.approx((everything - 10) / 2 + 10)


def test_a_verdict_does_not_make_more_of_a_difference_than_chance_does():
    def verdict(tuned, interval):
        arms = (Arm("feature-extraction", 0.9, (0.8, 0.96), 1), Arm("partial", tuned, interval, 9))
        return Check(150, 50, 3, arms).verdict

    assert "no more" in verdict(0.9, (0.8, 0.96))
    assert "chance gives" in verdict(0.94, (0.84, 0.98))
    assert "more than chance" in verdict(1.0, (0.93, 1.0))


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Two handwritten digits, 24 pictures each, as a dataset on the disk."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    root = tmp_path_factory.mktemp("digits")
    data = load_digits()
    for digit in (0, 1):
        (root / str(digit)).mkdir()
        for number, image in enumerate(data.images[data.target == digit][:24]):
            picture = Image.fromarray((image * 15).astype(np.uint8))
            picture.resize((64, 64)).save(root / str(digit) / f"{number}.png")
    return scan(root)


@pytest.mark.usefixtures("tiny_weights")
def test_the_advice_has_a_complete_recipe_and_a_cost_for_every_strategy(digits):
    advice = advise(digits, make_recipe({"seed": 3, "model": TINY}), domain="somewhat")
    assert [a.strategy for a in advice.alternatives] == ["feature-extraction", "partial", "full"]
    frozen, partial, full = advice.alternatives
    assert frozen.is_advised
    assert advice.recipe == frozen.recipe
    assert all(a.recipe.seed == 3 and a.recipe.strategy == a.strategy for a in advice.alternatives)
    assert frozen.trainable_params < partial.trainable_params < full.trainable_params
    assert full.trainable_params == full.params
    assert 0 < frozen.seconds < partial.seconds
    assert partial.recipe.augmentation == "light"
    assert any("are not varied here" in reason for reason in advice.reasons)
    assert advice.to_dict()["alternatives"][1]["recipe"]["strategy"] == "partial"


@pytest.mark.usefixtures("tiny_weights")
def test_a_budget_nothing_fits_is_said_and_a_smaller_strategy_is_taken_where_it_fits(digits):
    limits = Thresholds(medium=5, large=10)  # so that the table says full fine-tuning
    recipe = make_recipe({"model": TINY})
    poor = advise(digits, recipe, domain="somewhat", budget_seconds=1e-3, thresholds=limits)
    assert poor.table.strategy == "full"
    assert poor.decision.strategy == "feature-extraction"
    assert any("No strategy fits" in reason for reason in poor.reasons)
    assert not any(a.fits_budget for a in poor.alternatives)


@pytest.mark.slow
def test_the_check_judges_all_arms_on_the_same_images(digits):
    advice = advise(digits, make_recipe({}), domain="somewhat")
    found = check(digits, advice)
    assert [arm.strategy for arm in found.arms] == ["feature-extraction", "partial", "full"]
    assert all(arm.interval[0] <= arm.accuracy <= arm.interval[1] for arm in found.arms)
    assert found.selection_images < found.images
