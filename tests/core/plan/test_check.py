"""One door refuses what cannot work, before a run folder is made."""

import dataclasses

import pytest

from core.data.sources.scan import scan
from core.errors import AppError, DatasetError
from core.plan.check import check
from core.recipe.recipe import Recipe, make_recipe


@pytest.fixture
def index(tmp_path, make_image_folder):
    return scan(make_image_folder(tmp_path / "shapes", per_class={"train": 3, "val": 1}))


def test_what_works_is_let_through(index) -> None:
    check(Recipe())
    check(Recipe(), index)
    check(make_recipe({"strategy": "full", "class_weights": "circle=2", "tasks": "all"}), index)
    # Of no use for a head on cached features, and no reason to refuse it.
    check(make_recipe({"class_weights": "hexagon=2"}), index)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"teacher": "run:old"}, "cannot teach feature extraction"),
        ({"strategy": "full", "class_weights": "circel=2"}, "class_weights names “circel”"),
        ({"tasks": "sex"}, "tasks names “sex”"),
        ({"tasks": "all", "task_weights": "age=2"}, "task_weights names “age”"),
    ],
)
def test_what_cannot_work_is_refused_in_words(index, values, message) -> None:
    with pytest.raises(AppError, match=message):
        check(make_recipe(values), index)


def test_a_teacher_without_steps_is_refused_without_a_dataset_too() -> None:
    with pytest.raises(AppError, match="cannot teach"):
        check(make_recipe({"teacher": "run:old"}))


def test_a_folder_that_is_gone_is_refused(index, tmp_path) -> None:
    with pytest.raises(DatasetError, match="no longer there"):
        check(Recipe(), dataclasses.replace(index, root=tmp_path / "gone"))
