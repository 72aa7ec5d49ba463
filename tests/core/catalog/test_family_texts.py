"""What is said of families: of those that exist, and of every large one."""

from __future__ import annotations

from collections import Counter

from core.catalog import catalog
from core.catalog.families import described_families, family_text

FAMILIES = Counter(card.family for card in catalog.load().cards)


def test_no_text_speaks_of_a_family_that_is_not_there():
    assert set(described_families()) <= set(FAMILIES)


def test_every_family_but_one_is_described():
    # CSATv2 has no paper yet, and nothing says when it was made.
    assert set(FAMILIES) - set(described_families()) == {"CSATv2"}


def test_years_are_those_of_the_field_and_every_text_ends_with_a_full_stop():
    for family, text in described_families().items():
        assert 2012 <= text.year <= 2026, family
        assert text.ideas.endswith("."), family
        assert text.use.endswith("."), family


def test_an_unknown_family_gets_nothing_rather_than_a_guess():
    assert family_text("NoSuchNet") is None
    assert family_text("") is None
