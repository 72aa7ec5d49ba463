"""The journal of edits: what a person changed about a dataset, kept beside it, never in it.

One SQLite file in the application's data folder. An edit is a row and stays for ever; undo and
redo are rows as well, so the state is always the replay of the rows. The user's own files are
never written, moved or deleted.

A dataset is known by its resolved root. `move_to` names its edits anew after its folder was moved.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from core import places
from core.data.dataset import SPLITS, DatasetIndex
from core.errors import DatasetError

EditKind = Literal["relabel", "exclude", "restore", "keep", "merge", "rename", "move"]
"""relabel: files get class `value`. exclude, restore: files leave the dataset, come back.
keep: findings of the kind `value` about the files are dismissed. merge: all of the classes
`files` become class `value`. rename: class `files[0]` is shown as `value`. move: files stand in
split `value`.
"""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    dataset TEXT NOT NULL,
    time REAL NOT NULL,
    kind TEXT NOT NULL,
    files TEXT NOT NULL,
    value TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS entries_of ON entries (dataset, id);
"""

_WAIT_SECONDS = 10.0
"""How long one window waits for another's write; a write takes milliseconds."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit; `time` in seconds since 1970."""

    id: int
    time: float
    kind: EditKind
    files: tuple[str, ...]
    value: str = ""


class Journal:
    """The edits of one dataset. Several processes may write at once; any thread may call."""

    def __init__(self, root: Path, file: Path | None = None) -> None:
        self.file = file or places.data_dir() / "edits.sqlite"
        self.dataset = str(root.resolve())
        with self._connect() as db:
            db.executescript(_SCHEMA)

    def add(self, kind: EditKind, files: Sequence[str], value: str = "") -> int:
        """Write one edit, on the disk when this returns; its id. What was undone is now past redo.

        Raises: DatasetError for an unknown kind or split, or without files.
        """
        if kind not in get_args(EditKind):
            raise DatasetError(f"There is no edit “{kind}”.", ", ".join(get_args(EditKind)))
        if not files:
            raise DatasetError(f"The edit “{kind}” names no file.", "Name at least one.")
        if kind == "move" and value not in SPLITS:
            raise DatasetError(f"There is no split “{value}”.", f"There are: {', '.join(SPLITS)}.")
        if kind in ("relabel", "merge", "rename") and not value.strip():
            raise DatasetError(f"The edit “{kind}” names no class.", "Name the class.")
        with self._connect() as db:
            return self._write(db, kind, files, value)

    def undo(self) -> Edit | None:
        """Take back the last edit in force; None where there is none."""
        return self._turn("undo")

    def redo(self) -> Edit | None:
        """Bring back the edit taken back last; None where there is none."""
        return self._turn("redo")

    def edits(self) -> tuple[Edit, ...]:
        """The edits in force, oldest first."""
        with self._connect() as db:
            return tuple(self._replay(db)[0])

    def move_to(self, root: Path) -> None:
        """The dataset's folder was moved to `root`: its edits follow.

        Raises: DatasetError where `root` has edits of its own, which would be mixed up.
        """
        new = str(root.resolve())
        with self._connect() as db:
            db.execute("BEGIN IMMEDIATE")
            if db.execute("SELECT 1 FROM entries WHERE dataset = ?", (new,)).fetchone():
                raise DatasetError(f"{new} has edits of its own.", "Undo them, or keep both apart.")
            db.execute("UPDATE entries SET dataset = ? WHERE dataset = ?", (new, self.dataset))
        self.dataset = new

    def _turn(self, kind: Literal["undo", "redo"]) -> Edit | None:
        with self._connect() as db:
            db.execute("BEGIN IMMEDIATE")  # read and write as one: another window may undo, too
            done, undone = self._replay(db)
            edits = done if kind == "undo" else undone
            if not edits:
                return None
            self._write(db, kind, (), str(edits[-1].id))
            return edits[-1]

    def _write(self, db: sqlite3.Connection, kind: str, files: Sequence[str], value: str) -> int:
        row = (self.dataset, time.time(), kind, json.dumps(list(files)), value)
        cursor = db.execute(
            "INSERT INTO entries (dataset, time, kind, files, value) VALUES (?, ?, ?, ?, ?)", row
        )
        return int(cursor.lastrowid or 0)

    def _replay(self, db: sqlite3.Connection) -> tuple[list[Edit], list[Edit]]:
        """(edits in force, edits taken back), each with the latest last."""
        done: list[Edit] = []
        undone: list[Edit] = []
        for id_, when, kind, files, value in db.execute(
            "SELECT id, time, kind, files, value FROM entries WHERE dataset = ? ORDER BY id",
            (self.dataset,),
        ):
            if kind == "undo":
                undone.append(done.pop())
            elif kind == "redo":
                done.append(undone.pop())
            else:
                done.append(Edit(id_, when, kind, tuple(json.loads(files)), value))
                undone.clear()
        return done, undone

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        """One short transaction: committed at the end, rolled back on an error."""
        try:
            with closing(sqlite3.connect(self.file, timeout=_WAIT_SECONDS)) as db:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")  # an edit survives a power cut
                with db:
                    yield db
        except sqlite3.Error as error:
            raise DatasetError(
                f"The journal of edits {self.file} cannot be used: {error}.",
                "Close other windows, or make the folder writable.",
            ) from error


def apply(index: DatasetIndex, edits: Sequence[Edit]) -> DatasetIndex:
    """The dataset with `edits` in force: a changed copy; `index` and all files stay as they are.

    Edits about files or classes that are no longer there are passed over. A relabelled picture's
    new class is added where it is missing; classes without pictures left stay.
    """
    position = {file: i for i, file in enumerate(index.files)}
    classes = list(index.classes)
    labels, splits = index.labels.copy(), index.splits.copy()
    kept = np.ones(len(index), dtype=np.bool_)
    shown: dict[str, str] = {}

    def class_of(name: str) -> int:
        if name not in classes:
            classes.append(name)
        return classes.index(name)

    for edit in edits:
        if edit.kind == "rename":
            shown[edit.files[0]] = edit.value
        elif edit.kind == "merge":
            merged = [classes.index(name) for name in edit.files if name in classes]
            if merged:
                labels[np.isin(labels, merged)] = class_of(edit.value)
        else:
            at = [position[file] for file in edit.files if file in position]
            if not at:
                continue
            if edit.kind == "relabel":
                labels[at] = class_of(edit.value)
            elif edit.kind == "move":
                splits[at] = SPLITS.index(edit.value)
            elif edit.kind in ("exclude", "restore"):
                kept[at] = edit.kind == "restore"
    # A class that a merge emptied is gone; one that was empty before was reported by the scan.
    merged_away = {n for e in edits if e.kind == "merge" for n in e.files if n != e.value}
    used = set(labels.tolist())
    order = sorted(
        (i for i, n in enumerate(classes) if i in used or n not in merged_away),
        key=lambda i: classes[i],
    )
    new_label = np.zeros(len(classes), dtype=np.int32)
    new_label[order] = np.arange(len(order), dtype=np.int32)
    at_kept = np.flatnonzero(kept)
    files = tuple(index.files[i] for i in at_kept)
    still = set(files)
    split_of = dict(zip(files, splits[at_kept].tolist(), strict=True))
    groups = (tuple(f for f in group if f in still) for group in index.duplicates)
    duplicates = tuple(group for group in groups if len(group) > 1)
    names = [shown.get(classes[i], classes[i]) for i in order]
    if len(set(names)) < len(names):  # two classes shown alike could not be told apart
        names = [classes[i] for i in order]
    return dataclasses.replace(
        index,
        classes=tuple(names),
        files=files,
        labels=new_label[labels[at_kept]],
        splits=splits[at_kept],
        bytes=index.bytes[at_kept],
        widths=index.widths[at_kept],
        heights=index.heights[at_kept],
        duplicates=duplicates,
        leaks=tuple(g for g in duplicates if len({split_of[f] for f in g}) > 1),
    )
