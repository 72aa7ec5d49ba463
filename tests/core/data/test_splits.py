"""The three sets share no picture, hold every class, and are the same for the same seed."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from core.data.dataset import SPLITS, DatasetIndex
from core.data.splits import hold_out_val, honest_sets, stratified_folds
from core.errors import DatasetError


def index_of(counts: dict[str, dict[str, int]], *, origin="folders", duplicates=()) -> DatasetIndex:
    """An index from {split: {class: count}}; files are named split/class/number."""
    classes = tuple(sorted({name for split in counts.values() for name in split}))
    rows = [
        (f"{split}/{name}/{number}", classes.index(name), SPLITS.index(split))
        for split, per_class in counts.items()
        for name, count in per_class.items()
        for number in range(count)
    ]
    size = np.ones(len(rows), np.int32)
    return DatasetIndex(
        root=Path("dataset"),
        classes=classes,
        files=tuple(row[0] for row in rows),
        labels=np.array([row[1] for row in rows], np.int32),
        splits=np.array([row[2] for row in rows], np.uint8),
        bytes=size.astype(np.int64),
        widths=size,
        heights=size,
        split_origin=origin,
        duplicates=tuple(duplicates),
        name="dataset",
    )


def files(index: DatasetIndex, positions) -> set[str]:
    return {index.files[i] for i in positions}


def test_the_sets_are_disjoint_and_complete():
    index = index_of({"train": {"a": 50, "b": 30, "c": 7}, "val": {"a": 9, "b": 9, "c": 2}})
    sets = honest_sets(index)
    assert sets.train.dtype == sets.fold.dtype == sets.report.dtype == np.int64
    assert sets.folds == 5
    parts = [files(index, part) for part in (sets.selection, sets.fit, sets.report)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(index)
    assert files(index, sets.train) == parts[0] | parts[1]
    assert sets.report_split == "val"
    assert not sets.left_out


def test_every_fold_holds_every_class_in_its_share():
    index = index_of({"train": {"a": 500, "b": 100, "c": 5}, "val": {"a": 1, "b": 1, "c": 1}})
    sets = honest_sets(index)
    labels = index.labels[sets.train]
    for fold in range(5):
        counts = np.bincount(labels[sets.fold == fold], minlength=3)
        assert counts.tolist() == [100, 20, 1]


def test_the_same_seed_gives_the_same_sets_and_another_seed_others():
    index = index_of({"train": {"a": 40, "b": 40, "c": 3}, "val": {"a": 1, "b": 1}})
    first, again, other = honest_sets(index), honest_sets(index), honest_sets(index, seed=1)
    assert np.array_equal(first.fold, again.fold)
    assert not np.array_equal(first.fold, other.fold)


def test_test_images_are_in_no_set():
    index = index_of({"train": {"a": 9, "b": 9}, "val": {"a": 3, "b": 3}, "test": {"a": 4, "b": 4}})
    sets = honest_sets(index)
    used = files(index, sets.train) | files(index, sets.report)
    assert not any(file.startswith("test/") for file in used)
    assert len(used) == 24


def test_a_rare_class_shrinks_no_fold_and_keeps_an_image_on_both_sides():
    index = index_of({"train": {"a": 100, "two": 2, "one": 1}, "val": {"a": 5}})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sets = honest_sets(index)
    assert sets.folds == 5
    assert len(sets.selection) == 21
    chosen, fitted = files(index, sets.selection), files(index, sets.fit)
    assert len([file for file in chosen if "/two/" in file]) == 1
    assert len([file for file in fitted if "/two/" in file]) == 1
    assert "train/one/0" in fitted, "an only image trains"


def test_there_are_fewer_folds_where_every_class_is_small():
    index = index_of({"train": {"a": 3, "b": 2}, "val": {"a": 1, "b": 1}})
    sets = honest_sets(index)
    assert sets.folds == 3
    assert len(sets.selection) == 2


def test_copies_of_val_and_test_do_not_train_and_the_val_stays_as_it_is():
    index = index_of(
        {"train": {"a": 9, "b": 9}, "val": {"a": 3, "b": 3}, "test": {"a": 3, "b": 3}},
        duplicates=[
            ("train/a/0", "train/a/1", "val/a/0"),
            ("train/b/3", "test/b/0"),
            ("val/b/0", "val/b/1"),
        ],
    )
    sets = honest_sets(index)
    assert files(index, sets.report) == {f"val/{c}/{i}" for c in "ab" for i in range(3)}
    assert dict(sets.left_out) == {
        "train/a/0": "the same picture is in val: val/a/0",
        "train/a/1": "the same picture is in val: val/a/0",
        "train/b/3": "the same picture is in test: test/b/0",
    }
    assert not files(index, sets.train) & dict(sets.left_out).keys()


def test_of_copies_in_training_one_trains_and_of_contradictions_none():
    index = index_of(
        {"train": {"a": 9, "b": 9}, "val": {"a": 3, "b": 3}},
        duplicates=[("train/a/0", "train/a/1", "train/a/2"), ("train/a/5", "train/b/5")],
    )
    sets = honest_sets(index)
    assert dict(sets.left_out) == {
        "train/a/1": "a copy of train/a/0",
        "train/a/2": "a copy of train/a/0",
        "train/a/5": "the same picture has another label as train/b/5",
        "train/b/5": "the same picture has another label as train/a/5",
    }
    assert len(sets.train) == 14


def test_a_carved_val_counts_a_copied_picture_once():
    index = index_of(
        {"train": {"a": 9, "b": 9}, "val": {"a": 3, "b": 3}},
        origin="graftwork",
        duplicates=[("val/b/0", "val/b/1")],
    )
    sets = honest_sets(index)
    assert files(index, sets.report) == {"val/a/0", "val/a/1", "val/a/2", "val/b/0", "val/b/2"}
    assert dict(sets.left_out) == {"val/b/1": "a copy of val/b/0"}


def test_a_class_without_a_training_image_is_an_error_that_names_it():
    index = index_of(
        {"train": {"a": 9, "b": 1}, "val": {"a": 3, "b": 1}},
        duplicates=[("train/b/0", "val/b/0")],
    )
    with pytest.raises(DatasetError, match=r"class “b” has no image left to train on once copies"):
        honest_sets(index)


def test_one_training_image_per_class_is_an_error():
    index = index_of({"train": {"a": 1, "b": 1}, "val": {"a": 3, "b": 3}})
    with pytest.raises(DatasetError, match=r"“dataset” has one training image per class"):
        honest_sets(index)


def test_nothing_to_report_on_is_an_error():
    index = index_of({"train": {"a": 2, "b": 2}}, origin="graftwork")
    with pytest.raises(DatasetError, match=r"too few images to keep some"):
        honest_sets(index)


def test_a_val_is_carved_from_every_class_of_three_or_more():
    labels = np.repeat(np.arange(5, dtype=np.int32), [100, 10, 4, 3, 2])
    val = hold_out_val(labels, [])
    assert np.bincount(labels[val], minlength=5).tolist() == [20, 2, 1, 1, 0]
    assert np.array_equal(val, hold_out_val(labels, []))


def test_copies_go_to_one_side_and_contradictions_stay_in_train():
    labels = np.repeat(np.arange(2, dtype=np.int32), 50)
    copies = [np.array([i, i + 1, i + 2]) for i in range(0, 30, 3)] + [np.array([40, 90])]
    for seed in range(5):
        val = hold_out_val(labels, copies, seed=seed)
        assert all(len(set(val[group].tolist())) == 1 for group in copies)
        assert not val[[40, 90]].any()
        assert 12 <= val.sum() <= 36


def test_a_hundred_thousand_images_of_a_thousand_classes_are_split_evenly():
    labels = np.random.default_rng(0).integers(0, 1000, 100_000).astype(np.int32)
    fold = stratified_folds(labels, folds=5, seed=0, fewest=2)
    assert np.bincount(fold).min() > 19_000
