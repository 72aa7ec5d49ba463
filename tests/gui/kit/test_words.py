"""How the window names things."""

from __future__ import annotations

from core.words import list_some
from gui.kit.words import isolate, quote, quote_briefly, quote_some, strategy_in_words


def test_a_strategy_says_when_layers_were_set_by_hand():
    assert strategy_in_words("partial", gradual=True, by_hand=True).endswith(", gradual, by hand")
    assert strategy_in_words("full", by_hand=True).endswith(", by hand")
    assert "by hand" not in strategy_in_words("feature-extraction", by_hand=True)


def test_a_name_stays_on_its_line_and_a_very_long_one_is_shortened():
    assert quote("bees\nand wasps") == "“bees and wasps”"
    assert isolate("caf\udce9") == "caf\udce9"
    assert quote("ants") == "“ants”"
    assert quote("x" * 255) == "“" + "x" * 255 + "”"
    said = quote_briefly("x" * 255)
    assert len(said) < 70
    assert "…" in said


def test_a_long_list_names_the_first_and_counts_the_rest():
    assert list_some(["a", "b", "c"]) == "a, b, c"
    assert list_some(["a", "b", "c", "d"], 1) == "a and 3 more"
    assert quote_some(["ant", "bee"], 1) == "“ant” and 1 more"
