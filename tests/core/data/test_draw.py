"""Drawing splits: shares, groups, folds; and the splits that edits ask for."""

from pathlib import Path

import numpy as np
import pytest

from core.data.dataset import NO_GROUP, NO_LABEL, NO_SPLIT, DatasetIndex
from core.data.edits import apply
from core.data.journal import Edit
from core.data.splits import SplitPlan, draw, draw_folds, honest_sets
from core.errors import DatasetError


def _index(
    labels: list[int], *, groups: list[int] | None = None, splits: list[int] | None = None
) -> DatasetIndex:
    n = len(labels)
    return DatasetIndex(
        root=Path("/nowhere"), classes=tuple("abcdef"[: max(labels) + 1]),
        files=tuple(f"{i:04d}.png" for i in range(n)), labels=np.array(labels, np.int32),
        splits=np.array(splits or [0] * n, np.uint8), bytes=np.ones(n, np.int64),
        widths=np.ones(n, np.int32), heights=np.ones(n, np.int32), split_origin="folders",
        groups=None if groups is None else np.array(groups, np.int32), name="set",
    )  # fmt: skip


def _sides(index: DatasetIndex, groups: np.ndarray) -> list[int]:
    """How many splits each group stands in."""
    return [len(set(index.splits[groups == g].tolist())) for g in np.unique(groups[groups >= 0])]


def test_shares_hold_for_every_class() -> None:
    index = draw(_index([0] * 100 + [1] * 50), SplitPlan(val=0.2, test=0.1, seed=3))
    assert index.class_split_counts().tolist() == [[70, 20, 10], [35, 10, 5]]
    assert index.split_origin == "graftwork"


def test_a_group_is_never_on_two_sides_and_shares_hold_roughly() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 60, 600)
    index = _index((np.arange(600) % 3).tolist(), groups=groups.tolist())
    drawn = draw(index, SplitPlan())
    assert set(_sides(drawn, groups)) == {1}
    assert drawn.split_counts()["val"] == pytest.approx(120, abs=40)
    sets = honest_sets(drawn)
    fold_of = {int(g): set() for g in np.unique(groups)}
    for position, fold in zip(sets.train, sets.fold, strict=True):
        fold_of[int(groups[position])].add(int(fold))
    assert max(len(folds) for folds in fold_of.values()) == 1


def test_images_without_a_group_go_by_themselves() -> None:
    groups = [NO_GROUP] * 40 + [7] * 10
    drawn = draw(_index([0, 1] * 25, groups=groups), SplitPlan())
    assert set(_sides(drawn, np.array(groups))) == {1}
    assert len(set(drawn.splits[:40].tolist())) == 2


def test_every_image_is_in_val_once_over_the_folds() -> None:
    index = _index([0] * 30 + [1] * 20)
    times = sum((fold.splits == 1).astype(int) for fold in draw_folds(index, folds=5))
    assert times.tolist() == [1] * 50
    for fold in draw_folds(index, folds=5):
        assert fold.class_split_counts()[:, 1].tolist() == [6, 4]


def test_the_same_plan_draws_the_same_and_another_seed_another() -> None:
    index = _index([0, 1] * 100)
    first, again, other = (draw(index, SplitPlan(test=0.1, seed=s)) for s in (1, 1, 2))
    assert (first.splits == again.splits).all()
    assert (first.splits != other.splits).any()


def test_a_test_of_the_users_own_is_not_drawn_from() -> None:
    index = _index([0, 1] * 10, splits=[2, 2] + [0] * 18)
    assert (draw(index, SplitPlan()).splits == 2).tolist() == [True, True] + [False] * 18
    with pytest.raises(DatasetError, match="test of its own"):
        draw(index, SplitPlan(test=0.1))


@pytest.mark.parametrize("plan", [
    {"val": 0.0}, {"val": 0.6, "test": 0.4}, {"folds": 1}, {"folds": 5, "fold": 5},
])  # fmt: skip
def test_a_plan_that_cannot_be_is_refused(plan: dict) -> None:
    with pytest.raises(DatasetError):
        SplitPlan(**plan)


def _edit(kind: str, files: tuple[str, ...] = (), value: str = "") -> Edit:
    return Edit(kind, files, value)  # type: ignore[arg-type]


def test_an_edit_draws_the_split_and_an_empty_one_gives_the_users_back() -> None:
    index = _index([0, 1] * 20, splits=[0, 0, 1, 1] * 10)
    drawn = apply(index, [_edit("split", value=SplitPlan(val=0.25, test=0.25).to_json())])
    assert drawn.split_counts() == {"train": 20, "val": 10, "test": 10}
    moved = apply(
        index, [_edit("split", value=SplitPlan().to_json()), _edit("move", ("0000.png",), "test")]
    )
    assert moved.split_of(0) == "test"
    back = apply(index, [_edit("split", value=SplitPlan().to_json()), _edit("split")])
    assert back.splits.tolist() == index.splits.tolist()
    assert back.split_origin == "folders"


def test_a_later_edit_moves_no_other_picture_of_a_drawn_split() -> None:
    index = _index([0, 1] * 40)
    plan = _edit("split", value=SplitPlan(val=0.25, test=0.25, seed=3).to_json())
    before = dict(zip(index.files, apply(index, [plan]).splits.tolist(), strict=True))
    later = [plan, _edit("relabel", ("0000.png", "0004.png"), "b"), _edit("exclude", ("0007.png",))]
    edited = apply(index, later)
    assert dict(zip(edited.files, edited.splits.tolist(), strict=True)) == {
        file: split for file, split in before.items() if file != "0007.png"
    }
    restored = apply(index, [*later, _edit("restore", ("0007.png",))])
    assert restored.splits.tolist() == list(before.values())


def test_labels_by_hand_make_a_dataset_of_a_flat_folder() -> None:
    index = _index([0] * 20)
    flat = DatasetIndex(**{
        **{f: getattr(index, f) for f in index.__dataclass_fields__},
        "classes": (), "labels": np.full(20, NO_LABEL, np.int32),
        "splits": np.full(20, NO_SPLIT, np.uint8),
    })  # fmt: skip
    cats, dogs = index.files[:8], index.files[8:16]
    edited = apply(flat, [_edit("relabel", cats, "cat"), _edit("relabel", dogs, "dog")])
    assert edited.class_counts() == {"cat": 8, "dog": 8}
    assert edited.unlabelled.tolist() == [16, 17, 18, 19]
    assert edited.class_of(16) == edited.split_of(16) == ""
    assert edited.split_counts()["val"] >= 2
    sets = honest_sets(edited)
    assert not set(sets.train) & {16, 17, 18, 19}
    with pytest.raises(DatasetError, match="two classes"):
        honest_sets(apply(flat, [_edit("relabel", cats, "cat")]))


def test_what_is_excluded_is_told_and_a_class_is_renamed_for_display_only() -> None:
    index = _index([0, 0, 1, 1])
    edited = apply(index, [_edit("exclude", ("0000.png",)), _edit("rename", ("b",), "Biene")])
    assert edited.excluded == ("0000.png",)
    assert edited.classes == ("a", "Biene")
    assert edited.keys == ("a", "b")
    assert edited.scanned is index
    again = apply(edited, [])
    assert again is index
