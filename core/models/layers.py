"""The layer tree of a model: what is in it, what comes out where, and what it costs.

Made from a skeleton on meta tensors: no weights, no storage, whatever the size of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from core.models import skeleton
from core.models.build import bare_outline, has_classifier, outline_of
from core.models.card import ModelCard
from core.models.groups import layer_groups
from core.models.head import Heads, find_heads
from core.recipe import Recipe
from core.training.plan import GroupSizes, make_plan

Kind = Literal[
    "conv", "pool", "norm", "activation", "linear", "block", "head", "attention", "embedding",
    "dropout", "other",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class LayerNode:
    """One module of a model."""

    name: str
    path: str
    """Dotted name from the model's root."""
    type: str
    kind: Kind
    params: int
    """Parameters of its own, without those of its children."""
    total_params: int
    """With its children, shared tensors once."""
    output_shape: tuple[int, ...] | None
    """Without the batch, e.g. (64, 112, 112); None where the forward pass goes past it."""
    macs: int
    """Multiply-adds of one image, with its children."""
    trainable_params: int
    """How many of `total_params` train."""
    children: tuple[LayerNode, ...]

    @property
    def trainable(self) -> bool:
        """Whether a parameter in it trains."""
        return self.trainable_params > 0


@dataclass(frozen=True, slots=True)
class LayerTree:
    model: str
    params: int
    trainable_params: int
    macs: int
    layers: tuple[LayerNode, ...]
    groups: GroupSizes = ()
    """Layer groups, stem first, head last, with the names and sizes of their parameters."""
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Other names of parameters that several layers share, by the first of them."""


def layer_tree(
    card: ModelCard,
    *,
    num_classes: int | None = None,
    depth: int | None = None,
    recipe: Recipe | None = None,
) -> LayerTree:
    """The layers of the card's model, `depth` levels deep (all of them by default).

    With `num_classes` the head is a new one. What trains says the plan of `recipe`; without one
    a new head alone trains (feature extraction), and all of a model as it was published.
    Raises: ModelError, WeightsError (hf-hub only).
    """
    with skeleton.collecting_later():
        return _layer_tree(card, num_classes=num_classes, depth=depth, recipe=recipe)


def _layer_tree(
    card: ModelCard, *, num_classes: int | None, depth: int | None, recipe: Recipe | None
) -> LayerTree:
    if num_classes is None:
        card, module = bare_outline(card)
        record, output = _run(card, module)
        heads = find_heads(module, output) if has_classifier(card) else Heads((), ())
    else:
        card, module, heads = outline_of(card, num_classes=num_classes)
        module.requires_grad_(False)
        for name in heads.names:
            module.get_submodule(name).requires_grad_(True)
        record, _ = _run(card, module)
    groups = _sized_groups(module, heads)
    if recipe is not None:
        _apply_plan(module, groups, recipe)
    layers = _children(module, "", record=record, heads=heads, depth=depth)
    return LayerTree(
        model=card.id,
        params=skeleton.count_params(module),
        trainable_params=sum(p.numel() for p in module.parameters() if p.requires_grad),
        macs=record.macs[""],
        layers=layers,
        groups=groups,
        aliases=_aliases(module),
    )


def _apply_plan(module: nn.Module, groups: GroupSizes, recipe: Recipe) -> None:
    """Let those parameters take gradients that ever train under the recipe."""
    parameters = dict(module.named_parameters())
    for planned in make_plan(recipe, groups).groups:
        for key in planned.parameters:
            parameters[key].requires_grad_(planned.is_trained)


def _sized_groups(module: nn.Module, heads: Heads) -> tuple[tuple[str, dict[str, int]], ...]:
    """The layer groups with the sizes of their parameters; always with a head at the end."""
    sizes = {name: parameter.numel() for name, parameter in module.named_parameters()}
    groups = tuple(
        (group.name, {name: sizes[name] for name in group.parameters})
        for group in layer_groups(module, (*heads.names, *heads.auxiliary))
    )
    # Without one it will be given one for the classes of a dataset.
    return groups if heads.names else (*groups, ("head", {}))


def _aliases(module: nn.Module) -> dict[str, tuple[str, ...]]:
    """The first name of each shared parameter → all the others."""
    names: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return {found[0]: tuple(found[1:]) for found in names.values() if len(found) > 1}


def to_json(tree: LayerTree) -> dict[str, Any]:
    """The tree as the command line prints it."""
    return {
        "model": tree.model,
        "params": tree.params,
        "trainable_params": tree.trainable_params,
        "macs": tree.macs,
        "layers": [_node_to_json(node) for node in tree.layers],
    }


def _node_to_json(node: LayerNode) -> dict[str, Any]:
    return {
        "name": node.name,
        "path": node.path,
        "type": node.type,
        "kind": node.kind,
        "params": node.params,
        "total_params": node.total_params,
        "output_shape": None if node.output_shape is None else list(node.output_shape),
        "macs": node.macs,
        "trainable": node.trainable,
        "children": [_node_to_json(child) for child in node.children],
    }


@dataclass
class _Record:
    """What a forward pass showed, by module path."""

    shapes: dict[str, tuple[int, ...]]
    macs: dict[str, int]


def _run(card: ModelCard, module: nn.Module) -> tuple[_Record, Tensor]:
    """One forward pass with an eye on every module. `module` is ours alone: hooks may stay."""
    record = _Record(shapes={}, macs={"": 0})
    counter = skeleton.MacCounter()
    for path, part in module.named_modules():
        if path:
            before, after = _hooks(path, record, counter)
            part.register_forward_pre_hook(before)
            part.register_forward_hook(after)
    with skeleton.tracing(module), counter:
        output: Tensor = module(skeleton.example_input(card, module))
    record.macs[""] = counter.macs
    return record, output


def _hooks(
    path: str, record: _Record, counter: skeleton.MacCounter
) -> tuple[Callable[..., None], Callable[..., None]]:
    starts: list[int] = []

    def before(part: nn.Module, args: Any) -> None:
        starts.append(counter.macs)

    def after(part: nn.Module, args: Any, output: Any) -> None:
        record.macs[path] = record.macs.get(path, 0) + counter.macs - starts.pop()
        tensor = _first_tensor(output)
        if tensor is not None:
            record.shapes[path] = tuple(tensor.shape[1:])

    return before, after


def _first_tensor(output: Any) -> Tensor | None:
    if isinstance(output, Tensor):
        return output
    values = output.values() if isinstance(output, dict) else output
    if isinstance(output, tuple | list | dict):
        return next(
            (found for value in values if (found := _first_tensor(value)) is not None), None
        )
    return None


def _children(
    module: nn.Module, path: str, *, record: _Record, heads: Heads, depth: int | None
) -> tuple[LayerNode, ...]:
    if depth == 0:
        return ()
    deeper = None if depth is None else depth - 1
    nodes = []
    for name, child in module.named_children():
        child_path = f"{path}.{name}" if path else name
        parameters = list(child.parameters())
        nodes.append(
            LayerNode(
                name=name,
                path=child_path,
                type=type(child).__name__,
                kind=kind_of(child, is_head=child_path in heads.names),
                params=sum(p.numel() for p in child.parameters(recurse=False)),
                total_params=sum(p.numel() for p in parameters),
                output_shape=record.shapes.get(child_path),
                macs=record.macs.get(child_path, 0),
                trainable_params=sum(p.numel() for p in parameters if p.requires_grad),
                children=_children(child, child_path, record=record, heads=heads, depth=deeper),
            )
        )
    return tuple(nodes)


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


def kind_of(part: nn.Module, *, is_head: bool) -> Kind:
    """What a module is for: by its class, else by the words in the name of its class."""
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
