"""New heads on real models: the backbone is left alone, the head alone learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from core.catalog import catalog
from core.models import skeleton
from core.models.build import BuiltModel, build, freeze_backbone

CARDS = catalog.load()

DOZEN = (
    "bundled/tf_efficientnet_lite0",
    "torchvision/resnet18", "torchvision/mobilenet_v3_small", "torchvision/squeezenet1_1",
    "torchvision/shufflenet_v2_x0_5", "timm/test_vit", "timm/test_efficientnet",
    "timm/test_convnext", "timm/test_byobnet", "timm/vit_tiny_patch16_224", "timm/dla46_c",
    "timm/levit_128s", "timm/repvit_m0_9",
)  # fmt: skip


def built_from(name: str, **values) -> BuiltModel:
    """The same random backbone each time; the bundled one with its own weights."""
    torch.manual_seed(0)
    return build(CARDS.resolve(name), pretrained=name.startswith("bundled"), **values)


def body(built: BuiltModel) -> dict[str, torch.Tensor]:
    """All numbers outside the heads, buffers too."""
    heads = tuple(f"{name}." for name in built.head_names)
    state = built.module.state_dict()
    return {key: value.clone() for key, value in state.items() if not key.startswith(heads)}


def assert_same_bits(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert list(first) == list(second)
    assert [key for key in first if not torch.equal(first[key], second[key])] == []


@pytest.mark.parametrize("name", DOZEN)
def test_the_backbone_keeps_its_bits_and_only_the_head_learns(name: str):
    own = built_from(name)
    built = built_from(name, num_classes=7, dropout=0.2)
    before = body(built)
    assert_same_bits(body(own), before)

    freeze_backbone(built)
    heads = [built.module.get_submodule(n) for n in built.head_names]
    trainable = [p for p in built.module.parameters() if p.requires_grad]
    assert sum(p.numel() for p in trainable) == sum(
        p.numel() for layer in heads for p in layer.parameters()
    )
    old = [p.detach().clone() for p in trainable]
    x = torch.randn_like(skeleton.example_input(built.card, built.module, batch=2))
    logits = built.module(x)
    assert logits.shape == (2, 7)
    nn.functional.cross_entropy(logits, torch.tensor([1, 6])).backward()
    torch.optim.SGD(built.module.parameters(), lr=0.1).step()
    assert_same_bits(before, body(built))
    assert not any(torch.equal(a, b) for a, b in zip(old, trainable, strict=True))


@pytest.mark.parametrize("name", ["timm/test_vit", "torchvision/squeezenet1_1", "timm/levit_128s"])
def test_a_hidden_layer_stands_between_the_features_and_the_classes(name: str):
    built = built_from(name, num_classes=7, dropout=0.2, hidden=32)
    heads = [built.module.get_submodule(n) for n in built.head_names]
    x = torch.randn_like(skeleton.example_input(built.card, built.module, batch=2))
    with torch.inference_mode():
        assert built.module(x).shape == (2, 7)
        assert built.features(x).shape == (2, built.feature_dim)
    for layer in heads:
        assert layer.hidden.weight.shape[:2] == (32, built.feature_dim)
        assert layer.weight.shape[:2] == (7, 32)
    freeze_backbone(built)
    trainable = sum(p.numel() for p in built.module.parameters() if p.requires_grad)
    width = built.feature_dim
    assert trainable == len(heads) * (width * 32 + 32 + 32 * 7 + 7)


def test_a_hidden_layer_adds_its_keys_and_leaves_the_others_plain():
    plain = set(built_from("timm/test_vit", num_classes=7).module.state_dict())
    keys = set(built_from("timm/test_vit", num_classes=7, hidden=16).module.state_dict())
    assert keys - plain == {"head.hidden.weight", "head.hidden.bias"}
    assert plain <= keys


def test_a_hidden_layer_is_not_linear_and_takes_no_linear_solution():
    built = built_from("timm/test_vit", num_classes=7, hidden=16)
    x = torch.randn(5, built.feature_dim)
    layer = built.module.get_submodule("head")
    zero = layer(torch.zeros_like(x))
    assert not torch.allclose(layer(x) - zero, zero - layer(-x), atol=1e-5)
    with pytest.raises(ValueError, match="hidden layer"):
        built.set_head(torch.zeros(7, built.feature_dim), torch.zeros(7))


def test_with_dropout_a_head_with_a_hidden_layer_varies_in_training_only():
    built = built_from("timm/test_vit", num_classes=7, dropout=0.5, hidden=16)
    layer = built.module.get_submodule("head")
    x = torch.ones(8, built.feature_dim)
    assert torch.equal(layer(x), layer(x))
    layer.train()
    assert not torch.equal(layer(x), layer(x))
