"""The plan of a recipe for its model, from the model's outline (no weights, a moment)."""

from __future__ import annotations

from core.models.build import build
from core.models.resolve import resolve_model
from core.recipe.plan import Plan, make_plan
from core.recipe.recipe import Recipe


def plan_of(recipe: Recipe, num_classes: int) -> Plan:
    """What trains of the recipe's model with a new head for so many classes.

    Raises: ModelError, WeightsError where the model is not known or cannot be outlined.
    """
    card = resolve_model(recipe.model)
    return make_plan(recipe, build(card, num_classes=num_classes, meta=True).group_sizes())
