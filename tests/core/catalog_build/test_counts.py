"""The catalog's counts, proved by a second count that shares no code with the first.

The first one asks torch's own formulas; this one knows nothing but the shapes of the operands.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from core.catalog import catalog
from core.catalog.card import ModelCard
from core.catalog_build import costs
from core.models import skeleton
from helpers import sweep

_ATEN = torch.ops.aten
_PRODUCTS = {
    _ATEN.mm: (0, 1),
    _ATEN.bmm: (0, 1),
    _ATEN.addmm: (1, 2),
    _ATEN.baddbmm: (1, 2),
}
"""Where the two factors stand among the arguments."""


class SecondCount(TorchDispatchMode):
    """Multiply-adds: for every element that is made, how many products are summed up in it."""

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        operator = func._overloadpacket
        if operator in (_ATEN.convolution, _ATEN._convolution):
            # Transposed, every element that comes in is multiplied; else every one that goes out.
            self.macs += (args[0] if args[6] else out).numel() * math.prod(args[1].shape[1:])
        elif operator in _PRODUCTS:
            left, right = (args[position] for position in _PRODUCTS[operator])
            assert right.shape[-2] == left.shape[-1]
            self.macs += out.numel() * left.shape[-1]
        else:
            assert "scaled_dot_product" not in str(operator), "attention in one piece"
            return out
        self.elements += out.numel()
        return out


def _distinct(cards: Iterable[ModelCard]) -> list[ModelCard]:
    """One card of those that are the same model at the same size."""
    first: dict[tuple, ModelCard] = {}
    for card in cards:
        first.setdefault((card.source, card.arch, card.input_size, card.num_classes), card)
    return list(first.values())


def _by_family() -> dict[str, list[ModelCard]]:
    found: dict[str, list[ModelCard]] = {}
    for card in _distinct(catalog.load().cards):
        found.setdefault(card.family, []).append(card)
    return found


FAMILIES = _by_family()
SMALLEST = [
    min(cards, key=lambda card: (card.params or 0) + (card.macs or 0))
    for family, cards in FAMILIES.items()
    if family != "Sequencer2D"  # its LSTMs alone take six seconds on meta tensors
]


def check(card: ModelCard) -> None:
    module = skeleton.library_module(card, meta=True)
    assert card.params == sum(p.numel() for p in module.parameters())
    counter = SecondCount()
    with torch.no_grad(), skeleton.collecting_later(), counter:
        module(skeleton.example_input(card, module))
    assert (card.id, card.macs) == (card.id, counter.macs)
    assert (card.id, card.activations) == (card.id, counter.elements)


# Each kind of layer that is counted: of them all, and of models that share weights or branch.
FAMILIES_EVERY_DAY = (
    "ConvNeXt", "CrossViT", "DPN", "EfficientNet", "EfficientViT", "Gemma 4 ViT", "HRNet",
    "HaloNet and BoTNet", "LeViT", "MLP-Mixer", "MaxViT and CoAtNet", "NASNet", "NFNet", "ResNet",
    "Swin V2", "VGG", "ViT", "XCiT",
)  # fmt: skip


@pytest.mark.parametrize(
    "card", sweep(SMALLEST, FAMILIES_EVERY_DAY, "family"), ids=lambda card: card.family
)
def test_the_counts_of_every_family_agree_with_a_second_count(card: ModelCard):
    check(card)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_counts_of_the_whole_catalog_agree_with_a_second_count(family: str):
    for card in FAMILIES[family]:
        check(card)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_catalog_holds_what_counting_gives_now(family: str):
    for card in FAMILIES[family]:
        found = costs.count(card)
        assert found == costs.Costs(
            card.params, card.macs, card.activations, card.feature_dim, card.layer_groups
        ), card.id


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_card_holds_the_parameters_of_its_own_weights(family: str):
    """Tags of one architecture may be made differently, and nothing but the model says so."""
    for card in catalog.load().cards:
        if card.family == family:
            module = skeleton.library_module(card, meta=True)
            assert (card.id, card.params) == (card.id, skeleton.count_params(module))


@pytest.mark.parametrize("tag", ["qwen3_5_2b", "qwen3_5_4b"])
def test_tags_that_make_another_model_are_counted_for_themselves(tag: str):
    card = catalog.load().resolve(f"timm/qwen3_vit_306m_enc.{tag}")
    check(card)
    assert costs.count(card).feature_dim == card.feature_dim


def test_known_counts_are_those_of_the_literature():
    cards = catalog.load()
    resnet = cards.resolve("torchvision/resnet50.IMAGENET1K_V1")
    assert (resnet.params, resnet.macs, resnet.activations) == (
        25_557_032, 4_089_184_256, 11_114_984,
    )  # fmt: skip
    assert (resnet.feature_dim, resnet.layer_groups) == (2048, 6)
    inception = cards.resolve("torchvision/inception_v3")
    assert inception.params == 27_161_264  # with its second classifier, as torchvision says
