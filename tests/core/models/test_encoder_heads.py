"""Encoders that foresee no classifier get one behind the mean of their tokens."""

from __future__ import annotations

import timm
import torch
from torch import nn

from core.catalog import catalog
from core.models import outline
from core.models.build import build, freeze_backbone
from core.models.layers.tree import layer_tree


class Tokens(nn.Module):
    """Stands for an encoder: 3 channels in, 4 tokens of 5 numbers out, no place for a head."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mix(x).flatten(2).transpose(1, 2)


def test_the_head_behind_tokens_is_linear_in_their_mean():
    module = Tokens()
    names = set(module.state_dict())
    outline.add_classifier(module, 7, lambda: 5)
    images = torch.rand(2, 3, 2, 2)
    head = module.get_submodule(outline.HEAD)
    expected = head(Tokens.forward(module, images).mean(1))
    assert torch.equal(module(images), expected)
    assert expected.shape == (2, 7)
    assert names < set(module.state_dict()), "the pretrained weights keep their names"


def test_every_encoder_of_timm_without_a_place_for_a_classifier_gets_one():
    without = [
        card
        for card in catalog.load().cards
        if card.source == "timm" and card.arch.endswith("_enc") and not card.num_classes
    ]
    smallest = min(without, key=lambda card: card.params or 0)
    built = build(smallest, num_classes=7, meta=True)
    freeze_backbone(built)
    trains = {name for name, p in built.module.named_parameters() if p.requires_grad}
    assert trains == {f"{outline.HEAD}.weight", f"{outline.HEAD}.bias"}
    tree = layer_tree(smallest, num_classes=7)
    assert tree.trainable_params == 7 * (built.feature_dim + 1)
    assert tree.params == smallest.params + tree.trainable_params


def test_the_classifier_of_an_ordinary_encoder_stays_where_timm_puts_it():
    module = timm.create_model("test_vit", num_classes=0)
    outline.add_classifier(module, 7, lambda: 1)
    assert not hasattr(module, outline.HEAD)
    assert module(torch.zeros(1, 3, 160, 160)).shape == (1, 7)
