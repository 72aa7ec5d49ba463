"""Validation: the model in training on the selection images."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from core.compute.device import Compute
from core.compute.distributed import SINGLE_PROCESS, World
from core.compute.embedder import Embedder
from core.data.dataset import NO_LABEL
from core.errors import DatasetError, DecodeError
from core.events import Progress, Sink
from core.runs.checkpoints import Head
from core.training.head_solver import inverse_temperature
from core.training.loop.batches import TrainingSet, UnreadableImages
from core.training.loop.model import FineTunedModel


@dataclass(frozen=True)
class TaskResult:
    """One task on the selection images that have its label; accuracy None where none has."""

    head: Head
    images: int
    accuracy: float | None
    temperature: float


@dataclass(frozen=True)
class ValidationResult:
    """The model on the selection images, as it is now.

    features: float32 [S, D] and head: what made the logits; temperature ≥ 1 softens the
    probabilities where the model is surer than it is right (Guo et al. 2017).
    """

    features: Tensor
    head: Head
    loss: float
    accuracy: float
    temperature: float
    top_share: float | None = None
    """Share of the images that get the most frequent answer."""

    balanced_accuracy: float | None = None
    """The mean of the classes' own accuracies."""
    macro_f1: float | None = None
    tasks: tuple[TaskResult, ...] = ()

    @property
    def epoch_fields(self) -> dict[str, Any]:
        """The fields of `EpochDone` that this result gives."""
        return {
            "selection_loss": self.loss,
            "selection_accuracy": self.accuracy,
            "top_share": self.top_share,
            "selection_balanced_accuracy": self.balanced_accuracy,
            "selection_macro_f1": self.macro_f1,
            "task_accuracies": tuple(task.accuracy for task in self.tasks),
        }

    def score(self, monitor: str) -> float:
        """What the recipe's `monitor` watches; higher is better."""
        scores = {
            "accuracy": self.accuracy,
            "loss": -self.loss,
            "balanced-accuracy": self.balanced_accuracy,
            "macro-f1": self.macro_f1,
        }
        score = scores[monitor]
        assert score is not None
        return score


def validate(
    model: FineTunedModel,
    data: TrainingSet,
    compute: Compute,
    unreadable: UnreadableImages,
    *,
    emit: Sink,
    pool: ThreadPoolExecutor,
    world: World = SINGLE_PROCESS,
) -> ValidationResult:
    """Evaluate the model on the selection images, by the same code that classifies images later.

    Each of several processes embeds its part, and all get the result of the whole.
    Raises: DatasetError where no selection image can be read any more.
    """
    rows = world.shard(data.selection)
    features, readable = embed_pixels(model, data, rows, compute, unreadable, emit=emit, pool=pool)
    if world.world_size > 1:
        features, readable = _in_order(world.all_gather((features, readable)))
    if not readable:
        raise DatasetError("No selection image can be read any more.", "Put the files back.")
    result = validation_result(features, model.head(), data.labels[readable])
    if data.task_labels is None:
        return result
    return replace(
        result, tasks=validate_tasks(features, model.task_heads(), data.task_labels[readable])
    )


def validate_tasks(
    features: Tensor, heads: Sequence[Head], labels: Tensor
) -> tuple[TaskResult, ...]:
    """The result of each task's head on the images that have its label.

    features: float32 [S, D]; labels: int64 [S, tasks], NO_LABEL where there is none.
    """
    results = []
    for head, column in zip(heads, labels.unbind(1), strict=True):
        has = column != NO_LABEL
        if not has.any():
            results.append(TaskResult(head, 0, None, 1.0))
            continue
        result = validation_result(features[has], head, column[has])
        results.append(TaskResult(head, int(has.sum()), result.accuracy, result.temperature))
    return tuple(results)


def _in_order(parts: list[tuple[Tensor, list[int]]]) -> tuple[Tensor, list[int]]:
    """The parts in the order of a single process, so that sums over them have the same bits."""
    positions = [position for _, part in parts for position in part]
    order = np.argsort(positions, kind="stable")
    features = torch.cat([part for part, _ in parts])
    return features[torch.from_numpy(order)], [positions[i] for i in order]


def validation_result(features: Tensor, head: Head, labels: Tensor) -> ValidationResult:
    """Loss, metrics and temperature of a head; features: float32 [S, D], labels: int64 [S]."""
    logits = features @ head.weight.T + head.bias
    loss = float(cross_entropy(logits, labels))
    answers = logits.argmax(1)
    accuracy = float((answers == labels).float().mean())
    # Never below 1: few images that are all correct would ask for certainty.
    temperature = max(1.0, 1 / inverse_temperature(logits, labels))
    top_share = float(answers.bincount().max()) / len(answers)
    balanced_accuracy, macro_f1 = _by_class(answers, labels, classes=logits.shape[1])
    return ValidationResult(
        features, head, loss, accuracy, temperature, top_share, balanced_accuracy, macro_f1
    )


def _by_class(answers: Tensor, labels: Tensor, *, classes: int) -> tuple[float, float]:
    """Mean recall and mean F1 of the classes that are among the labels (int64 [S])."""
    correct = labels[answers == labels].bincount(minlength=classes).double()
    actual, predicted = (x.bincount(minlength=classes).double() for x in (labels, answers))
    is_present = actual > 0
    recall = (correct / actual)[is_present]
    f1 = (2 * correct / (actual + predicted))[is_present]
    return float(recall.mean()), float(f1.mean())


def embed_pixels(
    model: FineTunedModel,
    data: TrainingSet,
    positions: npt.NDArray[np.int64],
    compute: Compute,
    unreadable: UnreadableImages,
    *,
    emit: Sink,
    pool: ThreadPoolExecutor,
) -> tuple[Tensor, list[int]]:
    """Features (float32 [n, D], by the model as it is now) of the images at `positions` that can be
    read, and their n positions."""
    embedder = Embedder(model.inference_model, compute)
    size = compute.embed_batch_size
    shares = [positions[i : i + size] for i in range(0, len(positions), size)]

    def work(
        share: npt.NDArray[np.int64],
    ) -> tuple[Tensor | None, list[int], dict[int, DecodeError]]:
        pixels: dict[int, npt.NDArray[np.uint8]] = {}
        errors: dict[int, DecodeError] = {}
        for position in share.tolist():
            try:
                pixels[position] = data.pixels.validation(position)
            except DecodeError as error:
                errors[position] = error
        batch = torch.from_numpy(np.stack(list(pixels.values()))) if pixels else None
        return None if batch is None else embedder.embed(batch), list(pixels), errors

    rows: list[Tensor] = []
    readable: list[int] = []
    done = 0
    for share, (features, embedded, errors) in zip(shares, pool.map(work, shares), strict=True):
        for position, error in errors.items():
            unreadable.log(position, error)
        if features is not None:
            rows.append(features)
            readable += embedded
        done += len(share)
        emit(Progress(done, len(positions), "evaluating the selection images"))
    empty = torch.empty(0, model.built.feature_dim)
    return torch.cat([empty, *rows]), readable
