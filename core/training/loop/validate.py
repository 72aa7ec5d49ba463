"""What the selection images say of a model in training."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

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
from core.training.loop.batches import TrainingSet, Unreadable
from core.training.loop.model import FineTunedModel


@dataclass(frozen=True)
class TaskJudgement:
    """What the selection images that have its label say of one task; nothing where none has."""

    head: Head
    images: int
    accuracy: float | None
    temperature: float


@dataclass(frozen=True)
class ValidationResult:
    """What the selection images say of the model as it is.

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
    tasks: tuple[TaskJudgement, ...] = ()

    @property
    def task_accuracies(self) -> tuple[float | None, ...]:
        return tuple(task.accuracy for task in self.tasks)

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


def judge(
    trainee: FineTunedModel,
    data: TrainingSet,
    compute: Compute,
    gone: Unreadable,
    *,
    sink: Sink,
    pool: ThreadPoolExecutor,
    world: World = SINGLE_PROCESS,
) -> ValidationResult:
    """Ask the selection images, exactly as pictures will be classified later.

    Of several processes each asks its share, and all come to the judgement of the whole.

    Raises: DatasetError where none can be read any more.
    """
    own = world.shard(data.selection)
    features, there = embed_pixels(trainee, data, own, compute, gone, sink=sink, pool=pool)
    if world.world_size > 1:
        features, there = _in_order(world.all_gather((features, there)))
    if not there:
        raise DatasetError("No selection image can be read any more.", "Put the files back.")
    judgement = judgement_of(features, trainee.head(), data.labels[there])
    if data.task_labels is None:
        return judgement
    return replace(
        judgement, tasks=judge_tasks(features, trainee.task_heads(), data.task_labels[there])
    )


def judge_tasks(
    features: Tensor, heads: Sequence[Head], labels: Tensor
) -> tuple[TaskJudgement, ...]:
    """features: float32 [S, D]; labels: int64 [S, tasks], NO_LABEL where there is none."""
    judged = []
    for head, column in zip(heads, labels.unbind(1), strict=True):
        has = column != NO_LABEL
        if not has.any():
            judged.append(TaskJudgement(head, 0, None, 1.0))
            continue
        said = judgement_of(features[has], head, column[has])
        judged.append(TaskJudgement(head, int(has.sum()), said.accuracy, said.temperature))
    return tuple(judged)


def _in_order(parts: list[tuple[Tensor, list[int]]]) -> tuple[Tensor, list[int]]:
    """The parts as one process would have made them: the same sums, to the bit."""
    there = [position for _, positions in parts for position in positions]
    order = np.argsort(there, kind="stable")
    features = torch.cat([rows for rows, _ in parts])
    return features[torch.from_numpy(order)], [there[i] for i in order]


def judgement_of(features: Tensor, head: Head, labels: Tensor) -> ValidationResult:
    """features: float32 [S, D], labels: int64 [S]"""
    logits = features @ head.weight.T + head.bias
    loss = float(cross_entropy(logits, labels))
    answers = logits.argmax(1)
    accuracy = float((answers == labels).float().mean())
    # Only ever softer: where few pictures are all right, their loss would ask for certainty.
    temperature = max(1.0, 1 / inverse_temperature(logits, labels))
    top_share = float(answers.bincount().max()) / len(answers)
    balanced_accuracy, macro_f1 = _by_class(answers, labels, classes=logits.shape[1])
    return ValidationResult(
        features, head, loss, accuracy, temperature, top_share, balanced_accuracy, macro_f1
    )


def _by_class(answers: Tensor, labels: Tensor, *, classes: int) -> tuple[float, float]:
    """Mean recall and mean F1 of the classes that the images (labels: int64 [S]) show."""
    right = labels[answers == labels].bincount(minlength=classes).double()
    there, answered = (x.bincount(minlength=classes).double() for x in (labels, answers))
    is_shown = there > 0
    recall = (right / there)[is_shown]
    f1 = (2 * right / (there + answered))[is_shown]
    return float(recall.mean()), float(f1.mean())


def embed_pixels(
    trainee: FineTunedModel,
    data: TrainingSet,
    positions: npt.NDArray[np.int64],
    compute: Compute,
    gone: Unreadable,
    *,
    sink: Sink,
    pool: ThreadPoolExecutor,
) -> tuple[Tensor, list[int]]:
    """Features float32 [n, D] of the pictures at `positions`, by the model as it is now, and the n
    positions that can be read."""
    embedder = Embedder(trainee.kept, compute)
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
    there: list[int] = []
    done = 0
    for share, (features, kept, errors) in zip(shares, pool.map(work, shares), strict=True):
        for position, error in errors.items():
            gone.say(position, error)
        if features is not None:
            rows.append(features)
            there += kept
        done += len(share)
        sink(Progress(done, len(positions), "asking the selection images"))
    empty = torch.empty(0, trainee.built.feature_dim)
    return torch.cat([empty, *rows]), there
