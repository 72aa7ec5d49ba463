"""The job of the learning-rate finder. Core is imported inside: it takes seconds to load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gui.kit.workers import JobContext

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex
    from core.training.lr_finder.curve import RateCurve


@dataclass(frozen=True, slots=True, eq=False)
class RateQuestion:
    """What is tested on what. `values` are the recipe's, with the model."""

    dataset: DatasetIndex
    values: dict[str, Any]
    lowest: float
    highest: float
    steps: int


def find_rate(question: RateQuestion, context: JobContext) -> RateCurve:
    """Test learning rates; each step is sent. Raises: AppError for a refused value or range, and
    where set or model cannot be used; Cancelled."""
    from core.recipe.recipe import new_recipe
    from core.training.lr_finder.find import find_rate as find

    return find(
        new_recipe(question.values),
        question.dataset,
        lowest=question.lowest,
        highest=question.highest,
        steps=question.steps,
        sink=context.sink,
        on_progress=context.on_progress,
        should_stop=context.should_stop,
    )
