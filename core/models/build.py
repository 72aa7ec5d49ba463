"""Card → model: built, its weights loaded, its head replaced, its layer groups known."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import timm.data
import torchvision
from torch import Tensor, nn

from core.catalog.card import ModelCard
from core.images.preprocess import Preprocessing
from core.models import skeleton
from core.models.groups import LayerGroup, layer_groups
from core.models.head import Backbone, Heads, replace_heads, write_heads
from core.models.outline import (
    add_classifier,
    data_config,
    drop_auxiliary,
    has_classifier,
    outline_of,
    output_width,
)
from core.models.weights.load import pretrained_module


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
        """Features float [N, D], the input of the head, of images x: float [N, 3, H, W]."""
        return self.backbone()(x)

    def set_head(self, weight: Tensor, bias: Tensor) -> None:
        """Set the head so that `module(x) == features(x) @ weight.T + bias` in eval mode.

        weight: float [C, D], bias: float [C]. Raises: ValueError for other shapes, and where the
        head has a hidden layer.
        """
        example = skeleton.example_input(self.card, self.module)
        write_heads(self.module, self.heads, weight, bias, example=example)

    def label_names(self) -> list[str]:
        """The class name of each output, of the pretrained head where that is kept."""
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
    """Build the card's model, in eval mode, on the CPU.

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
            pretrained_module(card) if pretrained else skeleton.library_module(card, meta=False)
        )
        if num_classes is not None:
            drop_auxiliary(module)
            if not has_classifier(card):
                add_classifier(module, num_classes, lambda: heads.feature_dim)
            replace_heads(module, heads, num_classes, dropout=dropout, hidden=hidden)
    config = data_config(card, module)
    return BuiltModel(
        module=module.eval(),
        card=card,
        preprocessing=_preprocessing(config),
        heads=heads,
        feature_dim=heads.feature_dim if heads.names else output_width(outline, card),
        groups=layer_groups(module, (*heads.names, *heads.auxiliary)),
        num_classes=card.num_classes if num_classes is None else num_classes,
        pretrained_head=num_classes is None,
    )


def freeze_backbone(built: BuiltModel) -> None:
    """Let only the parameters of the head take gradients."""
    head = set(built.groups[-1].parameters) if built.head_names else set()
    for name, parameter in built.module.named_parameters():
        parameter.requires_grad_(name in head)


def imagenet_names() -> list[str]:
    """The names of the 1,000 ImageNet classes, as torchvision spells them."""
    weights_of_any = torchvision.models.ResNet18_Weights.IMAGENET1K_V1
    return list(weights_of_any.meta["categories"])


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
