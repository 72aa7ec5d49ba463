"""Features from inside a model: maps over the places of the picture, and any layer by its name.

The model itself gets no hooks: what looks inside is a view of it, as for the pooled features.
"""

from __future__ import annotations

import copy
import difflib
import inspect
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import ModelError
from core.models import skeleton
from core.models.build import BuiltModel

_NEAREST = 5


def inner_features(
    built: BuiltModel, images: Tensor, *, layers: Sequence[str]
) -> dict[str, Tensor]:
    """The outputs of the named layers, in the order of the names.

    `images`: normalised, float [N, 3, H, W]. A layer that gives several tensors gives the first;
    one that runs several times in a pass gives the last. Values are as they left the layer, even
    where a later one writes over them. ResNet-50's `layer3` gives [N, 1024, 14, 14].

    Several threads may call it at once on one model, under inference mode and with nobody
    changing the head meanwhile.
    Raises: ModelError for a name that the model does not have (the nearest are named) or a layer
    that gives out no tensor.
    """
    for name in layers:
        _check_name(built, name)
    found = _View(built.module, layers).run(images)
    for name in layers:
        if name not in found:
            parts = [
                f"{name}.{key}" for key, _ in built.module.get_submodule(name).named_children()
            ]
            raise ModelError(
                f"The layer {name} of {built.card.full_name} has no output tensor.",
                f"Take a layer inside it: {', '.join(parts[-_NEAREST:])}."
                if parts
                else "Take the layer that holds it.",
            )
    return {name: found[name] for name in layers}


def spatial_features(built: BuiltModel, images: Tensor) -> Tensor:
    """The last feature maps before pooling, float [N, C, h, w].

    `images`: normalised, float [N, 3, H, W]. Tokens are laid out in rows again, without class and
    register tokens; channels come first whatever the model's own order. ResNet-50 at 224 px gives
    [N, 2048, 7, 7]. Threads: as `inner_features`.
    Raises: ModelError where the model keeps no places.
    """
    maps = _timm_maps(built.module, images)
    if maps is None:
        layer = _last_map_layer(built)
        maps = _laid_out(inner_features(built, images, layers=[layer])[layer], built, images)
    if maps is None:
        raise ModelError(
            f"{built.card.full_name} has no feature maps: it pools the whole picture in one step.",
            "Take its pooled features, or a layer by its name.",
        )
    return maps


def _check_name(built: BuiltModel, name: str) -> None:
    names = [known for known, _ in built.module.named_modules(remove_duplicate=False) if known]
    if name in names:
        return
    near = difflib.get_close_matches(name, names, n=_NEAREST, cutoff=0.4)
    near = near or [key for key, _ in built.module.named_children()][:_NEAREST]
    raise ModelError(
        f"{built.card.full_name} has no layer “{name}”.",
        f"Similar names: {', '.join(near)}; `graftwork layers` lists all.",
    )


class _View:
    """A copy of `module` that records outputs of some layers; it shares parameters and buffers."""

    def __init__(self, module: nn.Module, layers: Sequence[str]) -> None:
        self._kept = threading.local()
        self._twins: dict[str, nn.Module] = {}
        self._originals = module
        for name in dict.fromkeys(layers):
            twin = self._twin(name)
            hooks: OrderedDict[int, Callable[..., None]] = OrderedDict(twin._forward_hooks)
            hooks[-1] = self._recorder(name)
            twin.__dict__["_forward_hooks"] = hooks
        self._root = self._twin("")

    def _twin(self, name: str) -> nn.Module:
        if name not in self._twins:
            original = self._originals.get_submodule(name)
            twin = copy.copy(original)
            twin.__dict__["_modules"] = dict(original._modules)
            self._twins[name] = twin
            if name:
                parent, _, key = name.rpartition(".")
                self._twin(parent)._modules[key] = twin
        return self._twins[name]

    def _recorder(self, name: str) -> Callable[..., None]:
        def keep_output(part: nn.Module, args: Any, output: Any) -> None:
            tensor = first_tensor(output)
            if tensor is not None:
                # A ReLU that works in place would write over it.
                self._kept.outputs[name] = tensor.clone()

        return keep_output

    def run(self, images: Tensor) -> dict[str, Tensor]:
        """Outputs of the recorded layers by name. Several threads may call it at once."""
        self._kept.outputs = {}
        self._root(images)
        outputs: dict[str, Tensor] = self._kept.outputs
        return outputs


def first_tensor(output: Any) -> Tensor | None:
    """The first tensor in the output of a layer; None where it has none."""
    if isinstance(output, Tensor):
        return output
    values = output.values() if isinstance(output, dict) else output
    if isinstance(output, tuple | list | dict):
        return next((found for value in values if (found := first_tensor(value)) is not None), None)
    return None


def _timm_maps(module: nn.Module, images: Tensor) -> Tensor | None:
    """The last feature maps by timm's own methods; None where the model has none."""
    forward = getattr(module, "forward_features", None)
    width = getattr(module, "num_features", None)
    if forward is None or width is None:
        return None
    features = forward(images)
    if isinstance(features, Tensor) and features.ndim == 4:
        channels_last = features.shape[3] == width and (
            features.shape[1] != width or getattr(module, "output_fmt", "") == "NHWC"
        )
        return features.permute(0, 3, 1, 2).contiguous() if channels_last else features
    intermediates = getattr(module, "forward_intermediates", None)
    if intermediates is None:
        return None
    known = inspect.signature(intermediates).parameters
    norm = {"norm": True} if "norm" in known else {}
    found = intermediates(images, indices=1, output_fmt="NCHW", intermediates_only=True, **norm)
    return found[-1] if isinstance(found[-1], Tensor) and found[-1].ndim == 4 else None


def _last_map_layer(built: BuiltModel) -> str:
    """The name of the last layer before the head that outputs maps or tokens."""
    heads = tuple(built.head_names)
    ran: list[tuple[str, Tensor]] = []
    reached: list[str] = []

    def recorder(name: str) -> Callable[..., None]:
        def keep_output(part: nn.Module, args: Any, output: Any) -> None:
            tensor = first_tensor(output)
            if tensor is not None and not reached:
                ran.append((name, tensor))

        return keep_output

    # A copy on meta: the model itself stays free of hooks, and shapes are all that is asked.
    with torch.no_grad():
        twin = copy.deepcopy(built.module).to("meta").eval()
        for name, part in twin.named_modules():
            if name in heads:
                part.register_forward_pre_hook(lambda part, args, name=name: reached.append(name))
            elif name and not heads_inside(name, heads):
                part.register_forward_hook(recorder(name))
        twin(skeleton.example_input(built.card, twin))
    maps = [name for name, x in ran if x.ndim == 4 and min(x.shape[1:]) > 1]
    tokens = [name for name, x in ran if x.ndim == 3 and x.shape[1] > 1]
    if not maps and not tokens:
        raise ModelError(
            f"{built.card.full_name} has no feature maps: it pools the whole picture in one step.",
            "Take its pooled features, or a layer by its name.",
        )
    # A transformer has one map, of its patches; what it makes of them are tokens.
    order = [name for name, _ in ran]
    last_map = max((order.index(name) for name in maps), default=-1)
    last_token = max((order.index(name) for name in tokens), default=-1)
    return order[max(last_map, last_token)]


def heads_inside(name: str, heads: tuple[str, ...]) -> bool:
    """Whether this layer is a head or contains one."""
    return any(head.startswith(f"{name}.") for head in heads)


def _laid_out(x: Tensor, built: BuiltModel, images: Tensor) -> Tensor | None:
    """Maps or tokens as float [N, C, h, w]; None where the tokens form no rectangle."""
    if x.ndim == 4:
        # Channels outnumber the rows and columns of a last map in every known model.
        return x.permute(0, 3, 1, 2).contiguous() if _is_channels_last(x) else x
    count = x.shape[1]
    ratio = images.shape[2] / images.shape[3]
    for prefix in range(count):
        rows = round(math.sqrt((count - prefix) * ratio))
        columns = (count - prefix) // rows if rows else 0
        if rows and rows * columns == count - prefix and abs(rows - columns * ratio) < 0.5:
            return x[:, prefix:].transpose(1, 2).reshape(len(x), -1, rows, columns)
        if prefix >= 16:
            break
    return None


def _is_channels_last(x: Tensor) -> bool:
    return x.shape[3] > x.shape[1] and x.shape[1] == x.shape[2]
