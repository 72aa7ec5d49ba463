"""The optimizer of a recipe, from torch and timm, with a rate for each layer group of the plan."""

from __future__ import annotations

from typing import Any

import torch
from timm.optim import create_optimizer_v2
from torch.nn.utils import clip_grad_norm_, get_total_norm

from core.recipe.plan import Plan
from core.recipe.recipe import Recipe
from core.training.loop.model import FineTunedModel

_BETAS = (0.9, 0.999)


def make_optimizer(trainee: FineTunedModel, recipe: Recipe, plan: Plan) -> torch.optim.Optimizer:
    """What the plan lets train, a rate for each layer group; no decay on biases, norms and tokens.

    Each parameter group carries the `name` of its layer group and its highest rate, `highest_lr`.
    """
    groups: list[dict[str, Any]] = []
    for group in plan.groups:
        if not group.is_trained:
            continue
        named = trainee.parameters(group.name)
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
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, betas=_BETAS)
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, betas=_BETAS)
    if recipe.optimizer == "sgd":
        is_ahead = recipe.nesterov and recipe.momentum > 0  # torch wants a momentum for it
        return torch.optim.SGD(groups, momentum=recipe.momentum, nesterov=is_ahead)
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, momentum=recipe.momentum)
    return create_optimizer_v2(groups, opt=recipe.optimizer, lr=recipe.learning_rate)


def lower_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Every highest rate becomes so much of itself."""
    for group in optimizer.param_groups:
        group["highest_lr"] *= factor


def finish_gradients(optimizer: torch.optim.Optimizer, clip_norm: float | None) -> float:
    """Shorten the gradients to `clip_norm`; returns how long they were, all taken together."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return 0.0
    if clip_norm is None:
        return float(get_total_norm(gradients))
    return float(clip_grad_norm_(parameters, clip_norm))
