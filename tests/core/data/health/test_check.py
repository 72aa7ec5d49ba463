"""The health of a dataset: what is found, what is read for it, and what is kept."""

import os
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from core.data.health import measure
from core.data.health.check import HealthReport, check_health
from core.data.health.findings import IndexFeatures, open_findings
from core.data.journal import Edit
from core.data.sources.scan import scan
from core.errors import Cancelled
from core.system import paths
from helpers import WAIT_S


def look(index, *, on_progress=lambda *_: None, should_stop=lambda: False, **more) -> HealthReport:
    return check_health(index, on_progress=on_progress, should_stop=should_stop, **more)


def blobs(rng: np.random.Generator, size: int = 96) -> Image.Image:
    small = Image.fromarray(rng.integers(40, 215, (12, 12, 3), dtype=np.uint8))
    return small.resize((size, size))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of eight pictures each, in train and val, all sound."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 4)):
        for name in ("ants", "bees"):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(count):
                blobs(rng).save(tmp_path / split / name / f"{i}.png")
    return tmp_path


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """The names of the files that health decodes."""
    names: list[str] = []
    read = measure.read_image

    def count(path, **more):
        names.append(Path(path).name)
        return read(path, **more)

    monkeypatch.setattr(measure, "read_image", count)
    return names


def by_kind(report: HealthReport) -> dict[str, list[tuple[str, ...]]]:
    return {
        kind: [finding.files for finding in report.findings if finding.kind == kind]
        for kind in report.counts()
    }


def test_a_sound_dataset_has_no_findings(folder):
    assert by_kind(look(scan(folder))) == {}


def test_a_second_look_reads_only_what_changed(folder, decoded):
    first = look(scan(folder))
    assert (first.read, len(decoded)) == (24, 24)
    decoded.clear()
    second = look(scan(folder))
    assert (second.read, decoded) == (0, [])
    assert second.findings == first.findings
    blobs(np.random.default_rng(9)).save(folder / "train" / "ants" / "3.png")
    blobs(np.random.default_rng(8)).save(folder / "train" / "ants" / "new.png")
    assert look(scan(folder)).read == 2
    assert sorted(decoded) == ["3.png", "new.png"]


def test_what_was_measured_before_a_stop_is_not_measured_again(folder, decoded):
    index = scan(folder)
    asked = []

    def stop() -> bool:
        asked.append(len(decoded))
        return len(decoded) >= 10

    with pytest.raises(Cancelled):
        look(index, should_stop=stop)
    with sqlite3.connect(paths.cache_dir() / "health-2.sqlite") as db:
        (kept,) = db.execute("SELECT count(*) FROM measures").fetchone()
    assert kept >= 10 - 4  # those at work when it stopped may be lost
    decoded.clear()
    assert look(index).read <= 24 - kept
    assert len(decoded) <= 24 - kept


def test_measures_are_written_in_portions_so_that_a_kill_loses_few(folder, monkeypatch):
    monkeypatch.setattr(measure, "_PORTION", 1)
    in_store, is_written = [], threading.Event()

    def on_progress(done: int, total: int, note: str) -> None:
        if note == "Measuring pictures" and total == 24:
            with sqlite3.connect(paths.cache_dir() / "health-2.sqlite") as db:
                in_store.append(db.execute("SELECT count(*) FROM measures").fetchone()[0])
            if in_store[-1]:
                is_written.set()

    def read_last_after_the_first_are_written(path, **more):
        if Path(path).parent.parent.name == "val":
            assert is_written.wait(WAIT_S)
        return read(path, **more)

    read = measure.read_image
    monkeypatch.setattr(measure, "read_image", read_last_after_the_first_are_written)
    look(scan(folder), on_progress=on_progress)
    assert any(0 < count < 24 for count in in_store)


def test_a_store_that_cannot_be_written_costs_time_only(folder):
    (paths.cache_dir() / "health-2.sqlite").mkdir()
    index = scan(folder)
    report = look(index)
    assert report.read == 24
    assert "could not be kept" in report.notes[0]
    assert look(index).read == 24


def test_a_damaged_store_costs_time_only(folder):
    (paths.cache_dir() / "health-2.sqlite").write_bytes(b"not a database at all" * 100)
    report = look(scan(folder))
    assert report.read == 24
    assert "could not be kept" in report.notes[0]


def test_a_file_that_vanished_since_the_scan_is_named(folder):
    index = scan(folder)
    (folder / "val" / "bees" / "2.png").unlink()
    report = look(index)
    (finding,) = report.findings
    assert (finding.kind, finding.files) == ("unreadable", ("val/bees/2.png",))
    assert "no such file" in finding.why


def test_a_folder_that_vanished_is_one_note_and_not_a_finding_for_each_file(folder):
    index = scan(folder)
    folder.rename(folder.with_name("elsewhere"))
    report = look(index)
    assert "vanished" in report.notes[0]
    assert report.findings == ()


def test_a_picture_that_breaks_off_is_named_and_not_read_again(folder, decoded):
    whole = (folder / "train" / "ants" / "1.png").read_bytes()
    (folder / "train" / "ants" / "1.png").write_bytes(whole[: len(whole) // 2])
    index = scan(folder)  # headers only
    assert by_kind(look(index)) == {"unreadable": [("train/ants/1.png",)]}
    decoded.clear()
    assert by_kind(look(index)) == {"unreadable": [("train/ants/1.png",)]}
    assert decoded == []


def test_what_the_scan_could_not_read_is_a_finding_without_a_position(folder):
    (folder / "train" / "ants" / "zz.jpg").write_bytes(b"")
    (finding,) = look(scan(folder)).findings
    assert (finding.kind, finding.pictures, finding.edit.kind) == ("unreadable", (), "exclude")


def test_a_near_copy_in_val_is_a_leak_that_moves_the_training_picture(folder):
    with Image.open(folder / "train" / "ants" / "0.png") as picture:
        picture.rotate(90).save(folder / "val" / "ants" / "turned.jpg", quality=85)
    (finding,) = look(scan(folder)).findings
    assert finding.kind == "leak"
    assert set(finding.files) == {"train/ants/0.png", "val/ants/turned.jpg"}
    assert finding.edit == Edit("move", ("train/ants/0.png",), "val")
    assert "turned by a quarter" in finding.why


def test_of_copies_in_one_split_the_first_stays(folder):
    whole = (folder / "train" / "bees" / "0.png").read_bytes()
    (folder / "train" / "bees" / "copy.png").write_bytes(whole)
    with Image.open(folder / "train" / "bees" / "1.png") as picture:
        picture.resize((70, 70)).save(folder / "train" / "bees" / "small.jpg")
    findings = {finding.kind: finding for finding in look(scan(folder)).findings}
    assert findings["exact duplicates"].edit.files == ("train/bees/copy.png",)
    assert findings["near duplicates"].edit.files == ("train/bees/small.jpg",)


def test_the_same_picture_under_two_labels_follows_the_majority_or_goes(folder):
    whole = (folder / "train" / "bees" / "0.png").read_bytes()
    (folder / "train" / "ants" / "copy.png").write_bytes(whole)
    (finding,) = look(scan(folder)).findings
    assert (finding.kind, finding.edit.kind) == ("two labels", "exclude")
    assert set(finding.edit.files) == {"train/ants/copy.png", "train/bees/0.png"}
    (folder / "train" / "bees" / "copy.png").write_bytes(whole)
    (finding,) = look(scan(folder)).findings
    assert (finding.edit.kind, finding.edit.files) == ("relabel", ("train/ants/copy.png",))
    assert finding.edit.value == "bees"


def test_bad_pictures_are_told_with_their_numbers(folder):
    rng = np.random.default_rng(5)
    ants = folder / "train" / "ants"
    Image.new("RGB", (96, 96), (99, 99, 99)).save(ants / "flat.png")
    blobs(rng).point(lambda v: max(0, v - 110) // 2).save(ants / "dark.png")
    blobs(rng).point(lambda v: 222 + v // 7).save(ants / "bright.png")
    blobs(rng).filter(ImageFilter.GaussianBlur(9)).save(ants / "blurred.png")
    blobs(rng, 20).save(ants / "tiny.png")
    blobs(rng, 400).resize((400, 60)).save(ants / "narrow.png")
    report = look(scan(folder))
    found = {kind: {Path(f).name for files in group for f in files} for kind, group in
             by_kind(report).items()}  # fmt: skip
    assert found == {
        "flat": {"flat.png"}, "dark": {"dark.png"}, "bright": {"bright.png"},
        "blurred": {"blurred.png"}, "tiny": {"tiny.png"}, "odd aspect": {"narrow.png"},
    }  # fmt: skip
    whys = " ".join(finding.why for finding in report.findings)
    assert "20 pixels" in whys
    assert "6.7 times as wide" in whys


def test_a_class_that_is_bright_by_nature_is_no_finding(folder):
    rng = np.random.default_rng(5)
    (folder / "train" / "snow").mkdir()
    for i in range(12):
        blobs(rng).point(lambda v: 222 + v // 7).save(folder / "train" / "snow" / f"{i}.png")
    assert "bright" not in look(scan(folder)).counts()


def test_classes_of_very_different_size_are_told(tmp_path):
    rng = np.random.default_rng(0)
    for name, count in (("many", 33), ("few", 3)):
        (tmp_path / name).mkdir()
        for i in range(count):
            blobs(rng, 40).save(tmp_path / name / f"{i}.png")
    (finding,) = look(scan(tmp_path)).findings
    assert finding.kind == "imbalance"
    assert finding.files == ("few/0.png", "few/1.png", "few/2.png")
    assert "11 times as many" in finding.why


def edit(kind, files, value="") -> Edit:
    return Edit(kind, tuple(files), value)


def test_a_finding_that_was_kept_or_answered_is_left_out(folder):
    Image.new("RGB", (96, 96), (99, 99, 99)).save(folder / "train" / "ants" / "flat.png")
    findings = look(scan(folder)).findings
    (finding,) = findings
    keep = edit("keep", finding.files, "flat")
    exclude, restore = edit("exclude", finding.files), edit("restore", finding.files)
    assert open_findings(findings, [keep]) == ()
    assert open_findings(findings, [edit("keep", finding.files, "dark")]) == findings
    assert open_findings(findings, [exclude]) == ()
    assert open_findings(findings, [exclude, restore]) == findings


def test_the_key_of_a_finding_stays_when_other_files_come(folder):
    Image.new("RGB", (96, 96), (99, 99, 99)).save(folder / "train" / "bees" / "flat.png")
    (before,) = look(scan(folder)).findings
    blobs(np.random.default_rng(7)).save(folder / "train" / "ants" / "0a.png")
    (after,) = look(scan(folder)).findings
    assert before.pictures != after.pictures
    assert before.key == after.key
    assert replace(before, kind="dark").key != before.key


@pytest.fixture
def features_of():
    """Features by which classes are told apart: float32 [N, 16]."""

    def make(index, truth: list[int]) -> IndexFeatures:
        rng = np.random.default_rng(0)
        centres = np.repeat(np.eye(2), 8, 1) * 5 + 1
        vectors = centres[truth] + rng.normal(0, 0.5, (len(truth), 16))
        return IndexFeatures(vectors.astype(np.float32), np.ones(len(index), bool), "test/model")

    return make


def test_a_wrong_label_and_a_stray_are_found_by_features(tmp_path, features_of):
    rng = np.random.default_rng(0)
    for name in ("ants", "bees"):
        (tmp_path / name).mkdir()
        for i in range(30):
            blobs(rng, 40).save(tmp_path / name / f"{i:02}.png")
    index = scan(tmp_path)
    truth = [1 if file == "ants/07.png" else int(index.labels[i])
             for i, file in enumerate(index.files)]  # fmt: skip
    features = features_of(index, truth)
    stray = index.files.index("bees/11.png")
    features.vectors[stray] = features.vectors[stray] + np.array([9, -9] * 8)
    report = look(index, features=features)
    found = {finding.kind: finding for finding in report.findings}
    assert found["label error"].files == ("ants/07.png",)
    assert (found["label error"].edit.kind, found["label error"].edit.value) == ("relabel", "bees")
    assert "unlike its class" in found
    assert found["unlike its class"].files == ("bees/11.png",)
    assert any("test/model" in method for method in report.methods)


def test_the_messy_folder_has_its_known_faults(shared_data):
    found = by_kind(look(scan(shared_data / "messy_ants_bees", verify=True)))
    assert len(found["unreadable"]) == 8
    assert found["two labels"] == [
        ("ants/019.jpg", "ants/zz_copy_of_019.jpg", "bees/zz_same_as_ants_019.jpg")
    ]
    assert {Path(files[0]).stem[-4:] for files in found["tiny"]} == {"tiny"}


@pytest.mark.skipif(os.name == "nt", reason="names of bytes are no matter there")
def test_names_that_are_no_utf8_are_measured_and_kept(folder, decoded):
    odd = os.fsencode(folder / "train" / "ants") + b"/\xff\xfe.png"
    with open(odd, "wb") as file:  # noqa: PTH123 - of bytes
        blobs(np.random.default_rng(4)).save(file, "PNG")
    assert look(scan(folder)).read == 25
    assert look(scan(folder)).read == 0
