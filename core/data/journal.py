"""The journal: stores the edits of each dataset, with undo and redo, outside of the dataset.

One SQLite file in the application's data folder. An edit is a row and is never deleted; undo and
redo are rows as well, so the state is the replay of all rows. The user's own files are never
written, moved or deleted. Does not know what an edit does; `edits.apply` does.

A dataset is identified by the resolved paths that open it. `move_to` changes them after its folder
was moved.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from core.data.dataset import SPLITS
from core.errors import DatasetError
from core.system import paths as app_paths

EditKind = Literal["relabel", "exclude", "restore", "keep", "merge", "rename", "move", "split"]
"""relabel: files get class `value`. exclude, restore: files leave the dataset, come back.
keep: findings of the kind `value` about the files are dismissed. merge: all of the classes
`files` become class `value`. rename: class `files[0]` is shown as `value`. move: files go to
split `value`. split: train and val are drawn by the plan `value` (`SplitPlan.to_json`); an empty
value restores the split of the scan.
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
    """One edit, as it is asked for: what happens to which files (or classes)."""

    kind: EditKind
    files: tuple[str, ...] = ()
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEdit(Edit):
    """One edit, as the journal has it; `time` in seconds since 1970."""

    id: int
    time: float


@dataclass(frozen=True, slots=True)
class History:
    """A whole journal: the edits in force (`done`) and those undone, the latest last.

    `last` is the id of the newest row; it grows with every edit, undo and redo of any process.
    """

    done: tuple[RecordedEdit, ...] = ()
    undone: tuple[RecordedEdit, ...] = ()
    last: int = 0


class Journal:
    """The edits of one dataset. Several processes may write at once; any thread may call."""

    def __init__(self, opened: Path | Sequence[Path], file: Path | None = None) -> None:
        """`opened`: the paths that open the dataset (`DatasetIndex.opened`)."""
        self.file = file or app_paths.data_dir() / "edits.sqlite"
        self.dataset = _name_of(opened)
        with self._connect() as db:
            db.executescript(_SCHEMA)

    def add(self, *edits: Edit) -> int:
        """Write edits, all or none, and return the id of the last.

        They have the same time; undo and redo treat them as one. They are on the disk when this
        returns. Undone edits can no longer be redone.

        Raises: DatasetError for an unknown kind or split, or without files.
        """
        for edit in edits:
            _check(edit)
        with self._connect() as db:
            db.execute("BEGIN IMMEDIATE")
            # Later than every earlier edit: edits with the same time would be undone together.
            row = db.execute("SELECT MAX(time) FROM entries WHERE dataset = ?", (self.dataset,))
            when = max(time.time(), (row.fetchone()[0] or 0.0) + 1e-5)
            ids = [self._write(db, edit.kind, edit.files, edit.value, when) for edit in edits]
        return ids[-1]

    def undo(self) -> RecordedEdit | None:
        """Undo the last edit in force and those written with it; None if there is none."""
        return self._undo_or_redo("undo")

    def redo(self) -> RecordedEdit | None:
        """Redo the edits that were undone last; None if there are none."""
        return self._undo_or_redo("redo")

    def edits(self) -> tuple[RecordedEdit, ...]:
        """The edits in force, oldest first."""
        with self._connect() as db:
            return tuple(self._replay(db)[0])

    def history(self) -> History:
        """The edits in force and those that can be redone."""
        with self._connect() as db:
            db.execute("BEGIN")  # both queries see the same rows
            last = db.execute(
                "SELECT MAX(id) FROM entries WHERE dataset = ?", (self.dataset,)
            ).fetchone()[0]
            done, undone = self._replay(db)
        return History(tuple(done), tuple(undone), last or 0)

    def last(self) -> int:
        """`History.last`, without reading the edits."""
        with self._connect() as db:
            row = db.execute("SELECT MAX(id) FROM entries WHERE dataset = ?", (self.dataset,))
            return int(row.fetchone()[0] or 0)

    def move_to(self, opened: Path | Sequence[Path]) -> None:
        """Assign the edits to the paths `opened`, from which the moved dataset is opened now.

        Raises: DatasetError if a dataset there has edits already; they would be mixed up.
        """
        new = _name_of(opened)
        with self._connect() as db:
            db.execute("BEGIN IMMEDIATE")
            if db.execute("SELECT 1 FROM entries WHERE dataset = ?", (new,)).fetchone():
                raise DatasetError(
                    f"There are edits of a dataset at {new} already.",
                    "Undo those first, or keep the two datasets apart.",
                )
            db.execute("UPDATE entries SET dataset = ? WHERE dataset = ?", (new, self.dataset))
        self.dataset = new

    def _undo_or_redo(self, kind: Literal["undo", "redo"]) -> RecordedEdit | None:
        with self._connect() as db:
            # Read and write in one transaction: another window may undo at the same time.
            db.execute("BEGIN IMMEDIATE")
            done, undone = self._replay(db)
            edits = done if kind == "undo" else undone
            if not edits:
                return None
            last, now = edits[-1], time.time()
            for edit in reversed(edits):
                if edit.time != last.time:
                    break
                self._write(db, kind, (), str(edit.id), now)
            return last

    def _write(
        self, db: sqlite3.Connection, kind: str, files: Sequence[str], value: str, when: float
    ) -> int:
        row = (self.dataset, when, kind, json.dumps(list(files)), value)
        cursor = db.execute(
            "INSERT INTO entries (dataset, time, kind, files, value) VALUES (?, ?, ?, ?, ?)", row
        )
        return int(cursor.lastrowid or 0)

    def _replay(self, db: sqlite3.Connection) -> tuple[list[RecordedEdit], list[RecordedEdit]]:
        """(edits in force, undone edits), each with the latest last."""
        done: list[RecordedEdit] = []
        undone: list[RecordedEdit] = []
        for id_, when, kind, files, value in db.execute(
            "SELECT id, time, kind, files, value FROM entries WHERE dataset = ? ORDER BY id",
            (self.dataset,),
        ):
            if kind == "undo":
                undone.append(done.pop())
            elif kind == "redo":
                done.append(undone.pop())
            else:
                names = tuple(json.loads(files))
                done.append(RecordedEdit(kind, names, value, id=id_, time=when))
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


def _check(edit: Edit) -> None:
    kind, files, value = edit.kind, edit.files, edit.value
    if kind not in get_args(EditKind):
        kinds = ", ".join(get_args(EditKind))
        raise DatasetError(f"There is no kind of edit “{kind}”.", f"There are: {kinds}.")
    if not files and kind != "split":
        raise DatasetError(f"The edit “{kind}” has no file.", "Name at least one.")
    if kind == "move" and value not in SPLITS:
        raise DatasetError(f"There is no split “{value}”.", f"There are: {', '.join(SPLITS)}.")
    if kind in ("relabel", "merge", "rename") and not value.strip():
        raise DatasetError(f"The edit “{kind}” has no class.", "Name the class.")


def _name_of(opened: Path | Sequence[Path]) -> str:
    """The dataset's key in the journal: its resolved paths, one a line, sorted."""
    paths = [opened] if isinstance(opened, Path) else opened
    return "\n".join(sorted(str(path.resolve()) for path in paths))
