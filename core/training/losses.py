"""The loss: cross-entropy or focal loss, with label smoothing and class weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from core.plan.check import check_class_weights
from core.recipe.recipe import Recipe


@dataclass(frozen=True)
class Loss:
    """The loss of a batch, summed over its images, so that micro-batches add up to the whole step.

    class_weights: float32 [C], a factor for each class; None: all are 1.
    """

    label_smoothing: float = 0.0
    class_weights: Tensor | None = None
    gamma: float = 0.0
    """Of the focal loss (Lin et al. 2017); 0: cross-entropy."""

    def __call__(self, logits: Tensor, truth: Tensor) -> Tensor:
        """logits: float [N, C]; truth: int64 [N], or float [N, C] where labels are mixed → []"""
        weights = None if self.class_weights is None else self.class_weights.to(logits.device)
        if not self.gamma:
            return cross_entropy(
                logits,
                truth,
                weight=weights,
                label_smoothing=self.label_smoothing,
                reduction="sum",
            )
        classes = logits.shape[1]
        target = truth if truth.is_floating_point() else one_hot(truth, classes).to(logits)
        target = target * (1 - self.label_smoothing) + self.label_smoothing / classes
        if weights is not None:
            target = target * weights
        log_p = logits.log_softmax(1)
        return -(target * (1 - log_p.exp()) ** self.gamma * log_p).sum()


def make_loss(recipe: Recipe, labels: Tensor, classes: Sequence[str]) -> Loss:
    """The loss of a recipe for training images with these labels, int64 [N].

    Raises: AppError where `class_weights` names a class that is not there.
    """
    check_class_weights(recipe, classes)
    return Loss(
        label_smoothing=recipe.label_smoothing,
        class_weights=_weights(recipe.class_weights, labels, classes),
        gamma=recipe.focal_gamma if recipe.loss == "focal" else 0.0,
    )


def _weights(
    setting: Literal["none", "balanced"] | Mapping[str, float],
    labels: Tensor,
    classes: Sequence[str],
) -> Tensor | None:
    if setting == "none":
        return None
    if setting == "balanced":
        # All classes weigh the same in total, and the mean weight of an image is 1.
        counts = torch.bincount(labels, minlength=len(classes)).clamp_min(1)
        return len(labels) / (len(classes) * counts.float())
    assert not isinstance(setting, str)
    return torch.tensor([float(setting.get(name, 1.0)) for name in classes])
