"""The report of an evaluation and the result of a training: types and their JSON. No torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class ClassScore:
    """The scores of one class, in 0…1; an undefined score is 0."""

    name: str
    n: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class TaskScore:
    """The scores of one task, on the images that have its label.

    `interval` is the 95 % Wilson score interval of `accuracy`.
    """

    name: str
    classes: tuple[str, ...]
    n: int
    accuracy: float
    interval: tuple[float, float]
    balanced_accuracy: float


@dataclass(frozen=True, slots=True)
class Report:
    """The scores of a model on one split.

    All scores are in 0…1. `interval` is the 95 % Wilson score interval of `top1`. `confusion`
    counts images: rows are the true class, columns the predicted one. `ece` is the expected
    calibration error over 15 bins. `selected_on` names the images that were used for selection.
    """

    split: str
    n: int
    top1: float
    interval: tuple[float, float]
    balanced_accuracy: float
    macro_f1: float
    ece: float
    classes: tuple[str, ...]
    per_class: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    selected_on: str = ""
    tasks: tuple[TaskScore, ...] = ()
    """Scores of the further label columns; tasks without a labelled image are left out."""

    def to_dict(self) -> dict[str, Any]:
        """The report as the content of report.json."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Report:
        """The report that `to_dict` gave. Raises: KeyError, TypeError for another version."""
        values = dict(fields)
        low, high = values["interval"]
        values["interval"] = (float(low), float(high))
        values["classes"] = tuple(values["classes"])
        values["per_class"] = tuple(ClassScore(**score) for score in values["per_class"])
        values["confusion"] = tuple(tuple(row) for row in values["confusion"])
        values["tasks"] = tuple(_task_score(task) for task in values.get("tasks", ()))
        return cls(**values)


def _task_score(fields: Mapping[str, Any]) -> TaskScore:
    low, high = fields["interval"]
    known = {
        **fields, "classes": tuple(fields["classes"]), "interval": (float(low), float(high)),
    }  # fmt: skip
    return TaskScore(**known)


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of `fit`. `report` is None if there was no image to evaluate."""

    run: Path
    status: Literal["done", "stopped"]
    model: str
    strategy: str
    epochs: int
    best_selection_accuracy: float
    report: Report | None
    seconds: float
    best_epoch: int = -1
    probe_selection_accuracy: float | None = None
    """Fine-tuning only: accuracy of the head on frozen features, on the selection images."""
