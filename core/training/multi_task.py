"""Multi-task learning: which further label columns are learned, their outputs and their loss.

One backbone and one linear head: the classes of the label first, then those of each task. The
label alone chooses the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from core.data.dataset import NO_LABEL, DatasetIndex, Task
from core.errors import DatasetError
from core.events import Notice
from core.plan.check import tasks_of
from core.recipe.recipe import MAIN_TASK, Recipe
from core.training.losses import Loss


@dataclass(frozen=True)
class TaskPlan:
    """The tasks that are learned beside the label, and the weight of each in the loss."""

    tasks: tuple[Task, ...] = ()
    weights: tuple[float, ...] = ()
    main_weight: float = 1.0

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(task.name for task in self.tasks)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Classes of each task."""
        return tuple(len(task.classes) for task in self.tasks)

    def labels(self, positions: npt.NDArray[np.int64]) -> Tensor:
        """int64 [N, tasks] of these images of the index, NO_LABEL where there is none."""
        columns = [task.labels[positions].astype(np.int64) for task in self.tasks]
        return torch.from_numpy(np.stack(columns, axis=1))

    def one_hot(self, labels: Tensor) -> Tensor:
        """One-hot of all tasks side by side, float32 [N, classes of all tasks], zeros where a label
        is missing. labels: int64 [N, tasks]."""
        parts = []
        for column, size in zip(labels.unbind(1), self.sizes, strict=True):
            row = one_hot(column.clamp_min(0), size).float()
            parts.append(row * (column != NO_LABEL).unsqueeze(1))
        return torch.cat(parts, dim=1)

    def blend(self, main_loss: Tensor, logits: Tensor, truth: Tensor, loss: Loss) -> Tensor:
        """The weighted sum of all losses, each summed over the images that have its label.

        logits: float [N, main + classes of all tasks]; truth: float [N, classes of all tasks],
        one-hot or mixed. Label smoothing and focal gamma are those of `loss`; its class weights
        belong to the label alone.
        """
        logits = logits[:, logits.shape[1] - truth.shape[1] :]
        total = self.main_weight * main_loss
        parts = zip(
            logits.split(self.sizes, 1), truth.split(self.sizes, 1), self.weights, strict=True
        )
        for task_logits, task_truth, weight in parts:
            total = total + weight * _loss(task_logits, task_truth, loss)
        return total


NO_TASKS = TaskPlan()


def _loss(logits: Tensor, truth: Tensor, loss: Loss) -> Tensor:
    """logits, truth: float [N, C] → []; an image whose truth is all zeros counts nothing."""
    spread = truth.sum(1, keepdim=True) * loss.label_smoothing / logits.shape[1]
    target = truth * (1 - loss.label_smoothing) + spread
    log_p = logits.log_softmax(1)
    if loss.gamma:
        target = target * (1 - log_p.exp()) ** loss.gamma
    return -(target * log_p).sum()


def plan_tasks(recipe: Recipe, index: DatasetIndex) -> TaskPlan:
    """The tasks that the recipe names, in the dataset's order.

    Raises: AppError where it names one that is not there; DatasetError for one with a single class.
    """
    if recipe.tasks == "none":
        return NO_TASKS
    chosen = tasks_of(recipe, index)
    return TaskPlan(
        chosen,
        tuple(recipe.task_weights.get(task.name, 1.0) for task in chosen),
        recipe.task_weights.get(MAIN_TASK, 1.0),
    )


def task_notices(recipe: Recipe, plan: TaskPlan) -> list[Notice]:
    """Which tasks are learned, for the log."""
    if not plan.tasks:
        if recipe.tasks == "all":
            return [Notice("warning", "The dataset has no further label columns to learn.")]
        return []
    named = ", ".join(f"{t.name} ({len(t.classes)} classes)" for t in plan.tasks)
    return [Notice("info", f"Learned beside the label: {named}. The label chooses the epoch.")]


def labelled(labels: Tensor, rows: npt.NDArray[np.int64], name: str) -> npt.NDArray[np.int64]:
    """Those of `rows` (int64 [M]) that have a label of the task; labels: int64 [N], of all rows.

    Raises: DatasetError where they have fewer than two classes.
    """
    found = rows[(labels[rows] != NO_LABEL).numpy()]
    if len(labels[found].unique()) < 2:
        raise DatasetError(
            f"The {len(found):,} training images with a label of the task “{name}” do not show "
            "two classes of it.",
            "Label more of them, or leave the task out.",
        )
    return found
