"""What the plan trains of each layer, and how a check mark or a rate factor changes the recipe.

Pure functions of a layer tree and a recipe; no torch, so that the window can answer a click.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from core.errors import AppError
from core.plan.layer_index import LayerIndex, index_of
from core.recipe.plan import Plan, factor_of, make_plan
from core.recipe.recipe import Recipe

if TYPE_CHECKING:
    from core.models.layers.tree import LayerTree

FLOAT_BYTES = 4
ADAM_BYTES = 8
"""Two running means of each gradient, float32."""
_HIGHEST_FACTOR = 100.0
_MOST_FACTORS = 4

State = Literal["all", "partly", "frozen", "none"]
"""How much of a layer trains; `none` for a layer without parameters."""
_Factors = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LayerState:
    """What the plan does with a layer, including all layers inside it."""

    params: int = 0
    trainable_params: int = 0
    lowest_rate: float = 0.0
    highest_rate: float = 0.0
    """Of the trained parameters; both 0 where none trains, or where the head is fitted directly."""
    opens_at: int | None = None
    """The first epoch in which a part of it trains, counted from 1."""
    holds_head: bool = False
    lowest_factor: float | None = None
    highest_factor: float | None = None
    """Factors on the rate that the plan gives its layer group; None where all of it is head."""

    @property
    def state(self) -> State:
        if not self.params:
            return "none"
        if not self.trainable_params:
            return "frozen"
        return "all" if self.trainable_params >= self.params else "partly"

    @property
    def is_head(self) -> bool:
        """Whether all of it is head, which cannot be frozen."""
        return self.holds_head and self.lowest_factor is None


_NOTHING = LayerState()


class LayerPlan:
    """A recipe's plan for the model of a layer tree.

    With an `epoch` (from 1) a layer trains if it does in that epoch, else if it ever does.
    Raises: AppError where `layer_rates` does not belong to the model.
    """

    def __init__(self, tree: LayerTree, recipe: Recipe, *, epoch: int | None = None) -> None:
        self.tree, self.recipe, self.epoch = tree, recipe, epoch
        self.plan: Plan = make_plan(recipe, tree.groups)
        self._index = index_of(tree)
        self._columns = _columns(self._index, self.plan, _factors(recipe, tree), epoch)
        self._known: dict[str, LayerState] = {}

    def of(self, path: str) -> LayerState:
        """The state of the layer with this dotted name; the empty name is the whole model."""
        state = self._known.get(path)
        if state is None:
            row = self._index.row.get(path)
            state = _NOTHING if row is None else self._state(row)
            self._known[path] = state
        return state

    def over(self, paths: Iterable[str]) -> LayerState:
        """The state of several layers together that share no parameter, e.g. a run of blocks."""
        states = [state for path in paths if (state := self.of(path)).params]
        trained = [state for state in states if state.trainable_params]
        bodies = [state for state in states if state.lowest_factor is not None]
        return LayerState(
            params=sum(state.params for state in states),
            trainable_params=sum(state.trainable_params for state in states),
            lowest_rate=min((state.lowest_rate for state in trained), default=0.0),
            highest_rate=max((state.highest_rate for state in trained), default=0.0),
            opens_at=min((state.opens_at or 1 for state in trained), default=None),
            holds_head=any(state.holds_head for state in states),
            lowest_factor=min((s.lowest_factor or 0.0 for s in bodies), default=None),
            highest_factor=max((s.highest_factor or 0.0 for s in bodies), default=None),
        )

    def _state(self, row: int) -> LayerState:
        params, trained, low, high, opens, head, low_factor, high_factor = (
            column[row] for column in self._columns
        )
        has_body = low_factor <= high_factor
        return LayerState(
            params=params,
            trainable_params=trained,
            lowest_rate=low if trained else 0.0,
            highest_rate=high,
            opens_at=int(opens) if trained else None,
            holds_head=head,
            lowest_factor=low_factor if has_body else None,
            highest_factor=high_factor if has_body else None,
        )

    @property
    def params(self) -> int:
        return int(self._index.sizes.sum())

    @property
    def trainable_params(self) -> int:
        return self.of("").trainable_params

    @property
    def gradient_bytes(self) -> int:
        """One float32 for each trained parameter; 0 where the head is fitted directly."""
        return FLOAT_BYTES * self.trainable_params if self._has_optimizer else 0

    @property
    def optimizer_bytes(self) -> int:
        """AdamW's two running means for each trained parameter."""
        return ADAM_BYTES * self.trainable_params if self._has_optimizer else 0

    @property
    def ema_bytes(self) -> int:
        """The moving average of the weights (EMA), a second copy of the model."""
        has_ema = self._has_optimizer and self.recipe.ema_decay > 0
        return FLOAT_BYTES * self.params if has_ema else 0

    @property
    def _has_optimizer(self) -> bool:
        return self.recipe.strategy != "feature-extraction"

    def openings(self) -> dict[int, tuple[str, ...]]:
        """Epoch → names of the layer groups that begin to train in it."""
        by_epoch: dict[int, list[str]] = {}
        for group in self.plan.groups:
            if group.opens_at is not None:
                by_epoch.setdefault(group.opens_at, []).append(group.name)
        return {epoch: tuple(names) for epoch, names in sorted(by_epoch.items())}


def _columns(
    index: LayerIndex, plan: Plan, factors: _Factors, epoch: int | None
) -> tuple[list[Any], ...]:
    """The columns of a table of layers, by row of the index, in the order that `_state` reads."""
    rates = np.zeros(len(index.names))
    opens = np.full(len(index.names), np.inf)
    for group in plan.groups:
        if group.opens_at is not None and (epoch is None or group.opens_at <= epoch):
            positions = [index.position[name] for name in group.parameters]
            rates[positions], opens[positions] = group.learning_rate, group.opens_at
    is_open = np.isfinite(opens)
    return (
        index.over(np.add, index.sizes),
        index.over(np.add, np.where(is_open, index.sizes, 0)),
        index.over(np.minimum, np.where(is_open, rates, np.inf)),
        index.over(np.maximum, rates),
        index.over(np.minimum, opens),
        index.over(np.logical_or, ~index.body),
        index.over(np.minimum, np.where(index.body, factors, np.inf)),
        index.over(np.maximum, np.where(index.body, factors, -np.inf)),
    )


# -- changes ---------------------------------------------------------------------------------


def with_trained(
    recipe: Recipe, tree: LayerTree, path: str | Iterable[str], *, trains: bool
) -> Recipe:
    """The recipe with a layer (or several), and all layers inside, trained or frozen.

    The head always trains. The recipe becomes the simplest that trains these layers: a strategy and
    a number of layer groups where that is enough.
    Raises: AppError for a layer without parameters.
    """
    factors = _factors(recipe, tree)
    under = _body_under(tree, path)
    if trains:
        factors[under[factors[under] == 0]] = 1.0
    else:
        factors[under] = 0.0
    return _simplest_recipe(recipe, tree, factors)


def with_factor(
    recipe: Recipe, tree: LayerTree, path: str | Iterable[str], factor: float
) -> Recipe:
    """The recipe with a factor on the learning rate of a layer (or several); 0 freezes it.

    Raises: AppError for a layer without parameters, or a factor that is no factor.
    """
    if not 0 <= factor <= _HIGHEST_FACTOR:
        raise AppError(
            f"“{factor:g}” is no factor on a learning rate.", "Choose one from 0 to 100."
        )
    under = _body_under(tree, path)
    if not len(under):
        raise AppError(
            f"The rate of the head is the recipe's own: {recipe.learning_rate:g}.",
            "Change the learning rate; the factors of layers are shares of it.",
        )
    factors = _factors(recipe, tree)
    factors[under] = factor
    return _simplest_recipe(recipe, tree, factors)


def read_factor(text: str) -> float:
    """Parse `0.1`, `0,1`, `1/10`, `×0.5` or `10 %` as a factor on a learning rate.

    Raises: AppError for any other text.
    """
    plain = text.strip().lstrip("×xX*").strip().replace(",", ".")
    try:
        if plain.endswith("%"):
            factor = float(plain[:-1]) / 100
        elif "/" in plain:
            upper, _, lower = plain.partition("/")
            factor = float(upper) / float(lower)
        else:
            factor = float(plain)
    except (ValueError, ZeroDivisionError):
        factor = -1.0
    if not 0 <= factor <= _HIGHEST_FACTOR:
        raise AppError(
            f"“{text.strip()}” is no factor on a learning rate.",
            "Choose a number from 0 to 100, e.g. 0.1 or 1/10; 0 freezes the layer.",
        )
    return factor


def factor_at(recipe: Recipe, tree: LayerTree, path: str) -> float | None:
    """The factor on the learning rate of a whole layer; None where its weights differ."""
    index = index_of(tree)
    under = index.under(path)
    factors = set(_factors(recipe, tree)[under[index.body[under]]].tolist())
    return factors.pop() if len(factors) == 1 else None


def with_last_groups(recipe: Recipe, count: int | None) -> Recipe:
    """The recipe that trains the head and the last `count` layer groups; 0: none, None: all."""
    if count == 0:
        return recipe.with_values(strategy="feature-extraction", layer_rates={})
    if count is None:
        return recipe.with_values(strategy="full", layer_rates={})
    return recipe.with_values(strategy="partial", layer_groups=count, layer_rates={})


def train_same_layers(recipe: Recipe, other: Recipe, tree: LayerTree) -> bool:
    """Whether two recipes train the same layers of the model, with the same factors."""
    head_only = "feature-extraction"
    return (recipe.strategy == head_only) == (other.strategy == head_only) and np.array_equal(
        _factors(recipe, tree), _factors(other, tree)
    )


def _body_under(tree: LayerTree, path: str | Iterable[str]) -> npt.NDArray[np.int64]:
    """Positions of the backbone's parameters in any of these layers."""
    index = index_of(tree)
    paths = (path,) if isinstance(path, str) else tuple(path)
    under = np.unique(np.concatenate([index.under(each) for each in paths]))
    if not len(under):
        raise AppError(f"“{paths[0]}” has no weights that could train.", "Choose another layer.")
    return under[index.body[under]]


def _factors(recipe: Recipe, tree: LayerTree) -> _Factors:
    """For each parameter the factor on the rate of its layer group; 0: frozen; the head: 1."""
    index = index_of(tree)
    for known, factors in index.factors:  # one click needs those of a recipe several times
        if known is recipe:
            return factors.copy()
    factors = _compute_factors(recipe, tree, index)
    index.factors.append((recipe, factors))
    del index.factors[:-_MOST_FACTORS]
    return factors.copy()


def _depth_of(path: str) -> int:
    return path.count(".")


def _compute_factors(recipe: Recipe, tree: LayerTree, index: LayerIndex) -> _Factors:
    rates = recipe.layer_rates
    if recipe.strategy == "feature-extraction":
        trained, rates = 0, {}
    elif recipe.strategy == "partial":
        trained = recipe.layer_groups
    else:
        trained = len(tree.groups) - 1
    factors = (index.group_distance <= trained).astype(np.float64)
    # The deepest layer around a parameter decides, so it is written last.
    for path in sorted(rates, key=_depth_of):
        factors[index.under_first_names(path)] = rates[path]
    factors[~index.body] = 1.0
    return factors


def _simplest_recipe(recipe: Recipe, tree: LayerTree, factors: _Factors) -> Recipe:
    """The recipe with the fewest entries in `layer_rates` that gives these factors."""
    index = index_of(tree)
    head_rates = _head_rates(recipe, index)
    if not factors[index.body].any() and not head_rates:
        return with_last_groups(recipe, 0)
    last = len(tree.groups) - 1
    lowest = index.over_first_names(np.minimum, np.where(index.body, factors, np.inf))
    highest = index.over_first_names(np.maximum, np.where(index.body, factors, -np.inf))
    holds_head = index.over_first_names(np.logical_or, ~index.body)
    # One entry can stand for such a layer, unless it would apply to the head as well.
    uniform = {
        path: factor
        for path, factor in lowest.items()
        if factor == highest[path] and not holds_head[path]
    }
    best: tuple[int, dict[str, float]] | None = None
    for count in range(last + 1):
        differs = index.body & (factors != (index.group_distance <= count))
        most = len(index.names) + 1 if best is None else len(best[1])
        rates = _fewest_rates(index, uniform, index.over_first_names(np.logical_or, differs), most)
        if rates is not None:
            best = (count, rates)
    assert best is not None
    count, rates = best
    rates = rates | head_rates
    if count == last:
        return recipe.with_values(strategy="full", layer_rates=rates)
    return recipe.with_values(strategy="partial", layer_groups=count, layer_rates=rates)


def _head_rates(recipe: Recipe, index: LayerIndex) -> dict[str, float]:
    """Entries of `layer_rates` that give the head, and nothing else, its factors."""
    heads = [index.names[position] for position in np.flatnonzero(~index.body)]
    rates = {}
    for name in heads:
        entry = factor_of(name, recipe.layer_rates)
        if entry is not None:
            path, factor = entry
            rates[name if path in index.body_layers else path] = factor
    return rates


def _fewest_rates(
    index: LayerIndex, uniform: dict[str, float], differs: dict[str, bool], most: int
) -> dict[str, float] | None:
    """Entries of `layer_rates` that give the factors, outermost layers first; None where these
    would be `most` or more.

    uniform: layers with a single factor. differs: whether a parameter in the layer has another
    factor than the strategy gives it.
    """
    rates: dict[str, float] = {}
    stack = list(reversed(index.children.get("", ())))
    while stack:
        path = stack.pop()
        if not differs[path]:
            continue
        if path in uniform:
            rates[path] = uniform[path]
            if len(rates) >= most:
                return None
        else:
            stack += reversed(index.children.get(path, ()))
    return rates


def plan_of(recipe: Recipe, num_classes: int) -> Plan:
    """What trains of the recipe's model with a new head for so many classes.

    From the model's outline: no weights, a moment. Raises: ModelError, WeightsError where the model
    is not known or cannot be built without weights.
    """
    from core.models.build import build  # loads torch, which the rest of this file does without
    from core.models.resolve import resolve_model

    card = resolve_model(recipe.model)
    return make_plan(recipe, build(card, num_classes=num_classes, meta=True).group_sizes())
