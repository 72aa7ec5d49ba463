"""Edits and splits from the command line: kept, in force for a training, and taken back."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.cli.app import main
from core.data.open_dataset import journal_of, open_dataset
from core.data.splits import SplitPlan, draw, honest_sets


@pytest.fixture
def folder(tmp_path: Path, make_image_folder) -> Path:
    return make_image_folder(tmp_path / "shapes", per_class=10, splits=())


def _said(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def test_a_split_is_drawn_kept_and_taken_back(folder, capsys) -> None:
    before = open_dataset(folder).split_counts()
    assert main(["split", str(folder), "--val", "0.3", "--test", "0.1", "--json"]) == 0
    assert _said(capsys)["splits"] == {"train": 18, "val": 9, "test": 3}
    assert open_dataset(folder).split_counts() == {"train": 18, "val": 9, "test": 3}
    assert main(["edits", "list", str(folder), "--json"]) == 0
    assert [edit["kind"] for edit in _said(capsys)["edits"]] == ["split"]
    assert main(["edits", "undo", str(folder)]) == 0
    assert open_dataset(folder).split_counts() == before
    assert main(["edits", "redo", str(folder)]) == 0
    assert open_dataset(folder).split_counts()["test"] == 3
    capsys.readouterr()
    assert main(["split", str(folder), "--own", "--json"]) == 0
    assert _said(capsys)["splits"] == before


def test_what_cannot_be_drawn_leaves_no_edit(folder, capsys) -> None:
    assert main(["split", str(folder), "--val", "0.7", "--test", "0.4"]) == 1
    assert "leave nothing to train on" in capsys.readouterr().err
    assert journal_of(open_dataset(folder)).edits() == ()


def test_near_copies_are_kept_on_one_side_in_split_and_folds(folder, capsys) -> None:
    rng = np.random.default_rng(0)
    for n in range(4):  # a noisy scene, and the same a little brighter
        scene = rng.integers(0, 200, (24, 24, 3), np.uint8)
        picture = Image.fromarray(scene).resize((96, 96), Image.Resampling.BICUBIC)
        picture.save(folder / "circle" / f"scene{n}.png")
        picture.point(lambda v: min(255, v + 12)).save(folder / "circle" / f"scene{n}b.png")
    assert main(["split", str(folder), "--near-copies", "--seed", "3"]) == 0
    index = open_dataset(folder)
    at = {file: i for i, file in enumerate(index.files)}
    sets = honest_sets(index, folds=4)
    fold_of = dict(zip(sets.train.tolist(), sets.fold.tolist(), strict=True))
    for n in range(4):
        one, other = at[f"circle/scene{n}.png"], at[f"circle/scene{n}b.png"]
        assert index.splits[one] == index.splits[other]
        assert fold_of.get(one) == fold_of.get(other)


def test_a_plan_joins_its_groups_with_those_of_the_dataset(folder) -> None:
    index = open_dataset(folder)
    pair = (index.files[0], index.files[15])
    drawn = draw(index, SplitPlan(together=(pair,)))
    assert drawn.groups is not None
    assert drawn.groups[0] == drawn.groups[15] >= 0
    assert (np.delete(drawn.groups, [0, 15]) == -1).all()


def test_a_drawn_split_is_told_in_words_by_scan_and_list(folder, capsys) -> None:
    assert main(["split", str(folder), "--val", "0.3", "--test", "0.1"]) == 0
    capsys.readouterr()
    assert main(["scan", str(folder)]) == 0
    assert "Split: drawn as you asked, val 30%, test 10%, seed 0." in capsys.readouterr().out
    assert main(["edits", "list", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "val 30%, test 10%" in said
    assert "{" not in said
    assert main(["split", str(folder), "--val", "0.9", "--test", "0.9"]) == 1
    assert "val 90% and test 90% leave nothing" in capsys.readouterr().err
