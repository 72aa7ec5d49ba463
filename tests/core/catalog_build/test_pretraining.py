"""What weights were trained on, in words: what a tag says, and nothing it does not say."""

from __future__ import annotations

import pytest

from core.catalog import catalog
from core.catalog_build.pretraining import from_table, from_tag, of_torchvision


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("a1_in1k", "ImageNet-1k"),
        ("augreg_in21k_ft_in1k", "ImageNet-21k, then ImageNet-1k"),
        ("in22k_ft_in22k_in1k", "ImageNet-21k, then ImageNet-1k"),
        ("in1k_ft_in1k", "ImageNet-1k"),
        ("clip_laion2b_augreg_ft_in12k_in1k", "LAION-2B, then ImageNet-12k, then ImageNet-1k"),
        ("fcmae_ft_in22k_in1k_384",
         "ImageNet-1k without labels, then ImageNet-21k, then ImageNet-1k"),
        ("mae", "ImageNet-1k without labels"),
        ("lvd1689m", "LVD-1689M"),
        ("sat493m", "SAT-493M (satellite images)"),
        # Tuned from something the tag does not name, or of data it does not name at all.
        ("seer_ft_in1k", ""),
        ("ssld_stage2_ft_in1k", ""),
        ("laion2b_plus", ""),
        ("qwen3_vl_4b", ""),
        ("fb", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_a_tag_is_read_as_far_as_it_is_certain(tag: str, said: str):
    assert from_tag(tag) == said


def test_the_words_of_timms_table_and_of_torchvision_are_known():
    assert from_table("jft300m-ns") == "JFT-300M, then ImageNet-1k"
    assert from_table("something new") == ""
    assert of_torchvision("IMAGENET1K_V2") == "ImageNet-1k"
    assert of_torchvision("IMAGENET1K_SWAG_E2E_V1").startswith("Instagram, 3.6 B images")
    assert of_torchvision("KINETICS400_V1") == ""


def test_nine_in_ten_cards_say_what_they_were_trained_on():
    cards = catalog.load().cards
    assert sum(bool(card.pretraining) for card in cards) > 0.9 * len(cards)
    classifiers = [card for card in cards if card.num_classes == 1000]
    assert sum(bool(card.pretraining) for card in classifiers) > 0.97 * len(classifiers)
