"""Files of weights made elsewhere: read without running code, recognised by names and shapes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from core.errors import ModelError, WeightsError
from core.evaluation.classifier import Classifier
from core.models.build import build
from core.models.weights.files import open_model_file, read_state

torch.manual_seed(0)


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    return torchvision.models.resnet18(num_classes=7).eval()


def test_a_bare_state_dict_of_other_classes_is_recognised(resnet, tmp_path):
    path = tmp_path / "insects.pth"
    torch.save(resnet.state_dict(), path)
    found = open_model_file(path)
    assert (found.card.id, found.num_classes) == ("torchvision/resnet18.IMAGENET1K_V1", 7)
    module = build(found.file_card).module
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(module(x), resnet(x), atol=1e-5)


@pytest.mark.parametrize("key", ["model_state_dict", "state_dict", "model", "model_ema"])
def test_training_dicts_and_prefixes_are_unwrapped(resnet, tmp_path, key):
    path = tmp_path / "checkpoint.pt"
    state = {f"module.{name}": value for name, value in resnet.state_dict().items()}
    torch.save({"epoch": 3, key: state, "optimizer": {"state": {}}}, path)
    assert set(read_state(path)) == set(resnet.state_dict())
    assert open_model_file(path).num_classes == 7


def test_a_head_inside_a_sequential_is_found(tmp_path):
    model = torchvision.models.resnet18()
    model.fc = nn.Sequential(nn.Dropout(0.3), nn.Linear(512, 4))
    path = tmp_path / "dropout.safetensors"
    save_file(model.state_dict(), path)
    found = open_model_file(path)
    assert (found.card.arch, found.num_classes) == ("resnet18", 4)
    assert "fc.weight" in found.state


@pytest.mark.parametrize(
    ("arch", "classes"),
    [("mobilenet_v3_small", 5), ("squeezenet1_1", 3), ("vit_b_16", 2), ("densenet121", 1000)],
)
def test_other_architectures_are_recognised(tmp_path, arch, classes):
    model = torchvision.models.get_model(arch, num_classes=classes)
    path = tmp_path / "unnamed.pth"
    torch.save(model.state_dict(), path)
    found = open_model_file(path)
    assert (found.card.arch, found.num_classes) == (arch, classes)
    if classes == 1000:
        assert build(found.file_card).label_names()[0] == "tench"
    else:
        assert build(found.file_card).label_names()[0] == "class 0"


def test_a_pickled_module_is_refused_with_what_to_do(resnet, tmp_path):
    path = tmp_path / "whole.pt"
    torch.save(resnet, path)
    with pytest.raises(WeightsError, match=r"could run code.*state_dict\(\)"):
        open_model_file(path)


@pytest.mark.parametrize("name", ["broken.pth", "broken.safetensors", "empty.bin"])
def test_a_broken_file_is_refused_in_words(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"" if "empty" in name else b"not weights at all")
    with pytest.raises(WeightsError, match=name):
        open_model_file(path)


def test_a_file_without_tensors_holds_no_weights(tmp_path):
    path = tmp_path / "settings.pt"
    torch.save({"lr": 0.1, "epochs": 3}, path)
    with pytest.raises(WeightsError, match="holds no weights"):
        open_model_file(path)


def test_what_fits_nothing_names_the_nearest_architecture(resnet, tmp_path):
    state = dict(resnet.state_dict())
    state["extra.weight"] = torch.zeros(3)
    path = tmp_path / "changed.pth"
    torch.save(state, path)
    with pytest.raises(ModelError, match=r"123 tensors.*nearest is resnet18: 122 of its 122"):
        open_model_file(path)
    torch.save({"a.weight": torch.zeros(2, 3), "a.bias": torch.zeros(2)}, path)
    with pytest.raises(ModelError, match="names and shapes like these"):
        open_model_file(path)


def test_a_classifier_answers_with_the_weights_of_a_file(resnet, tmp_path):
    from PIL import Image

    path = tmp_path / "insects.pth"
    torch.save(resnet.state_dict(), path)
    classifier = Classifier.open(f"file:{path}")
    assert classifier.classes == tuple(f"class {i}" for i in range(7))
    (answer,) = classifier.classify([Image.new("RGB", (64, 64))], top=5)
    assert len(answer.top) == 5
    with pytest.raises(ModelError, match="no longer there"):
        Classifier.open(f"file:{Path(path).with_name('gone.pth')}")
