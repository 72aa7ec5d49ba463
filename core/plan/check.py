"""Combinations of a recipe and a dataset that cannot work: one function refuses them all.

It is called at every door, before a run folder is made, and once more by `fit`. What takes the
model to find out (a layer that `open_at` or `layer_rates` names, the classes of a teacher) is
refused where the model is opened. No torch here: the command line is not held up by it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from core.data.dataset import DatasetIndex, Task
from core.errors import AppError, DatasetError
from core.recipe.recipe import MAIN_TASK, Recipe


def check(recipe: Recipe, dataset: DatasetIndex | None = None) -> None:
    """Refuse a recipe that cannot train, alone or on this dataset.

    Raises: AppError for a teacher without fine-tuning, and for classes and label columns that
    the dataset does not have; DatasetError for a folder that is gone, and for a label column
    with fewer than two classes.
    """
    if recipe.teacher is not None and recipe.strategy == "feature-extraction":
        raise AppError(
            f"“{recipe.teacher}” cannot teach feature extraction: its head is fitted directly to "
            "stored features, in no steps that a teacher could take part in.",
            "Choose the strategy partial, full or scratch, or remove the teacher.",
        )
    if dataset is None:
        return
    if not dataset.root.is_dir():
        raise DatasetError(
            f"The dataset folder {dataset.root} is no longer there.",
            "Put it back, or open the dataset at its new place.",
        )
    if recipe.strategy != "feature-extraction":
        check_class_weights(recipe, dataset.classes)
    tasks_of(recipe, dataset)


def check_class_weights(recipe: Recipe, classes: Sequence[str]) -> None:
    """Raises: AppError where `class_weights` names a class that is not among these."""
    if isinstance(recipe.class_weights, str):
        return
    for name in recipe.class_weights:
        if name not in classes:
            near = difflib.get_close_matches(name, classes, n=1)
            raise AppError(
                f"The recipe's class_weights names “{name}”, and the dataset has no such class.",
                f"Did you mean “{near[0]}”?" if near else f"It has: {', '.join(classes[:20])}.",
            )


def tasks_of(recipe: Recipe, dataset: DatasetIndex) -> tuple[Task, ...]:
    """The further label columns that the recipe trains, in the dataset's order.

    Raises: AppError for a column that the dataset does not have; DatasetError for one with fewer
    than two classes.
    """
    if recipe.tasks == "none":
        return ()
    names = [task.name for task in dataset.tasks]
    wanted = names if recipe.tasks == "all" else list(recipe.tasks)
    _check_columns(wanted, names, "tasks")
    _check_columns(recipe.task_weights, [MAIN_TASK, *names], "task_weights")
    chosen = tuple(task for task in dataset.tasks if task.name in wanted)
    for task in chosen:
        if len(task.classes) < 2:
            raise DatasetError(
                f"The task “{task.name}” has a single class: {task.classes[0]}."
                if task.classes
                else f"The task “{task.name}” has no label at all.",
                "Leave it out of the recipe's tasks.",
            )
    return chosen


def _check_columns(names: Iterable[str], known: Sequence[str], key: str) -> None:
    for name in names:
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1)
        columns = f"It has: {', '.join(known[:20])}." if known else "It has none."
        raise AppError(
            f"The recipe's {key} names “{name}”, and the dataset has no such label column.",
            f"Did you mean “{near[0]}”?" if near else columns,
        )
