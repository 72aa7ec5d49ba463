"""What a step costs as layers open, told before the first one: for the time that is left.

A pass backwards goes from the head to the oldest layer that trains. Through a layer that trains it
costs about twice the pass forwards (the gradient of the input and that of the weights), through a
frozen one on the way about once, below the oldest open layer nothing. How much of the forward pass
each layer group takes is timed: multiply-adds would say too little of the early, wide layers.
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
_FORWARD, _THROUGH, _LEARN = 1.0, 1.0, 1.0


def work_by_epoch(
    built: BuiltModel, plan: Plan, epochs: int, *, memory_format: torch.memory_format
) -> tuple[float, ...]:
    """The work of a step in each epoch, against a step with everything open (1).

    Empty where it is the same in all of them: nothing is timed then. Draws no random number.
    """
    opens = {group.opens_at for group in plan.groups if group.opens_at is not None}
    if len({min(at, epochs + 1) for at in opens}) < 2:
        return ()
    shares = _shares(built, plan, memory_format)
    return tuple(
        round(step_work(shares, [group.name for group in plan.groups], plan.open_in(epoch)), 3)
        for epoch in range(1, epochs + 1)
    )


def step_work(shares: Mapping[str, float], names: Sequence[str], is_open: Sequence[str]) -> float:
    """`shares`: of the forward pass, by layer group; `names`: stem first. 1: everything open."""
    work = _FORWARD
    reached = False
    for name in names:
        reached = reached or name in is_open
        if reached:
            work += shares.get(name, 0.0) * (_THROUGH + (_LEARN if name in is_open else 0.0))
    return work / (_FORWARD + _THROUGH + _LEARN)


def _shares(built: BuiltModel, plan: Plan, memory_format: torch.memory_format) -> dict[str, float]:
    """How much of a forward pass each group of the plan takes; the sum is 1."""
    watch = _GroupTimer(built.module, {name: g.name for g in plan.groups for name in g.parameters})
    images = skeleton.example_input(built.card, built.module, batch=_IMAGES)
    images = images.contiguous(memory_format=memory_format)  # the layers hand it on
    was_training = built.module.training
    built.module.eval()
    try:
        with torch.inference_mode():
            built.module(images)  # warm
            watch.seconds.clear()
            for _ in range(_PASSES):
                watch.begin()
                built.module(images)
                watch.settle()
    finally:
        built.module.train(was_training)
        watch.leave()
    total = sum(watch.seconds.values()) or 1.0
    return {name: seconds / total for name, seconds in watch.seconds.items()}


class _GroupTimer:
    """Time by layer group: what happens belongs to the group of the layer that began last."""

    def __init__(self, module: torch.nn.Module, group_of: Mapping[str, str]) -> None:
        self.seconds: dict[str, float] = {}
        self._group = ""
        self._mark = time.perf_counter()
        self._handles = []
        for path, part in module.named_modules():
            own = [name for name, _ in part.named_parameters(recurse=False)]
            groups = [group_of[f"{path}.{n}" if path else n] for n in own
                      if (f"{path}.{n}" if path else n) in group_of]  # fmt: skip
            if groups and not list(part.children()):
                self._handles.append(part.register_forward_pre_hook(self._enter(groups[0])))

    def _enter(self, group: str) -> Any:
        def before(part: torch.nn.Module, args: Any) -> None:
            self.settle()
            self._group = group

        return before

    def begin(self) -> None:
        self._group, self._mark = "", time.perf_counter()

    def settle(self) -> None:
        now = time.perf_counter()
        self.seconds[self._group] = self.seconds.get(self._group, 0.0) + now - self._mark
        self._mark = now

    def leave(self) -> None:
        for handle in self._handles:
            handle.remove()
