"""The jobs of the Train page: a run from a recipe, a run resumed, the plan of a recipe.

Core is imported inside the functions: what stands behind it takes seconds to load.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.events import (
    EpochDone,
    Event,
    Progress,
    RunEnded,
    RunStarted,
    StepDone,
    check_stop,
)
from core.system.load import LoadSampler
from gui.classify.jobs import Answer
from gui.kit.workers import JobContext

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex
    from core.recipe.plan import Plan
    from core.runs.report import RunResult
    from core.training.live_model import LiveModel


def train(values: dict[str, Any], dataset: DatasetIndex, context: JobContext) -> RunResult:
    """Train a model as the form's values say. Raises: AppError for what cannot be trained."""
    from core.plan.check import check
    from core.recipe.recipe import new_recipe
    from core.runs.store import RunStore
    from core.training.fit import fit
    from core.training.torchrun import fit_with_torchrun, process_count

    recipe = new_recipe(values)
    check(recipe, dataset)
    if process_count(recipe) > 1:
        on_event = ProgressFromEvents(context).on_event
        return fit_with_torchrun(recipe, dataset, sink=on_event, should_stop=context.should_stop)
    run = RunStore().create(dataset.name or dataset.root.name, recipe)
    listener = ProgressFromEvents(context)
    return fit(
        recipe, dataset, run, sink=listener.on_event, should_stop=context.should_stop,
        between_steps=listener.answer,
    )  # fmt: skip


def resume_run(path: Path, context: JobContext) -> RunResult:
    """Resume a stopped run; its earlier events are sent again first, for the curves."""
    from core.runs.store import RunStore
    from core.training.fit import resume
    from core.training.torchrun import process_count, resume_with_torchrun

    run = RunStore().open(path)  # a run that failed is known by its name alone
    listener = ProgressFromEvents(context)
    for event in run.read_events():
        if not isinstance(event, RunEnded):
            listener.on_event(event)
    if process_count(run.read_recipe()) > 1:
        return resume_with_torchrun(run, sink=listener.on_event, should_stop=context.should_stop)
    return resume(
        run, sink=listener.on_event, should_stop=context.should_stop, between_steps=listener.answer
    )


class ProgressFromEvents:
    """Sends a run's events to the window, and their progress to the status line.

    Between two steps it samples the load and classifies the pictures that the window has sent.
    """

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._load: LoadSampler | None = None
        self._device = "cpu"
        self._epochs = 0
        self._steps = 0  # in an epoch; 0 where a head is fitted to cached features

    def on_event(self, event: Event) -> None:
        self._context.sink(event)
        if isinstance(event, RunStarted):
            self._epochs, self._steps = event.epochs, event.steps_per_epoch
            self._device = event.device
        elif isinstance(event, StepDone):
            most = self._epochs * self._steps
            self._context.on_progress(event.step, most, "training")
        elif isinstance(event, Progress):
            self._context.on_progress(event.done, event.total, event.note)
        elif isinstance(event, EpochDone) and not self._steps:
            self._context.on_progress(event.epoch, self._epochs, "training the head")

    def answer(self, model: LiveModel) -> None:
        """Classify the pictures that the window has sent: between two steps, and while paused."""
        if self._load is None:
            self._load = LoadSampler(self._device)
        if load := self._load.sample():
            self._context.sink(load)
        while (paths := self._context.take_questions()) or self._context.is_held():
            if not paths:
                continue
            classifier = model.classifier()
            by = f"the model in training, step {model.step:,} (epoch {model.epoch:,})"
            for path, answer in zip(paths, classifier.classify(paths, top=5), strict=True):
                self._context.sink(Answer(path, answer, by))
            if not self._context.is_held():
                return  # the next ones after the next step


def plan_of(values: dict[str, Any], classes: int, context: JobContext) -> Plan:
    """The plan of a recipe with these values (with `model`), for this number of classes.

    Raises: AppError for a value the recipe refuses or a model that cannot be outlined.
    """
    from core.plan.layer_plan import plan_of as plan_of_recipe
    from core.recipe.recipe import make_recipe

    check_stop(context.should_stop)
    return plan_of_recipe(make_recipe(values), classes)
