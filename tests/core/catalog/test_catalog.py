"""Cards, and how a person's text becomes one."""

from __future__ import annotations

import pytest

from core.catalog import catalog
from core.errors import ModelError
from core.models.resolve import resolve_model
from core.system import paths
from helpers import run_python


@pytest.fixture(scope="module")
def cards() -> catalog.Catalog:
    return catalog.load()


def test_the_catalog_and_the_question_whether_weights_are_here_load_no_torch():
    run_python(
        "import sys; from core.catalog import catalog; from core.models.weights import weights; "
        "cards = catalog.load().cards; [weights.is_here(card) for card in cards]; "
        "loaded = {'torch', 'timm', 'torchvision'} & set(sys.modules); "
        "assert not loaded, loaded"
    )


def test_every_source_is_in_the_catalog_and_the_file_stays_small(cards: catalog.Catalog):
    count = {s: sum(card.source == s for card in cards.cards) for s in catalog.SOURCES}
    assert count["bundled"] == 3
    assert count["torchvision"] >= 115
    assert count["timm"] >= 1_800
    assert paths.resource("catalog.json").stat().st_size < 500_000


def test_ids_are_unique_and_every_id_resolves_to_its_own_card(cards: catalog.Catalog):
    assert len(cards.by_id) == len(cards.cards)
    assert all(cards.resolve(card.id) is card for card in cards.cards)


def test_each_weights_variant_of_torchvision_is_a_card_with_its_own_accuracy(
    cards: catalog.Catalog,
):
    first = cards.resolve("torchvision/resnet50.IMAGENET1K_V1")
    second = cards.resolve("torchvision/resnet50.IMAGENET1K_V2")
    assert (first.top1, second.top1) == (76.13, 80.858)
    assert first.params == second.params == 25_557_032


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("torchvision/resnet50", "torchvision/resnet50.IMAGENET1K_V2"),
        ("timm/resnet50", "timm/resnet50.a1_in1k"),
        ("resnet50", "torchvision/resnet50.IMAGENET1K_V2"),
        ("resnet50.a1_in1k", "timm/resnet50.a1_in1k"),
        ("vit_tiny_patch16_224", "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"),
        ("tf_efficientnet_lite0", "bundled/tf_efficientnet_lite0"),
        ("tf_efficientnet_lite0.in1k", "timm/tf_efficientnet_lite0.in1k"),
        (" TorchVision/ResNet18.imagenet1k_v1 ", "torchvision/resnet18.IMAGENET1K_V1"),
        ("hf-hub:timm/resnet18.a1_in1k", "hf-hub:timm/resnet18.a1_in1k"),
    ],
)
def test_a_name_means_the_card_a_person_expects(text: str, expected: str):
    assert resolve_model(text).id == expected


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("resnet5O", "resnet50"),
        ("torchvision/resnet50.V9", "torchvision/resnet50.IMAGENET1K_V1"),
        ("torchvison/resnet50", "torchvision"),
        ("efficientnet", "efficientnet_b0"),
        ("qqqqqqqq", "bundled/tf_efficientnet_lite0"),
        ("", "bundled/tf_efficientnet_lite0"),
        ("hf-hub:nonsense", "hf-hub:OWNER/NAME"),
        ("hub/pytorch/vision", "OWNER/REPO@REF"),
        ("file:", "bundled/"),
        ("run:digits", "bundled/"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_ones(text: str, named: str):
    with pytest.raises(ModelError) as caught:
        resolve_model(text)
    assert text in caught.value.message
    assert named in caught.value.hint


def test_all_words_of_a_search_must_occur(cards: catalog.Catalog):
    found = cards.search("ResNet 50 A1")
    assert "timm/resnet50.a1_in1k" in [card.id for card in found]
    assert all("50" in card.id and "a1" in card.id.lower() for card in found)


def test_a_search_with_a_wildcard_matches_the_whole_name(cards: catalog.Catalog):
    assert all("vit" in card.id.lower() for card in cards.search("*vit*"))
    assert {card.arch for card in cards.search("resnet1?")} == {"resnet18"}


def test_bounds_leave_out_what_is_too_large_and_what_is_unknown(cards: catalog.Catalog):
    found = cards.search(max_params_m=5, max_gmacs=0.5, min_top1=75, license="apache")
    assert found
    for card in found:
        assert card.params is not None
        assert card.params <= 5e6
        assert card.macs is not None
        assert card.macs <= 5e8
        assert card.top1 is not None
        assert card.top1 >= 75
        assert card.license == "apache-2.0"


def test_sorting_puts_the_best_or_the_smallest_first_and_unknown_last(cards: catalog.Catalog):
    best = [card.top1 for card in cards.search(sort="top1")]
    known = [value for value in best if value is not None]
    assert known == sorted(known, reverse=True)
    assert best[len(known) :] == [None] * (len(best) - len(known))
    smallest = [card.params for card in cards.search(source="torchvision", sort="params")]
    assert smallest == sorted(smallest)
    with pytest.raises(ModelError, match="beauty"):
        cards.search(sort="beauty")


def test_known_figures_are_those_of_the_literature(cards: catalog.Catalog):
    lite = cards.resolve("bundled/tf_efficientnet_lite0")
    assert (lite.family, lite.input_size, lite.num_classes) == ("EfficientNet", (224, 224), 1000)
    assert lite.params == 4_652_008
    assert lite.top1 is not None
    assert 74 < lite.top1 < 76
    resnet18 = cards.resolve("torchvision/resnet18")
    assert resnet18.params == 11_689_512
    assert resnet18.macs == pytest.approx(1.82e9, rel=0.01)


def test_cards_say_which_models_have_no_head_and_which_have_other_classes(
    cards: catalog.Catalog,
):
    timm_cards = cards.search(source="timm")
    assert sum(card.num_classes == 0 for card in timm_cards) == 269
    assert sum(card.num_classes not in (0, 1000) for card in timm_cards) == 236
