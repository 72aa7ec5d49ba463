"""The plan picture: what it draws at which width, and its text twin."""

from __future__ import annotations

import pytest

from core.recipe.plan import make_plan
from core.recipe.recipe import make_recipe
from gui.kit.theme import Theme
from gui.train.plan_picture import PlanPicture, fold_groups

_BLOCKS = {f"blocks.{i}": 1_000 * (i + 1) for i in range(12)}
_SIZES = {"stem": 928, **_BLOCKS, "head": 12_810}
_GROUPS = [(name, {f"{name}.weight": size}) for name, size in _SIZES.items()]


def plan(**values):
    return make_plan(make_recipe(values), _GROUPS)


@pytest.fixture
def picture(qtbot) -> PlanPicture:
    made = PlanPicture(Theme("light"))
    qtbot.addWidget(made)
    made.resize(900, made.sizeHint().height())
    made.show()
    return made


def test_without_a_plan_it_says_so(picture):
    assert picture.text == "There is no plan yet."
    assert not picture.boxes
    assert not picture.grab().isNull()


def test_the_text_twin_tells_every_group_however_many_share_a_box(picture):
    picture.show_plan(plan(strategy="partial", gradual=True), model="m", image_px=224)
    for name, _ in _GROUPS:
        assert name in picture.text
    assert "an image of 224 pixels" in picture.text
    assert "blocks.11 (12,000 parameters): trains, from epoch 4, rate 2.2e-4" in picture.text
    assert "blocks.0 (1,000 parameters): frozen" in picture.text
    assert picture.accessibleName() == "Plan"


def test_frozen_neighbours_are_folded_first_and_the_width_decides_how_many(picture):
    picture.show_plan(plan(strategy="partial"), model="m", image_px=224)
    assert len(picture.boxes) == 8
    assert [box.name for box in picture.boxes[-3:]] == ["blocks.10", "blocks.11", "head"]
    picture.resize(520, picture.height())
    assert [len(box.groups) for box in picture.boxes] == [11, 1, 1, 1]
    picture.resize(1_800, picture.height())
    assert len(picture.boxes) == len(_GROUPS)


def test_what_trains_never_shares_a_box_with_what_is_frozen():
    for most in range(1, 15):
        for box in fold_groups(plan(strategy="partial").groups, most):
            assert len({group.is_trained for group in box.groups}) == 1


def test_an_epoch_shows_what_is_open_by_then(picture):
    picture.show_plan(plan(strategy="partial", gradual=True), model="m", image_px=None, epoch=4)
    is_open = {box.name: box.is_open_in(4) for box in picture.boxes if box.is_trained}
    assert is_open == {"blocks.10": False, "blocks.11": True, "head": True}


def test_open_closed_and_later_look_different(picture):
    """The same box in three states gives three pictures, in grey too."""
    shots = []
    for values, epoch in (
        ({"strategy": "partial", "gradual": True}, 10),
        ({"strategy": "partial", "gradual": True}, 1),
        ({}, None),
    ):
        picture.show_plan(plan(**values), model="m", image_px=224, epoch=epoch)
        image = picture.grab().toImage()
        grey = image.convertToFormat(image.Format.Format_Grayscale8)
        shots.append(bytes(grey.constBits()))
    assert len(set(shots)) == 3


def test_the_summary_counts_what_trains(picture):
    picture.show_plan(plan(), model="m", image_px=224)
    assert picture.summary == "12,810 of 91,738 parameters train (14.0%)"
