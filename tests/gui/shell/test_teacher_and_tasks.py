"""A teacher and further label columns: in the form, while it trains, in Results and Classify."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from core.data.dataset import Task
from core.events import EpochDone, RunStarted
from core.recipe.recipe import make_recipe
from core.runs.report import TaskScore
from core.runs.run_folder import RunSummary
from gui.base.live_run import LiveRun
from gui.classify.page import describe_tasks as describe_answers
from gui.results.summary import describe_tasks


def summary(name: str, *, dataset: str, classes: int = 2, status: str = "done") -> RunSummary:
    return RunSummary(
        Path(name), name, datetime(2026, 1, 1), "m", "partial", dataset, status, 0.9, classes
    )  # type: ignore[arg-type]


@pytest.fixture
def page(opened):
    opened.show_page("train")
    return opened.page("train")


def pick(page, key: str, value: str) -> None:
    box = page.form.box(key)
    box.setCurrentIndex(box.findData(value))
    box.activated.emit(box.currentIndex())


def offered(page, key: str) -> list[str]:
    box = page.form.box(key)
    return [box.itemData(i) for i in range(box.count())]


def test_runs_on_this_dataset_and_models_can_teach(window, page) -> None:
    name = window.session.dataset.name
    window.session.set_runs(
        (
            summary("good", dataset=name),
            summary("other", dataset="flowers"),
            summary("wide", dataset=name, classes=9),
            summary("failed", dataset=name, status="failed"),
        )
    )
    pick(page, "strategy", "partial")
    models = [card.id for card in window.session.models]
    assert offered(page, "teacher") == ["", "run:good", *models]
    assert page.form.box("distill_weight").isHidden()
    assert make_recipe(page.values()).teacher is None
    pick(page, "teacher", "run:good")
    assert not page.form.box("distill_weight").isHidden()
    recipe = make_recipe(page.values())
    assert (recipe.teacher, recipe.distill_temperature, recipe.distill_weight) == (
        "run:good", 4.0, 0.7,
    )  # fmt: skip
    window.session.set_runs(())  # chosen it stays, and the run says where it is gone
    assert page.values()["teacher"] == "run:good"
    pick(page, "strategy", "feature-extraction")
    assert page.form.box("teacher").isHidden()
    assert "teacher" not in page.values()


def test_the_settings_of_a_taught_run_come_back_into_the_form(window, page) -> None:
    window.session.set_recipe_values(
        {"strategy": "full", "teacher": "file:/weights/big.pt", "distill_temperature": 2.0}
    )
    recipe = make_recipe(page.values())
    assert (recipe.teacher, recipe.distill_temperature) == ("file:/weights/big.pt", 2.0)


def test_label_columns_are_offered_where_the_dataset_has_some(window, page) -> None:
    assert page.form.box("tasks").isHidden()
    assert "tasks" not in page.values()
    dataset = window.session.dataset
    labels = np.zeros(len(dataset), np.int32)
    tasks = (Task("sex", ("female", "male"), labels), Task("age", ("old", "young"), labels))
    window.session.set_edited(replace(dataset, tasks=tasks))
    assert not page.form.box("tasks").isHidden()
    assert offered(page, "tasks") == ["none", "all", "sex", "age"]
    assert make_recipe(page.values()).tasks == "none"
    pick(page, "tasks", "sex")
    assert make_recipe(page.values()).tasks == ("sex",)
    pick(page, "strategy", "partial")
    assert not page.form.box("task_weights").isHidden()
    page.form.box("task_weights").setText("sex=2")
    assert make_recipe(page.values()).task_weights == {"sex": 2.0}
    pick(page, "tasks", "none")
    assert page.form.box("task_weights").isHidden()


def test_each_label_column_has_its_line() -> None:
    score = TaskScore("sex", ("f", "m"), 40, 0.925, (0.801, 0.974), 0.9)
    report = SimpleNamespace(tasks=(score,))
    assert describe_tasks(report) == (
        "sex: 92.5% of 40 images right (95% interval 80.1% – 97.4%), balanced 90.0%"
    )
    assert describe_tasks(None) == ""
    top = (SimpleNamespace(label="f", probability=0.81),)
    assert describe_answers(SimpleNamespace(tasks=(SimpleNamespace(name="sex", top=top),))) == (
        "sex: f · 81%"
    )


def test_the_accuracy_plot_says_the_label_columns_too() -> None:
    live = LiveRun("fine-tuning")
    live.apply(RunStarted("r", "m", "full", "cpu", "float32", 8, 2, 2, 5, tasks=("sex", "age")))
    live.apply(EpochDone(1, 0.5, 0.9, 0.4, 0.8, 1.0, task_accuracies=(0.75, None)))
    assert live.accuracy_sentence() == "Held-out check 80.0%, highest 80.0% at epoch 1. sex: 75.0%."
