"""The linear probe: a head on frozen features, fitted without the images that choose."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from core.data.splits import stratified_folds
from core.events import check_stop
from core.recipe.recipe import Recipe
from core.training.context import FrozenFeatures, TrainingContext
from core.training.head_solver import FittedHead, fit_head


def probe_head(
    context: TrainingContext,
    features: FrozenFeatures,
    rows: npt.NDArray[np.int64],
    labels: torch.Tensor,
    *,
    classes: int,
) -> FittedHead:
    """A calibrated head fitted to these rows of `features` (int64 [M]; labels: int64 [M]).

    Four folds of the rows choose its penalty and epoch. Raises: Cancelled.
    """
    folds = stratified_folds(labels.numpy(), folds=4, seed=context.recipe.seed, fewest=2)
    if len(np.unique(folds)) < 2:
        folds = np.arange(len(folds)) % 2
    device = torch.device(context.compute.device)
    head = fit_head(
        features.vectors[rows].to(device),
        labels.to(device),
        torch.from_numpy(np.unique(folds, return_inverse=True)[1].astype(np.int64)).to(device),
        classes=classes,
        epochs=Recipe().max_epochs_or_default,
        patience=Recipe().patience,
        l2=context.recipe.l2,
        should_stop=context.should_stop,
    )
    check_stop(context.should_stop)
    return head
