"""The plan seen from the layer tree: what trains of each layer, and how a tick changes the recipe.

Pure functions of a layer tree and a recipe; no torch, so that the window answers a click at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from core.errors import AppError
from core.recipe import Recipe
from core.training.plan import Plan, PlanGroup, factor_of, make_plan

if TYPE_CHECKING:
    from core.models.layers import LayerTree

FLOAT_BYTES = 4
ADAM_BYTES = 8
"""Two running means of each gradient, float32."""

State = Literal["all", "partly", "frozen", "none"]
"""How much of a layer trains; `none`: it has no parameters."""


@dataclass(frozen=True, slots=True)
class LayerState:
    """What the plan does with one layer and all below it."""

    params: int = 0
    trainable_params: int = 0
    lowest_rate: float = 0.0
    highest_rate: float = 0.0
    """Of what trains; both 0 where nothing does, or where a solver fits the head."""
    opens_at: int | None = None
    """The first epoch in which something of it trains, counted from 1."""
    holds_head: bool = False

    @property
    def state(self) -> State:
        if not self.params:
            return "none"
        if not self.trainable_params:
            return "frozen"
        return "all" if self.trainable_params >= self.params else "partly"


_NOTHING = LayerState()


class LayerPlan:
    """A recipe's plan for the model of a layer tree.

    With an `epoch` (from 1) what trains in that epoch counts, else what ever trains.
    Raises: AppError where `layer_rates` does not belong to the model.
    """

    def __init__(self, tree: LayerTree, recipe: Recipe, *, epoch: int | None = None) -> None:
        self.tree, self.recipe, self.epoch = tree, recipe, epoch
        self.plan: Plan = make_plan(recipe, tree.groups)
        self._sizes = {name: size for _, sizes in tree.groups for name, size in sizes.items()}
        self._of = _states(self.plan, self._sizes, tree.aliases, epoch)

    def of(self, path: str) -> LayerState:
        """Of the layer with this dotted name; the empty name is the whole model."""
        return self._of.get(path, _NOTHING)

    @property
    def params(self) -> int:
        return sum(self._sizes.values())

    @property
    def trainable_params(self) -> int:
        return self.of("").trainable_params

    @property
    def gradient_bytes(self) -> int:
        """One float32 for each number that trains; none where a solver fits the head alone."""
        return FLOAT_BYTES * self.trainable_params if self._has_optimizer else 0

    @property
    def optimizer_bytes(self) -> int:
        """AdamW's two means for each number that trains."""
        return ADAM_BYTES * self.trainable_params if self._has_optimizer else 0

    @property
    def average_bytes(self) -> int:
        """The running mean of the weights is a second copy of the model."""
        keeps = self._has_optimizer and self.recipe.weight_average > 0
        return FLOAT_BYTES * self.params if keeps else 0

    @property
    def _has_optimizer(self) -> bool:
        return self.recipe.strategy != "feature-extraction"

    def openings(self) -> dict[int, tuple[str, ...]]:
        """Epoch → names of the groups that open at its beginning."""
        found: dict[int, list[str]] = {}
        for group in self.plan.groups:
            if group.opens_at is not None:
                found.setdefault(group.opens_at, []).append(group.name)
        return {epoch: tuple(names) for epoch, names in sorted(found.items())}


def _states(
    plan: Plan, sizes: Mapping[str, int], aliases: Mapping[str, tuple[str, ...]], epoch: int | None
) -> dict[str, LayerState]:
    """By dotted name of every layer that has parameters."""
    params: dict[str, int] = {}
    trained: dict[str, int] = {}
    groups: dict[str, list[PlanGroup]] = {}
    holding_head: set[str] = set()
    for at, group in enumerate(plan.groups):
        is_head = at == len(plan.groups) - 1
        is_open = group.opens_at is not None and (epoch is None or group.opens_at <= epoch)
        for name in group.parameters:
            # A shared parameter is there in each of its layers, and in what holds them once.
            for path in {p for alias in (name, *aliases.get(name, ())) for p in _above(alias)}:
                params[path] = params.get(path, 0) + sizes[name]
                if is_open:
                    trained[path] = trained.get(path, 0) + sizes[name]
                    known = groups.setdefault(path, [])
                    if not known or known[-1] is not group:
                        known.append(group)
                if is_head:
                    holding_head.add(path)
    return {
        path: LayerState(
            params=count,
            trainable_params=trained.get(path, 0),
            lowest_rate=min((g.learning_rate for g in groups.get(path, ())), default=0.0),
            highest_rate=max((g.learning_rate for g in groups.get(path, ())), default=0.0),
            opens_at=min((g.opens_at or 1 for g in groups.get(path, ())), default=None),
            holds_head=path in holding_head,
        )
        for path, count in params.items()
    }


def _above(name: str) -> list[str]:
    """The parameter's own name, the layers it lies in, and the whole."""
    pieces = name.split(".")
    return [".".join(pieces[:length]) for length in range(len(pieces) + 1)]


# -- changes ---------------------------------------------------------------------------------


def with_trained(recipe: Recipe, tree: LayerTree, path: str, *, trains: bool) -> Recipe:
    """The recipe after a layer, with all below it, is ticked or unticked.

    The head stays trained whatever is unticked. The answer is in the plainest words there are
    for it: a strategy and a number of layer groups where these say it all.
    Raises: AppError for a layer without parameters.
    """
    factors = _factors(recipe, tree)
    for name in _body_under(tree, path):
        before = factors[name]
        if not trains:
            factors[name] = 0.0
        elif before == 0:
            factors[name] = 1.0
    return _plainest(recipe, tree, factors)


def with_factor(recipe: Recipe, tree: LayerTree, path: str, factor: float) -> Recipe:
    """The recipe after a layer is given a factor on its learning rate; 0 freezes it.

    Raises: AppError for a layer without parameters, or a factor that is no factor.
    """
    if not 0 <= factor <= 100:
        raise AppError(f"“{factor:g}” is no factor on a learning rate.", "Take one from 0 to 100.")
    names = _body_under(tree, path)
    if not names:
        raise AppError(
            f"The rate of the head is the recipe's own: {recipe.learning_rate:g}.",
            "Change the learning rate; the factors of layers are shares of it.",
        )
    factors = _factors(recipe, tree) | dict.fromkeys(names, factor)
    return _plainest(recipe, tree, factors)


def factor_at(recipe: Recipe, tree: LayerTree, path: str) -> float | None:
    """The factor that all weights of a layer have; None where they differ."""
    factors = _factors(recipe, tree)
    found = {factors[name] for name in _under(tree, path) if name in factors}
    return found.pop() if len(found) == 1 else None


def with_last_groups(recipe: Recipe, count: int | None) -> Recipe:
    """A preset: the head with the last `count` layer groups, 0: the head alone, None: all."""
    if count == 0:
        return recipe.with_values(strategy="feature-extraction", layer_rates={})
    if count is None:
        return recipe.with_values(strategy="full", layer_rates={})
    return recipe.with_values(strategy="partial", layer_groups=count, layer_rates={})


def _body(tree: LayerTree) -> dict[str, int]:
    """Parameters before the head → how far their group is from it."""
    last = len(tree.groups) - 1
    return {n: last - at for at, (_, sizes) in enumerate(tree.groups[:-1]) for n in sizes}


def _under(tree: LayerTree, path: str) -> list[str]:
    """First names of the parameters in a layer, shared ones too."""
    return [
        name
        for _, sizes in tree.groups
        for name in sizes
        if any(path in _above(alias) for alias in (name, *tree.aliases.get(name, ())))
    ]


def _body_under(tree: LayerTree, path: str) -> list[str]:
    names = _under(tree, path)
    if not names:
        raise AppError(f"“{path}” has no weights that could train.", "Choose another layer.")
    body = _body(tree)
    return [name for name in names if name in body]


def _factors(recipe: Recipe, tree: LayerTree) -> dict[str, float]:
    """Each parameter before the head → the factor on the rate its age gives it; 0: frozen."""
    rates = recipe.layer_rates
    if recipe.strategy == "feature-extraction":
        trained, rates = 0, {}
    elif recipe.strategy == "partial":
        trained = recipe.layer_groups
    else:
        trained = len(tree.groups) - 1
    factors = {}
    for name, age in _body(tree).items():
        found = factor_of(name, rates)
        factors[name] = found[1] if found is not None else float(age <= trained)
    return factors


def _plainest(recipe: Recipe, tree: LayerTree, factors: Mapping[str, float]) -> Recipe:
    """The recipe that gives these factors with the fewest words."""
    head_rates = {
        path: factor
        for path, factor in recipe.layer_rates.items()
        if any(path in _above(name) for name in tree.groups[-1][1])
        and not any(path in _above(name) for name in factors)
    }
    body = _body(tree)
    last = len(tree.groups) - 1
    if not any(factors.values()) and not head_rates:
        return with_last_groups(recipe, 0)
    best: tuple[int, dict[str, float]] | None = None
    for count in range(last + 1):
        rates = _fewest_rates(factors, {n: float(body[n] <= count) for n in factors})
        if best is None or len(rates) < len(best[1]):
            best = (count, rates)
    assert best is not None
    count, rates = best
    rates = rates | head_rates
    if count == last:
        return recipe.with_values(strategy="full", layer_rates=rates)
    return recipe.with_values(strategy="partial", layer_groups=count, layer_rates=rates)


def _fewest_rates(factors: Mapping[str, float], default: Mapping[str, float]) -> dict[str, float]:
    """Entries of `layer_rates` that make `factors` out of `default`: the highest layers first."""
    children: dict[str, list[str]] = {}
    members: dict[str, list[str]] = {}
    for name in factors:
        above = _above(name)
        for upper, path in itertools.pairwise(above):
            members.setdefault(path, []).append(name)
            known = children.setdefault(upper, [])
            if path not in known[-1:]:
                known.append(path)
    rates: dict[str, float] = {}

    def settle(path: str) -> None:
        names = members[path]
        if all(factors[n] == default[n] for n in names):
            return
        wanted = {factors[n] for n in names}
        if len(wanted) == 1:
            rates[path] = wanted.pop()
            return
        for child in dict.fromkeys(children.get(path, ())):
            settle(child)

    for path in dict.fromkeys(children.get("", ())):
        settle(path)
    return rates
