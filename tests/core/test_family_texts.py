"""What is said of families: of those that exist, and of every large one."""

from __future__ import annotations

from collections import Counter

from core.models import catalog
from core.models.family_texts import described_families, family_text

FAMILIES = Counter(card.family for card in catalog.load().cards)


def test_no_text_speaks_of_a_family_that_is_not_there():
    assert set(described_families()) <= set(FAMILIES)


def test_nearly_every_large_family_is_described():
    # Too new or too little documented to be described for certain.
    unknown = {"Qwen3 ViT", "DeepSeek ViT", "EfficientViM", "CPUBone", "iFormer", "LowFormer"}
    large = {family for family, cards in FAMILIES.items() if cards > 5}
    assert {family for family in large if family_text(family) is None} == unknown


def test_nine_in_ten_cards_have_a_text():
    described = sum(cards for family, cards in FAMILIES.items() if family_text(family))
    assert described > 0.9 * FAMILIES.total()


def test_an_unknown_family_gets_nothing_rather_than_a_guess():
    assert family_text("NoSuchNet") is None
    assert family_text("") is None
