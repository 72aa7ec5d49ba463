"""From probabilities to what the model said of each image, as the run folder keeps it."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from core.runs.run_folder import Prediction


def make_predictions(
    probabilities: torch.Tensor, labels: torch.Tensor, files: Sequence[str]
) -> tuple[Prediction, ...]:
    """One prediction per image, in the order of the rows.

    `probabilities`: float [N, C], each row summing to 1; `labels`: int64 [N]; `files`: N paths
    relative to the dataset. Where classes tie, the first one is said, as the report counts it.
    """
    predicted = probabilities.argmax(1)
    said = probabilities.gather(1, predicted.unsqueeze(1)).squeeze(1)
    rows = zip(files, labels.tolist(), predicted.tolist(), said.tolist(), strict=True)
    return tuple(Prediction(*row) for row in rows)
