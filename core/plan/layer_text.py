"""The texts of a table of layers: what a plan does with each. No torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from core.models.layers.rows import Column, LayerLine, to_csv, to_markdown
from core.recipe.recipe import Recipe

if TYPE_CHECKING:
    from core.plan.layer_plan import LayerPlan, LayerState


def paths_of(line: LayerLine) -> Sequence[str]:
    """The paths of the layers that a line shows."""
    return [child.path for child in line.children] if line.is_run else [line.path]


def name_line(line: LayerLine) -> str:
    """`layer3`, or `layer3.1 … 5` for a run."""
    if not line.is_run:
        return line.path
    upper = line.path.rpartition(".")[0]
    return f"{upper}.{line.name}" if upper else line.name


def state_of(plan: LayerPlan, line: LayerLine) -> LayerState:
    """The state of a line, which is a run of blocks or a single layer."""
    return plan.over(paths_of(line)) if line.is_run else plan.of(line.path)


def state_text(state: LayerState) -> str:
    """`trains`, `partly`, `frozen`; empty for what has no parameters."""
    return {"all": "trains", "partly": "partly", "frozen": "frozen", "none": ""}[state.state]


def factor_text(state: LayerState) -> str:
    """`1`, `0.5`, `0–1`; empty for the head, whose rate is the recipe's own."""
    low, high = state.lowest_factor, state.highest_factor
    if low is None or high is None:
        return ""
    return f"{low:g}" if low == high else f"{low:g}–{high:g}"


def rate_text(state: LayerState, recipe: Recipe) -> str:
    """`3e-4`, `1.7e-4–3e-4`, `frozen`; `fitted directly` for a head without a rate."""
    if not state.params:
        return ""
    if not state.trainable_params:
        return "frozen"
    if recipe.strategy == "feature-extraction":
        return "fitted directly"
    low, high = _rate(state.lowest_rate), _rate(state.highest_rate)
    return low if low == high else f"{low}–{high}"


def _rate(rate: float) -> str:
    return f"{rate:.1e}".replace(".0e", "e").replace("e-0", "e-")


# -- tables ----------------------------------------------------------------------------------


def plan_to_markdown(lines: Iterable[tuple[int, LayerLine]], plan: LayerPlan) -> str:
    """The layer table (lines from `walk`) with the factor and the rate of each layer."""
    tree = dataclasses.replace(plan.tree, trainable_params=plan.trainable_params)
    planned = [(depth, _planned(line, plan)) for depth, line in lines]
    return to_markdown(planned, tree=tree, more=_columns(plan))


def plan_to_csv(lines: Iterable[LayerLine], plan: LayerPlan) -> str:
    """Every layer on its own line, with its factor and rate."""
    return to_csv([_planned(line, plan) for line in lines], more=_columns(plan))


def _columns(plan: LayerPlan) -> tuple[Column, ...]:
    return (
        ("rate factor", lambda line: factor_text(state_of(plan, line))),
        ("learning rate", lambda line: rate_text(state_of(plan, line), plan.recipe)),
    )


def _planned(line: LayerLine, plan: LayerPlan) -> LayerLine:
    """The line, and all lines below it, with the trained parameters of the plan."""
    return dataclasses.replace(
        line,
        trainable_params=state_of(plan, line).trainable_params,
        children=tuple(_planned(child, plan) for child in line.children),
    )
