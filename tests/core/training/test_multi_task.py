"""Several label columns: one backbone, a head each, missing labels left out, metrics each."""

from __future__ import annotations

import csv
import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

from core.catalog import catalog
from core.data.dataset import Task
from core.data.open_dataset import open_dataset
from core.errors import AppError, DatasetError
from core.evaluation.classifier import Classifier
from core.evaluation.evaluate import evaluate
from core.events import EpochDone, Notice, RunStarted
from core.models.build import build
from core.recipe.recipe import Recipe, make_recipe
from core.training.fit import resume
from core.training.losses import Loss
from core.training.multi_task import TaskPlan, plan_tasks
from helpers import is_same, of_kind, small_recipe, train

pytestmark = pytest.mark.usefixtures("tiny_weights")

RECIPE = small_recipe(tasks="all")
HEAD = RECIPE.with_values(strategy="feature-extraction")


@pytest.fixture(scope="module")
def table(tmp_path_factory, make_image_folder):
    """Shapes with two further questions: is it round, and in which half of the numbers it stands
    (noise); every third picture has no answer to the first."""
    root = tmp_path_factory.mktemp("tasks")
    make_image_folder(root, per_class={"train": 8, "val": 4})
    rows = []
    for split in ("train", "val"):
        for path in sorted((root / split).rglob("*.png")):
            number = int(path.stem.rpartition("_")[2])
            is_round = "round" if path.parent.name == "circle" else "angular"
            rows.append(
                (path.relative_to(root), path.parent.name, split,
                 "" if number % 3 == 2 else is_round, "odd" if number % 2 else "even")
            )  # fmt: skip
    file = root / "shapes.csv"
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["path", "label", "split", "label_form", "label_parity"])
        writer.writerows(rows)
    return file


@pytest.fixture(scope="module")
def plan() -> TaskPlan:
    labels = np.array([0, 1, -1], np.int32)
    return TaskPlan(
        (Task("form", ("a", "b"), labels), Task("hue", ("x", "y", "z"), labels)), (2.0, 0.5), 3.0
    )


def test_the_loss_is_the_weighted_sum_and_missing_labels_count_nothing(plan) -> None:
    logits = torch.randn(3, 9, generator=torch.Generator().manual_seed(0))  # 4 + 2 + 3
    labels = torch.tensor([[0, 2], [1, -1], [-1, 0]])
    main = torch.tensor(1.25)
    total = plan.blend(main, logits, plan.one_hot(labels), Loss())
    form = cross_entropy(logits[:2, 4:6], torch.tensor([0, 1]), reduction="sum")
    hue = cross_entropy(logits[[0, 2], 6:], torch.tensor([2, 0]), reduction="sum")
    assert float(total) == pytest.approx(float(3 * main + 2 * form + 0.5 * hue), rel=1e-5)
    smooth = plan.blend(main, logits, plan.one_hot(labels), Loss(label_smoothing=0.1))
    form = cross_entropy(
        logits[:2, 4:6], torch.tensor([0, 1]), reduction="sum", label_smoothing=0.1
    )
    hue = cross_entropy(
        logits[[0, 2], 6:], torch.tensor([2, 0]), reduction="sum", label_smoothing=0.1
    )
    assert float(smooth) == pytest.approx(float(3 * main + 2 * form + 0.5 * hue), rel=1e-5)


def test_a_label_that_is_missing_gives_its_task_no_gradient(plan) -> None:
    logits = torch.zeros(1, 9, requires_grad=True)
    plan.blend(
        logits[:, :4].sum(), logits, plan.one_hot(torch.tensor([[-1, -1]])), Loss()
    ).backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad[:, 4:], torch.zeros(1, 5))


def test_a_task_that_is_not_there_names_the_nearest(table) -> None:
    index = open_dataset(table)
    assert [task.name for task in index.tasks] == ["form", "parity"]
    assert plan_tasks(RECIPE, index).names == ("form", "parity")
    assert plan_tasks(make_recipe({"tasks": "parity"}), index).names == ("parity",)
    assert plan_tasks(Recipe(), index).names == ()
    with pytest.raises(AppError, match="no such label column") as caught:
        plan_tasks(make_recipe({"tasks": "from"}), index)
    assert caught.value.hint == "Did you mean “form”?"
    with pytest.raises(AppError, match=r"task_weights names “parit”"):
        plan_tasks(RECIPE.with_values(task_weights="parit=2, label=1"), index)
    weights = plan_tasks(RECIPE.with_values(task_weights="parity=2, label=3"), index)
    assert (weights.weights, weights.main_weight) == ((1.0, 2.0), 3.0)


def test_fine_tuning_learns_every_task_and_keeps_its_head(table) -> None:
    run = train(table, RECIPE).run
    started, epochs = of_kind(run, RunStarted)[0], of_kind(run, EpochDone)
    assert started.tasks == ("form", "parity")
    assert [len(epoch.task_accuracies) for epoch in epochs] == [2, 2, 2]
    with (run.path / "metrics.csv").open(encoding="utf-8") as file:
        assert [len(row["task_accuracies"].split()) for row in csv.DictReader(file)] == [2, 2, 2]
    report = run.read_report()
    form, parity = report.tasks
    assert (form.name, form.classes, form.n) == ("form", ("angular", "round"), 9)
    assert form.accuracy > 0.7
    assert form.interval[0] <= form.accuracy <= form.interval[1]
    assert (parity.name, parity.n) == ("parity", 12)
    assert json.loads((run.path / "report.json").read_text())["tasks"][0]["name"] == "form"
    plain = build(catalog.load().resolve(RECIPE.model), num_classes=3).module.state_dict()
    assert {n: t.shape for n, t in load_file(run.best.weights).items()} == {
        n: t.shape for n, t in plain.items()
    }
    assert evaluate(run).tasks == report.tasks
    answers = Classifier.open(run.path).classify([table.parent / "val/circle/val_0000.png"])
    assert [task.name for task in answers[0].tasks] == ["form", "parity"]
    assert answers[0].tasks[0].top[0].label == "round"
    assert sum(guess.probability for guess in answers[0].tasks[0].top) == pytest.approx(1)


def test_heads_on_cached_features_answer_every_task_and_leave_the_labels_head(table) -> None:
    plain, run = (train(table, HEAD.with_values(tasks=tasks)).run for tasks in ("none", "all"))
    assert {t.name: t.n for t in run.read_report().tasks} == {"form": 9, "parity": 12}
    assert run.read_report().tasks[0].accuracy > 0.7
    assert plain.read_report().tasks == ()
    assert not plain.best.tasks.exists()
    ours, theirs = load_file(run.best.reference), load_file(plain.best.reference)
    assert torch.equal(ours["weight"], theirs["weight"])
    assert evaluate(run).tasks == run.read_report().tasks
    assert evaluate(run, split="train").tasks[0].n == 18


def test_with_several_tasks_a_resumed_run_gives_the_same_bits(table) -> None:
    recipe = RECIPE.with_values(mixup=0.2, dropout=0.2, label_smoothing=0.1)
    whole = train(table, recipe).run
    cut = train(table, recipe, stop_after=3).run
    resume(cut)
    for kept in ("weights", "tasks", "reference"):
        ours, theirs = (load_file(getattr(run.best, kept)) for run in (cut, whole))
        assert is_same(ours, theirs)


@pytest.mark.slow
def test_a_task_of_weight_zero_learns_nothing_and_changes_nothing_for_the_label(table) -> None:
    plain = train(table, RECIPE.with_values(tasks="none")).run
    along = train(table, RECIPE.with_values(task_weights={"form": 0, "parity": 0})).run
    ours, theirs = ([e.selection_loss for e in of_kind(r, EpochDone)] for r in (along, plain))
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_a_task_with_too_few_labels_is_refused_in_words(table) -> None:
    index = open_dataset(table)
    labels = np.full(len(index), -1, np.int32)
    labels[0] = 0
    few = Task("form", ("a", "b"), labels)
    for recipe in (RECIPE, HEAD):
        with pytest.raises(DatasetError, match="do not show two classes"):
            train(dataclasses.replace(index, tasks=(few,)), recipe)
    one = Task("form", ("a",), np.zeros(len(index), np.int32))
    with pytest.raises(DatasetError, match="has a single class: a"):
        plan_tasks(RECIPE, dataclasses.replace(index, tasks=(one,)))


def test_all_tasks_of_a_dataset_without_any_is_said(tmp_path, make_image_folder) -> None:
    folder = make_image_folder(tmp_path / "plain", per_class=6)
    run = train(folder, HEAD).run
    assert "no further label columns" in " ".join(n.text for n in of_kind(run, Notice))
