"""What a layer of the tree is for, and its measures in a few characters: `3×3, stride 2`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import nn

Kind = Literal[
    "conv", "pool", "norm", "activation", "linear", "block", "head", "attention", "embedding",
    "dropout", "other",
]  # fmt: skip

_ACTIVATIONS = tuple(
    getattr(torch.nn, name)
    for name in torch.nn.modules.activation.__all__
    if name != "MultiheadAttention"
)
_NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm)
_BY_NAME: tuple[tuple[str, Kind], ...] = (
    ("Drop", "dropout"),
    ("Attention", "attention"),
    ("Attn", "attention"),
    ("Embed", "embedding"),
    ("PosBias", "embedding"),
    ("Pool", "pool"),
)
_LEAVES_BY_NAME: tuple[tuple[str, Kind], ...] = (
    ("Norm", "norm"),
    ("Conv", "conv"),
    ("Linear", "linear"),
    ("Swish", "activation"),
    ("GELU", "activation"),
    ("ReLU", "activation"),
    ("SiLU", "activation"),
    ("Sigmoid", "activation"),
)
_EMBEDDINGS = ("token", "pos", "embed", "query", "latent", "bias_table")


def kind_of(part: nn.Module, *, is_head: bool) -> Kind:
    """The kind of a module, from its class or else from words in the name of its class."""
    if is_head:
        return "head"
    if isinstance(part, nn.Linear):
        return "linear"
    if isinstance(part, _NORMS):
        return "norm"
    if isinstance(part, _ACTIVATIONS):
        return "activation"
    name = type(part).__name__
    leaf = next(part.children(), None) is None
    for word, kind in (*_BY_NAME, *(_LEAVES_BY_NAME if leaf else ())):
        if word in name and not name.endswith(("Block", "Stage", "Layer")):
            return kind
    return "other" if leaf else "block"


def kind_of_parameter(name: str, *, is_head: bool) -> Kind:
    """The kind of a parameter that a module has beside its layers."""
    if is_head:
        return "head"
    return "embedding" if any(word in name for word in _EMBEDDINGS) else "other"


def detail_of(part: nn.Module) -> str:
    """The sizes of a layer as text, e.g. `3×3, stride 2`; empty where none are known.

    Convolutions and pooling: kernel, then stride, padding, groups and dilation where they are
    not the plain ones (1, 0, 1, 1). Linear: inputs → outputs. Attention: its heads.
    """
    if isinstance(part, nn.Linear):
        return f"{part.in_features}→{part.out_features}"
    if isinstance(part, nn.modules.conv._ConvNd):
        return _join(*_window(part), _groups(part))
    if isinstance(part, nn.modules.batchnorm._BatchNorm):
        return f"{part.num_features} channels"
    if isinstance(part, nn.GroupNorm):
        return f"{part.num_channels} channels in {part.num_groups} groups"
    if isinstance(part, nn.LayerNorm):
        return f"{'×'.join(map(str, part.normalized_shape))} channels"
    if isinstance(part, nn.Embedding):
        return f"{part.num_embeddings} of {part.embedding_dim}"
    name = type(part).__name__
    if "Pool" in name:
        output = getattr(part, "output_size", None)
        if output is not None:
            return f"to {_sizes(output)}"
        kind = getattr(part, "pool_type", "")
        return _join(str(kind) if isinstance(kind, str) else "", *_window(part))
    if "Drop" in name or "StochasticDepth" in name:
        rate = next(
            (
                value
                for key in ("p", "drop_prob", "drop_rate")
                if isinstance(value := getattr(part, key, None), float)
            ),
            None,
        )
        return "" if rate is None else f"rate {rate:.3g}"
    heads = getattr(part, "num_heads", None)
    if isinstance(heads, int) and ("Att" in name or "MSA" in name):
        window = getattr(part, "window_size", None)
        return _join(
            f"{heads} {'head' if heads == 1 else 'heads'}",
            f"window {_sizes(window)}" if _is_window(window) else "",
        )
    return ""


def _is_window(value: Any) -> bool:
    return (isinstance(value, int) and value > 0) or (
        isinstance(value, tuple | list) and len(value) == 2 and all(map(bool, value))
    )


def _window(part: Any) -> tuple[str, ...]:
    kernel = getattr(part, "kernel_size", None)
    if kernel is None:
        return ()
    stride, padding = getattr(part, "stride", 1), getattr(part, "padding", 0)
    dilation = getattr(part, "dilation", 1)
    return (
        _sizes(kernel),
        f"stride {_one(stride)}" if _one(stride) != "1" else "",
        f"padding {_one(padding)}" if _one(padding) not in ("0", "valid") else "",
        f"dilation {_one(dilation)}" if _one(dilation) != "1" else "",
    )


def _groups(part: nn.modules.conv._ConvNd) -> str:
    if part.groups == 1:
        return ""
    return "depthwise" if part.groups == part.in_channels else f"{part.groups} groups"


def _sizes(value: Any) -> str:
    """`7×7`, also of the number 7; a side that stays as it is: `·`."""
    sides = tuple(value) if isinstance(value, Sequence) else (value, value)
    return "×".join("·" if side is None else str(side) for side in sides)


def _one(value: Any) -> str:
    """`2` of 2 and of (2, 2), else `2×1`; words stay words."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return str(value)
    return str(value[0]) if len(set(value)) == 1 else _sizes(value)


def _join(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
