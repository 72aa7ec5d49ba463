"""Distillation: the formula, a teacher that never changes, the bits of a plain run, resuming."""

from __future__ import annotations

import dataclasses
import math
import shutil

import numpy as np
import pytest
import torch

from core.catalog import catalog
from core.cli.arguments import recipe_from
from core.compute.device import Compute
from core.data.dataset import Task
from core.data.sources.scan import scan
from core.errors import AppError, ModelError, RunError
from core.events import EpochDone, Notice, RunStarted
from core.features.cache import state_digest
from core.models.build import build
from core.runs.checkpoints import Head
from core.runs.run_folder import Run, create_run
from core.runs.store import RunStore
from core.training.distillation import Teacher, soft_loss
from core.training.fit import resume
from core.training.losses import Loss
from core.training.lr_finder.find import find_rate
from helpers import LITE0, TINY, is_same, of_kind, small_recipe, train, weights_of

pytestmark = pytest.mark.usefixtures("tiny_weights")

COMPUTE = Compute("cpu", "float32", "channels_last", 1, 1, 8)
RECIPE = small_recipe(max_epochs=1, learning_rate=1e-3)
HEAD = RECIPE.with_values(strategy="feature-extraction")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_image_folder):
    root = tmp_path_factory.mktemp("taught")
    return make_image_folder(root / "shapes", per_class={"train": 6, "val": 3})


@pytest.fixture(scope="module")
def plain(folder, tmp_path_factory) -> Run:
    """A run without a teacher, which can be one."""
    run = create_run(tmp_path_factory.mktemp("runs") / "plain", RECIPE)
    return train(folder, RECIPE, run=run).run


@pytest.fixture(scope="module")
def head(folder, tmp_path_factory) -> Run:
    """A run of feature extraction; tests that change it copy it."""
    run = create_run(tmp_path_factory.mktemp("runs") / "head", HEAD)
    return train(folder, HEAD, run=run).run


def test_the_soft_loss_is_the_formula_of_hinton() -> None:
    student = torch.tensor([[1.0, 2.0, -1.0], [0.5, 0.0, 3.0]])
    teacher = torch.tensor([[2.0, 0.0, 1.0], [0.0, 1.0, 4.0]])
    heat, by_hand = 4.0, 0.0
    for ours, theirs in zip(student.tolist(), teacher.tolist(), strict=True):
        p, q = ([math.exp(x / heat) for x in row] for row in (theirs, ours))
        p, q = [x / sum(p) for x in p], [x / sum(q) for x in q]
        by_hand += heat**2 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert float(soft_loss(student, teacher, heat)) == pytest.approx(by_hand, rel=1e-4)
    assert float(soft_loss(teacher, teacher, heat)) == pytest.approx(0, abs=1e-6)


@pytest.fixture(scope="module")
def built():
    return build(catalog.load().resolve(LITE0), num_classes=3)


def a_teacher(built, *, weight=0.7, order=(0, 1, 2)) -> Teacher:
    numbers = torch.Generator().manual_seed(1)
    head = Head(torch.randn(3, built.feature_dim, generator=numbers), torch.tensor([0.1, 0.2, 0.3]))
    return Teacher(
        built, head, order, COMPUTE,
        student=built.preprocessing, temperature=2.0, weight=weight,
    )  # fmt: skip


def test_the_teachers_word_and_the_labels_share_the_loss(built) -> None:
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    student, truth = torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]]), torch.tensor([0, 1])
    hard = Loss(label_smoothing=0.1)(student, truth)
    teacher = a_teacher(built)
    soft = soft_loss(student, teacher.logits(images), 2.0)
    assert float(teacher.blend(hard, student, images)) == pytest.approx(
        0.7 * float(soft) + 0.3 * float(hard), rel=1e-5
    )
    assert torch.equal(a_teacher(built, weight=0.0).blend(hard, student, images), hard)


def test_the_teacher_sees_the_students_view_in_its_own_size_and_normalisation(built) -> None:
    own = built.preprocessing
    teacher = a_teacher(built)
    odd = dataclasses.replace(own, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    view = torch.rand(2, 3, own.height, own.width, generator=torch.Generator().manual_seed(0))

    def normalised(by):
        return (view - torch.tensor(by.mean).view(3, 1, 1)) / torch.tensor(by.std).view(3, 1, 1)

    other = Teacher(
        built, Head(torch.eye(3, built.feature_dim), torch.zeros(3)), (2, 0, 1), COMPUTE,
        student=odd, temperature=2.0, weight=0.5,
    )  # fmt: skip
    with torch.no_grad():
        features = built.features(normalised(own))
    assert other.logits(normalised(odd)) == pytest.approx(features[:, [2, 0, 1]], abs=1e-3)
    half = torch.nn.functional.interpolate(normalised(own), scale_factor=0.5)
    assert teacher.logits(half).shape == (2, 3)  # a student of another input size


def test_without_a_say_the_teacher_changes_no_bit(folder, plain) -> None:
    unasked = train(folder, RECIPE.with_values(teacher=TINY, distill_weight=0)).run
    taught = train(folder, RECIPE.with_values(teacher=TINY)).run
    losses = [[e.train_loss for e in of_kind(r, EpochDone)] for r in (plain, unasked, taught)]
    assert losses[0] == losses[1] != losses[2]
    assert is_same(weights_of(plain), weights_of(unasked))
    assert "is not used" in " ".join(notice.text for notice in of_kind(unasked, Notice))


def test_a_run_says_who_taught_and_its_report_too(folder) -> None:
    run = train(folder, RECIPE.with_values(teacher=TINY, mixup=0.2)).run
    assert of_kind(run, RunStarted)[0].teacher == TINY
    said = " ".join(notice.text for notice in of_kind(run, Notice))
    assert "Teacher model:" in said
    assert "right on" in said  # the head it got for these classes, judged
    assert f"taught by {TINY}" in run.read_report().selected_on
    assert not run.teacher.exists()  # done: nothing is left to go on with


def test_a_taught_run_stopped_and_resumed_gives_the_bits_of_one_that_never_stopped(
    folder, plain
) -> None:
    teacher = shutil.copytree(plain.path, RunStore().root / "the-teacher")
    before = weights_of(plain)
    recipe = RECIPE.with_values(teacher="run:the-teacher", max_epochs=2, mixup=0.2)
    whole = train(folder, recipe).run
    assert is_same(weights_of(Run(teacher)), before)
    cut = train(folder, recipe, stop_after=3).run
    assert cut.read_status() == "stopped"
    assert cut.read_environment()["resolved"]["teacher"]["name"] == "the-teacher"
    resume(cut)
    assert is_same(weights_of(cut), weights_of(whole))
    assert cut.read_report().confusion == whole.read_report().confusion


@pytest.mark.slow
def test_a_fitted_head_of_a_teacher_is_kept_for_resuming(folder) -> None:
    recipe = RECIPE.with_values(teacher=TINY, max_epochs=2)
    whole = train(folder, recipe).run
    cut = train(folder, recipe, stop_after=3).run
    assert cut.teacher.is_file()
    resume(cut)
    assert is_same(weights_of(cut), weights_of(whole))


def test_a_teacher_that_changed_since_is_refused_when_resuming(folder, head, tmp_path) -> None:
    teacher = Run(shutil.copytree(head.path, tmp_path / "teacher"))
    cut = train(folder, RECIPE.with_values(teacher=str(teacher.path)), stop_after=1).run
    # The same classes, another model.
    another = train(folder, HEAD.with_values(l2=5.0)).run
    another.best.weights.replace(teacher.best.weights)
    with pytest.raises(RunError, match="other weights than when the run began"):
        resume(cut)


def test_a_run_on_other_classes_and_feature_extraction_are_refused(
    folder, tmp_path, make_image_folder
) -> None:
    others = make_image_folder(tmp_path / "others", classes=("a", "b"), per_class=6)
    other = train(others, HEAD).run
    with pytest.raises(AppError, match=r"answers for a, b, and the dataset has circle, square"):
        train(folder, RECIPE.with_values(teacher=f"run:{other.path.name}"))
    with pytest.raises(AppError, match="cannot teach feature extraction"):
        train(folder, HEAD.with_values(teacher=TINY))
    with pytest.raises(ModelError, match="No teacher “resnet999”"):
        train(folder, RECIPE.with_values(teacher="resnet999"))


def test_a_teacher_trained_on_the_reports_pictures_is_told(folder, tmp_path) -> None:
    index = scan(folder)
    swapped = dataclasses.replace(index, splits=1 - index.splits)  # train and val
    teacher = train(swapped, HEAD).run
    run = train(folder, RECIPE.with_values(teacher=str(teacher.path))).run
    texts = [notice.text for notice in of_kind(run, Notice) if notice.level == "warning"]
    assert any("trained on 9 of the 9 images of the report" in text for text in texts)


def test_asking_leaves_the_teacher_as_it_is(built) -> None:
    teacher = a_teacher(built)
    before = state_digest(teacher.built.module, without=())
    student = torch.zeros(2, 3, requires_grad=True)
    loss = teacher.blend(torch.zeros(()), student, torch.randn(2, 3, 64, 64))
    loss.backward()
    assert student.grad is not None
    assert state_digest(teacher.built.module, without=()) == before
    assert not teacher.built.module.training
    assert all(p.grad is None for p in teacher.built.module.parameters())


@pytest.mark.slow
def test_the_rate_finder_tests_what_the_teacher_and_the_tasks_make_of_the_loss(folder) -> None:
    index = scan(folder)
    parity = np.arange(len(index), dtype=np.int32) % 2
    index = dataclasses.replace(index, tasks=(Task("parity", ("even", "odd"), parity),))
    plain = find_rate(RECIPE.with_values(batch_size=2), index, steps=20)
    both = find_rate(RECIPE.with_values(batch_size=2, teacher=TINY, tasks="all"), index, steps=20)
    assert both.points[0].loss != plain.points[0].loss
    assert all(math.isfinite(point.loss) for point in both.points)


def test_a_teacher_named_by_a_path_is_found_from_any_folder(head, monkeypatch) -> None:
    run = head
    monkeypatch.chdir(run.path.parent)

    def teacher(text: str) -> str | None:
        wish = [f"teacher={text}"]
        return recipe_from(None, wish, model=None, strategy="full", epochs=None).teacher

    assert teacher(f"./{run.path.name}") == str(run.path)
    assert teacher("file:big.pt") == f"file:{run.path.parent / 'big.pt'}"
    assert teacher(LITE0) == LITE0
    assert teacher("none") is None
