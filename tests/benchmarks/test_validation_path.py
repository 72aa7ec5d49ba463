"""The validation path against torchvision's and timm's own transforms, model by model.

Weights that are not here are made up (seeded): what is compared is what reaches the model and what
it makes of it. `make bench` prints the figures; nothing here runs in the default suite.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from timm.data import create_transform, resolve_model_data_config

from core.catalog import catalog
from core.compute.device import Compute
from core.compute.embedder import Embedder
from core.models.build import BuiltModel, build
from core.models.weights import weights

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

MODELS = (
    "bundled/tf_efficientnet_lite0",
    "torchvision/resnet18.IMAGENET1K_V1",
    "torchvision/mobilenet_v3_small.IMAGENET1K_V1",
    "torchvision/efficientnet_b0.IMAGENET1K_V1",
    "timm/test_resnet.r160_in1k",
    "timm/test_vit.r160_in1k",
    "timm/test_efficientnet.r160_in1k",
    "timm/test_convnext.r160_in1k",
)
PICTURES = 12


@pytest.fixture
def pictures(shared_data) -> list[Image.Image]:
    files = sorted((shared_data / "hymenoptera" / "val").rglob("*.jpg"))
    return [Image.open(path).convert("RGB") for path in files[:: len(files) // PICTURES]]


@pytest.mark.parametrize("model", MODELS)
def test_the_model_sees_what_its_library_would_show_it(model, pictures) -> None:
    card = catalog.load().resolve(model)
    torch.manual_seed(0)
    is_here = weights.state_of(card).is_here
    built = build(card, pretrained=is_here)
    theirs = _their_transform(built)
    embedder = Embedder(built, Compute("cpu", "float32", "contiguous", 1, 2, 8))
    mean = torch.tensor(built.preprocessing.mean).view(3, 1, 1)
    std = torch.tensor(built.preprocessing.std).view(3, 1, 1)
    inputs, logits, same = [], [], []
    with torch.inference_mode():
        for picture in pictures:
            wanted_input = theirs(picture)
            pixels = np.array(built.preprocessing.pixels(picture))
            ours = (torch.from_numpy(pixels).permute(2, 0, 1) / 255 - mean) / std
            wanted = built.module(wanted_input[None])
            got = embedder.logits(torch.from_numpy(pixels)[None])
            inputs.append(float((ours - wanted_input).abs().max()))
            logits.append(float((got - wanted).abs().max()))
            same.append(bool(got.argmax() == wanted.argmax()))
    print(
        f"\n{model} ({'its' if is_here else 'made-up'} weights): max |Δinput| {max(inputs):.1e}, "
        f"max |Δlogit| {max(logits):.1e}, argmax equal {sum(same)}/{len(same)}"
    )
    assert max(inputs) < 1e-5
    assert max(logits) < 1e-3
    assert all(same)


def _their_transform(built: BuiltModel):
    """What the library itself would prepare a picture with."""
    card = built.card
    if card.source == "torchvision":
        return torchvision.models.get_weight(f"{_weights_class(card.arch)}.{card.tag}").transforms()
    config = resolve_model_data_config(built.module)
    return create_transform(**config, is_training=False)


def _weights_class(arch: str) -> str:
    return type(next(iter(torchvision.models.get_model_weights(arch)))).__name__
