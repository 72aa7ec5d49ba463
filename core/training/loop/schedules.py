"""Learning-rate schedules, as shares of each group's highest rate.

Pure functions of the step, counted from 1, so that a resumed run needs no state of them; only the
plateau schedule has one, `Plateau`, which goes into the saved state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from core.recipe.recipe import Recipe

_RISE, _FIRST, _LAST = 0.3, 1 / 25, 1 / 25e4
_BETTER = 1e-4
"""A loss is better when it falls by this share, as in torch's ReduceLROnPlateau."""


@dataclass
class Plateau:
    """State of the plateau schedule. Its fields are keys of the saved state."""

    lowest_loss: float = float("inf")
    waited: int = 0
    drops: int = 0

    def update(self, loss: float, *, patience: int) -> bool:
        """Note the selection loss of an epoch; returns whether the rates drop."""
        if loss < self.lowest_loss * (1 - _BETTER):
            self.lowest_loss, self.waited = loss, 0
            return False
        self.waited += 1
        if self.waited < patience:
            return False
        self.waited, self.drops = 0, self.drops + 1
        return True


class Schedule:
    """Sets the rates of an optimizer whose groups carry their `highest_lr`."""

    def __init__(
        self, optimizer: torch.optim.Optimizer, recipe: Recipe, *, steps_per_epoch: int
    ) -> None:
        self._optimizer, self._recipe = optimizer, recipe
        self._steps_per_epoch = max(1, steps_per_epoch)
        self._steps = self._steps_per_epoch * recipe.max_epochs_or_default

    def set_rates(self, step: int, plateau: Plateau) -> None:
        """Set the rates of this step, counted from 1."""
        share = self.share(step, plateau)
        for group in self._optimizer.param_groups:
            group["lr"] = group["highest_lr"] * share

    def share(self, step: int, plateau: Plateau) -> float:
        """The share of its highest rate that each group has at this step: 0…1."""
        recipe = self._recipe
        if recipe.schedule == "one-cycle":
            return one_cycle(step, self._steps)
        warmup = round(recipe.warmup * self._steps)
        if step < warmup:
            return step / warmup
        if recipe.schedule == "step":
            return float(
                recipe.step_factor ** ((step - 1) // self._steps_per_epoch // recipe.step_epochs)
            )
        if recipe.schedule == "plateau":
            return float(recipe.step_factor**plateau.drops)
        if recipe.schedule == "cosine":
            return cosine(step - warmup, max(1, self._steps - warmup + 1))
        return 1.0


def cosine(step: int, steps: int) -> float:
    """From 1 at step 0 to 0 at `steps` (Loshchilov & Hutter 2017)."""
    return 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps))


def one_cycle(step: int, steps: int) -> float:
    """Up from a 25th in 30 % of the steps, then down to a 250,000th (Smith & Topin 2019), the
    numbers and the cosines as in torch's OneCycleLR; momentum stays as it is."""
    at, top, end = step - 1, _RISE * steps - 1, steps - 1
    if at <= top or end <= top:
        return _FIRST + (1 - _FIRST) * (1 - cosine_share(at, top))
    return _LAST + (1 - _LAST) * cosine_share(at - top, end - top)


def cosine_share(at: float, length: float) -> float:
    """From 1 at 0 to 0 at `length`, rounded as in torch's OneCycleLR."""
    return 0.5 * (1 + math.cos(math.pi * min(1.0, at / length))) if length > 0 else 0.0
