"""The model while it trains, for whoever wants to try it between two steps.

Trying it changes nothing: the answers come from a copy of the weights, and nothing on the way
draws a random number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.compute.device import Compute
from core.training.loop.model import FineTunedModel

if TYPE_CHECKING:
    from core.evaluation.classifier import Classifier


@dataclass(frozen=True)
class CurrentModel:
    """How far it is, and its weights. Good until `between_steps` returns."""

    trainee: FineTunedModel
    compute: Compute
    classes: tuple[str, ...]
    step: int
    """Steps done."""
    epoch: int
    """The one under way, counted from 1."""

    def classifier(self) -> Classifier:
        """The weights of now (their running mean), ready to answer.

        Its probabilities are those of the bare softmax: the temperature is measured when an epoch
        ends. It keeps no training features, so it cannot tell what is unlike them.
        """
        from core.evaluation.classifier import Classifier

        return Classifier(
            f"step {self.step:,}",
            self.trainee.kept,
            self.compute,
            classes=self.classes,
            head=self.trainee.head(),
        )


BetweenSteps = Callable[[CurrentModel], None]
