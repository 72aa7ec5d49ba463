"""Card → model: built, its weights loaded, its head replaced, its layer groups known."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import timm.data
import torch
import torchvision
from torch import Tensor, nn

from core.catalog.card import ModelCard
from core.errors import ModelError
from core.images.preprocess import Preprocessing
from core.models import skeleton
from core.models.groups import LayerGroup, layer_groups
from core.models.head import Backbone, Heads, find_heads, pool, replace_heads, write_heads
from core.models.weights import weights

_LITE_CROP = 0.875
HEAD = "graftwork_head"
"""The name of the classifier of an encoder that foresees none."""


@dataclass
class BuiltModel:
    """A model with what is needed to train and use it. Built in eval mode.

    Several threads may call `features` and `module` at once under inference mode; changing the
    head while they do is not safe.
    """

    module: nn.Module
    card: ModelCard
    preprocessing: Preprocessing
    heads: Heads
    feature_dim: int
    groups: tuple[LayerGroup, ...]
    num_classes: int
    """What the logits answer for; 0: the model has no head and gives features."""
    pretrained_head: bool
    _backbone: Backbone | None = field(default=None, repr=False)

    @property
    def head_names(self) -> tuple[str, ...]:
        """Dotted names of the classifier layers; none for a model without a head."""
        return self.heads.names

    def group_sizes(self) -> list[tuple[str, dict[str, int]]]:
        """Name of each layer group, stem first, head last, and its parameters with their sizes."""
        sizes = {name: p.numel() for name, p in self.module.named_parameters()}
        return [(group.name, {n: sizes[n] for n in group.parameters}) for group in self.groups]

    def backbone(self) -> Backbone:
        """The model up to its head: images float [N, 3, H, W] → features float [N, D]."""
        if self._backbone is None:
            self._backbone = Backbone(self.module, self.heads)
        return self._backbone

    def with_module(self, module: nn.Module) -> BuiltModel:
        """The same model around another copy of its module, e.g. on a GPU or in bfloat16."""
        return dataclasses.replace(self, module=module, _backbone=None)

    def features(self, x: Tensor) -> Tensor:
        """What the head is given, float [N, D], for normalised images x: float [N, 3, H, W]."""
        return self.backbone()(x)

    def set_head(self, weight: Tensor, bias: Tensor) -> None:
        """Make `module(x) == features(x) @ weight.T + bias` in eval mode.

        weight: float [C, D], bias: float [C]. Raises: ValueError for other shapes, and where the
        head has a hidden layer.
        """
        example = skeleton.example_input(self.card, self.module)
        write_heads(self.module, self.heads, weight, bias, example=example)

    def label_names(self) -> list[str]:
        """What the outputs of the pretrained head mean, one name an output."""
        if self.pretrained_head and self.num_classes == 1000:
            return imagenet_names()
        subset = timm.data.infer_imagenet_subset({"num_classes": self.num_classes})
        if self.pretrained_head and subset:
            return list(timm.data.ImageNetInfo(subset).label_descriptions())
        return [f"class {index}" for index in range(self.num_classes)]


def build(
    card: ModelCard,
    *,
    num_classes: int | None = None,
    pretrained: bool = True,
    meta: bool = False,
    dropout: float = 0.0,
    hidden: int | None = None,
) -> BuiltModel:
    """The card's model, in eval mode, on the CPU.

    With `num_classes` its head is a new one: `dropout`, then linear; with `hidden` a layer of so
    many units and a ReLU come between. `pretrained` loads the weights, downloading them if need
    be; `meta` gives a model without storage (and no weights).
    Raises: ModelError, WeightsError.
    """
    card, outline, heads = outline_of(card, num_classes=num_classes, dropout=dropout, hidden=hidden)
    if meta:
        module = outline
    else:
        module = (
            weights.pretrained_module(card)
            if pretrained
            else skeleton.library_module(card, meta=False)
        )
        if num_classes is not None:
            _drop_auxiliary(module)
            if not has_classifier(card):
                _add_classifier(module, num_classes, lambda: heads.feature_dim)
            replace_heads(module, heads, num_classes, dropout=dropout, hidden=hidden)
    config = _data_config(card, module)
    return BuiltModel(
        module=module.eval(),
        card=card,
        preprocessing=_preprocessing(config),
        heads=heads,
        feature_dim=heads.feature_dim if heads.names else _output_width(outline, card),
        groups=layer_groups(module, (*heads.names, *heads.auxiliary)),
        num_classes=card.num_classes if num_classes is None else num_classes,
        pretrained_head=num_classes is None,
    )


def bare_outline(card: ModelCard) -> tuple[ModelCard, nn.Module]:
    """The completed card and its own model on meta tensors.

    Raises: ModelError; WeightsError for a model of the hub whose description is not here.
    """
    with weights.fetching(card) if card.source == "hf-hub" else nullcontext():
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
    """The completed card, its model on meta tensors as `build` makes it, and where its heads are.

    Raises: as `bare_outline`.
    """
    card, outline = bare_outline(card)
    if num_classes is None:
        heads = _heads_of(outline, card) if has_classifier(card) else Heads((), ())
        return card, outline, heads
    _drop_auxiliary(outline)
    if not has_classifier(card):
        _add_classifier(outline, num_classes, lambda: _output_width(outline, card))
    heads = _heads_of(outline, card)
    replace_heads(outline, heads, num_classes, dropout=dropout, hidden=hidden)
    return card, outline, heads


def freeze_backbone(built: BuiltModel) -> None:
    """Only the head takes gradients."""
    head = set(built.groups[-1].parameters) if built.head_names else set()
    for name, parameter in built.module.named_parameters():
        parameter.requires_grad_(name in head)


def imagenet_names() -> list[str]:
    """The 1,000 ImageNet classes as torchvision spells them."""
    weights_of_any = torchvision.models.ResNet18_Weights.IMAGENET1K_V1
    return list(weights_of_any.meta["categories"])


_found_heads: dict[ModelCard, Heads] = {}


def _heads_of(outline: nn.Module, card: ModelCard) -> Heads:
    """The heads of a skeleton, looked for once per card: half of the time of a build."""
    if card not in _found_heads:
        with skeleton.tracing(outline):
            logits = outline(skeleton.example_input(card, outline))
        heads = find_heads(outline, logits)
        if card.source == "hub":  # its code may change under the same name
            return heads
        _found_heads[card] = heads
    return _found_heads[card]


def _add_classifier(module: nn.Module, num_classes: int, width: Callable[[], int]) -> None:
    """A head where the pretrained model has none, at the place timm foresees; where it foresees
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
    """A forward hook, so that the names of the pretrained weights stay as they are."""
    logits: Tensor = module.get_submodule(HEAD)(pool(output))
    return logits


def _drop_auxiliary(module: nn.Module) -> None:
    """Without the second classifier of torchvision's Inception.

    It serves training from scratch only, and in training it would change what the model returns.
    """
    if isinstance(module, torchvision.models.Inception3 | torchvision.models.GoogLeNet):
        module.aux_logits = False
        for name in ("AuxLogits", "aux1", "aux2"):
            if hasattr(module, name):
                setattr(module, name, None)


def _output_width(outline: nn.Module, card: ModelCard) -> int:
    """How wide the features of a model without a head are."""
    with skeleton.tracing(outline):
        features = Backbone(outline, Heads((), ()))(skeleton.example_input(card, outline))
    return features.shape[1]


def _completed(card: ModelCard, outline: nn.Module) -> ModelCard:
    """A card that knew only a name, with the facts of its model."""
    if card.source not in ("hf-hub", "hub"):
        return card
    config = _data_config(card, outline)
    is_hub = card.source == "hub"
    return dataclasses.replace(
        card,
        params=skeleton.count_params(outline),
        input_size=tuple(config["input_size"][1:]),
        num_classes=_answers(outline) if is_hub else int(getattr(outline, "num_classes", 0)),
    )


def _answers(outline: nn.Module) -> int:
    """How many classes a model of unknown make answers for; 0 where it gives features.

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
            f"The repository's {type(outline).__name__} does not answer with one row of numbers a "
            "picture.",
            "Only classifiers and models that give pooled features can be used.",
        )
    try:
        heads = find_heads(outline, output)
    except ModelError:
        return 0
    return output.shape[1] if heads.names else 0


def _data_config(card: ModelCard, module: nn.Module) -> dict[str, Any]:
    """The preprocessing of the card's weights in timm's words."""
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


def _preprocessing(config: dict[str, Any]) -> Preprocessing:
    _, height, width = config["input_size"]
    known = ("bilinear", "bicubic", "lanczos", "nearest")
    return Preprocessing(
        width=width,
        height=height,
        resize_px=config["resize_px"],
        interpolation=config["interpolation"] if config["interpolation"] in known else "bilinear",
        mean=config["mean"],
        std=config["std"],
        crop_mode=config["crop_mode"],
    )
