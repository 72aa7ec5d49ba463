"""How the window names things."""

from __future__ import annotations

from gui.words import strategy_in_words


def test_a_strategy_says_when_layers_were_set_by_hand():
    assert strategy_in_words("partial", gradual=True, by_hand=True).endswith(", gradual, by hand")
    assert strategy_in_words("full", by_hand=True).endswith(", by hand")
    assert "by hand" not in strategy_in_words("feature-extraction", by_hand=True)
