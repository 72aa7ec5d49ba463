"""Rows of cards to copy."""

from __future__ import annotations

import csv
from dataclasses import replace

from core.catalog import catalog, table_export
from core.catalog.card import Latency


def test_csv_holds_one_line_a_card_and_numbers_that_a_spreadsheet_reads():
    cards = catalog.load().search("resnet50", source="torchvision")
    latency = Latency(
        cards[0].id, 8.3, 8.1, 9.0, 30, (224, 224), "cpu", "", "float32", "contiguous", 2, "2.0"
    )
    text = table_export.to_csv(cards, {cards[0].id}, {cards[0].id: latency})
    read = list(csv.DictReader(text.splitlines()))
    assert [row["model"] for row in read] == [card.id for card in cards]
    assert float(read[0]["params M"]) == 25.56
    assert (read[0]["weights"], read[1]["weights"]) == ("here", "online")
    assert (read[0]["latency ms"], read[1]["latency ms"]) == ("8.30", "")
    assert read[0]["input"] == "224x224"


def test_markdown_has_a_cell_for_every_heading_and_escapes_bars():
    card = replace(catalog.load().cards[0], family="a|b", top1=None)
    head, rule, row = table_export.to_markdown([card], ()).splitlines()
    assert head.count("|") == rule.count("|") == len(table_export.HEADINGS) + 1
    assert "a\\|b" in row
    assert row.replace("\\|", "").count("|") == len(table_export.HEADINGS) + 1
    assert "None" not in row
