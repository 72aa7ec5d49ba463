"""Computes a report from probabilities and labels. Knows nothing of files and models."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torchmetrics.functional.classification import (
    multiclass_calibration_error,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_precision,
    multiclass_recall,
)

from core.data.dataset import NO_LABEL
from core.runs.report import ClassScore, Report, TaskScore

_Z95 = 1.959963984540054


def wilson_interval(hits: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of the share hits / n (Wilson 1927); (0, 1) if n is 0.

    Unlike hits / n ± 1.96 s it stays inside 0…1 and is correct for shares near 1.
    """
    if n == 0:
        return 0.0, 1.0
    share, z2 = hits / n, _Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def make_report(
    probabilities: torch.Tensor,
    labels: torch.Tensor,
    *,
    classes: tuple[str, ...],
    split: str,
    selected_on: str = "",
) -> Report:
    """Compute the report of predictions.

    probabilities: float32 [N, C]. labels: int64 [N], N ≥ 1.
    """
    k = len(classes)
    predicted = probabilities.argmax(1)
    hits = int((predicted == labels).sum())
    confusion = multiclass_confusion_matrix(predicted, labels, num_classes=k)
    n_per_class = confusion.sum(1)
    recall = multiclass_recall(predicted, labels, num_classes=k, average="none")
    precision = multiclass_precision(predicted, labels, num_classes=k, average="none")
    f1 = multiclass_f1_score(predicted, labels, num_classes=k, average="none")
    is_present = n_per_class > 0
    return Report(
        split=split,
        n=len(labels),
        top1=hits / len(labels),
        interval=wilson_interval(hits, len(labels)),
        balanced_accuracy=float(recall[is_present].mean()),
        macro_f1=float(f1[is_present].mean()),
        ece=float(multiclass_calibration_error(probabilities, labels, num_classes=k, n_bins=15)),
        classes=classes,
        per_class=tuple(
            ClassScore(name, int(n), float(p), float(r), float(f))
            for name, n, p, r, f in zip(classes, n_per_class, precision, recall, f1, strict=True)
        ),
        confusion=tuple(tuple(int(c) for c in row) for row in confusion),
        selected_on=selected_on,
    )


def score_task(
    name: str, classes: tuple[str, ...], probabilities: torch.Tensor, labels: torch.Tensor
) -> TaskScore | None:
    """The score of one task; None if no image has its label.

    probabilities: float32 [N, C]. labels: int64 [N], NO_LABEL for images without one.
    """
    has = labels != NO_LABEL
    n = int(has.sum())
    if not n:
        return None
    predicted, true = probabilities[has].argmax(1), labels[has]
    hits = int((predicted == true).sum())
    right = true[predicted == true].bincount(minlength=len(classes)).double()
    there = true.bincount(minlength=len(classes)).double()
    return TaskScore(
        name=name,
        classes=classes,
        n=n,
        accuracy=hits / n,
        interval=wilson_interval(hits, n),
        balanced_accuracy=float((right / there)[there > 0].mean()),
    )


def score_tasks(
    tasks: Iterable[tuple[str, tuple[str, ...], torch.Tensor, torch.Tensor]],
) -> tuple[TaskScore, ...]:
    """The scores of several tasks: (name, classes, probabilities, labels), see `score_task`.

    Tasks without a labelled image are left out.
    """
    scores = (score_task(*task) for task in tasks)
    return tuple(score for score in scores if score is not None)
