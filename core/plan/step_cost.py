"""How the cost of a step changes as layer groups open: for the estimate of the remaining time.

The backward pass goes from the head to the first trained layer. Through a trained layer it costs
about twice the forward pass (the gradients of the input and of the weights), through a frozen one
on the way about once, below the first trained layer nothing. The share of each layer group in the
forward pass is timed: multiply-adds would underrate the early, wide layers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from core.models import skeleton
from core.models.build import BuiltModel
from core.recipe.plan import Plan

_PASSES = 3
_IMAGES = 2
_FORWARD, _INPUT_GRADIENT, _WEIGHT_GRADIENT = 1.0, 1.0, 1.0


def relative_cost_by_epoch(
    built: BuiltModel, plan: Plan, epochs: int, *, memory_format: torch.memory_format
) -> tuple[float, ...]:
    """The cost of a step in each epoch, relative to a step with all groups open.

    Empty where it is the same in all epochs: nothing is timed then. Draws no random number.
    """
    opens = {group.opens_at for group in plan.groups if group.opens_at is not None}
    if len({min(at, epochs + 1) for at in opens}) < 2:
        return ()
    shares = _shares(built, plan, memory_format)
    return tuple(
        round(
            relative_step_cost(shares, [group.name for group in plan.groups], plan.open_in(epoch)),
            3,
        )
        for epoch in range(1, epochs + 1)
    )


def relative_step_cost(
    shares: Mapping[str, float], names: Sequence[str], trained: Sequence[str]
) -> float:
    """The cost of a step in which the groups `trained` train, relative to one in which all do.

    shares: of the forward pass, by layer group; names: of all groups, stem first.
    """
    cost = _FORWARD
    is_reached = False
    for name in names:
        is_reached = is_reached or name in trained
        if is_reached:
            cost += shares.get(name, 0.0) * (
                _INPUT_GRADIENT + (_WEIGHT_GRADIENT if name in trained else 0.0)
            )
    return cost / (_FORWARD + _INPUT_GRADIENT + _WEIGHT_GRADIENT)


def _shares(built: BuiltModel, plan: Plan, memory_format: torch.memory_format) -> dict[str, float]:
    """The share of each group of the plan in the time of a forward pass; the sum is 1."""
    timer = _GroupTimer(built.module, {name: g.name for g in plan.groups for name in g.parameters})
    images = skeleton.example_input(built.card, built.module, batch=_IMAGES)
    images = images.contiguous(memory_format=memory_format)  # the layers keep it
    was_training = built.module.training
    built.module.eval()
    try:
        with torch.inference_mode():
            built.module(images)  # warm-up
            timer.seconds.clear()
            for _ in range(_PASSES):
                timer.start()
                built.module(images)
                timer.stop()
    finally:
        built.module.train(was_training)
        timer.remove()
    total = sum(timer.seconds.values()) or 1.0
    return {name: seconds / total for name, seconds in timer.seconds.items()}


class _GroupTimer:
    """Measures seconds by layer group with hooks: time counts for the layer that began last."""

    def __init__(self, module: torch.nn.Module, group_of: Mapping[str, str]) -> None:
        self.seconds: dict[str, float] = {}
        self._group = ""
        self._mark = time.perf_counter()
        self._handles = []
        for path, part in module.named_modules():
            names = [name for name, _ in part.named_parameters(path, recurse=False)]
            groups = [group_of[name] for name in names if name in group_of]
            if groups and not list(part.children()):
                self._handles.append(part.register_forward_pre_hook(self._enter(groups[0])))

    def _enter(self, group: str) -> Any:
        def before(part: torch.nn.Module, args: Any) -> None:
            self.stop()
            self._group = group

        return before

    def start(self) -> None:
        self._group, self._mark = "", time.perf_counter()

    def stop(self) -> None:
        """Add the time since the last mark to the current group."""
        now = time.perf_counter()
        self.seconds[self._group] = self.seconds.get(self._group, 0.0) + now - self._mark
        self._mark = now

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()
