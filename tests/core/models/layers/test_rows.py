"""Runs of equal blocks become one line, and nothing is lost by it."""

from __future__ import annotations

import csv
import io

import pytest

from core.catalog import catalog
from core.models.layers.rows import collapse, line_fits, to_csv, to_markdown, trains_text, walk
from core.models.layers.tree import LayerNode, layer_tree
from core.recipe.recipe import Recipe

CARDS = catalog.load()


def block(name: str, *, params: int = 10, trains: int = 0, children: int = 1) -> LayerNode:
    inner = tuple(
        LayerNode(str(i), f"{name}.{i}", "Conv2d", "conv", params, params, (4, 8, 8), 5, trains, ())
        for i in range(children)
    )
    total = params * children
    return LayerNode(
        name, name, "Block", "block", 0, total, (4, 8, 8), 5 * children, trains * children, inner
    )


def test_equal_blocks_in_a_row_become_one_line_with_their_sums():
    (line,) = collapse([block(str(i)) for i in range(6)])
    assert (line.title, line.name, line.repeats) == ("Block × 6", "0 … 5", 6)
    assert (line.params, line.macs, len(line.children)) == (60, 30, 6)
    assert [child.path for child in line.children] == list("012345")


def test_a_block_that_differs_ends_the_run():
    lines = collapse([block("0"), block("1"), block("2"), block("3", children=2)])
    assert [(line.title, line.detail) for line in lines] == [("Block × 3", ""), ("Block", "")]


def test_a_first_block_that_differs_belongs_to_the_run_which_says_so():
    (line,) = collapse([block("0", children=2), block("1"), block("2")])
    assert (line.title, line.params) == ("Block × 3", 40)
    assert line.detail == "the first differs: 20 parameters, then 10 each"
    assert [child.params for child in line.children] == [20, 10, 10]


def test_blocks_of_one_make_at_growing_sizes_are_a_run_that_says_so():
    (line,) = collapse([block("0"), block("1", params=12), block("2", params=14)])
    assert (line.title, line.detail) == ("Block × 3", "sizes differ: 10 to 14 parameters")


def test_a_tick_does_not_unfold_a_run_which_is_then_partly_trained():
    (line,) = collapse([block("0"), block("1"), block("2", trains=10), block("3", trains=10)])
    assert (line.title, trains_text(line)) == ("Block × 4", "partly")
    assert [trains_text(child) for child in line.children] == ["frozen", "frozen", "all", "all"]


def test_single_layers_in_a_row_stay_apart():
    nodes = block("x", children=3).children
    assert [line.repeats for line in collapse(nodes)] == [1, 1, 1]


@pytest.mark.parametrize("model", ["torchvision/resnet50", "timm/vit_base_patch16_224"])
def test_no_layer_and_no_parameter_is_lost(model):
    tree = layer_tree(CARDS.resolve(model))
    lines = collapse(tree.layers)

    def paths(nodes):
        for node in nodes:
            yield node.path
            yield from paths(node.children)

    assert [line.path for _, line in walk(lines) if not line.is_run] == list(paths(tree.layers))
    assert sum(line.params for line in lines) == sum(node.total_params for node in tree.layers)


def test_the_third_stage_of_resnet50_is_six_bottlenecks():
    stage = next(n for n in layer_tree(CARDS.resolve("resnet50")).layers if n.name == "layer3")
    (line,) = collapse(stage.children)
    assert line.title == "Bottleneck × 6"
    assert line.detail == "the first differs: 1,512,448 parameters, then 1,117,184 each"
    assert line.params == stage.total_params


@pytest.mark.parametrize(
    ("model", "titles"),
    [
        ("torchvision/densenet121", {"_DenseLayer × 6", "_DenseLayer × 24"}),
        ("torchvision/resnet18", {"BasicBlock × 2"}),
        ("timm/vit_base_patch16_224", {"Block × 12"}),
        ("timm/swin_tiny_patch4_window7_224", {"SwinTransformerBlock × 6"}),
        ("timm/convnext_atto", {"ConvNeXtBlock × 6"}),
    ],
)
def test_repeated_blocks_are_one_line_in_every_kind_of_network(model, titles):
    lines = collapse(layer_tree(CARDS.resolve(model)).layers)
    assert titles <= {line.title for _, line in walk(lines)}


def test_the_stages_of_a_resnet_are_no_run():
    lines = collapse(layer_tree(CARDS.resolve("torchvision/resnet18")).layers)
    assert [line.name for line in lines][4:8] == ["layer1", "layer2", "layer3", "layer4"]


def test_the_plan_marks_what_trains():
    card = CARDS.resolve("torchvision/resnet18")
    recipe = Recipe(strategy="partial", layer_groups=1)
    by_name = {n.name: n for n in layer_tree(card, num_classes=2, recipe=recipe).layers}
    assert by_name["fc"].trainable_params == by_name["fc"].total_params == 1026
    assert by_name["layer4"].trainable
    assert not by_name["layer1"].trainable
    full = layer_tree(card, num_classes=2, recipe=Recipe(strategy="full"))
    assert full.trainable_params == full.params
    head_only = layer_tree(card, recipe=Recipe())
    assert head_only.trainable_params == 513_000


def test_a_model_without_a_head_trains_nothing_before_it_has_one():
    card = next(
        card for card in CARDS.search("vit_small dino", source="timm") if not card.num_classes
    )
    assert layer_tree(card, recipe=Recipe()).trainable_params == 0
    assert layer_tree(card, recipe=Recipe(strategy="partial")).trainable_params > 0


def test_search_finds_by_path_type_and_kind_but_not_the_run_itself():
    (line,) = collapse([block(str(i)) for i in range(3)])
    found = [found.path for _, found in walk([line]) if line_fits(found, "conv")]
    assert found == ["0.0", "1.0", "2.0"]
    assert not line_fits(line, "block")
    assert line_fits(line.children[0], "BLOCK")


def test_copies_hold_every_layer_and_the_totals():
    tree = layer_tree(CARDS.resolve("torchvision/resnet18"), num_classes=10)
    lines = collapse(tree.layers)
    rows = list(csv.DictReader(io.StringIO(to_csv(lines))))
    assert rows[0] == {
        "layer": "conv1", "type": "Conv2d", "kind": "conv", "output": "64x112x112",
        "detail": "7×7, stride 2, padding 3", "parameters": "9408", "shared": "0",
        "trainable": "0", "MACs": "118013952", "activation_bytes": "3211264",
    }  # fmt: skip
    assert len(rows) == sum(1 for _, line in walk(lines) if not line.is_run)
    text = to_markdown(walk(lines), tree=tree)
    assert (
        "| conv1 | Conv2d | 7×7, stride 2, padding 3 | 64×112×112 | 9,408 | frozen | 118,013,952 "
        "| 6.5% | 3.21 |"
    ) in text
    assert "5,130 of 11,181,642 parameters train" in text
