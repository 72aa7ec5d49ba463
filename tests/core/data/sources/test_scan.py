"""A scan finds what a person would find in the folder, says what is wrong, and writes nothing."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.dataset import SPLITS, DatasetIndex
from core.data.sources import file_reader
from core.data.sources.scan import scan, to_json
from core.data.splits import honest_sets
from core.errors import DatasetError
from core.images import decode


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def kinds(index: DatasetIndex) -> dict[str, str]:
    return {problem.file: problem.kind for problem in index.problems}


def reason(index: DatasetIndex, file: str) -> str:
    return next(problem.reason for problem in index.problems if problem.file == file)


# Layouts


def test_class_folders_are_split_four_to_one_by_graftwork(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "shapes", splits=(), per_class=10)
    before = contents(folder)
    index = scan(folder)
    assert index.name == "shapes"
    assert index.root == folder
    assert index.classes == ("circle", "square", "triangle")
    assert index.class_counts() == {"circle": 10, "square": 10, "triangle": 10}
    assert index.split_origin == "graftwork"
    assert index.class_split_counts().tolist() == [[8, 2, 0]] * 3
    assert set(index.widths) == set(index.heights) == {64}
    assert all(index.path(i).stat().st_size == size for i, size in enumerate(index.bytes))
    assert not index.problems
    assert contents(folder) == before, "the user's folder is not touched"
    assert np.array_equal(scan(folder).splits, index.splits)


@pytest.mark.parametrize("val", ["val", "valid", "validation", "VAL", "Validation"])
@pytest.mark.parametrize("train", ["train", "Training"])
def test_the_users_own_split_is_kept(make_image_folder, tmp_path, train, val):
    folder = make_image_folder(
        tmp_path / "shapes", splits=(train, val, "Test"), per_class={train: 6, val: 2, "Test": 3}
    )
    index = scan(folder)
    assert index.split_origin == "folders"
    assert index.class_split_counts().tolist() == [[6, 2, 3]] * 3
    assert all(
        file.startswith({0: train, 1: val, 2: "Test"}[split] + "/")
        for file, split in zip(index.files, index.splits.tolist(), strict=True)
    )


@pytest.mark.parametrize("splits", [("train",), ("train", "test")])
def test_a_missing_val_is_carved_from_train_and_never_from_test(
    make_image_folder, tmp_path, splits
):
    index = scan(make_image_folder(tmp_path / "shapes", splits=splits, per_class=10))
    assert index.split_origin == "graftwork"
    test = 10 if "test" in splits else 0
    assert index.class_split_counts().tolist() == [[8, 2, test]] * 3
    assert all(index.files[i].startswith("train/") for i in index.indices("val"))


def test_classes_are_sorted_as_torchvision_sorts_them(make_image_folder, tmp_path):
    names = ("b", "a10", "a2", "B", "ä", "Z 1")
    folder = make_image_folder(tmp_path / "d", classes=names, splits=(), per_class=3)
    assert scan(folder).classes == tuple(sorted(names))


def test_folders_inside_a_class_belong_to_the_class(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "d", classes=("a", "b"), splits=(), per_class=4)
    deep = folder / "a" / "2024" / "camera 1"
    deep.mkdir(parents=True)
    (folder / "a" / "image_0003.png").rename(deep / "x.png")
    index = scan(folder)
    assert index.class_counts() == {"a": 4, "b": 4}
    assert "a/2024/camera 1/x.png" in index.files


def test_a_class_may_be_called_train(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "vehicles", classes=("train", "car"), splits=())
    assert scan(folder).classes == ("car", "train")


@pytest.mark.parametrize("dropped", ["train", "val"])
def test_a_dropped_train_folder_is_used_with_the_val_beside_it(
    make_image_folder, tmp_path, dropped
):
    folder = make_image_folder(tmp_path / "shapes")
    index = scan(folder / dropped)
    assert index.root == folder
    assert index.name == "shapes"
    assert index.split_counts() == {"train": 24, "val": 24}
    assert len(index.notes) == 1
    assert index.notes[0].startswith(f"{dropped} is a part of shapes")


def test_a_train_folder_that_stands_alone_is_named_after_its_parent(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "shapes", splits=("train",))
    index = scan(folder / "train")
    assert index.root == folder / "train"
    assert index.name == "shapes"
    assert index.split_origin == "graftwork"


def test_one_folder_wrapped_around_the_dataset_is_looked_through(make_image_folder, tmp_path):
    make_image_folder(tmp_path / "download" / "archive" / "shapes")
    (tmp_path / "download" / "readme.txt").write_text("hello")
    index = scan(tmp_path / "download")
    assert index.name == "shapes"
    assert index.split_counts() == {"train": 24, "val": 24}


def test_what_stands_beside_the_splits_is_said_to_be_unused(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "shapes")
    (folder / "annotations").mkdir()
    (folder / "annotations" / "a.xml").write_text("<a/>")
    index = scan(folder)
    assert index.classes == ("circle", "square", "triangle")
    assert index.notes == ("Beside train and val stands annotations, which is not used.",)


# What counts as a picture


def test_the_content_decides_and_not_the_extension(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "d", classes=("a", "b"), splits=(), per_class=4)
    (folder / "a" / "image_0000.png").rename(folder / "a" / "no_extension")
    (folder / "a" / "image_0001.png").rename(folder / "a" / "picture.dat")
    (folder / "a" / "fake.jpg").write_text("<html></html>")
    (folder / "a" / "notes.txt").write_text("words")
    index = scan(folder)
    assert index.class_counts() == {"a": 4, "b": 4}
    assert {"a/no_extension", "a/picture.dat"} < set(index.files)
    assert kinds(index) == {"a/fake.jpg": "unreadable"}
    assert "HTML" in reason(index, "a/fake.jpg")
    assert index.ignored == ("a/notes.txt",)


def test_hidden_and_system_files_are_left_alone(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "d", classes=("a", "b"), splits=(), per_class=4)
    picture = (folder / "a" / "image_0000.png").read_bytes()
    for name in ("._image.png", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (folder / "a" / name).write_bytes(picture)
    for name in (".ipynb_checkpoints", "__MACOSX", "@eaDir", ".git"):
        for parent in (folder, folder / "a"):
            (parent / name).mkdir()
            (parent / name / "copy.png").write_bytes(picture)
    index = scan(folder)
    assert index.classes == ("a", "b")
    assert len(index) == 8
    assert not index.problems
    assert index.ignored == ("a/.DS_Store", "a/._image.png", "a/Thumbs.db", "a/desktop.ini")


def test_verify_finds_the_pictures_that_only_begin_well(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "d", classes=("a", "b"), splits=(), suffix=".jpg")
    cut = folder / "a" / "image_0000.jpg"
    cut.write_bytes(cut.read_bytes()[:-200])
    assert len(scan(folder)) == 16
    before = contents(folder)
    index = scan(folder, verify=True)
    assert index.verified
    assert len(index) == 15
    assert kinds(index) == {"a/image_0000.jpg": "unreadable"}
    assert reason(index, "a/image_0000.jpg") == "it is cut short"
    assert contents(folder) == before


def test_sizes_are_those_of_the_upright_picture(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "d", classes=("a", "b"), splits=(), per_class=3)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40)).save(folder / "a" / "turned.jpg", exif=exif)
    index = scan(folder)
    i = index.files.index("a/turned.jpg")
    assert (index.widths[i], index.heights[i]) == (40, 60)


def test_links_are_followed_and_loops_end(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "d", classes=("a", "b"), splits=(), per_class=4)
    elsewhere = make_image_folder(tmp_path / "e", classes=("x",), splits=(), per_class=2, seed=9)
    try:
        (folder / "a" / "loop").symlink_to(folder / "a", target_is_directory=True)
        (folder / "a" / "up").symlink_to(folder, target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no symbolic links without a privilege")
    (folder / "a" / "up").unlink()
    (folder / "a" / "more").symlink_to(elsewhere / "x", target_is_directory=True)
    (folder / "a" / "linked.png").symlink_to(elsewhere / "x" / "image_0000.png")
    (folder / "b" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (folder / "b" / "itself.png").symlink_to(folder / "b" / "itself.png")
    (folder / "c").symlink_to(elsewhere / "x", target_is_directory=True)
    index = scan(folder)
    assert index.class_counts() == {"a": 7, "b": 4, "c": 2}
    assert kinds(index)["b/gone.png"] == kinds(index)["b/itself.png"] == "unreadable"
    assert "link" in reason(index, "b/gone.png")


# Problems


def test_empty_classes_are_named_and_left_out(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "d", classes=("a", "b"), splits=(), per_class=4)
    (folder / "empty").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken" / "x.jpg").write_bytes(b"")
    (folder / "words").mkdir()
    (folder / "words" / "x.txt").write_text("words")
    index = scan(folder)
    assert index.classes == ("a", "b")
    assert index.labels.max() == 1
    assert kinds(index) == {
        "empty": "empty class",
        "broken": "empty class",
        "broken/x.jpg": "unreadable",
        "words": "empty class",
    }
    assert "1 cannot" in reason(index, "broken")


def test_classes_of_one_split_only_are_named(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "d", classes=("a", "b", "c"), per_class=4)
    shutil.rmtree(folder / "train" / "c")
    shutil.rmtree(folder / "val" / "b")
    index = scan(folder)
    assert index.classes == ("a", "b")
    assert index.class_split_counts().tolist() == [[4, 4, 0], [4, 0, 0]]
    assert kinds(index) == {"val/c": "class set", "train/b": "class set"}
    assert "4 images here and none in train; left out" in reason(index, "val/c")


def test_a_class_of_one_image_is_warned_of_and_still_trains(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "d", classes=("a", "b"), splits=(), per_class=6)
    for number in range(1, 6):
        (folder / "b" / f"image_{number:04d}.png").unlink()
    index = scan(folder)
    assert kinds(index) == {"b": "few images"}
    assert index.class_split_counts()[1].tolist() == [1, 0, 0]
    assert "b/image_0000.png" in {index.files[i] for i in honest_sets(index).fit}


def test_pictures_above_the_class_folders_are_told_of(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "d", per_class=4)
    Image.new("RGB", (9, 9)).save(folder / "train" / "stray.png")
    (folder / "test").mkdir()
    Image.new("RGB", (9, 9)).save(folder / "test" / "1.png")
    Image.new("RGB", (9, 9)).save(folder / "test" / "2.png")
    index = scan(folder)
    assert kinds(index) == {"train": "no class", "test": "no class"}
    assert reason(index, "test").startswith("2 pictures in it belong to no class folder")
    assert index.split_counts() == {"train": 12, "val": 12}
    assert set(index.ignored) == {"train/stray.png", "test/1.png", "test/2.png"}


def test_copies_leaks_and_contradictions_are_named(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "d", classes=("a", "b"), per_class=6)

    def copy(source: str, target: str) -> None:
        shutil.copy(folder / source, folder / target)

    copy("train/a/train_0000.png", "train/a/copy.png")
    copy("train/a/train_0001.png", "val/a/leak.png")
    copy("train/a/train_0002.png", "train/b/other_label.png")
    index = scan(folder)
    assert {frozenset(group) for group in index.duplicates} == {
        frozenset({"train/a/train_0000.png", "train/a/copy.png"}),
        frozenset({"train/a/train_0001.png", "val/a/leak.png"}),
        frozenset({"train/a/train_0002.png", "train/b/other_label.png"}),
    }
    assert index.leaks == (("train/a/train_0001.png", "val/a/leak.png"),)
    assert kinds(index) == {
        "train/a/train_0002.png": "contradiction",
        "train/b/other_label.png": "contradiction",
    }
    assert reason(index, "train/b/other_label.png").endswith("a: train/a/train_0002.png")
    assert len(honest_sets(index).left_out) == 4


def test_a_carved_val_shares_no_copy_with_train(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "d", classes=("a", "b"), splits=(), per_class=20)
    for file in list(folder.rglob("*.png")):
        shutil.copy(file, file.with_name("copy_of_" + file.name))
    index = scan(folder)
    assert len(index.duplicates) == 40
    assert not index.leaks
    assert index.class_split_counts().tolist() == [[32, 8, 0]] * 2


def test_files_of_equal_size_are_hashed_and_no_others(make_image_folder, tmp_path, monkeypatch):
    folder = make_image_folder(tmp_path / "d", classes=("a", "b"), splits=(), per_class=4)
    sizes = [path.stat().st_size for path in folder.rglob("*.png")]
    expected = sum(sizes.count(size) for size in set(sizes) if sizes.count(size) > 1)
    hashed = []
    digest = file_reader.hashlib.file_digest
    monkeypatch.setattr(
        file_reader.hashlib, "file_digest", lambda file, how: hashed.append(1) or digest(file, how)
    )
    scan(folder)
    assert len(hashed) == expected


def test_files_and_folders_without_permission_are_named(make_image_folder, tmp_path, monkeypatch):
    folder = make_image_folder(tmp_path / "d", classes=("a", "b", "c"), splits=(), per_class=4)
    (folder / "a" / "locked").mkdir()
    real_open, real_scandir = os.open, os.scandir

    def refusing_open(path, flags, *rest, **named):
        if str(path).endswith("b/image_0001.png"):
            raise PermissionError(13, "Permission denied", path)
        return real_open(path, flags, *rest, **named)

    def refusing_scandir(path="."):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return real_scandir(path)

    monkeypatch.setattr(decode.os, "open", refusing_open)
    monkeypatch.setattr(os, "scandir", refusing_scandir)
    index = scan(folder)
    assert kinds(index) == {"a/locked": "no permission", "b/image_0001.png": "no permission"}
    assert len(index) == 11


def test_a_class_folder_that_cannot_be_looked_into_is_not_called_empty(
    make_image_folder, tmp_path, monkeypatch
):
    folder = make_image_folder(tmp_path / "d", classes=("a", "b", "locked"), splits=())
    real_scandir = os.scandir

    def refusing_scandir(path="."):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return real_scandir(path)

    monkeypatch.setattr(os, "scandir", refusing_scandir)
    said = {p.reason for p in scan(folder).problems if p.file == "locked"}
    assert said == {
        "there is no permission to read the folder",
        "the folder could not be looked into, so the class is left out",
    }


# Names, and the command line's JSON


def test_names_of_any_kind_are_read_and_what_is_no_file_is_left_out(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "d 🐜\n", classes=("ant 🐜", "bee\nbee"), per_class=3)
    odd = ["🐝" * 60 + ".png", "two\nlines.png", "n" * 251 + ".png", "naïve ‮name.PNG", "-rf.png"]
    picture = next((folder / "train" / "ant 🐜").iterdir())
    for number, name in enumerate(odd):
        # A byte more behind the end of the PNG: no two files are alike.
        (folder / "train" / "ant 🐜" / name).write_bytes(picture.read_bytes() + bytes([number]))
    (folder / "train" / "ant 🐜" / "empty.png").touch()
    if hasattr(os, "mkfifo"):  # not on Windows
        os.mkfifo(folder / "train" / "ant 🐜" / "pipe.png")
    index = scan(folder, verify=True)
    assert index.class_counts() == {"ant 🐜": 6 + len(odd), "bee\nbee": 6}
    assert {f"train/ant 🐜/{name}" for name in odd} <= set(index.files)
    reasons = {problem.file: problem.reason for problem in index.problems}
    assert reasons["train/ant 🐜/empty.png"] == "it is empty"
    assert "train/ant 🐜/pipe.png" not in index.files, "and nothing waited for its other end"


def test_the_json_has_the_keys_of_the_command_line(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "d", classes=("a", "b"), per_class=4)
    shutil.copy(folder / "train/a/train_0000.png", folder / "val/a/leak.png")
    (folder / "val" / "b" / "bad.jpg").write_bytes(b"")
    (folder / "val" / "b" / "notes.txt").write_text("words")
    document = json.loads(json.dumps(to_json(scan(folder))))
    leak = [["train/a/train_0000.png", "val/a/leak.png"]]
    expected = {
        "classes": {"a": 9, "b": 8},
        "splits": {"train": 8, "val": 9},
        "images": 17,
        "problems": [{"file": "val/b/bad.jpg", "kind": "unreadable", "reason": "it is empty"}],
        "ignored": 1,
        "ignored_files": ["val/b/notes.txt"],
        "duplicates": leak,
        "leaks": leak,
        "split_origin": "folders",
    }
    assert expected.items() <= document.items()


# Real folders


@pytest.mark.parametrize("verify", [False, True])
def test_the_messy_folder_gets_its_right_answers(shared_data, verify):
    with (shared_data / "messy_ants_bees.csv").open(encoding="utf-8", newline="") as file:
        expected = {row["file"]: row["expected"] for row in csv.DictReader(file)}
    folder = shared_data / "messy_ants_bees"
    before = contents(folder)
    index = scan(folder, verify=verify)
    assert contents(folder) == before

    def files(answer: str) -> set[str]:
        return {name for name, right in expected.items() if right == answer}

    cut = {"ants/zz_truncated.jpg", "bees/zz_truncated.jpg"}
    unreadable = {file for file, kind in kinds(index).items() if kind == "unreadable"}
    assert unreadable == (files("broken") if verify else files("broken") - cut)
    assert set(index.files) == files("ok") | files("duplicate") | (set() if verify else cut)
    assert set(index.ignored) == files("ignore")
    assert [set(group) for group in index.duplicates] == [files("duplicate") | {"ants/019.jpg"}]
    contradictions = {file for file, kind in kinds(index).items() if kind == "contradiction"}
    assert contradictions == files("duplicate") | {"ants/019.jpg"}
    assert {file for file, _ in honest_sets(index).left_out} == contradictions


def test_the_known_sets_have_their_known_counts(shared_data):
    bees = scan(shared_data / "hymenoptera")
    assert bees.split_counts() == {"train": 245, "val": 153}
    assert not bees.problems
    steel = scan(shared_data / "neu_steel")
    assert steel.split_counts() == {"train": 1440, "val": 360}
    assert steel.duplicates == (("train/patches/patches_101.jpg", "train/patches/patches_105.jpg"),)
    assert honest_sets(steel).left_out == (
        ("train/patches/patches_105.jpg", "a copy of train/patches/patches_101.jpg"),
    )


def test_random_trees_of_folders_end_in_an_index_or_one_sentence(tmp_path):
    rng = random.Random(7)
    names = ("train", "val", "Test", "a", "b", "c", ".h", "notes.txt", "x.png", "y.jpg", "z")
    buffer = tmp_path / "one.png"
    Image.new("RGB", (4, 4), (1, 2, 3)).save(buffer)
    data = buffer.read_bytes()
    for number in range(150):
        root = tmp_path / str(number)
        root.mkdir()
        for _ in range(rng.randrange(12)):
            parts = [rng.choice(names[:7]) for _ in range(rng.randrange(4))]
            folder = root.joinpath(*parts)
            folder.mkdir(parents=True, exist_ok=True)
            if rng.random() < 0.8:
                content = rng.choice((data, data + rng.randbytes(3), b"", b"words"))
                (folder / rng.choice(names[7:])).write_bytes(content)
        try:
            index = scan(root)
        except DatasetError as error:
            assert error.message.endswith(".")  # noqa: PT017
            assert error.hint  # noqa: PT017
            continue
        assert len(index.classes) >= 2
        assert set(index.labels.tolist()) == set(range(len(index.classes)))
        assert len(index.files) == len(set(index.files)) == len(index.splits)
        assert index.splits.max() < len(SPLITS)
