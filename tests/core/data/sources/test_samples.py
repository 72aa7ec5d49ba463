"""The digits appear whole, once, and are an ordinary dataset."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.sources import samples
from core.data.sources.scan import scan
from core.system import paths
from helpers import run_python


def state_of(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_the_digits_are_a_dataset_without_problems_on_the_disk():
    folder = samples.digits()
    assert folder == paths.data_dir() / "samples" / "digits"
    index = scan(folder, verify=True)
    assert index.classes == tuple("0123456789")
    assert index.split_counts() == {"train": 1437, "val": 360}
    assert index.split_origin == "folders"
    assert not index.problems
    assert not index.duplicates
    assert not index.ignored
    assert set(index.widths) == set(index.heights) == {96}
    per_class = index.class_split_counts()
    assert np.abs(per_class[:, 1] / per_class.sum(axis=1) - 0.2).max() < 0.01


def test_a_digit_is_black_ink_on_white_paper():
    folder = samples.digits()
    with Image.open(next((folder / "train" / "0").iterdir())) as image:
        zero = np.asarray(image.convert("L"))
    assert zero[0].min() == 255, "a margin of paper"
    assert zero.min() < 60, "ink"
    assert zero[48, 48] > zero.min() + 100, "the hole of the zero"


def test_the_second_call_writes_nothing_and_imports_no_scikit_learn():
    before = state_of(samples.digits())
    program = (
        "import sys; from core.data.sources.samples import digits; print(digits()); "
        "assert 'sklearn' not in sys.modules"
    )
    assert run_python(program) == str(samples.digits())
    assert state_of(samples.digits()) == before


def test_an_interrupted_write_leaves_nothing_and_the_next_one_succeeds(monkeypatch):
    def interrupt(folder: Path) -> None:
        (folder / "train" / "0").mkdir(parents=True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(samples, "_write", interrupt)
        with pytest.raises(KeyboardInterrupt):
            samples.digits()
    assert list((paths.data_dir() / "samples").iterdir()) == []
    assert len(list(samples.digits().rglob("*.png"))) == 1797


def test_the_folder_of_another_process_that_was_first_is_taken(monkeypatch):
    target = paths.data_dir() / "samples" / "digits"

    def write(folder: Path) -> None:
        (folder / "mine").touch()
        target.mkdir()
        (target / "theirs").touch()

    monkeypatch.setattr(samples, "_write", write)
    assert samples.digits() == target
    assert [path.name for path in target.iterdir()] == ["theirs"]
    assert [path.name for path in target.parent.iterdir()] == ["digits"]


def test_what_a_killed_process_left_is_removed_after_an_hour(monkeypatch):
    parent = paths.data_dir() / "samples"
    old, young = parent / ".digits-old", parent / ".digits-young"
    for folder in (old, young):
        (folder / "train").mkdir(parents=True)
    os.utime(old, (0, 0))
    monkeypatch.setattr(samples, "_write", lambda folder: None)
    samples.digits()
    assert not old.exists()
    assert young.exists()
