"""The jobs of the Strategy page. Core is imported inside: it takes seconds to load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from core.advice.rules import Domain, Thresholds
from gui.kit.workers import JobContext

if TYPE_CHECKING:
    from core.advice.advise import Advice
    from core.advice.check import Check
    from core.data.dataset import DatasetIndex


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What the wizard gathered. `values` are the recipe's, with the model."""

    dataset: DatasetIndex
    values: dict[str, Any]
    domain: Domain | Literal["auto"]
    budget_seconds: float | None
    thresholds: Thresholds


def advise(question: Question, context: JobContext) -> Advice:
    """Advice on the question. Raises: AppError where dataset or model cannot be used; Cancelled."""
    from core.advice.advise import advise as ask
    from core.recipe.recipe import new_recipe

    context.on_progress(0, 0, "opening the model")
    return ask(
        question.dataset,
        new_recipe(question.values),
        domain=question.domain,
        budget_seconds=question.budget_seconds,
        thresholds=question.thresholds,
        on_progress=context.on_progress,
        should_stop=context.should_stop,
    )


def check(question: Question, advice: Advice, context: JobContext) -> Check:
    """Try the strategies of the advice on a small sample. Raises: AppError; Cancelled."""
    from core.advice.check import check as try_arms

    return try_arms(
        question.dataset,
        advice,
        on_progress=context.on_progress,
        should_stop=context.should_stop,
    )
