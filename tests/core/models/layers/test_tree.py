"""The layer tree: known answers, totals."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from core.catalog import catalog
from core.models import skeleton
from core.models.layers.tree import LayerNode, LayerTree, layer_tree, to_json

CARDS = catalog.load()

SOME = (
    "torchvision/resnet50", "torchvision/inception_v3", "torchvision/googlenet",
    "torchvision/regnet_y_400mf", "torchvision/vit_b_16", "torchvision/swin_t",
    "torchvision/squeezenet1_1", "torchvision/mobilenet_v3_small",
    "timm/deit_tiny_distilled_patch16_224", "timm/convnext_tiny", "timm/efficientnet_b0",
    "timm/levit_128s",
)  # fmt: skip


def walk(nodes: tuple[LayerNode, ...]) -> list[LayerNode]:
    return [found for node in nodes for found in (node, *walk(node.children))]


def check_sums(tree: LayerTree) -> None:
    """What is shown adds up to the totals, at every level."""
    leaves = [node for node in walk(tree.layers) if not node.children]
    assert sum(node.params - node.shared_params for node in leaves) == tree.params
    assert sum(node.own_macs for node in walk(tree.layers)) + tree.own_macs == tree.macs
    assert sum(node.macs for node in tree.layers) + tree.own_macs == tree.macs
    assert sum(node.activation_bytes for node in tree.layers) <= tree.activation_bytes
    for node in walk(tree.layers):
        if node.children:
            new = sum(child.total_params - child.shared_params for child in node.children)
            assert node.params + new == node.total_params - node.shared_params
            assert sum(c.macs for c in node.children) + node.own_macs == node.macs
            assert sum(c.activation_bytes for c in node.children) <= node.activation_bytes


def test_resnet18_is_as_the_textbook_has_it():
    tree = layer_tree(CARDS.resolve("torchvision/resnet18"))
    by_name = {node.name: node for node in tree.layers}
    rows = {name: (node.total_params, node.output_shape) for name, node in by_name.items()}
    assert rows["conv1"] == (9_408, (64, 112, 112))
    assert rows["bn1"] == (128, (64, 112, 112))
    assert rows["maxpool"] == (0, (64, 56, 56))
    assert rows["layer1"] == (147_968, (64, 56, 56))
    assert rows["layer2"] == (525_568, (128, 28, 28))
    assert rows["layer3"] == (2_099_712, (256, 14, 14))
    assert rows["layer4"] == (8_393_728, (512, 7, 7))
    assert rows["avgpool"] == (0, (512, 1, 1))
    assert rows["fc"] == (513_000, (1000,))
    assert tree.params == tree.trainable_params == 11_689_512
    assert tree.macs == pytest.approx(1.82e9, rel=0.01)
    kinds = [node.kind for node in tree.layers]
    assert kinds == [
        "conv", "norm", "activation", "pool", "block", "block", "block", "block", "pool", "head",
    ]  # fmt: skip


def test_with_new_classes_only_the_head_trains():
    tree = layer_tree(CARDS.resolve("resnet50"), num_classes=10)
    assert (tree.trainable_params, tree.params) == (20_490, 23_528_522)
    assert [node.name for node in tree.layers if node.trainable] == ["fc"]
    assert tree.layers[-1].output_shape == (10,)


def test_two_heads_train_where_a_model_has_two():
    tree = layer_tree(CARDS.resolve("timm/deit_tiny_distilled_patch16_224"), num_classes=3)
    assert [node.name for node in tree.layers if node.kind == "head"] == ["head", "head_dist"]
    assert tree.trainable_params == 2 * (192 * 3 + 3)


@pytest.mark.parametrize("name", SOME)
def test_totals_are_those_of_the_module(name: str):
    card = CARDS.resolve(name)
    tree = layer_tree(card)
    module = skeleton.library_module(card, meta=True)
    assert tree.params == card.params == sum(p.numel() for p in module.parameters())
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        module(skeleton.example_input(card, module))
    assert tree.macs == card.macs == counter.get_total_flops() // 2
    nodes = walk(tree.layers)
    check_sums(tree)
    assert {"head"} <= {node.kind for node in nodes}
    assert any(node.kind in ("conv", "embedding") for node in nodes)


def test_depth_limits_the_tree_and_keeps_the_totals():
    card = CARDS.resolve("torchvision/resnet18")
    flat, full = layer_tree(card, depth=1), layer_tree(card)
    assert all(node.children == () for node in flat.layers)
    assert [n.total_params for n in flat.layers] == [n.total_params for n in full.layers]
    assert len(walk(layer_tree(card, depth=2).layers)) < len(walk(full.layers))


def test_the_json_has_the_keys_that_are_promised():
    document = to_json(layer_tree(CARDS.resolve("torchvision/resnet18"), num_classes=2))
    assert set(document) == {
        "model", "params", "trainable_params", "macs", "own_macs", "activation_bytes", "layers",
    }  # fmt: skip
    promised = {
        "name", "type", "kind", "params", "total_params", "output_shape", "macs", "trainable",
        "children", "detail", "own_macs", "activation_bytes", "shared_params",
    }  # fmt: skip
    assert promised <= set(document["layers"][0])
    assert document["layers"][0]["output_shape"] == [64, 112, 112]
    assert document["model"] == "torchvision/resnet18.IMAGENET1K_V1"
