"""What a model costs and how it is made, counted by us on its skeleton: no weights, no figures
of others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from core.catalog.card import ModelCard
from core.errors import ModelError
from core.models import skeleton
from core.models.build import build
from core.models.groups import layer_groups
from core.models.head import find_heads
from core.models.outline import has_classifier

_ATEN = torch.ops.aten
_CONVOLUTIONS = frozenset((_ATEN.convolution.default, _ATEN._convolution.default))
_PRODUCTS = frozenset(
    getattr(_ATEN, name).default for name in ("addmm", "mm", "bmm", "baddbmm", "linear")
)


@dataclass(frozen=True, slots=True)
class Costs:
    """The counted columns of a card; None where a library cannot run the model on meta tensors."""

    params: int | None = None
    macs: int | None = None
    activations: int | None = None
    feature_dim: int | None = None
    layer_groups: int | None = None


class ActivationCounter(TorchDispatchMode):
    """Counts the elements that convolutions and matrix products give, as fvcore and timm count.

    The products of attention are among them, although fused kernels do not store all of these.
    """

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if func in _CONVOLUTIONS or func in _PRODUCTS:
            self.elements += out.numel()
        return out


def shapes_of(card: ModelCard) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Names and shapes of the parameters, a key for models that are equal.

    Some tags of timm change how the model is made (the projectors of the Qwen encoders), and
    their configurations do not say so. Raises: as `count`.
    """
    module = skeleton.library_module(card, meta=True)
    return tuple((name, tuple(p.shape)) for name, p in module.named_parameters())


def count(card: ModelCard) -> Costs:
    """Count the costs of a card. Raises: whatever a library raises on meta tensors."""
    module = skeleton.library_module(card, meta=True)
    params = skeleton.count_params(module)
    macs, elements = skeleton.MacCounter(), ActivationCounter()
    # The counter of multiply-adds answers some calls itself: it stands outermost.
    with skeleton.tracing(module), macs, elements:
        logits = module(skeleton.example_input(card, module))
    width: int | None
    groups: int | None
    if has_classifier(card):
        heads = find_heads(module, logits)
        width = heads.feature_dim
        groups = len(layer_groups(module, (*heads.names, *heads.auxiliary)))
    else:
        width, groups = _with_a_head(card)
    return Costs(params, macs.macs, elements.elements, width, groups)


def _with_a_head(card: ModelCard) -> tuple[int | None, int | None]:
    """Feature width and number of groups of a model without a classifier, once it is given one."""
    try:
        built = build(card, num_classes=2, meta=True)
    except ModelError:
        bare = build(card, meta=True)
        return bare.feature_dim, len(bare.groups)
    return built.feature_dim, len(built.groups)
