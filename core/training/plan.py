"""The plan: what trains, from which epoch, at which rate. No torch, so that the window may draw it.

Rates fall from the head backwards (discriminative rates, Howard & Ruder 2018); gradual opening
follows the same paper: the head first, then one group after the other, the last one first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from core.recipe import Recipe

HEAD = "head"
"""The name of the last group."""
_ALL_OPEN_BY = 0.7
"""Share of the epochs by which every group that trains is open."""


@dataclass(frozen=True, slots=True)
class PlanGroup:
    """One layer group. `opens_at` counts epochs from 1; None: it stays frozen."""

    name: str
    params: int
    opens_at: int | None
    learning_rate: float
    """The highest of the run; 0 where frozen, and where a solver fits the head without a rate."""

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


def make_plan(recipe: Recipe, groups: Sequence[tuple[str, int]]) -> Plan:
    """The plan of a recipe for a model with these (name, parameters), stem first, head last."""
    last = len(groups) - 1
    if recipe.strategy == "feature-extraction":
        trained = 0
    elif recipe.strategy == "partial":
        trained = min(recipe.layer_groups, last)
    else:
        trained = last
    span = _opening_epochs(recipe, trained) if recipe.gradual else 0
    planned = []
    for position, (name, params) in enumerate(groups):
        age = last - position  # 0: the head
        if age > trained:
            planned.append(PlanGroup(name, params, None, 0.0))
            continue
        opens_at = 1 + math.ceil(age * span / trained) if trained else 1
        rate = recipe.learning_rate * recipe.layer_decay**age if trained else 0.0
        planned.append(PlanGroup(name, params, opens_at, rate))
    return Plan(tuple(planned))


def _opening_epochs(recipe: Recipe, trained: int) -> int:
    """After how many epochs the last of the groups opens, so that it still has time to learn."""
    most = recipe.most_epochs
    # In a single epoch all are open from the start: a second one to open in never comes.
    return min(recipe.open_every * trained, max(1, int(_ALL_OPEN_BY * most)), most - 1)
