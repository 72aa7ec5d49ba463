"""Weights that are not here: one sentence, quickly."""

from __future__ import annotations

import pickle
import socket
import threading
import urllib.error

import pytest
import torch

from core.catalog import catalog
from core.errors import WeightsError
from core.models.build import build
from core.models.resolve import resolve_model
from core.models.weights import load, reach, weights
from helpers import WAIT_S

CARDS = catalog.load()


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """No downloaded weights, whatever the machine has."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_bundled_weights_are_here_and_others_are_not(empty_cache):
    assert weights.is_here(CARDS.resolve("bundled/tf_efficientnet_lite1"))
    assert not weights.is_here(CARDS.resolve("torchvision/resnet18"))
    assert weights.bundled_here() == [f"bundled/tf_efficientnet_lite{n}" for n in range(3)]


def test_a_downloaded_file_of_torchvision_is_seen(empty_cache):
    checkpoints = empty_cache / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "resnet18-f37072fd.pth").write_bytes(b"")
    assert weights.is_here(CARDS.resolve("torchvision/resnet18"))


@pytest.mark.parametrize("name", ["torchvision/resnet18", "timm/resnet18.a1_in1k"])
def test_without_a_network_one_sentence_names_what_is_here(name, empty_cache, monkeypatch):
    def refuse(*args, **kwargs):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(reach.socket, "create_connection", refuse)
    with pytest.raises(WeightsError) as caught:
        build(CARDS.resolve(name))
    assert name in caught.value.message
    assert "network cannot be reached" in caught.value.message
    assert "bundled/tf_efficientnet_lite0" in caught.value.hint


def test_a_network_that_does_not_answer_is_given_up_after_seconds(empty_cache, monkeypatch):
    over, has_answered = threading.Event(), threading.Event()

    def hang(*args, **kwargs):
        over.wait(WAIT_S)
        has_answered.set()
        raise TimeoutError

    monkeypatch.setattr(reach.socket, "create_connection", hang)
    reached = reach._reachable(("nowhere.invalid", 443), seconds=0.2)
    assert not has_answered.is_set(), "it was waited for"
    over.set()
    assert not reached


def test_a_download_that_fails_half_way_is_the_same_sentence(empty_cache, monkeypatch):
    monkeypatch.setattr(reach, "_reachable", lambda address, **limits: True)

    def fail(*args, **kwargs):
        raise urllib.error.URLError("connection reset")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    with pytest.raises(WeightsError, match=r"torchvision/resnet18\.IMAGENET1K_V1 are not on"):
        build(CARDS.resolve("torchvision/resnet18"))


def test_a_hub_that_is_told_to_stay_offline_is_the_same_sentence(empty_cache, monkeypatch):
    monkeypatch.setattr(reach, "_reachable", lambda address, **limits: True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="are not on this machine"):
        build(CARDS.resolve("timm/resnet18.a1_in1k"))
    with pytest.raises(WeightsError, match="are not on this machine"):
        build(resolve_model("hf-hub:timm/resnet18.a1_in1k"), meta=True)


class Harmful:
    def __reduce__(self):
        return print, ("this ran",)


def test_a_weights_file_with_code_in_it_is_refused(empty_cache, capsys):
    checkpoints = empty_cache / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    torch.save({"fc.weight": Harmful()}, checkpoints / "resnet18-f37072fd.pth")
    with pytest.raises(WeightsError, match="could run code"):
        build(CARDS.resolve("torchvision/resnet18"))
    with pytest.raises(pickle.UnpicklingError):
        torch.load(checkpoints / "resnet18-f37072fd.pth", weights_only=True)
    assert "this ran" not in capsys.readouterr().out


def test_weights_of_a_detector_backbone_are_refused_with_the_reason():
    with pytest.raises(WeightsError, match="not a number"):
        build(CARDS.resolve("torchvision/vgg16.IMAGENET1K_FEATURES"))


def test_a_proxy_is_what_is_knocked_at(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    card = CARDS.resolve("torchvision/resnet18")
    assert reach.address_of(card) == ("proxy.example", 3128)


def test_old_names_of_densenet_weights_become_the_present_ones():
    old = "features.denseblock1.denselayer2.norm.1.running_mean"
    assert load._densenet_key(old) == "features.denseblock1.denselayer2.norm1.running_mean"
    assert load._densenet_key("features.norm0.weight") == "features.norm0.weight"
