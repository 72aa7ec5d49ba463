"""What the layer tree says of a plan: states, factors, rates and totals in words. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.models.layers.rows import walk
from core.words import list_some
from gui.kit.words import count

if TYPE_CHECKING:
    from core.plan.layer_plan import LayerPlan, LayerState
    from core.recipe.recipe import Recipe
    from gui.layers.jobs import Layers

HEAD_TIP = (
    "The head is new and always learns: nothing could be told apart without it. Its learning "
    "rate is the recipe's own, on the Train page."
)
_SOLVER = "feature-extraction"


def opening_text(state: LayerState) -> str:
    """What stands in place of a rate until the layer opens."""
    return "" if state.opens_at is None else f"from epoch {state.opens_at}"


# -- totals ----------------------------------------------------------------------------------


def trained_text(plan: LayerPlan) -> str:
    """`20,490 of 23,528,522 parameters train, 0.09 %`; of one epoch where the plan is of one."""
    trained, params = plan.trainable_params, plan.params
    share = trained / params if params else 0.0
    when = "" if plan.epoch is None else f" in epoch {plan.epoch}"
    return f"{trained:,} of {params:,} parameters train{when}, {percent(share)}"


def percent(share: float) -> str:
    """`0.09 %`, `64 %`, `100 %`: never rounded to nothing or to all where it is neither."""
    if share in (0.0, 1.0) or 0.1 <= share < 0.995:
        return f"{100 * share:.0f} %"
    if share < 0.0005:
        return f"{100 * share:.2g} %"
    return f"{min(100 * share, 99.99):.2f} %"


def memory_text(plan: LayerPlan) -> str:
    """What training needs beside the model: gradients, the optimizer, the EMA."""
    if plan.recipe.strategy == _SOLVER:
        return "No gradients and no optimizer: the head is fitted directly to cached features"
    parts = [
        f"gradients {megabytes(plan.gradient_bytes)}",
        f"optimizer {megabytes(plan.optimizer_bytes)}",
    ]
    if plan.ema_bytes:
        parts.append(f"EMA {megabytes(plan.ema_bytes)}")
    return "Memory: " + ", ".join(parts)


def megabytes(size: int) -> str:
    """`94 MB`, `0.16 MB`: millions of bytes."""
    return f"{size / 1e6:,.3g} MB" if size < 1e8 else f"{size / 1e6:,.0f} MB"


def strategy_text(plan: LayerPlan) -> str:
    """What the strategy is called now: `Partial: the last 2 layer groups, set by hand in 3
    places`."""
    recipe = plan.recipe
    if recipe.strategy == _SOLVER:
        return "Feature extraction: the head alone"
    places = len(recipe.layer_rates)
    by_hand = f"set by hand in {count(places, 'place')}" if places else ""
    if recipe.strategy == "full":
        what = "Full fine-tuning: all layers" if not by_hand else "Full fine-tuning"
    elif recipe.layer_groups == 0:
        what = "Partial fine-tuning: the head, and what is" if by_hand else "The head, by gradient"
        return f"{what} {by_hand}".strip() + _gradual(recipe)
    elif recipe.layer_groups == 1:
        what = "Partial fine-tuning: the last layer group"
    else:
        what = f"Partial fine-tuning: the last {recipe.layer_groups} layer groups"
    return ", ".join(part for part in (what, by_hand) if part) + _gradual(recipe)


def _gradual(recipe: Recipe) -> str:
    return ", opened gradually" if recipe.gradual else ", all open from epoch 1"


def model_text(layers: Layers) -> str:
    """The model; which head it stands for, what one image costs, how many layers there are."""
    question = layers.question
    if question.num_classes is None and question.card.num_classes == 0:
        head = "its head comes with the classes of a dataset"
    elif question.num_classes is None:
        head = "the head it was published with"
    else:
        head = f"a new head for {count(question.num_classes, 'class', 'classes')}"
    number = sum(1 for _, line in walk(layers.lines) if not line.is_run)
    cost = f"{layers.tree.macs / 1e9:,.2f} GMACs an image"
    return f"{question.card.shown_name} · {head} · {cost} · {count(number, 'layer')}"


# -- the schedule ----------------------------------------------------------------------------


def schedule_text(plan: LayerPlan, epoch: int) -> str:
    """What opens at the beginning of an epoch, and what comes next."""
    openings = plan.openings()
    new = openings.get(epoch, ())
    later = [first for first in openings if first > epoch]
    opening = f"{list_some(new)} {'opens' if len(new) == 1 else 'open'}" if new else "Nothing opens"
    if later:
        return f"{opening}. Next in epoch {later[0]}: {list_some(openings[later[0]])}."
    return f"{opening}. All that trains is open." if epoch > 1 else f"{opening}: all that trains."
