"""What trains of each layer, and how ticks in the layer tree change the recipe."""

from __future__ import annotations

import csv
import io

import pytest
import torch

from core.catalog import catalog
from core.errors import AppError
from core.models.build import build
from core.models.layers.rows import collapse, walk
from core.models.layers.tree import layer_tree
from core.plan.layer_plan import (
    LayerPlan,
    factor_at,
    plan_of,
    read_factor,
    train_same_layers,
    with_factor,
    with_last_groups,
    with_trained,
)
from core.plan.layer_text import plan_to_csv, plan_to_markdown
from core.recipe.plan import make_plan
from core.recipe.recipe import make_recipe, read_recipe


@pytest.fixture(scope="module")
def resnet():
    return layer_tree(catalog.load().resolve("torchvision/resnet50"), num_classes=10)


@pytest.fixture(scope="module")
def small():
    return layer_tree(catalog.load().resolve("torchvision/resnet18"), num_classes=10)


def test_the_head_alone_is_the_known_share_of_resnet50(resnet):
    plan = LayerPlan(resnet, make_recipe({}))

    assert (plan.trainable_params, plan.params) == (20_490, 23_528_522)
    assert plan.of("fc").state == "all"
    assert plan.of("layer4").state == "frozen"
    assert plan.of("relu").state == "none"
    assert plan.of("").state == "partly"
    assert plan.gradient_bytes == plan.optimizer_bytes == 0  # a solver fits it


def test_fine_tuning_needs_gradients_and_two_means_of_each_number(small):
    plan = LayerPlan(small, make_recipe({"strategy": "full"}))

    assert plan.gradient_bytes == 4 * plan.params
    assert plan.optimizer_bytes == 8 * plan.params
    assert plan.ema_bytes == 4 * plan.params
    assert LayerPlan(small, make_recipe({"strategy": "full", "ema_decay": 0})).ema_bytes == 0


def test_ticking_the_last_stage_is_partial_fine_tuning_in_the_plainest_words(small):
    recipe = with_trained(make_recipe({}), small, "layer4", trains=True)

    assert (recipe.strategy, recipe.layer_groups, recipe.layer_rates) == ("partial", 1, {})


def test_ticking_everything_is_full_fine_tuning_and_unticking_it_the_head_alone(small):
    everything = with_trained(make_recipe({}), small, "", trains=True)
    assert (everything.strategy, everything.layer_rates) == ("full", {})

    nothing = with_trained(everything, small, "", trains=False)
    assert (nothing.strategy, nothing.layer_rates) == ("feature-extraction", {})
    assert LayerPlan(small, nothing).of("fc").state == "all"


def test_one_layer_in_the_middle_becomes_a_rate_of_its_own(small):
    recipe = with_trained(make_recipe({}), small, "layer2.1", trains=True)
    plan = LayerPlan(small, recipe)

    assert recipe.strategy == "partial"
    assert recipe.layer_rates == {"layer2.1": 1.0}
    assert plan.of("layer2.1").state == "all"
    assert plan.of("layer2").state == "partly"
    assert plan.of("layer2.0").state == plan.of("layer4").state == "frozen"
    assert plan.trainable_params == 5_130 + plan.of("layer2.1").params


def test_freezing_a_part_of_what_trains_keeps_the_rest(small):
    recipe = with_trained(make_recipe({"strategy": "full"}), small, "layer1", trains=False)
    plan = LayerPlan(small, recipe)

    assert plan.of("layer1").state == "frozen"
    assert plan.of("conv1").state == plan.of("layer3").state == "all"

    again = with_trained(recipe, small, "layer1", trains=True)
    assert (again.strategy, again.layer_rates) == ("full", {})


def test_a_factor_multiplies_the_rate_that_the_plan_gives(small):
    before = make_recipe({"strategy": "full", "learning_rate": 1e-3, "layer_decay": 0.1})
    recipe = with_factor(before, small, "layer4.0", 5.0)

    assert LayerPlan(small, recipe).of("layer4.0").highest_rate == pytest.approx(5e-4)
    assert LayerPlan(small, recipe).of("layer4.1").highest_rate == pytest.approx(1e-4)
    assert factor_at(recipe, small, "layer4.0") == 5.0
    assert factor_at(recipe, small, "layer4") is None
    assert factor_at(recipe, small, "layer3") == 1.0
    assert with_factor(recipe, small, "layer4.0", 1.0) == before


def test_a_factor_stays_when_its_layer_is_ticked_with_others(small):
    recipe = with_factor(make_recipe({"strategy": "full"}), small, "layer4.0", 0.5)

    assert factor_at(with_trained(recipe, small, "layer4", trains=True), small, "layer4.0") == 0.5


def test_the_schedule_opens_a_part_with_its_group(small):
    recipe = make_recipe(
        {"strategy": "partial", "layer_groups": 1, "gradual": True, "max_epochs": 10,
         "layer_rates": {"layer3.1": 1.0}}
    )  # fmt: skip
    openings = LayerPlan(small, recipe).openings()

    assert openings == {1: ("head",), 4: ("layer4",), 7: ("layer3.1",)}
    assert LayerPlan(small, recipe, epoch=3).of("layer4").state == "frozen"
    assert LayerPlan(small, recipe, epoch=4).of("layer4").state == "all"
    assert (
        LayerPlan(small, recipe, epoch=6).trainable_params
        < LayerPlan(small, recipe, epoch=7).trainable_params
    )


def test_presets_say_how_many_groups_train_with_the_head(small):
    recipe = make_recipe({"strategy": "full", "layer_rates": {"conv1": 0}})

    assert with_last_groups(recipe, 0) == make_recipe({})
    assert with_last_groups(recipe, 2).layer_groups == 2
    assert with_last_groups(recipe, None).layer_rates == {}


def test_layer_rates_of_another_model_are_refused_in_a_sentence(small):
    with pytest.raises(AppError, match=r"“features\.3”"):
        LayerPlan(small, make_recipe({"strategy": "full", "layer_rates": {"features.3": 1}}))


def test_the_head_cannot_be_frozen(small):
    with pytest.raises(AppError, match="freezes the head"):
        LayerPlan(small, make_recipe({"strategy": "full", "layer_rates": {"fc": 0}}))
    with pytest.raises(AppError, match="rate of the head"):
        with_factor(make_recipe({}), small, "fc", 2.0)


@pytest.mark.parametrize("factor", [-1, 101])
def test_a_factor_outside_its_bounds_is_refused(small, factor):
    with pytest.raises(AppError, match="no factor"):
        with_factor(make_recipe({}), small, "layer4", factor)


def test_layer_rates_survive_the_recipe_file(tmp_path):
    recipe = make_recipe({"strategy": "partial", "layer_rates": "layer4.1=0.5, conv1=0"})
    assert recipe.layer_rates == {"layer4.1": 0.5, "conv1": 0}

    path = tmp_path / "recipe.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    assert read_recipe(path) == recipe
    with pytest.raises(AppError, match="layer_rates"):
        make_recipe({"layer_rates": "0.5"})


def test_the_plan_of_a_recipe_holds_each_parameter_once():
    recipe = make_recipe(
        {"model": "timm/test_vit.r160_in1k", "strategy": "full",
         "layer_rates": {"blocks": 0.5, "blocks.0.attn": 0, "blocks.0.attn.qkv": 2}}
    )  # fmt: skip
    plan = plan_of(recipe, 3)
    names = [name for group in plan.groups for name in group.parameters]
    module = build(catalog.load().resolve(recipe.model), num_classes=3, meta=True).module

    assert sorted(names) == sorted(name for name, _ in module.named_parameters())
    assert len({group.name for group in plan.groups}) == len(plan.groups)
    frozen = [n for g in plan.groups if not g.is_trained for n in g.parameters]
    assert frozen
    assert all(n.startswith("blocks.0.attn.") and "qkv" not in n for n in frozen)


def test_shared_weights_train_in_each_of_their_layers_and_count_once():
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = torch.nn.Linear(4, 4, bias=False), torch.nn.Linear(4, 4, bias=False)
            self.b.weight = self.a.weight
            self.head = torch.nn.Linear(4, 2)

    from core.models.layers.tree import LayerTree, _aliases

    module = Tied()
    groups = (("stem", {"a.weight": 16}), ("head", {"head.weight": 8, "head.bias": 2}))
    tree = LayerTree("tied", 26, 26, 0, (), groups, _aliases(module))
    recipe = with_trained(make_recipe({}), tree, "b", trains=True)
    plan = LayerPlan(tree, recipe)

    assert plan.of("a").state == plan.of("b").state == "all"
    assert plan.params == plan.trainable_params == 26


def test_a_run_trains_exactly_what_the_layer_rates_say(tmp_path):
    from core.compute.device import Compute
    from core.runs.checkpoints import Head
    from core.training.loop.model import FineTunedModel

    recipe = make_recipe(
        {"model": "timm/test_resnet.r160_in1k", "strategy": "partial", "layer_groups": 0,
         "layer_rates": {"layer3.0.conv1": 2.0}}
    )  # fmt: skip
    built = build(catalog.load().resolve(recipe.model), num_classes=2, pretrained=False)
    plan = make_plan(recipe, built.group_sizes())
    head = Head(torch.zeros(2, built.feature_dim), torch.zeros(2))
    model = FineTunedModel(built, head, plan, Compute("cpu", "float32", "contiguous", 1, 1, 8))
    model.set_trainable(plan.open_in(1))
    trained = [name for name, p in built.module.named_parameters() if p.requires_grad]

    assert trained == ["layer3.0.conv1.weight"]


# -- several at once, and what stands beside the head ------------------------------------------


def test_several_layers_are_ticked_at_once_and_seen_together(small):
    recipe = with_trained(make_recipe({}), small, ["layer2.0", "layer2.1"], trains=True)
    assert recipe == with_trained(make_recipe({}), small, "layer2", trains=True)

    recipe = with_factor(recipe, small, ["layer2.0.conv1", "layer2.1.conv1"], 0.5)
    together = LayerPlan(small, recipe).over(["layer2.0", "layer2.1"])
    assert together == LayerPlan(small, recipe).of("layer2")
    assert (together.lowest_factor, together.highest_factor) == (0.5, 1.0)


def test_layers_beside_the_head_are_frozen_without_it():
    tree = layer_tree(catalog.load().resolve("torchvision/vgg11"), num_classes=3)
    everything = make_recipe({"strategy": "full"})
    recipe = with_trained(everything, tree, "classifier", trains=False)
    plan = LayerPlan(tree, recipe)

    assert recipe.layer_rates == {"features": 1.0}  # the plainest words for it
    assert plan.of("classifier").state == "partly"
    assert plan.of("classifier.6").is_head
    assert not plan.of("classifier").is_head
    shared = make_recipe({"strategy": "full", "layer_rates": {"classifier": 0.5}})
    again = with_trained(shared, tree, "features", trains=False)
    assert LayerPlan(tree, again).of("classifier.6").highest_rate == pytest.approx(1.5e-4)


@pytest.mark.parametrize(
    ("text", "factor"),
    [("0.1", 0.1), ("1/10", 0.1), ("×0.5", 0.5), ("x 2", 2), ("0,1", 0.1), ("10 %", 0.1), ("0", 0)],
)
def test_a_factor_is_read_as_people_write_it(text, factor):
    assert read_factor(text) == pytest.approx(factor)


@pytest.mark.parametrize("text", ["", "fast", "1/0", "-1", "101", "nan", "1/2/3"])
def test_text_that_is_no_factor_is_refused_with_what_is_allowed(text):
    with pytest.raises(AppError, match=r"no factor.*0 to 100"):
        read_factor(text)


def test_two_recipes_are_alike_where_they_train_the_same(small):
    full = make_recipe({"strategy": "full"})
    assert train_same_layers(full, make_recipe({"strategy": "partial", "layer_groups": 9}), small)
    assert not train_same_layers(full, make_recipe({}), small)
    assert not train_same_layers(
        make_recipe({}), make_recipe({"strategy": "partial", "layer_groups": 0}), small
    )


def test_tables_say_what_the_plan_does_with_each_layer(small):
    recipe = with_factor(make_recipe({}), small, "layer4.1", 0.5)
    plan = LayerPlan(small, recipe)
    lines = collapse(small.layers)
    rows = {row["layer"]: row for row in csv.DictReader(io.StringIO(plan_to_csv(lines, plan)))}

    assert sum(int(row["trainable"]) for path, row in rows.items() if "." not in path) == (
        plan.trainable_params
    )
    picked = ("layer3", "layer4.1", "layer4", "fc", "relu")
    assert [(rows[p]["rate factor"], rows[p]["learning rate"]) for p in picked] == [
        ("0", "frozen"), ("0.5", "1.1e-4"), ("0–0.5", "1.1e-4"), ("", "3e-4"), ("", ""),
    ]  # fmt: skip
    table = plan_to_markdown(walk(lines), plan)
    assert "| layer3 | Sequential |  | 256×14×14 | 2,099,712 | frozen |" in table
    assert f"{plan.trainable_params:,} of 11,181,642 parameters train" in table
