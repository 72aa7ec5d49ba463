"""Layer groups: which parameters train at one rate, stem first, head last.

timm's `group_matcher` where it works, else the module tree. Every parameter is in one group.
"""

from __future__ import annotations

from dataclasses import dataclass

from timm.models import group_parameters
from torch import nn

_FEWEST_GROUPS = 4


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """Parameters that are frozen or trained together, and share a learning rate."""

    name: str
    parameters: tuple[str, ...]
    """Dotted names, in the order of `module.named_parameters()`."""


def layer_groups(module: nn.Module, head_names: tuple[str, ...]) -> tuple[LayerGroup, ...]:
    """The layer groups of `module`, stem first; the last, `head`, is what is in `head_names`."""
    names = [name for name, _ in module.named_parameters()]
    head = [name for name in names if name.startswith(tuple(f"{h}." for h in head_names))]
    body = [name for name in names if name not in set(head)]
    parts = _matched(module, body) or _by_tree(module, body)
    groups = [
        LayerGroup("stem" if index == 0 else _name(part, body), tuple(part))
        for index, part in enumerate(parts)
        if part
    ]
    if head:
        groups.append(LayerGroup("head", tuple(head)))
    return _with_distinct_names(groups)


def _matched(module: nn.Module, body: list[str]) -> list[list[str]]:
    """The groups by timm's `group_matcher`; empty where the model has none that works."""
    matcher = getattr(module, "group_matcher", None)
    if matcher is None:
        return []
    try:
        by_number = group_parameters(module, matcher(coarse=True))
    except (AssertionError, AttributeError, KeyError, NotImplementedError, TypeError, ValueError):
        return []
    wanted = set(body)
    parts = [[n for n in by_number[number] if n in wanted] for number in sorted(by_number)]
    parts = [part for part in parts if part]
    if sorted(name for part in parts for name in part) != sorted(body) or len(parts) < 2:
        return []
    return parts


def _by_tree(module: nn.Module, body: list[str]) -> list[list[str]]:
    """Groups of neighbouring parameters by module, split further until there are a few."""
    prefixes = _children_with(module, "", body)
    while len(prefixes) < _FEWEST_GROUPS:
        splittable = [p for p in prefixes if len(_children_with(module, p, body)) > 1]
        if not splittable:
            break
        deepest = max(splittable, key=lambda p: len(list(module.get_submodule(p).modules())))
        at = prefixes.index(deepest)
        prefixes[at : at + 1] = _children_with(module, deepest, body)
    parts: list[list[str]] = [[]]
    taken: set[str] = set()
    for prefix in prefixes:
        part = [name for name in body if name.startswith(f"{prefix}.")]
        taken.update(part)
        # A bare normalisation belongs to what it follows: bn1 to conv1, the last norm to the end.
        if parts == [[]] or all(_is_norm(module, name) for name in part):
            parts[-1] += part
        else:
            parts.append(part)
    # Class tokens and position embeddings hang on containers: they enter with the stem.
    parts[0] = [name for name in body if name not in taken] + parts[0]
    return parts


def _is_norm(module: nn.Module, parameter: str) -> bool:
    owner = module.get_submodule(parameter.rpartition(".")[0])
    return "norm" in type(owner).__name__.lower()


def _children_with(module: nn.Module, prefix: str, body: list[str]) -> list[str]:
    parent = module.get_submodule(prefix)
    names = [f"{prefix}.{key}" if prefix else key for key, _ in parent.named_children()]
    return [name for name in names if any(p.startswith(f"{name}.") for p in body)]


def _name(part: list[str], body: list[str]) -> str:
    """The shortest module path that begins the part's first parameter and no other group's."""
    others = set(body) - set(part)
    pieces = part[0].split(".")
    for length in range(1, len(pieces)):
        path = ".".join(pieces[:length])
        if not any(name.startswith(f"{path}.") for name in others):
            # "head" is the new classifier's own group; what timm keeps beside it comes before.
            return "pre-head" if path == "head" else path
    return part[0].rpartition(".")[0] or part[0]


def _with_distinct_names(groups: list[LayerGroup]) -> tuple[LayerGroup, ...]:
    seen: dict[str, int] = {}
    result = []
    for group in groups:
        count = seen[group.name] = seen.get(group.name, 0) + 1
        name = group.name if count == 1 else f"{group.name} ({count})"
        result.append(LayerGroup(name, group.parameters))
    return tuple(result)
