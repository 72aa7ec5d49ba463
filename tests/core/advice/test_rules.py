"""The deciding table, against the published test vectors."""

from __future__ import annotations

import pytest

from core.advice.rules import Thresholds, decide, describe, parse_budget, published_rules
from core.errors import AppError


@pytest.mark.parametrize(
    ("per_class", "domain", "says"),
    [
        (250, "somewhat", "feature extraction with augmentation"),  # 500 defects, 2 classes
        (124, "similar", "feature extraction"),  # ants and bees
        (240, "somewhat", "feature extraction with augmentation"),  # steel defects
        (2_000, "similar", "partial fine-tuning"),  # animals
        (5_000, "somewhat", "partial fine-tuning with augmentation, gradual"),  # X-rays
        (5_000, "different", "full fine-tuning, gradual"),  # satellite
        (20_000, "similar", "partial fine-tuning"),  # objects
        (20_000, "different", "full fine-tuning"),  # spectrograms
        (20_000, "somewhat", "full fine-tuning"),
        (999, "similar", "feature extraction"),
        (1_000, "similar", "partial fine-tuning"),
        (9_999, "similar", "partial fine-tuning"),
    ],
)
def test_the_table_gives_the_published_answer(per_class, domain, says):
    assert describe(decide(per_class, domain)) == says


def test_the_thresholds_can_be_moved():
    moved = decide(500, "similar", thresholds=Thresholds(medium=400, large=4_000))
    assert moved.strategy == "partial"


def test_a_very_different_domain_is_told_that_features_may_not_transfer():
    assert any("may not transfer" in note for note in decide(100, "different").notes)
    assert any("may not transfer" in note for note in decide(5_000, "different").notes)


def test_both_published_rules_stand_beside_the_deciding_one_and_may_disagree():
    by_size, by_both, table = published_rules(5_000, "different")
    assert (by_size.says, by_size.decided) == ("partial fine-tuning", False)
    assert "from scratch" in by_both.says
    assert table.decided
    assert table.says == "full fine-tuning, gradual"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400)]
)
def test_a_budget_is_read_in_the_units_people_write(text, seconds):
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["soon", "", "-5m", "0", "nan"])
def test_a_budget_that_is_none_is_refused_with_its_value(text):
    with pytest.raises(AppError, match="budget"):
        parse_budget(text)
