"""The usual needs and the models that serve them."""

from __future__ import annotations

import pytest

from core.catalog import catalog
from core.catalog.presets import PRESETS, Preset, preset
from core.errors import ModelError


@pytest.mark.parametrize("need", PRESETS, ids=lambda need: need.key)
def test_a_preset_finds_models_and_its_recommended_ones_are_among_them(need: Preset):
    cards = catalog.load()
    found = [cards.cards[i] for i in cards.positions(need.filter)]
    ids = [card.id for card in catalog.sorted_cards(found, need.sort)]
    assert 3 < len(ids) < 60
    assert set(need.recommended) <= set(ids)


def test_an_unknown_preset_is_answered_with_the_ones_there_are():
    assert preset("mobile").title == "Mobile or edge"
    with pytest.raises(ModelError, match="mobile") as caught:
        preset("hovercraft")
    assert "hovercraft" in caught.value.message
