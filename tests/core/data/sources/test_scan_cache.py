"""A second scan reads what is new or changed and nothing else, and says the same as the first."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from core.data.dataset import NO_LABEL, DatasetIndex
from core.data.journal import Edit, Journal
from core.data.open_dataset import open_dataset
from core.data.sources import file_reader, scan_cache
from core.data.sources import scan as scanner
from core.data.sources.scan import scan
from core.errors import Cancelled, DatasetError
from core.system import paths


@pytest.fixture
def folder(make_image_folder, tmp_path: Path) -> Path:
    folder = make_image_folder(tmp_path / "d", classes=("a", "b"), splits=(), per_class=10)
    shutil.copy(folder / "a/image_0000.png", folder / "b/copy.png")
    (folder / "a" / "broken.png").write_bytes(b"words")
    (folder / "a" / "notes.txt").write_bytes(b"words")
    return folder


@pytest.fixture
def read(monkeypatch) -> list[str]:
    """Which files are opened, by name: headers, whole pictures and hashes alike."""
    names: list[str] = []

    def noting(function, mark=""):
        def call(path, *rest):
            names.append(mark + Path(path).name)
            return function(path, *rest)

        return call

    monkeypatch.setattr(
        file_reader, "read_header_and_size", noting(file_reader.read_header_and_size)
    )
    monkeypatch.setattr(file_reader, "read_bytes", noting(file_reader.read_bytes, "whole "))
    digest = file_reader.hashlib.file_digest
    monkeypatch.setattr(
        file_reader.hashlib,
        "file_digest",
        lambda file, how: names.append("hash " + Path(file.name).name) or digest(file, how),
    )
    return names


def same(a: DatasetIndex, b: DatasetIndex) -> bool:
    arrays = ("labels", "splits", "bytes", "widths", "heights", "modified_ns")
    texts = ("classes", "files", "problems", "ignored", "duplicates", "leaks", "notes", "name")
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in arrays) and all(
        getattr(a, n) == getattr(b, n) for n in texts
    )


def test_an_unchanged_folder_is_listed_and_not_read(folder, read, monkeypatch):
    first = scan(folder)
    assert len(read) > 22
    read.clear()
    monkeypatch.setattr(scanner, "hold_out_val", None)
    assert same(scan(folder), first)
    assert read == []
    assert {p.kind for p in first.problems} == {"unreadable", "contradiction"}


def test_only_new_and_changed_files_are_read_again(folder, read):
    scan(folder)
    read.clear()
    picture = (folder / "a/image_0001.png").read_bytes()
    (folder / "b" / "new.png").write_bytes(picture + b"more")
    (folder / "b/image_0003.png").write_bytes(picture + b"other")
    (folder / "a/image_0002.png").unlink()
    index = scan(folder)
    assert sorted(name for name in read if "hash" not in name) == ["image_0003.png", "new.png"]
    assert "a/image_0002.png" not in index.files
    assert same(index, scan(folder, fresh=True))


def test_new_content_of_the_same_size_and_time_is_seen(folder):
    scan(folder)
    file = folder / "a/image_0001.png"
    before = file.stat()
    file.write_bytes(b"x" * before.st_size)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "a/image_0001.png" in {problem.file for problem in scan(folder).problems}


def test_a_second_check_of_everything_decodes_nothing(folder, read):
    assert not scan(folder).verified
    first = scan(folder, verify=True)
    assert sum(name.startswith("whole") for name in read) == 21
    read.clear()
    again = scan(folder, verify=True)
    assert read == []
    assert again.verified
    assert same(again, first)
    assert scan(folder).verified, "what is known to be sound stays known"


def test_fresh_reads_everything_again(folder, read):
    scan(folder)
    read.clear()
    scan(folder, fresh=True)
    assert len([name for name in read if "hash" not in name]) == 23


def test_what_the_system_refused_is_tried_again(folder, monkeypatch):
    real = os.open

    def refuse(path, flags, *rest, **named):
        if str(path).endswith("image_0004.png"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", refuse)
    assert len(scan(folder)) == 19
    monkeypatch.setattr(os, "open", real)
    assert len(scan(folder)) == 21


@pytest.mark.parametrize("damage", [b"", b"words", b"PK\x03\x04 half an archive"])
def test_a_damaged_cache_is_as_if_there_were_none(folder, damage):
    first = scan(folder)
    (cache,) = (paths.cache_dir() / "scans").glob("*.npz")
    cache.write_bytes(damage)
    assert same(scan(folder), first)
    whole = cache.read_bytes()
    cache.write_bytes(whole[: len(whole) // 2])
    assert same(scan(folder), first)


def test_a_cache_of_another_version_is_not_used(folder, read, monkeypatch):
    scan(folder)
    read.clear()
    monkeypatch.setattr(scan_cache, "_signature", lambda: "another")
    scan(folder)
    assert len(read) > 22


def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(folder):
    paths.cache_dir().joinpath("scans").write_text("a file where the folder should be")
    assert same(scan(folder), scan(folder))


def test_a_cancelled_scan_goes_on_where_it_was(make_image_folder, tmp_path, read):
    folder = make_image_folder(tmp_path / "d", per_class=150, size_px=8)

    with pytest.raises(Cancelled):
        scan(folder, should_stop=lambda: len(read) > 300)
    (cache,) = (paths.cache_dir() / "scans").glob("*.npz")
    assert not list(cache.parent.glob(".*")), "nothing half-written is left"
    done = len(read)
    read.clear()
    scan(folder)
    # Files that were being read when it stopped may be read twice.
    assert len([name for name in read if "hash" not in name]) <= 900 - done + 16


def test_names_of_all_kinds_are_kept(tmp_path, read):
    picture = b"P6 2 2 255\n" + bytes(12)
    names = [b"\xf0\x9f\x90\xb1.ppm", b"two\nlines.ppm", b"\xff\xfe.ppm", b"x" * 250 + b".ppm"]
    try:
        for folder in (b"a", b"b\xff"):
            inside = tmp_path / "d" / os.fsdecode(folder)
            inside.mkdir(parents=True)
            for number, name in enumerate(names):
                data = picture[:-2] + folder[:1] + bytes([number])
                (inside / os.fsdecode(name)).write_bytes(data)
    except (OSError, UnicodeError):
        pytest.skip("this file system takes no such names")
    first = scan(tmp_path / "d")
    assert len(first) == 8
    read.clear()
    assert same(scan(tmp_path / "d"), first)
    assert read == []


# Pictures without a label


def flat(folder: Path, count: int = 8) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number}.ppm").write_bytes(b"P6 2 2 255\n" + bytes([number] * 12))
    return folder


@pytest.mark.parametrize("inside", ["", "images", "train", "a/b"])
def test_a_flat_folder_opens_without_labels_where_that_is_allowed(tmp_path, inside):
    flat(tmp_path / "photos" / inside)
    index = scan(tmp_path / "photos", allow_unlabelled=True)
    if inside == "a/b":
        assert index.classes == ("a",), "a folder's name may be a class's"
        return
    assert index.classes == ()
    assert (index.labels == NO_LABEL).all()
    assert index.split_counts() == {}
    assert index.class_split_counts().shape == (0, 3)
    with pytest.raises(DatasetError, match="has 8 pictures but no class folders"):
        open_dataset(tmp_path / "photos")


def test_a_labelled_flat_folder_trains(tmp_path):
    folder = flat(tmp_path / "photos")
    journal = Journal(folder)
    journal.add(Edit("relabel", tuple([f"{n}.ppm" for n in range(4)]), "cat"))
    with pytest.raises(DatasetError):
        open_dataset(folder)
    journal.add(Edit("relabel", tuple([f"{n}.ppm" for n in range(4, 7)]), "dog"))
    index = open_dataset(folder)
    assert index.class_counts() == {"cat": 4, "dog": 3}
    assert index.split_counts()["val"] > 0
    assert len(index.unlabelled) == 1


def test_pictures_beside_the_class_folders_can_be_labelled(folder):
    flat(folder / "test")
    (folder / "stray.ppm").write_bytes(b"P6 2 2 255\n" + b"z" * 12)
    (folder / "test").rename(folder.parent / "elsewhere")
    assert "stray.ppm" in scan(folder).ignored
    index = scan(folder, allow_unlabelled=True)
    assert [index.files[i] for i in index.unlabelled] == ["stray.ppm"]
    assert "1 picture beside the class folders has no label yet." in index.notes
    Journal(folder).add(Edit("relabel", ("stray.ppm",), "a"))
    edited = open_dataset(folder)
    assert edited.split_of(edited.files.index("stray.ppm")) == "train"


# Several folders


def test_several_folders_are_one_dataset(make_image_folder, tmp_path):
    one = make_image_folder(tmp_path / "one", classes=("a", "b"), per_class=4)
    two = make_image_folder(tmp_path / "two", classes=("b", "c"), splits=(), per_class=5, seed=3)
    index = scan([one, two, one / "train", two])
    assert index.root == tmp_path
    assert index.sources == (one, two)
    assert index.name == "one + two"
    assert index.class_counts() == {"a": 8, "b": 13, "c": 5}
    assert index.split_counts() == {"train": 18, "val": 8}
    notes = " ".join(index.notes)
    assert "“two” has no split of its own: all of it trains." in notes
    assert "“train” lies inside another of the folders and counts once." in notes
    assert scan(index.opened).files == index.files


def test_class_folders_dropped_together_are_the_classes(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "d", classes=("a", "b", "c"), splits=())
    index = scan([folder / "a", folder / "c"])
    assert index.classes == ("a", "c")
    assert index.root == folder


def test_train_and_val_dropped_together_are_their_dataset(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "d")
    index = scan([folder / "train", folder / "val"])
    assert index.root == folder
    assert index.sources == ()
    assert index.split_origin == "folders"
