"""Making the catalog anew. The whole takes minutes; here are its parts and its promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import ModelError
from core.events import Cancelled
from core.models import catalog, catalog_build


def test_the_catalog_lists_what_the_libraries_have_default_weights_first():
    rows = [
        *catalog_build._bundled_rows({}),
        *catalog_build._torchvision_rows(),
        *catalog_build._timm_rows({}),
    ]
    made = [catalog.card_of(row) for row in rows]
    shipped = {card.id: card for card in catalog.load().cards}
    assert sorted(card.id for card in made) == sorted(shipped)
    for card in made:
        here = shipped[card.id]
        assert (card.family, card.input_size, card.num_classes, card.license, card.weights) == (
            here.family, here.input_size, here.num_classes, here.license, here.weights,
        )  # fmt: skip


def test_without_tables_the_published_accuracies_are_kept():
    kept = catalog_build._present()
    rows = [*catalog_build._bundled_rows(kept), *catalog_build._timm_rows(kept)]
    for row in rows:
        card = catalog.card_of(row)
        shipped = catalog.load().by_id[card.id.lower()]
        assert (card.top1, card.top5) == (shipped.top1, shipped.top5)


def test_of_several_published_sizes_the_one_of_the_card_counts(tmp_path: Path):
    (tmp_path / catalog_build.RESULTS_TABLE).write_text(
        "model,img_size,top1,top5\nconvnext_tiny.fb_in1k,288,82.7,96.1\n"
        "convnext_tiny.fb_in1k,224,82.1,95.9\n",
        encoding="utf-8",
    )
    published = catalog_build._published(tmp_path)
    assert catalog_build._accuracy(published, "convnext_tiny.fb_in1k", 224)["top1"] == 82.1
    assert catalog_build._accuracy(published, "convnext_tiny.fb_in1k", 288)["top1"] == 82.7
    assert catalog_build._accuracy(published, "unknown", 224) == {"top1": None, "top5": None}


def test_a_folder_without_the_table_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match=r"results-imagenet\.csv"):
        catalog_build.rebuild(tmp_path / "out.json", tables=tmp_path)


def test_a_stopped_rebuild_leaves_the_catalog_as_it_was(tmp_path: Path):
    out = tmp_path / "catalog.json"
    out.write_text("as it was", encoding="utf-8")
    asked = []

    def should_stop() -> bool:
        asked.append(True)
        return len(asked) > 3

    with pytest.raises(Cancelled):
        catalog_build.rebuild(out, should_stop=should_stop)
    assert out.read_text(encoding="utf-8") == "as it was"
    assert list(tmp_path.iterdir()) == [out]


def test_what_is_written_reads_back_as_the_same_cards(tmp_path: Path):
    rows = list(catalog_build._bundled_rows(catalog_build._present()))
    costs: dict = {}
    for row in rows:
        row["params"], row["macs"] = catalog_build._cost(row, costs)
    out = tmp_path / "catalog.json"
    catalog_build._write(out, rows)
    cards = catalog.read(out.read_text(encoding="utf-8")).cards
    assert cards == tuple(card for card in catalog.load().cards if card.source == "bundled")
