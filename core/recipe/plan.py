"""The plan: what trains, from which epoch, at which learning rate. No torch: the window draws it.

Rates fall from the head backwards (discriminative rates, Howard & Ruder 2018); gradual opening
follows the same paper: the head first, then one group after the other, the last one first.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.errors import AppError
from core.recipe.recipe import Recipe

HEAD = "head"
"""The name of the last layer group, the new classifier."""
_ALL_OPEN_BY = 0.7
"""Share of the epochs by which every group that trains is open."""

GroupSizes = Sequence[tuple[str, Mapping[str, int]]]
"""Layer groups, stem first, head last: name and the parameters in it with their elements."""


@dataclass(frozen=True, slots=True)
class PlanGroup:
    """One layer group, or the part of one that `layer_rates` treats in its own way.

    `opens_at` counts epochs from 1; None: it stays frozen.
    """

    name: str
    params: int
    opens_at: int | None
    learning_rate: float
    """The highest learning rate of the run; 0 where frozen or where the head is fitted directly."""
    parameters: tuple[str, ...] = ()
    """Dotted names."""

    @property
    def is_trained(self) -> bool:
        return self.opens_at is not None


@dataclass(frozen=True, slots=True)
class Plan:
    """Layer groups from the stem to the head."""

    groups: tuple[PlanGroup, ...]

    @property
    def params(self) -> int:
        return sum(group.params for group in self.groups)

    @property
    def trainable_params(self) -> int:
        return sum(group.params for group in self.groups if group.is_trained)

    def open_in(self, epoch: int) -> tuple[str, ...]:
        """Names of the groups that train in this epoch, counted from 1."""
        return tuple(g.name for g in self.groups if g.opens_at is not None and g.opens_at <= epoch)


@dataclass(frozen=True, slots=True)
class _Part:
    """The part of a group with one rate factor. `age`: its distance from the head, in groups."""

    name: str
    sizes: Mapping[str, int]
    age: int
    factor: float | None


def make_plan(recipe: Recipe, groups: GroupSizes) -> Plan:
    """The plan of a recipe for a model with these layer groups.

    Raises: AppError where `layer_rates` or `open_at` names a layer that is not there, the head is
    frozen, or a group opens after the last epoch.
    """
    last = len(groups) - 1
    is_fine_tuning = recipe.strategy != "feature-extraction"
    if not is_fine_tuning:
        trained = 0
    elif recipe.strategy == "partial":
        trained = min(recipe.layer_groups, last)
    else:
        trained = last
    parts = _parts(groups, recipe.layer_rates if is_fine_tuning else {})
    has_steps = is_fine_tuning and recipe.strategy != "scratch"
    named = _named_openings(recipe, groups) if has_steps and recipe.open_at else None

    def trains(part: _Part) -> bool:
        if part.factor is not None:
            return part.factor > 0
        return part.age <= trained and (named is None or part.age in named)

    deepest = max((part.age for part in parts if trains(part)), default=0)
    span = _opening_epochs(recipe, deepest) if recipe.gradual and has_steps else 0
    planned = []
    for part in parts:
        params, names = sum(part.sizes.values()), tuple(part.sizes)
        if not trains(part):
            planned.append(PlanGroup(part.name, params, None, 0.0, names))
            continue
        opens_at = 1 + math.ceil(part.age * span / deepest) if deepest else 1
        if named is not None:
            opens_at = named.get(part.age, 1)
        rate = _rate(recipe, part.age, last) if is_fine_tuning else 0.0
        factor = 1.0 if part.factor is None else part.factor
        planned.append(PlanGroup(part.name, params, opens_at, rate * factor, names))
    return Plan(tuple(planned))


def _rate(recipe: Recipe, age: int, backbone_groups: int) -> float:
    """The highest learning rate of a group, `age` groups before the head."""
    if recipe.strategy == "scratch" or not age:  # nothing that was learned is at risk
        return recipe.learning_rate
    own = recipe.late_rate if age <= backbone_groups // 2 else recipe.early_rate
    return recipe.learning_rate * recipe.layer_decay**age if own is None else own


def _named_openings(recipe: Recipe, groups: GroupSizes) -> dict[int, int]:
    """The epoch in which each group that `open_at` names is unfrozen, by age; the head in epoch 1.

    Raises: AppError for a group that is not there, and an epoch that never comes.
    """
    last = len(groups) - 1
    openings = {0: 1}
    if isinstance(recipe.open_at, dict):
        ages = {name: last - at for at, (name, _) in enumerate(groups)}
        for name, epoch in recipe.open_at.items():
            if name not in ages or not ages[name]:
                near = difflib.get_close_matches(name, [n for n in ages if ages[n]], n=1)
                raise AppError(
                    f"The recipe's open_at names “{name}”, and the backbone has no such layer "
                    "group.",
                    f"Did you mean “{near[0]}”?" if near else f"It has {', '.join(ages)}.",
                )
            openings[ages[name]] = epoch
    else:
        openings |= {age: epoch for age, epoch in enumerate(recipe.open_at, 1) if age <= last}
    late = max(openings.values())
    if late > recipe.max_epochs_or_default:
        raise AppError(
            f"The recipe's open_at opens layers in epoch {late}, and there are "
            f"{recipe.max_epochs_or_default} epochs.",
            "Give it more epochs, or open earlier.",
        )
    return openings


def factor_of(parameter: str, layer_rates: Mapping[str, float]) -> tuple[str, float] | None:
    """The longest path in `layer_rates` that contains a parameter, and its factor; None: none."""
    pieces = parameter.split(".")
    for length in range(len(pieces), 0, -1):
        path = ".".join(pieces[:length])
        if path in layer_rates:
            return path, layer_rates[path]
    return None


def _parts(groups: GroupSizes, layer_rates: Mapping[str, float]) -> list[_Part]:
    """The groups, split where `layer_rates` gives parts another factor. The head stays whole."""
    last = len(groups) - 1
    if not layer_rates:
        return [_Part(name, sizes, last - at, None) for at, (name, sizes) in enumerate(groups)]
    parts: list[_Part] = []
    used: set[str] = set()
    for at, (name, sizes) in enumerate(groups):
        by_factor: dict[float | None, dict[str, int]] = {}
        paths: dict[float | None, list[str]] = {}
        for parameter, elements in sizes.items():
            found = factor_of(parameter, layer_rates)
            factor = None if found is None else found[1]
            by_factor.setdefault(factor, {})[parameter] = elements
            if found is not None:
                used.add(found[0])
                paths.setdefault(factor, [])
                if found[0] not in paths[factor]:
                    paths[factor].append(found[0])
        if at == last:
            parts.append(_Part(name, sizes, 0, _head_factor(by_factor)))
            continue
        for factor, inside in by_factor.items():
            own = name if factor is None or len(by_factor) == 1 else _listed(paths[factor])
            parts.append(_Part(_distinct(own, parts), inside, last - at, factor))
    strange = [path for path in layer_rates if path not in used and not _is_known(path, groups)]
    if strange:
        raise AppError(
            f"The recipe's layer_rates names “{strange[0]}”, and the model has no such layer with "
            "parameters.",
            "Clear it, or choose layers of this model.",
        )
    return parts


def _is_known(path: str, groups: GroupSizes) -> bool:
    """Whether a path exists, even if longer paths decide about all of its parameters."""
    return any(name == path or name.startswith(f"{path}.") for _, sizes in groups for name in sizes)


def _head_factor(by_factor: Mapping[float | None, object]) -> float | None:
    if 0 in by_factor:
        raise AppError(
            "The recipe's layer_rates freezes the head, which is new and has to learn.",
            "Freeze layers before it.",
        )
    return next(iter(by_factor)) if len(by_factor) == 1 else None


def _listed(paths: list[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{paths[0]} + {len(paths) - 1}"


def _distinct(name: str, parts: Sequence[_Part]) -> str:
    taken = {part.name for part in parts}
    number, made = 1, name
    while made in taken:
        number += 1
        made = f"{name} ({number})"
    return made


def _opening_epochs(recipe: Recipe, trained: int) -> int:
    """Epochs after which the last group is unfrozen, early enough that it still learns."""
    most = recipe.max_epochs_or_default
    # In a single epoch all are open from the start: a second one to open in never comes.
    return min(recipe.open_every * trained, max(1, int(_ALL_OPEN_BY * most)), most - 1)
