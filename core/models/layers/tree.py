"""The layer tree of a model: what is in it, what comes out where, and what it costs.

Made from a skeleton on meta tensors: no weights, no storage, whatever the size of the model.

The sums agree at every level. Parameters: `total_params` less `shared_params` of the lines below a
layer add up to those of the layer; class tokens and the like, which stand on a module beside its
layers, have lines of their own. MACs: what a module works out itself (attention's products, any
function it calls) is its `own_macs`, all else is in its layers. Activation memory: each new tensor
that a layer without inner layers gives out, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from core.catalog.card import ModelCard
from core.models import skeleton
from core.models.groups import layer_groups
from core.models.head import Heads, find_heads
from core.models.layers.details import Kind, detail_of, kind_of, kind_of_parameter
from core.models.outline import bare_outline, has_classifier, outline_of
from core.recipe.plan import GroupSizes, make_plan
from core.recipe.recipe import Recipe


@dataclass(frozen=True, slots=True)
class LayerNode:
    """One module of a model, or a parameter that stands on a module beside its layers."""

    name: str
    path: str
    """Dotted name from the model's root."""
    type: str
    kind: Kind
    params: int
    """Parameters of its own that no line below it shows."""
    total_params: int
    """With its children, shared tensors once; some may be in an earlier layer, too."""
    output_shape: tuple[int, ...] | None
    """Without the batch, e.g. (64, 112, 112); None where the forward pass goes past it."""
    macs: int
    """Multiply-adds of one image, with its children."""
    trainable_params: int
    """How many of `total_params` train."""
    children: tuple[LayerNode, ...]
    detail: str = ""
    """Its measures, e.g. `3×3, stride 2, padding 1` or `2048→1000`; may be empty."""
    own_macs: int = 0
    """How many of `macs` it works out itself, not by a layer in it."""
    activation_bytes: int = 0
    """Float32 memory of what its layers give out for one image. A training pass keeps it for the
    gradients. What works in place or hands on what it was given adds nothing."""
    shared_params: int = 0
    """How many of `total_params` an earlier layer has counted already."""

    @property
    def trainable(self) -> bool:
        """Whether a parameter in it trains."""
        return self.trainable_params > 0


@dataclass(frozen=True, slots=True)
class LayerTree:
    """The layers of a model with its totals, as one forward pass of one image showed them."""

    model: str
    params: int
    trainable_params: int
    macs: int
    layers: tuple[LayerNode, ...]
    groups: GroupSizes = ()
    """Layer groups, stem first, head last, with the names and sizes of their parameters."""
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Other names of parameters that several layers share, by the first of them."""
    activation_bytes: int = 0
    """Of all layers for one image; see `LayerNode`. Tensors that a module makes between its layers
    (sums of a skip connection, scores of attention) are not in it: a lower bound."""

    @property
    def own_macs(self) -> int:
        """What the model works out outside its layers: `macs` less those of `layers`."""
        return self.macs - sum(node.macs for node in self.layers)


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
        for name in (*heads.names, *heads.auxiliary):
            module.get_submodule(name).requires_grad_(True)
        record, _ = _run(card, module)
    groups = _sized_groups(module, heads)
    if recipe is not None:
        _apply_plan(module, groups, recipe)
    layers = _cut(_Reader(module, record, heads).children(module, ""), depth)
    return LayerTree(
        model=card.id,
        params=skeleton.count_params(module),
        trainable_params=sum(p.numel() for p in module.parameters() if p.requires_grad),
        macs=sum(record.macs.values()),
        layers=layers,
        groups=groups,
        aliases=_aliases(module),
        activation_bytes=sum(record.bytes.values()),
    )


def _apply_plan(module: nn.Module, groups: GroupSizes, recipe: Recipe) -> None:
    """Set `requires_grad` for the parameters that train at some time under the recipe."""
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
    """The tree as a JSON document for `graftwork layers --json`."""
    return {
        "model": tree.model,
        "params": tree.params,
        "trainable_params": tree.trainable_params,
        "macs": tree.macs,
        "own_macs": tree.own_macs,
        "activation_bytes": tree.activation_bytes,
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
        "detail": node.detail,
        "own_macs": node.own_macs,
        "activation_bytes": node.activation_bytes,
        "shared_params": node.shared_params,
        "children": [_node_to_json(child) for child in node.children],
    }


@dataclass
class _Record:
    """The results of a forward pass by module path; each figure is counted at one path only."""

    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    macs: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)


@dataclass
class _Call:
    """A module whose forward pass is running."""

    path: str
    has_counted: bool = False
    """Whether the output of a layer in it was counted."""


class _LayerHooks:
    """Hooks on every module of a skeleton; costs are assigned to the innermost module that runs."""

    def __init__(self, module: nn.Module, counter: skeleton.MacCounter) -> None:
        self.record = _Record()
        self._counter = counter
        self._seen_macs = 0
        self._calls = [_Call("")]
        for path, part in module.named_modules():
            if path:
                before, after = self._hooks(path)
                part.register_forward_pre_hook(before)
                part.register_forward_hook(after)

    def assign_macs(self) -> None:
        """Assign the MACs since the last call began or ended to the innermost module."""
        fresh = self._counter.macs - self._seen_macs
        if fresh:
            path = self._calls[-1].path
            self.record.macs[path] = self.record.macs.get(path, 0) + fresh
            self._seen_macs += fresh

    def _hooks(self, path: str) -> tuple[Callable[..., None], Callable[..., None]]:
        record, calls = self.record, self._calls

        def before(part: nn.Module, args: Any) -> None:
            self.assign_macs()
            calls.append(_Call(path))

        def after(part: nn.Module, args: Any, output: Any) -> None:
            self.assign_macs()
            call = calls.pop()
            tensors = list(_tensors(output))
            if tensors:
                record.shapes[path] = tuple(tensors[0].shape[1:])
            if not call.has_counted:
                fresh = _new_bytes(args, tensors)
                record.bytes[path] = record.bytes.get(path, 0) + fresh
                call.has_counted = fresh > 0
            calls[-1].has_counted |= call.has_counted

        return before, after


def _run(card: ModelCard, module: nn.Module) -> tuple[_Record, Tensor]:
    """Run one forward pass and record every module. The hooks stay on `module`."""
    counter = skeleton.MacCounter()
    hooks = _LayerHooks(module, counter)
    with skeleton.tracing(module), counter:
        output: Tensor = module(skeleton.example_input(card, module))
    hooks.assign_macs()
    return hooks.record, output


def _tensors(values: Any) -> Iterator[Tensor]:
    """Every tensor in the input or output of a layer, in order."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, tuple | list | dict):
        for value in values.values() if isinstance(values, dict) else values:
            yield from _tensors(value)


def _new_bytes(args: Any, outputs: list[Tensor]) -> int:
    """Bytes of new float32 memory in `outputs`, for one image; without views of the input."""
    # The address of the storage: a view, and what was written in place, have that of the input.
    known = {x.untyped_storage()._cdata for x in _tensors(args)}
    fresh = {
        x.untyped_storage()._cdata: x.numel() // max(1, len(x)) if x.ndim else 1
        for x in reversed(outputs)
    }
    return sum(4 * count for storage, count in fresh.items() if storage not in known)


class _Reader:
    """Builds the nodes of the tree from a skeleton and its record."""

    def __init__(self, module: nn.Module, record: _Record, heads: Heads) -> None:
        self._record = record
        self._heads = (*heads.names, *heads.auxiliary)
        self._first_paths = {id(part): path for path, part in module.named_modules()}
        self._counted: dict[int, str] = {}
        """The layers that parameters were counted in first, by the parameters' identity."""

    def children(self, module: nn.Module, path: str) -> tuple[LayerNode, ...]:
        """What stands below `module`, its own parameters first."""
        below = f"{path}." if path else ""
        nodes = [
            self._parameter(name, f"{below}{name}", parameter, is_head=path in self._heads)
            for name, parameter in module.named_parameters(recurse=False)
            if next(module.children(), None) is not None
        ]
        nodes += [
            self._layer(name, f"{below}{name}", child) for name, child in module.named_children()
        ]
        return tuple(nodes)

    def _layer(self, name: str, path: str, part: nn.Module) -> LayerNode:
        own = list(part.parameters(recurse=False))
        is_leaf = next(part.children(), None) is None
        inside = list(part.parameters())
        shared = [p for p in inside if id(p) in self._counted]
        detail = detail_of(part)
        if is_leaf and shared:
            detail = f"{detail}, weights of {self._counted[id(shared[0])]}".removeprefix(", ")
        if is_leaf:
            self._counted |= {id(p): path for p in own if id(p) not in self._counted}
        children = self.children(part, path)
        first = self._first_paths[id(part)]
        if first != path:
            detail = f"the same as {first}"
        own_macs, own_bytes = 0, 0
        if first == path:
            own_macs = self._record.macs.get(path, 0)
            own_bytes = self._record.bytes.get(path, 0)
        return LayerNode(
            name=name,
            path=path,
            type=type(part).__name__,
            kind=kind_of(part, is_head=path in self._heads),
            params=sum(p.numel() for p in own) if is_leaf else 0,
            total_params=sum(p.numel() for p in inside),
            output_shape=self._record.shapes.get(first),
            macs=own_macs + sum(node.macs for node in children),
            trainable_params=sum(p.numel() for p in inside if p.requires_grad),
            children=children,
            detail=detail,
            own_macs=own_macs,
            activation_bytes=own_bytes + sum(node.activation_bytes for node in children),
            shared_params=sum(p.numel() for p in shared),
        )

    def _parameter(
        self, name: str, path: str, parameter: nn.Parameter, *, is_head: bool
    ) -> LayerNode:
        size = parameter.numel()
        detail = "×".join(map(str, parameter.shape))
        is_shared = id(parameter) in self._counted
        if is_shared:
            detail += f", that of {self._counted[id(parameter)]}"
        self._counted.setdefault(id(parameter), path)
        return LayerNode(
            name=name,
            path=path,
            type="Parameter",
            kind=kind_of_parameter(name, is_head=is_head),
            params=size,
            total_params=size,
            output_shape=None,
            macs=0,
            trainable_params=size if parameter.requires_grad else 0,
            children=(),
            detail=detail,
            shared_params=size if is_shared else 0,
        )


def _cut(nodes: tuple[LayerNode, ...], depth: int | None) -> tuple[LayerNode, ...]:
    """The nodes, cut to `depth` levels."""
    if depth is None:
        return nodes
    if depth <= 0:
        return ()
    return tuple(replace(node, children=_cut(node.children, depth - 1)) for node in nodes)
