"""The classifier of a model: found by following the data, replaced, and looked into.

The head is found from the model itself, not from a list of names: one forward pass records the
graph of the computation, and the walk back from the logits ends at the first layer with weights.
"""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.errors import ModelError

Head = nn.Linear | nn.Conv2d

_captured = threading.local()


@dataclass(frozen=True, slots=True)
class Heads:
    """The classifier layers that a model's logits come from.

    `names` are the dotted names of the layers whose outputs are averaged into the logits: one
    for most models, two for distilled ones, several for CrossViT. `dims` are their input widths.
    `auxiliary` heads add the maximum over all places to the logits (VOLO).
    """

    names: tuple[str, ...]
    dims: tuple[int, ...]
    auxiliary: tuple[str, ...] = ()

    @property
    def share_input_width(self) -> bool:
        return len(set(self.dims)) <= 1

    @property
    def feature_dim(self) -> int:
        return self.dims[0] if self.share_input_width else sum(self.dims)


def find_heads(module: nn.Module, logits: Tensor) -> Heads:
    """Find the head layers of `module`, whose forward pass with gradients gave `logits`.

    Raises: ModelError where the logits do not come from linear layers or 1×1 convolutions.
    """
    owners = {
        id(parameter): name
        for name, part in module.named_modules()
        for parameter in part.parameters(recurse=False)
    }
    names: list[str] = []
    auxiliary: list[str] = []
    seen: set[object] = set()
    waiting = [(logits.grad_fn, False)]
    while waiting:
        node, under_max = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        under_max = under_max or node.name().startswith("MaxBackward")
        owner = next(filter(None, (_owner(n, owners) for n, _ in node.next_functions)), None)
        if owner is None:
            waiting += [(n, under_max) for n, _ in reversed(node.next_functions)]
        elif owner not in names and owner not in auxiliary:
            (auxiliary if under_max else names).append(owner)
    heads = [module.get_submodule(name) for name in names]
    for name, head in zip(names, heads, strict=True):
        if not is_head_layer(head):
            raise ModelError(
                f"The classifier of {type(module).__name__} cannot be replaced: its outputs come "
                f"from {name}, a {type(head).__name__}.",
                "Choose another model.",
            )
    if not names:
        raise ModelError(f"{type(module).__name__} has no classifier that could be replaced.")
    order = sorted(range(len(names)), key=lambda i: list(owners.values()).index(names[i]))
    return Heads(
        names=tuple(names[i] for i in order),
        dims=tuple(input_width(heads[i]) for i in order),
        auxiliary=tuple(auxiliary),
    )


def _owner(node: object, owners: dict[int, str]) -> str | None:
    """The module that owns the parameter at `node` of the autograd graph, transposed or not."""
    while node is not None:
        parameter = getattr(node, "variable", None)
        if parameter is not None:
            return owners.get(id(parameter))
        if node.name() not in ("TBackward0", "ViewBackward0", "TransposeBackward0"):  # type: ignore[attr-defined]
            return None
        node = node.next_functions[0][0]  # type: ignore[attr-defined]
    return None


def is_head_layer(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Conv2d):
        return layer.kernel_size == (1, 1) and layer.groups == 1
    return isinstance(layer, nn.Linear)


def input_width(layer: nn.Module) -> int:
    """How many features the head layer takes."""
    return layer.in_channels if isinstance(layer, nn.Conv2d) else int(layer.in_features)  # type: ignore[arg-type]


def output_width(layer: nn.Module) -> int:
    """How many outputs the head layer has."""
    return layer.out_channels if isinstance(layer, nn.Conv2d) else int(layer.out_features)  # type: ignore[arg-type]


class DropoutLinear(nn.Linear):
    """Dropout, then linear, in one module: the state dict keeps the library's plain keys."""

    def __init__(self, in_features: int, out_features: int, *, dropout: float) -> None:
        super().__init__(in_features, out_features)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(nn.functional.dropout(x, self.dropout, self.training))


class DropoutConv(nn.Conv2d):
    """Dropout, then a 1×1 convolution, in one module."""

    def __init__(self, in_channels: int, out_channels: int, *, dropout: float) -> None:
        super().__init__(in_channels, out_channels, kernel_size=1)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(nn.functional.dropout(x, self.dropout, self.training))


class HiddenLinear(nn.Linear):
    """Dropout, linear to `hidden` units, ReLU, linear to the classes.

    The last layer has the plain keys `weight` and `bias`, the hidden one `hidden.weight` and
    `hidden.bias` beside them. `in_features` is the width of the hidden layer.
    """

    def __init__(self, in_features: int, out_features: int, *, hidden: int, dropout: float) -> None:
        super().__init__(hidden, out_features)
        self.hidden = nn.Linear(in_features, hidden)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.dropout(x, self.dropout, self.training)
        return super().forward(nn.functional.relu(self.hidden(x)))


class HiddenConv(nn.Conv2d):
    """Like `HiddenLinear`, made of 1×1 convolutions: every position is classified."""

    def __init__(self, in_channels: int, out_channels: int, *, hidden: int, dropout: float) -> None:
        super().__init__(hidden, out_channels, kernel_size=1)
        self.hidden = nn.Conv2d(in_channels, hidden, kernel_size=1)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.dropout(x, self.dropout, self.training)
        return super().forward(nn.functional.relu(self.hidden(x)))


def replace_heads(
    module: nn.Module,
    heads: Heads,
    num_classes: int,
    *,
    dropout: float,
    hidden: int | None = None,
) -> None:
    """Replace the heads by new ones for `num_classes`, under the same names.

    They always have a bias (MaxViT's own has none). Dropout comes just before them; a dropout
    layer that already stands there is silenced, so that the rate is the one asked for. With
    `hidden` a layer of so many units stands between the features and the classes.
    """
    for name in (*heads.names, *heads.auxiliary):
        parent_name, _, key = name.rpartition(".")
        parent = module.get_submodule(parent_name)
        old = module.get_submodule(name)
        with torch.device(next(old.parameters()).device):
            new = _new_head(old, num_classes, dropout, hidden)
        if isinstance(parent, nn.Sequential):
            _clear_around(parent, int(key) if key.isdecimal() else _position(parent, key))
        setattr(parent, key, new.train(old.training))
    if hasattr(module, "num_classes"):
        setattr(module, "num_classes", num_classes)  # noqa: B010 - nn.Module types it as a Tensor


def _new_head(old: nn.Module, num_classes: int, dropout: float, hidden: int | None) -> Head:
    width = input_width(old)
    if isinstance(old, nn.Conv2d):
        if hidden is not None:
            return HiddenConv(width, num_classes, hidden=hidden, dropout=dropout)
        if dropout:
            return DropoutConv(width, num_classes, dropout=dropout)
        return nn.Conv2d(width, num_classes, kernel_size=1)
    if hidden is not None:
        return HiddenLinear(width, num_classes, hidden=hidden, dropout=dropout)
    if dropout:
        return DropoutLinear(width, num_classes, dropout=dropout)
    return nn.Linear(width, num_classes)


def _position(parent: nn.Sequential, key: str) -> int:
    return list(dict(parent.named_children())).index(key)


def _clear_around(parent: nn.Sequential, position: int) -> None:
    """Remove dropout before the head and a ReLU after it (SqueezeNet's would cut logits at 0)."""
    if position > 0 and isinstance(parent[position - 1], nn.Dropout):
        parent[position - 1] = nn.Dropout(0.0)
    for after in range(position + 1, len(parent)):
        if isinstance(parent[after], nn.ReLU):
            parent[after] = nn.Identity()


def write_heads(
    module: nn.Module, heads: Heads, weight: Tensor, bias: Tensor, *, example: Tensor
) -> None:
    """Set the heads so that `module(x) == features(x) @ weight.T + bias`, features by `combine`.

    weight: float [C, D], bias: float [C]. `example`: any image batch float [N, 3, H, W] on the
    device of `module`; a model with several heads is run on it, in eval mode, to see what share
    each has in the logits. Raises: ValueError for other shapes, and for a head with a hidden layer.
    """
    layers = [module.get_submodule(name) for name in heads.names]
    if any(isinstance(layer, HiddenLinear | HiddenConv) for layer in layers):
        raise ValueError("a head with a hidden layer is no linear function of the features")
    wanted = (output_width(layers[0]), heads.feature_dim)
    if tuple(weight.shape) != wanted or tuple(bias.shape) != wanted[:1]:
        raise ValueError(
            f"a head of {wanted} is wanted, not {tuple(weight.shape)} and {tuple(bias.shape)}"
        )
    for name in heads.names:
        parent_name, _, key = name.rpartition(".")
        parent = module.get_submodule(parent_name)
        if isinstance(parent, nn.Sequential):
            _clear_around(parent, _position(parent, key))
    with torch.no_grad():
        for layer in layers:
            if layer.bias is None:
                layer.bias = nn.Parameter(layer.weight.new_zeros(wanted[0]))
        for name in heads.auxiliary:
            for parameter in module.get_submodule(name).parameters():
                parameter.zero_()
        shares = _shares(module, layers, example)
        pieces = (
            [weight / len(layers)] * len(layers)
            if heads.share_input_width
            else weight.split(list(heads.dims), dim=1)
        )
        for layer, piece, share in zip(layers, pieces, shares, strict=True):
            _fill(layer, piece / share, bias / sum(shares))


def _shares(module: nn.Module, layers: list[nn.Module], example: Tensor) -> list[float]:
    """The factor by which the output of each head enters the logits: 1 for a single head.

    Distilled models take the mean of two; EfficientViM weighs eight by learned numbers.
    """
    if len(layers) == 1:
        return [1.0]
    training = [(part, part.training) for part in module.modules()]
    module.eval()
    shares = []
    for chosen in layers:
        for layer in layers:
            weight, bias = layer.weight, layer.bias
            _fill(layer, torch.zeros_like(weight), torch.full_like(bias, float(layer is chosen)))  # type: ignore[arg-type]
        shares.append(float(module(example)[0, 0]))
    for part, was_training in training:
        part.training = was_training
    return shares


def _fill(layer: nn.Module, weight: Tensor, bias: Tensor) -> None:
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    assert layer.bias is not None
    layer.weight.copy_(weight.reshape(layer.weight.shape))
    layer.bias.copy_(bias)


def combine(inputs: list[Tensor], heads: Heads) -> Tensor:
    """Join the inputs of the heads to features float [N, D]; maps and tokens are averaged first.

    Two heads with equal weights give the mean of their logits, which is the logits of the mean of
    their inputs; inputs of different widths stand side by side.
    """
    pooled = [pool(x) for x in inputs]
    if len(pooled) == 1:
        return pooled[0]
    if heads.share_input_width:
        return torch.stack(pooled).mean(dim=0)
    return torch.cat(pooled, dim=1)


def pool(x: Tensor) -> Tensor:
    """Average over positions or tokens: float [N, D, H, W] or [N, T, D] → [N, D]."""
    if x.ndim == 4:
        return x.mean(dim=(2, 3))
    return x.mean(dim=1) if x.ndim == 3 else x


class _Tap(nn.Module):
    """Stands in for a head and keeps its input, for each thread apart."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        _captured.inputs.append(x)
        out: Tensor = self.head(x)
        return out


class Backbone:
    """The part of `module` before its heads; parameters, buffers and inner modules are shared.

    Several threads may call it at once. The modules on the way to the heads are shallow copies
    that hand over to taps, so `module` itself stays free of hooks and can be exported.
    """

    def __init__(self, module: nn.Module, heads: Heads) -> None:
        self._heads = heads
        self._pairs: dict[str, tuple[nn.Module, nn.Module]] = {}
        for name in heads.names:
            parent_name, _, key = name.rpartition(".")
            self._copy(module, parent_name)._modules[key] = _Tap(module.get_submodule(name))
        self._view = self._copy(module, "")

    def _copy(self, module: nn.Module, name: str) -> nn.Module:
        if name not in self._pairs:
            original = module.get_submodule(name)
            # copy.copy shares the dicts of parameters and buffers, so that what `.to()` puts
            # there is seen here too; only the dict of children becomes our own.
            twin = copy.copy(original)
            twin.__dict__["_modules"] = dict(original._modules)
            self._pairs[name] = (original, twin)
            if name:
                parent_name, _, key = name.rpartition(".")
                self._copy(module, parent_name)._modules[key] = twin
        return self._pairs[name][1]

    def __call__(self, x: Tensor) -> Tensor:
        """Features float [N, D] of x: float [N, 3, H, W]."""
        for original, twin in self._pairs.values():
            twin.training = original.training
        _captured.inputs = []
        try:
            out = self._view(x)
            return combine(_captured.inputs, self._heads) if self._heads.names else pool(out)
        finally:
            _captured.inputs = []
