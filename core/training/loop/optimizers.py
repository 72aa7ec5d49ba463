"""The optimizer of a recipe, from timm's factory, with a rate for each layer group of the plan."""

from __future__ import annotations

from typing import Any

import torch
from timm.optim import create_optimizer_v2
from torch.nn.utils import clip_grad_norm_, get_total_norm

from core.recipe.plan import Plan
from core.recipe.recipe import Recipe
from core.training.loop.model import FineTunedModel


def make_optimizer(model: FineTunedModel, recipe: Recipe, plan: Plan) -> torch.optim.Optimizer:
    """The recipe's optimizer over all layer groups that ever train, each at its own rate.

    No weight decay on biases, norms and tokens.

    Each parameter group carries the `name` of its layer group and its highest rate, `highest_lr`.
    """
    groups: list[dict[str, Any]] = []
    for group in plan.groups:
        if not group.is_trained:
            continue
        named = model.parameters(group.name)
        for decays in (True, False):
            chosen = [parameter for _, parameter in named if (parameter.ndim > 1) == decays]
            if chosen:
                groups.append(
                    {
                        "params": chosen,
                        "lr": group.learning_rate,
                        "highest_lr": group.learning_rate,
                        "weight_decay": recipe.weight_decay if decays else 0.0,
                        "name": group.name,
                    }
                )
    options: dict[str, Any] = {}
    if recipe.optimizer == "sgd":
        options["nesterov"] = recipe.nesterov and recipe.momentum > 0  # torch requires a momentum
    elif recipe.optimizer == "rmsprop":
        options["alpha"] = 0.99  # torch's default; timm's is 0.9
    return create_optimizer_v2(
        groups, recipe.optimizer, recipe.learning_rate, momentum=recipe.momentum, **options
    )


def lower_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Multiply the highest rate of every group by `factor`."""
    for group in optimizer.param_groups:
        group["highest_lr"] *= factor


def clip_gradients(optimizer: torch.optim.Optimizer, clip_norm: float | None) -> float:
    """Clip the total norm of the gradients to `clip_norm`; returns the norm from before."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return 0.0
    if clip_norm is None:
        return float(get_total_norm(gradients))
    return float(clip_grad_norm_(parameters, clip_norm))
