"""The model while it trains, to be tried between two steps.

Trying it changes nothing in the run: the answers come from a copy of the weights, and no random
number is drawn.
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
class LiveModel:
    """The model in training and how far it is. Valid until `between_steps` returns."""

    model: FineTunedModel
    compute: Compute
    classes: tuple[str, ...]
    step: int
    """Steps done."""
    epoch: int
    """The current one, counted from 1."""

    def classifier(self) -> Classifier:
        """A classifier with the current weights (their moving average, where there is one).

        Its probabilities are not calibrated: the temperature is measured when an epoch ends. It has
        no training features, so it cannot say what is unlike the training images.
        """
        from core.evaluation.classifier import Classifier

        return Classifier(
            f"step {self.step:,}",
            self.model.inference_model,
            self.compute,
            classes=self.classes,
            head=self.model.head(),
        )


BetweenSteps = Callable[[LiveModel], None]
