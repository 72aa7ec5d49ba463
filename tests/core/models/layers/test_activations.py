"""Features by place and of inner layers: shapes, values, and what is refused."""

from __future__ import annotations

import threading

import pytest
import torch

from core.catalog import catalog
from core.errors import ModelError
from core.models import skeleton
from core.models.build import BuiltModel, build
from core.models.layers.activations import inner_features, spatial_features

CARDS = catalog.load()


def on_meta(name: str) -> tuple[BuiltModel, torch.Tensor]:
    built = build(CARDS.resolve(name), num_classes=7, meta=True)
    return built, skeleton.example_input(built.card, built.module, batch=2)


def for_real(name: str) -> tuple[BuiltModel, torch.Tensor]:
    torch.manual_seed(0)
    built = build(CARDS.resolve(name), num_classes=7, pretrained=False)
    return built, torch.randn_like(skeleton.example_input(built.card, built.module, batch=2))


def test_the_inner_layers_of_resnet50_are_as_the_literature_has_them():
    found = inner_features(*on_meta("torchvision/resnet50"), layers=["layer4", "layer3"])
    assert {name: tuple(x.shape[1:]) for name, x in found.items()} == {
        "layer4": (2048, 7, 7),
        "layer3": (1024, 14, 14),
    }
    assert list(found) == ["layer4", "layer3"]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("torchvision/resnet50", (2048, 7, 7)),
        ("torchvision/vgg11", (512, 7, 7)),
        ("torchvision/squeezenet1_1", (512, 13, 13)),
        ("torchvision/densenet121", (1024, 7, 7)),
        ("torchvision/inception_v3", (2048, 8, 8)),
        ("torchvision/vit_b_16", (768, 14, 14)),
        ("torchvision/swin_t", (768, 7, 7)),
        ("torchvision/maxvit_t", (512, 7, 7)),
        ("timm/resnet50", (2048, 7, 7)),
        ("timm/vit_tiny_patch16_224", (192, 14, 14)),
        ("timm/deit_tiny_distilled_patch16_224", (192, 14, 14)),
        ("timm/swin_tiny_patch4_window7_224", (768, 7, 7)),
        ("timm/levit_128s", (384, 4, 4)),
        ("timm/crossvit_tiny_240", (192, 14, 14)),
        ("timm/mixer_b16_224", (768, 14, 14)),
    ],
)
def test_features_by_place_have_channels_first(name: str, shape: tuple[int, ...]):
    assert tuple(spatial_features(*on_meta(name)).shape) == (2, *shape)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_family_has_features_by_place():
    failed = {}
    families = {(card.source, card.family): card for card in CARDS.cards if card.num_classes}
    for card in families.values():
        if card.family == "Gemma4":  # reads numbers in its forward pass: none on meta tensors
            continue
        try:
            assert spatial_features(*on_meta(card.id)).ndim == 4
        except Exception as error:  # noqa: BLE001 - all failures are named at the end
            failed[card.id] = repr(error)
    assert not failed


@pytest.mark.parametrize("name", ["torchvision/resnet18", "timm/test_resnet", "timm/test_byobnet"])
def test_the_mean_over_the_places_is_what_the_head_is_given(name: str):
    built, images = for_real(name)
    with torch.inference_mode():
        maps = spatial_features(built, images)
        torch.testing.assert_close(
            maps.mean(dim=(2, 3)), built.features(images), rtol=1e-4, atol=1e-4
        )


@pytest.mark.slow
def test_the_tokens_of_a_transformer_lie_where_their_patches_are():
    built, images = for_real("torchvision/vit_b_32")
    with torch.inference_mode():
        tokens = inner_features(built, images, layers=["encoder"])["encoder"]
        maps = spatial_features(built, images)
    assert torch.equal(maps[:, :, 2, 5], tokens[:, 1 + 2 * 7 + 5])


def test_a_layer_gives_what_left_it_though_the_next_writes_over_it():
    built, images = for_real("torchvision/resnet18")
    with torch.inference_mode():
        found = inner_features(built, images, layers=["bn1", "relu"])
    assert found["bn1"].min() < 0
    assert torch.equal(found["bn1"].relu(), found["relu"])


def test_the_model_stays_free_of_hooks_and_threads_do_not_mix():
    built, images = for_real("timm/test_resnet")
    with torch.inference_mode():
        expected = [inner_features(built, x[None], layers=["layer1"])["layer1"] for x in images]
    wrong: list[int] = []

    def work(number: int) -> None:
        with torch.inference_mode():
            for _ in range(10):
                x = images[number][None]
                if not torch.equal(
                    inner_features(built, x, layers=["layer1"])["layer1"], expected[number]
                ):
                    wrong.append(number)

    threads = [threading.Thread(target=work, args=(k % 2,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert not any(part._forward_hooks for part in built.module.modules())


def test_an_unknown_layer_is_named_with_those_near_it():
    with pytest.raises(ModelError, match=r"no layer “layer5”.*Similar names: layer4"):
        inner_features(*on_meta("torchvision/resnet18"), layers=["layer5"])


def test_a_list_of_layers_that_never_runs_itself_names_what_is_in_it():
    with pytest.raises(ModelError, match=r"no output tensor.*blocks_token_only\.0"):
        inner_features(*on_meta("timm/cait_xxs24_224"), layers=["blocks_token_only"])
