"""Making the catalog anew. The whole takes minutes; here are its parts and its promises."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torchvision
from timm.models import _registry

from core.catalog import catalog
from core.catalog.card import ModelCard
from core.catalog_build import build as catalog_build
from core.catalog_build import costs, published
from core.errors import ModelError
from core.events import Cancelled
from core.models.build import build


@pytest.fixture(scope="module")
def kept() -> published.Published:
    return published.of_catalog(catalog.load())


@pytest.fixture(scope="module")
def listed(kept: published.Published) -> list[ModelCard]:
    return catalog_build.listed(kept)


_COUNTED = dict.fromkeys(
    ("params", "macs", "activations", "feature_dim", "layer_groups", "images_per_s")
)


def test_the_catalog_lists_what_the_libraries_have_default_weights_first(listed: list[ModelCard]):
    shipped = catalog.load().cards
    assert [card.id for card in listed] == [card.id for card in shipped]
    for made, card in zip(listed, shipped, strict=True):
        assert made == replace(card, **_COUNTED)


def test_every_weights_variant_of_torchvision_and_every_pretrained_tag_of_timm_is_a_card():
    cards = catalog.load().by_id
    for name in torchvision.models.list_models(module=torchvision.models):
        for weights in torchvision.models.get_model_weights(name):
            assert f"torchvision/{name}.{weights.name}".lower() in cards
    tags = timm.list_models(pretrained=True, include_tags=True)
    assert len(tags) > 1_800
    assert [tag for tag in tags if f"timm/{tag}".lower() not in cards] == []
    assert sum(card.source == "timm" for card in cards.values()) == len(tags)
    assert _registry._model_has_pretrained >= {
        f"{card.arch}.{card.tag}" for card in cards.values() if card.source == "timm"
    }


@pytest.mark.parametrize(
    "name",
    [
        "bundled/tf_efficientnet_lite1",
        "torchvision/resnet50.IMAGENET1K_V2",
        "torchvision/vit_h_14.IMAGENET1K_SWAG_E2E_V1",
        "timm/convnext_tiny.fb_in1k",
        "timm/vit_base_patch16_clip_224.openai",
        "timm/test_resnet.r160_in1k",
    ],
)
def test_a_card_says_the_preprocessing_width_and_groups_that_the_model_is_built_with(name: str):
    card = catalog.load().resolve(name)
    built = build(card, num_classes=7, meta=True)
    preprocessing = built.preprocessing
    assert card.input_size == (preprocessing.height, preprocessing.width)
    assert card.interpolation == preprocessing.interpolation
    assert (card.mean, card.std) == (tuple(preprocessing.mean), tuple(preprocessing.std))
    assert card.crop_pct is not None
    assert preprocessing.resize_px == pytest.approx(preprocessing.height / card.crop_pct, abs=1)
    assert card.feature_dim == built.feature_dim
    assert card.layer_groups == len(built.groups)


def test_of_several_published_sizes_the_one_of_the_card_counts(tmp_path: Path):
    _write_tables(tmp_path)
    figures = published.read_tables(tmp_path)
    assert figures.accuracy("convnext_tiny.fb_in1k", 224)["top1"] == 82.1
    assert figures.accuracy("convnext_tiny.fb_in1k", 288)["top1"] == 82.7
    assert figures.accuracy("unknown", 224) == {"top1": None, "top5": None}


def test_published_throughput_counts_at_the_size_and_for_the_model_that_was_timed_only(
    tmp_path: Path,
):
    _write_tables(tmp_path)
    figures = published.read_tables(tmp_path)
    card = catalog.load().resolve("timm/convnext_tiny.fb_in1k")
    assert card.input_size == (224, 224)
    assert card.params is not None
    assert figures.throughput(card) == 4000.5
    assert figures.throughput(replace(card, input_size=(288, 288))) is None
    with_another_head = replace(card, params=card.params + 16_000_000)
    assert figures.throughput(with_another_head) is None
    assert "4090" in figures.throughput_hardware


def test_the_table_of_pretraining_speaks_where_the_tag_is_silent_and_the_name_is_certain(
    tmp_path: Path,
):
    _write_tables(tmp_path)
    figures = published.read_tables(tmp_path)
    assert figures.pretraining_of("mixnet_l", "ft_in1k") == "ImageNet-1k"
    # The name stands for several weights: which ones the table means is not known.
    assert "resnet50.a1_in1k" not in figures.pretraining


def test_without_tables_the_published_throughput_is_kept(kept: published.Published):
    for card in catalog.load().cards:
        if card.source != "torchvision":
            assert (card.id, kept.throughput(card)) == (card.id, card.images_per_s)
    assert kept.throughput_hardware == catalog.load().throughput_hardware


def _write_tables(folder: Path) -> None:
    (folder / published.RESULTS_TABLE).write_text(
        "model,img_size,top1,top5\nconvnext_tiny.fb_in1k,288,82.7,96.1\n"
        "convnext_tiny.fb_in1k,224,82.1,95.9\n",
        encoding="utf-8",
    )
    (folder / published.PRETRAINING_TABLE).write_text(
        "model,pretrain\nmixnet_l,in1k\nresnet50,in1k\n", encoding="utf-8"
    )
    (folder / published.THROUGHPUT_TABLE).write_text(
        "model,infer_img_size,infer_samples_per_sec,param_count\nconvnext_tiny,224,4000.50,28.59\n",
        encoding="utf-8",
    )


def test_a_folder_without_the_tables_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match=r"results-imagenet\.csv"):
        catalog_build.rebuild(tmp_path / "out.json", tables=tmp_path)
    (tmp_path / published.RESULTS_TABLE).write_text("something,else\n1,2\n", encoding="utf-8")
    with pytest.raises(ModelError, match="no column “model”"):
        catalog_build.rebuild(tmp_path / "out.json", tables=tmp_path)
    assert not (tmp_path / "out.json").exists()


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


def test_a_rebuild_says_what_was_added_removed_and_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: published.Published
):
    cards = catalog_build.listed(kept)[:4]
    monkeypatch.setattr(catalog_build, "listed", lambda figures: list(cards))
    out = tmp_path / "catalog.json"
    first = catalog_build.rebuild(out)
    assert len(first.added) == first.cards == 4
    old = catalog.read(out.read_text(encoding="utf-8"))
    gone = replace(old.cards[0], id="timm/gone.in1k", source="timm", arch="gone", tag="in1k")
    other = replace(old.cards[1], params=1)
    catalog_build.write(out, replace(old, cards=(gone, other, *old.cards[2:])))
    second = catalog_build.rebuild(out)
    assert second.added == (old.cards[0].id,)
    assert second.removed == ("timm/gone.in1k",)
    assert second.changed == (old.cards[1].id,)
    assert catalog.read(out.read_text(encoding="utf-8")).cards == old.cards


def test_a_place_that_cannot_be_written_is_said_in_a_sentence(tmp_path: Path):
    with pytest.raises(ModelError, match="cannot be written"):
        catalog_build.write(tmp_path / "no such folder" / "catalog.json", catalog.load())


def test_what_is_written_reads_back_as_the_same_catalog(tmp_path: Path):
    out = tmp_path / "catalog.json"
    catalog_build.write(out, catalog.load())
    read = catalog.read(out.read_text(encoding="utf-8"))
    assert read == catalog.load()
    assert json.loads(out.read_text(encoding="utf-8"))["made_with"] == dict(read.made_with)


def test_a_model_that_the_library_cannot_run_stays_uncounted(kept: published.Published):
    card = replace(catalog.load().cards[0], arch="no_such_net", **_COUNTED)
    made = catalog_build.completed(card, kept, {})
    assert made == card
    assert costs.Costs().params is None
