"""A model's outline: its module on meta tensors, where its heads are, and its preprocessing.

Needs no weights: a model of a billion parameters is outlined in a moment. What `core.models.build`
does to a real module (a classifier added, a head replaced) is done here to its outline.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import timm.data
import torch
import torchvision
from torch import Tensor, nn

from core.catalog.card import ModelCard
from core.errors import ModelError
from core.models import skeleton
from core.models.head import Backbone, Heads, find_heads, pool, replace_heads
from core.models.weights.reach import fetching

HEAD = "graftwork_head"
"""The name of the classifier of an encoder that foresees none."""
_LITE_CROP = 0.875


def bare_outline(card: ModelCard) -> tuple[ModelCard, nn.Module]:
    """The card, completed, and its model on meta tensors with its own head.

    Raises: ModelError; WeightsError for a model of the hub whose description is not here.
    """
    with fetching(card) if card.source == "hf-hub" else nullcontext():
        outline = skeleton.library_module(card, meta=True)
    return _completed(card, outline), outline


def has_classifier(card: ModelCard) -> bool:
    """Whether the card's own model ends in a classifier; some of timm's give features only."""
    return card.num_classes > 0 or skeleton.base_of(card).source == "torchvision"


def outline_of(
    card: ModelCard,
    *,
    num_classes: int | None = None,
    dropout: float = 0.0,
    hidden: int | None = None,
) -> tuple[ModelCard, nn.Module, Heads]:
    """The card, completed, its model on meta tensors as `build` makes it, and its heads.

    Raises: as `bare_outline`.
    """
    card, outline = bare_outline(card)
    if num_classes is None:
        heads = _heads_of(outline, card) if has_classifier(card) else Heads((), ())
        return card, outline, heads
    drop_auxiliary(outline)
    if not has_classifier(card):
        add_classifier(outline, num_classes, lambda: output_width(outline, card))
    heads = _heads_of(outline, card)
    replace_heads(outline, heads, num_classes, dropout=dropout, hidden=hidden)
    return card, outline, heads


def add_classifier(module: nn.Module, num_classes: int, width: Callable[[], int]) -> None:
    """Add a head to a model that has none, where timm provides a place for it; where it provides
    none (encoders of language models, which give tokens), behind the mean of the tokens.

    `width`: of those, asked only then.
    """
    try:
        with torch.device(next(module.parameters()).device):
            module.reset_classifier(num_classes)  # type: ignore[operator]
    except (AttributeError, NotImplementedError, AssertionError):
        features = width()
        with torch.device(next(module.parameters()).device):
            module.add_module(HEAD, nn.Linear(features, num_classes))
        module.register_forward_hook(_classify_tokens)


def _classify_tokens(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Forward hook that classifies the mean of the tokens; it leaves the weights their names."""
    logits: Tensor = module.get_submodule(HEAD)(pool(output))
    return logits


def drop_auxiliary(module: nn.Module) -> None:
    """Remove the auxiliary classifiers of torchvision's Inception and GoogLeNet.

    It serves training from scratch only, and in training it would change what the model returns.
    """
    if isinstance(module, torchvision.models.Inception3 | torchvision.models.GoogLeNet):
        module.aux_logits = False
        for name in ("AuxLogits", "aux1", "aux2"):
            if hasattr(module, name):
                setattr(module, name, None)


def output_width(outline: nn.Module, card: ModelCard) -> int:
    """The feature width of a model without a head."""
    with skeleton.tracing(outline):
        features = Backbone(outline, Heads((), ()))(skeleton.example_input(card, outline))
    return features.shape[1]


def data_config(card: ModelCard, module: nn.Module) -> dict[str, Any]:
    """The preprocessing of the card's weights, as a configuration in timm's format."""
    card = skeleton.base_of(card)
    if card.source == "torchvision":
        preset = torchvision.models.get_model_weights(card.arch)[card.tag].transforms()
        (crop,), (resize,) = preset.crop_size, preset.resize_size
        return {
            "input_size": (3, crop, crop),
            "resize_px": resize,
            "interpolation": preset.interpolation.value,
            "mean": tuple(preset.mean),
            "std": tuple(preset.std),
            "crop_mode": "center",
        }
    config = dict(timm.data.resolve_model_data_config(module))
    crop = _LITE_CROP if card.source == "bundled" else config["crop_pct"]
    if card.source == "hub" and not getattr(module, "pretrained_cfg", None):
        config["interpolation"] = "bilinear"  # as torchvision's classic preprocessing
    _, height, width = config["input_size"]
    config["resize_px"] = math.floor(max(height, width) / crop)
    return config


_found_heads: dict[ModelCard, Heads] = {}


def _heads_of(outline: nn.Module, card: ModelCard) -> Heads:
    """The heads of a skeleton. Searched once per card: that is half of the time of a build."""
    if card not in _found_heads:
        with skeleton.tracing(outline):
            logits = outline(skeleton.example_input(card, outline))
        heads = find_heads(outline, logits)
        if card.source == "hub":  # its code may change under the same name
            return heads
        _found_heads[card] = heads
    return _found_heads[card]


def _completed(card: ModelCard, outline: nn.Module) -> ModelCard:
    """The card with the facts read from its model, where it had only a name."""
    if card.source not in ("hf-hub", "hub"):
        return card
    config = data_config(card, outline)
    is_hub = card.source == "hub"
    return dataclasses.replace(
        card,
        params=skeleton.count_params(outline),
        input_size=tuple(config["input_size"][1:]),
        num_classes=_answers(outline) if is_hub else int(getattr(outline, "num_classes", 0)),
    )


def _answers(outline: nn.Module) -> int:
    """The number of classes of a model of a repository; 0 where it gives features.

    Raises: ModelError where a picture cannot be given to it.
    """
    size = skeleton.example_size(outline)
    try:
        with skeleton.tracing(outline):
            output = outline(torch.zeros(1, 3, *size))
    except Exception as error:  # the code of a repository: anything may come
        raise ModelError(
            f"The repository's {type(outline).__name__} cannot be given a picture of "
            f"{size[1]}×{size[0]} pixels: {str(error).strip().partition(chr(10))[0]}",
            "Only models that take one normalised picture can be used.",
        ) from error
    if not isinstance(output, Tensor) or output.dim() != 2:
        raise ModelError(
            f"The repository's {type(outline).__name__} does not output one row of numbers for "
            "each picture.",
            "Only classifiers and models that give pooled features can be used.",
        )
    try:
        heads = find_heads(outline, output)
    except ModelError:
        return 0
    return output.shape[1] if heads.names else 0
