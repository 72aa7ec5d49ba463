"""Heads found and replaced, features before them, layer groups around them."""

from __future__ import annotations

import threading

import pytest
import timm
import torch
from torch import nn

from core.catalog import catalog
from core.catalog.card import ModelCard
from core.errors import ModelError
from core.models import head, skeleton
from core.models.build import BuiltModel, build, freeze_backbone
from helpers import sweep

CARDS = catalog.load()


def default_cards(source: str) -> list[ModelCard]:
    """One card an architecture, the default weights; models with a head only."""
    first: dict[str, ModelCard] = {}
    for card in CARDS.cards:
        if card.source == source and card.num_classes:
            first.setdefault(card.arch, card)
    return list(first.values())


def smallest_of_each_family() -> list[ModelCard]:
    """timm's, where a family has them those with a head of their own."""
    found: dict[str, ModelCard] = {}
    timms = [card for card in CARDS.cards if card.source == "timm"]
    for card in sorted(timms, key=lambda card: (not card.num_classes, card.params or 0, card.id)):
        found.setdefault(card.family, card)
    return [found[family] for family in sorted(found)]


def structures() -> list[ModelCard]:
    """One card for each model that is built differently: architecture, size, with a head or not."""
    found: dict[object, ModelCard] = {}
    for card in CARDS.cards:
        key = (card.source, card.arch, card.input_size, card.num_classes > 0)
        found.setdefault(key, card)
    return list(found.values())


TORCHVISION = default_cards("torchvision")
TIMM = default_cards("timm")
FAMILIES = smallest_of_each_family()

SMALL = (
    "torchvision/resnet18", "torchvision/mobilenet_v3_small", "torchvision/squeezenet1_1",
    "torchvision/densenet121", "torchvision/googlenet",
    "timm/test_vit", "timm/test_efficientnet", "timm/test_convnext",
    "timm/resnet18", "timm/mobilenetv3_small_100", "timm/vit_tiny_patch16_224",
    "timm/deit_tiny_distilled_patch16_224", "timm/swin_tiny_patch4_window7_224",
    "timm/convnext_atto", "timm/dla46_c", "timm/levit_128s", "timm/crossvit_tiny_240",
    "timm/efficientformer_l1", "timm/repvit_m0_9", "timm/efficientvim_m1", "timm/edgenext_xx_small",
)  # fmt: skip


LARGER = (
    "torchvision/inception_v3", "torchvision/maxvit_t", "torchvision/vit_b_32",
    "timm/volo_d1_224", "timm/efficientvim_m1_dist",
)  # fmt: skip


def check_new_head(card: ModelCard) -> BuiltModel:
    """Build on meta tensors for 7 classes and look at what comes out and what trains."""
    built = build(card, num_classes=7, meta=True, dropout=0.2)
    x = skeleton.example_input(built.card, built.module, batch=2)
    with torch.no_grad():
        assert built.module(x).shape == (2, 7)
        assert built.features(x).shape == (2, built.feature_dim)
    assert built.head_names
    grouped = [name for group in built.groups for name in group.parameters]
    assert sorted(grouped) == sorted(name for name, _ in built.module.named_parameters())
    assert built.groups[0].name == "stem"
    assert built.groups[-1].name == "head"
    assert len({group.name for group in built.groups}) == len(built.groups)
    freeze_backbone(built)
    trainable = [(n, p) for n, p in built.module.named_parameters() if p.requires_grad]
    layers = (*built.heads.names, *built.heads.auxiliary)
    assert {name.rpartition(".")[0] for name, _ in trainable} == set(layers)
    widths = [head.input_width(built.module.get_submodule(name)) for name in layers]
    assert sum(p.numel() for _, p in trainable) == sum(7 * width + 7 for width in widths)
    return built


# One of each way in which a library names, places or shapes the last layer.
TORCHVISION_EVERY_DAY = (
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "inception_v3",
    "maxvit_t", "mobilenet_v3_small", "regnet_y_400mf", "resnet18", "squeezenet1_1", "swin_t",
    "vgg11", "vit_b_16",
)  # fmt: skip
FAMILIES_EVERY_DAY = (
    "BEiT", "ConvNeXt", "CrossViT", "DeiT", "EfficientFormer", "EfficientNet", "EfficientViM",
    "HRNet", "LeViT", "MLP-Mixer", "MaxViT and CoAtNet", "MobileNetV3", "NFNet", "PiT", "RepViT",
    "ResNet", "Swin", "VGG", "ViT", "VOLO",
)  # fmt: skip


@pytest.mark.parametrize(
    "card", sweep(TORCHVISION, TORCHVISION_EVERY_DAY, "arch"), ids=lambda card: card.arch
)
def test_every_torchvision_architecture_gets_a_new_head(card: ModelCard):
    check_new_head(card)


@pytest.mark.parametrize(
    "card", sweep(FAMILIES, FAMILIES_EVERY_DAY, "family"), ids=lambda card: card.arch
)
def test_a_model_of_every_timm_family_gets_a_new_head(card: ModelCard):
    check_new_head(card)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_model_of_both_libraries_gets_a_new_head():
    failed = {}
    for card in structures():
        try:
            check_new_head(card)
        except Exception as error:  # noqa: BLE001 - all failures are named at the end
            failed[card.id] = repr(error)
    assert not failed


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        ("torchvision/resnet50", ("fc",)),
        ("torchvision/vgg16", ("classifier.6",)),
        ("torchvision/mobilenet_v3_large", ("classifier.3",)),
        ("torchvision/convnext_tiny", ("classifier.2",)),
        ("torchvision/squeezenet1_0", ("classifier.1",)),
        ("torchvision/vit_b_16", ("heads.head",)),
        ("torchvision/maxvit_t", ("classifier.5",)),
        ("timm/efficientnet_b0", ("classifier",)),
        ("timm/vit_tiny_patch16_224", ("head",)),
        ("timm/deit_tiny_distilled_patch16_224", ("head", "head_dist")),
    ],
)
def test_the_head_is_found_where_the_literature_has_it(name: str, heads: tuple[str, ...]):
    assert build(CARDS.resolve(name), meta=True).head_names == heads


@pytest.mark.parametrize(
    "name", [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGER)]
)
def test_the_logits_are_the_head_applied_to_the_features(name: str):
    torch.manual_seed(0)
    built = build(CARDS.resolve(name), num_classes=5, pretrained=False, dropout=0.3)
    weight, bias = torch.randn(5, built.feature_dim), torch.randn(5)
    built.set_head(weight, bias)
    x = torch.randn_like(skeleton.example_input(built.card, built.module, batch=2))
    with torch.inference_mode():
        expected = built.features(x) @ weight.T + bias
        torch.testing.assert_close(built.module(x), expected, rtol=1e-4, atol=1e-4)


def test_a_head_written_back_into_a_pretrained_model_keeps_its_classes():
    built = build(CARDS.resolve("timm/test_vit"), pretrained=False)
    weight, bias = torch.randn(1000, built.feature_dim), torch.randn(1000)
    built.set_head(weight, bias)
    assert built.num_classes == 1000
    assert torch.equal(built.module.get_submodule("head").weight, weight)
    with pytest.raises(ValueError, match="wanted"):
        built.set_head(weight[:7], bias[:7])


def test_several_threads_get_the_features_of_their_own_pictures():
    built = build(CARDS.resolve("timm/test_resnet"), num_classes=3, pretrained=False)
    pictures = [torch.randn(2, 3, 96, 96) for _ in range(16)]
    with torch.inference_mode():
        expected = [built.features(x) for x in pictures]
    wrong: list[int] = []

    def work(number: int) -> None:
        with torch.inference_mode():
            for _ in range(20):
                if not torch.equal(built.features(pictures[number]), expected[number]):
                    wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(pictures))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_features_follow_a_model_that_is_moved_to_another_number_format():
    built = build(CARDS.resolve("timm/test_resnet"), num_classes=3, pretrained=False)
    x = torch.randn(2, 3, 96, 96)
    with torch.inference_mode():
        before = built.features(x)
        built.module.double()
        after = built.features(x.double())
    assert after.dtype == torch.float64
    torch.testing.assert_close(after.float(), before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["timm/test_vit", "timm/test_efficientnet", "timm/resnet18"])
def test_a_new_head_keeps_the_plain_keys_of_timm(name: str):
    card = CARDS.resolve(name)
    built = build(card, num_classes=4, pretrained=False, dropout=0.2)
    plain = timm.create_model(card.arch, num_classes=4).state_dict()
    assert {k: v.shape for k, v in built.module.state_dict().items()} == {
        k: v.shape for k, v in plain.items()
    }


@pytest.mark.parametrize("name", ["torchvision/resnet18", "torchvision/alexnet", "timm/test_vit"])
def test_dropout_acts_in_training_only_and_just_before_the_head(name: str):
    torch.manual_seed(0)
    built = build(CARDS.resolve(name), num_classes=4, pretrained=False, dropout=0.9)
    layer = built.module.get_submodule(built.head_names[0])
    x = torch.ones(64, built.feature_dim)
    assert torch.equal(layer(x), layer(x))
    layer.train()
    assert not torch.equal(layer(x), layer(x))


@pytest.mark.parametrize("name", ["torchvision/inception_v3", "torchvision/googlenet"])
def test_auxiliary_heads_are_gone_so_that_training_returns_logits(name: str):
    built = build(CARDS.resolve(name), num_classes=4, meta=True)
    built.module.train()
    x = skeleton.example_input(built.card, built.module, batch=2)
    assert built.module(x).shape == (2, 4)


def test_a_model_without_a_head_gives_features_and_takes_a_new_head():
    card = next(
        card for card in CARDS.search("vit_small dino", source="timm") if card.num_classes == 0
    )
    bare = build(card, meta=True)
    assert (bare.head_names, bare.num_classes) == ((), 0)
    x = skeleton.example_input(card, bare.module, batch=2)
    with torch.no_grad():
        assert bare.features(x).shape == (2, bare.feature_dim)
    assert check_new_head(card).feature_dim == bare.feature_dim


def test_freezing_the_backbone_leaves_20_490_parameters_of_resnet50():
    built = build(CARDS.resolve("resnet50"), num_classes=10, meta=True)
    freeze_backbone(built)
    trainable = sum(p.numel() for p in built.module.parameters() if p.requires_grad)
    assert (trainable, skeleton.count_params(built.module)) == (20_490, 23_528_522)


def test_layer_groups_go_from_the_stem_to_the_head():
    built = build(CARDS.resolve("torchvision/resnet18"), num_classes=2, meta=True)
    names = [group.name for group in built.groups]
    assert names == ["stem", "layer1", "layer2", "layer3", "layer4", "head"]
    assert built.groups[0].parameters == ("conv1.weight", "bn1.weight", "bn1.bias")
    assert built.groups[-1].parameters == ("fc.weight", "fc.bias")


@pytest.mark.parametrize("card", [*TORCHVISION[::20], *TIMM[7::120]], ids=lambda card: card.arch)
def test_the_parameters_of_a_card_are_those_of_the_model(card: ModelCard):
    module = build(card, meta=True).module
    assert card.params == sum(p.numel() for p in module.parameters())


def test_the_preprocessing_of_torchvision_is_that_of_its_weights():
    second = build(CARDS.resolve("torchvision/resnet50.IMAGENET1K_V2"), meta=True).preprocessing
    assert (second.resize_px, second.width, second.interpolation) == (232, 224, "bilinear")
    assert second.mean == (0.485, 0.456, 0.406)
    inception = build(CARDS.resolve("torchvision/inception_v3"), meta=True).preprocessing
    assert (inception.resize_px, inception.height) == (342, 299)


def test_the_preprocessing_of_timm_is_that_of_its_tag():
    built = build(CARDS.resolve("timm/resnet50.a1_in1k"), meta=True)
    assert built.preprocessing.resize_px == 235  # 224 / 0.95
    assert built.preprocessing.crop_mode == "center"


def test_labels_are_imagenet_names_or_those_of_the_larger_set():
    assert build(CARDS.resolve("timm/test_vit"), meta=True).label_names()[207] == "golden retriever"
    big = next(card for card in CARDS.search("resnetv2_50x1_bit") if card.num_classes == 21_843)
    names = build(big, meta=True).label_names()
    assert len(names) == 21_843
    assert "class" not in names[5]
    own = build(CARDS.resolve("timm/test_vit"), num_classes=2, meta=True).label_names()
    assert own == ["class 0", "class 1"]


def test_a_model_the_library_does_not_have_is_named():
    with pytest.raises(ModelError, match="no model nothing"):
        build(ModelCard("timm/nothing", "timm", "nothing", "", ""), meta=True)
    with pytest.raises(ModelError, match="no model nothing"):
        build(ModelCard("torchvision/nothing", "torchvision", "nothing", "", ""), meta=True)


def test_a_skeleton_has_no_storage():
    built = build(CARDS.resolve("torchvision/regnet_y_128gf"), meta=True)
    assert all(p.device.type == "meta" for p in built.module.parameters())
    assert isinstance(built.module, nn.Module)
