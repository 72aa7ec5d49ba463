"""The journal of edits."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.data.dataset import DatasetIndex
from core.data.edits import apply
from core.data.journal import Edit, Journal
from core.errors import DatasetError
from helpers import REPOSITORY, WAIT_S


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "set", tmp_path / "edits.sqlite")


def _index(root: Path) -> DatasetIndex:
    n = 4
    return DatasetIndex(
        root, ("ants", "bees"), ("a/0.png", "a/1.png", "b/2.png", "b/3.png"),
        np.array([0, 0, 1, 1], np.int32), np.array([0, 1, 0, 1], np.uint8),
        np.ones(n, np.int64), np.ones(n, np.int32), np.ones(n, np.int32), "folders",
        duplicates=(("a/0.png", "b/3.png"),), leaks=(("a/0.png", "b/3.png"),),
    )  # fmt: skip


def _edit(kind: str, files: tuple[str, ...], value: str = "") -> Edit:
    return Edit(kind, files, value)  # type: ignore[arg-type]


def test_undo_and_redo_walk_through_the_edits_and_a_new_edit_ends_redo(journal: Journal) -> None:
    journal.add(Edit("exclude", ("x",)))
    journal.add(Edit("relabel", ("y",), "bees"))
    assert [journal.undo().kind, journal.undo().kind] == ["relabel", "exclude"]  # type: ignore[union-attr]
    assert journal.undo() is None
    assert journal.redo().kind == "exclude"  # type: ignore[union-attr]
    journal.add(Edit("keep", ("z",), "blurred"))
    assert journal.redo() is None
    assert [edit.kind for edit in journal.edits()] == ["exclude", "keep"]


def test_edits_written_together_are_undone_and_redone_together(journal: Journal) -> None:
    journal.add(Edit("exclude", ("x",)))
    journal.add(Edit("relabel", ("y",), "bees"), Edit("move", ("z",), "val"))
    journal.undo()
    assert [edit.kind for edit in journal.edits()] == ["exclude"]
    assert [edit.kind for edit in journal.history().undone] == ["move", "relabel"]
    journal.redo()
    assert [edit.kind for edit in journal.edits()] == ["exclude", "relabel", "move"]
    with pytest.raises(DatasetError):
        journal.add(Edit("exclude", ("v",)), Edit("move", ("w",), "moon"))
    assert len(journal.edits()) == 3


def test_the_last_row_tells_whether_anybody_wrote(journal: Journal) -> None:
    assert journal.history().last == journal.last() == 0
    journal.add(Edit("exclude", ("x",)))
    seen = journal.last()
    Journal(Path(journal.dataset), journal.file).undo()
    assert journal.last() > seen
    assert journal.history().last == journal.last()


def test_edits_change_a_copy_and_leave_the_index_alone(tmp_path: Path) -> None:
    index = _index(tmp_path)
    edits = [
        _edit("relabel", ("a/1.png",), "wasps"),
        _edit("exclude", ("b/3.png", "gone.png")),
        _edit("move", ("b/2.png",), "test"),
        _edit("rename", ("ants",), "Ameisen"),
    ]
    changed = apply(index, edits)
    assert changed.classes == ("Ameisen", "bees", "wasps")
    assert changed.labels.tolist() == [0, 2, 1]
    assert changed.splits.tolist() == [0, 1, 2]
    assert not changed.duplicates
    assert not changed.leaks
    assert index.labels.tolist() == [0, 0, 1, 1]
    assert len(apply(index, [*edits, _edit("restore", ("b/3.png",))])) == 4


def test_merged_classes_become_one(tmp_path: Path) -> None:
    changed = apply(_index(tmp_path), [_edit("merge", ("ants", "bees"), "insects")])
    assert changed.classes == ("insects",)
    assert changed.labels.tolist() == [0, 0, 0, 0]


def test_edits_follow_a_folder_that_was_moved(journal: Journal, tmp_path: Path) -> None:
    journal.add(Edit("exclude", ("x",)))
    journal.move_to(tmp_path / "new")
    assert len(Journal(tmp_path / "new", journal.file).edits()) == 1
    assert not Journal(tmp_path / "set", journal.file).edits()


@pytest.mark.parametrize(("kind", "files", "value"), [
    ("paint", ["x"], ""), ("exclude", [], ""), ("move", ["x"], "moon"), ("relabel", ["x"], " "),
])  # fmt: skip
def test_an_edit_that_means_nothing_is_refused(
    journal: Journal, kind: str, files: list[str], value: str
) -> None:
    with pytest.raises(DatasetError):
        journal.add(Edit(kind, tuple(files), value))  # type: ignore[arg-type]


_WRITER = """
import sys
from pathlib import Path
from core.data.journal import Edit, Journal
journal = Journal(Path(sys.argv[1]), Path(sys.argv[2]))
for i in range(int(sys.argv[3])):
    journal.add(Edit("exclude", (f"{sys.argv[4]}{i}",)))
    print(i, flush=True)
"""


def _writer(journal: Journal, count: int, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _WRITER, journal.dataset, str(journal.file), str(count), name],
        stdout=subprocess.PIPE, text=True, cwd=REPOSITORY,
    )  # fmt: skip


def test_two_processes_write_at_once_and_no_edit_is_lost(journal: Journal) -> None:
    writers = [_writer(journal, 30, name) for name in "ab"]
    for writer in writers:
        writer.communicate(timeout=WAIT_S)
        assert writer.returncode == 0
    assert len({edit.files for edit in journal.edits()}) == 60


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_killed_process_loses_no_edit_it_reported(journal: Journal) -> None:
    writer = _writer(journal, 100_000, "k")
    assert writer.stdout
    for _ in range(5):
        said = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    rest = writer.communicate(timeout=WAIT_S)[0].split()
    said = max([said, *(int(word) for word in rest)])
    assert len(journal.edits()) >= said + 1
    journal.add(Edit("exclude", ("after",)))


def test_the_folder_of_pictures_is_never_written(journal: Journal, tmp_path: Path) -> None:
    root = tmp_path / "set"
    (root / "a").mkdir(parents=True)
    (root / "a" / "0.png").write_bytes(b"picture")

    def tree() -> list[tuple[str, str]]:
        return sorted(
            (str(p), hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "")
            for p in root.rglob("*")
        )

    before = tree()
    journal.add(Edit("exclude", ("a/0.png",)))
    journal.undo()
    apply(_index(root), journal.edits())
    assert tree() == before
