"""The type of a network: said for what a chart shows, and by the papers."""

from __future__ import annotations

import pytest

from core.catalog import catalog
from core.catalog.network_types import network_type


@pytest.mark.parametrize(
    ("arch", "kind"),
    [
        ("resnet50", "convolutional"),
        ("convnext_tiny", "convolutional"),
        ("tf_efficientnet_lite0", "convolutional"),
        ("vit_base_patch16_224", "transformer"),
        ("vit_base_r50_s16_224", "hybrid"),
        ("swin_tiny_patch4_window7_224", "transformer"),
        ("coatnet_0_rw_224", "hybrid"),
        ("mobilenetv4_conv_small", "convolutional"),
        ("mobilenetv4_hybrid_medium", "hybrid"),
        ("caformer_s18", "hybrid"),
        ("convformer_s18", "convolutional"),
        ("poolformer_s12", "other"),
        ("mixer_b16_224", "other"),
    ],
)
def test_an_architecture_has_the_type_that_its_paper_gives_it(arch: str, kind: str) -> None:
    card = next(card for card in catalog.load().cards if card.arch == arch)
    assert network_type(card.arch, card.family) == kind


def test_nearly_every_model_with_a_published_accuracy_has_a_type() -> None:
    drawn = [card for card in catalog.load().cards if card.top1 is not None]
    untold = [card for card in drawn if network_type(card.arch, card.family) == "other"]
    assert len(untold) < 0.04 * len(drawn)
