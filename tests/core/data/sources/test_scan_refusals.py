"""A folder that nothing can be trained on is refused in one sentence that says what to do."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from core.data.sources.scan import picture_files, scan
from core.errors import DatasetError


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: None, "There is no folder"),
        (lambda d: d.write_text("x"), "“photos” is a file, not a folder"),
        (lambda d: d.mkdir(), "The folder “photos” is empty."),
        (lambda d: pictures(d, "1.png", "2.png"), "“photos” has 2 pictures but no class folders."),
        (
            lambda d: pictures(d, "train/1.png"),
            "“photos/train” has 1 picture but no class folders.",
        ),
        (lambda d: pictures(d, "val/a/1.png", "test/a/1.png"), "has val and test but no folder"),
        (
            lambda d: pictures(d, "ants/1.png", "ants/2.png"),
            "only one class with pictures (“ants”)",
        ),
        (lambda d: pictures(d, "train/a/1.png", "val/a/2.png", "val/b/3.png"), "only one class"),
        (
            lambda d: words(d, "a/1.txt", "b/2.txt"),
            "The class folders in “photos” hold no pictures.",
        ),
        (lambda d: words(d, "readme.txt"), "“photos” has no class folders and no pictures."),
        (
            lambda d: words(d, "a/1.jpg", "b/2.jpg"),
            "None of the 2 pictures in “photos” can be read",
        ),
    ],
)
def test_a_folder_nothing_can_be_trained_on_is_refused(tmp_path, make, message):
    make(tmp_path / "photos")
    with pytest.raises(DatasetError) as caught:
        scan(tmp_path / "photos")
    assert message in caught.value.message
    assert caught.value.hint
    assert caught.value.message.endswith(".")


def pictures(folder: Path, *files: str) -> None:
    for number, file in enumerate(files):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 9, 9)).save(folder / file)


def words(folder: Path, *files: str) -> None:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(file)


def test_a_folder_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()

    def refuse(path="."):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DatasetError, match="no permission to read"):
        scan(tmp_path / "photos")


def test_a_folder_that_vanishes_in_the_scan_is_an_error(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "stick", per_class=20)

    def pull_out(done: int, total: int, note: str) -> None:
        if total:
            shutil.rmtree(folder, ignore_errors=True)

    with pytest.raises(DatasetError, match="vanished while it was read"):
        scan(folder, on_progress=pull_out)


def test_the_pictures_of_any_folder_are_listed_for_classifying(tmp_path):
    pictures(tmp_path, "2.png", "1.png", "deep/er/3.png", ".hidden/4.png")
    (tmp_path / "1.png").rename(tmp_path / "no_extension")
    words(tmp_path, "notes.txt", "broken.jpg")
    found = [path.relative_to(tmp_path).as_posix() for path in picture_files(tmp_path)]
    assert found == ["2.png", "broken.jpg", "no_extension", "deep/er/3.png"]
    with pytest.raises(DatasetError, match="There is no folder"):
        picture_files(tmp_path / "nowhere")
