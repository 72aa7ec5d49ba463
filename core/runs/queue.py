"""The queue of trainings: dataset, recipe, state and result of each entry.

One SQLite file in the application's data folder, so that the queue survives a restart and two
windows never start the same entry. The queue starts nothing itself: a worker calls `start_next`,
trains, and reports the end by `finish`. No torch.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from core.errors import AppError
from core.recipe.recipe import Recipe, parse_recipe
from core.system import paths as app_paths

EntryState = Literal["waiting", "running", "interrupted", "done", "stopped", "failed"]
"""interrupted: its process ended before the training did; the entry can be queued again, or the run
be resumed."""

_WAIT_SECONDS = 10.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    place REAL NOT NULL,
    name TEXT NOT NULL,
    opened TEXT NOT NULL,
    recipe TEXT NOT NULL,
    added REAL NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',
    pid INTEGER,
    started REAL,
    run TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT ''
)
"""
_COLUMNS = "id, name, opened, recipe, added, state, pid, started, run, error"


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """One training in the queue.

    opened: the paths that open its dataset. toml: its recipe. run: its run folder, "" before the
    start.
    """

    id: int
    name: str
    opened: tuple[Path, ...]
    toml: str
    added: float
    """Seconds since 1970."""
    state: EntryState
    run: str = ""
    error: str = ""

    def recipe(self) -> Recipe:
        """The recipe. Raises: AppError if another version has written it."""
        return parse_recipe(self.toml)


class Queue:
    """The queue. Several processes may use it at once; any thread may call.

    All methods raise AppError if the file cannot be used or there is no such entry.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.file = file or app_paths.data_dir() / "queue.sqlite"
        with self._connect() as db:
            db.execute(_SCHEMA)

    def add(self, opened: Sequence[Path], name: str, recipe: Recipe) -> int:
        """Add a training at the end; returns its id."""
        paths = json.dumps([str(path) for path in opened])
        with self._connect() as db:
            cursor = db.execute(
                "INSERT INTO entries (place, name, opened, recipe, added) VALUES"
                " ((SELECT COALESCE(MAX(place), 0) + 1 FROM entries), ?, ?, ?, ?)",
                (name, paths, recipe.to_toml(), time.time()),
            )
            return int(cursor.lastrowid or 0)

    def entries(self) -> tuple[QueueEntry, ...]:
        """All entries in their order, also those that have ended."""
        with self._connect() as db:
            rows = db.execute(f"SELECT {_COLUMNS} FROM entries ORDER BY place, id").fetchall()
        return tuple(_entry(row) for row in rows)

    def start_next(self) -> QueueEntry | None:
        """Mark the first waiting entry as running in this process, and return it.

        None if no entry waits.
        """
        with self._connect() as db:
            # Read and write in one transaction: no other process can start the same entry.
            db.execute("BEGIN IMMEDIATE")
            row = db.execute(
                "SELECT id FROM entries WHERE state = 'waiting' ORDER BY place, id LIMIT 1"
            ).fetchone()
            if row is None:
                return None
            this = psutil.Process()
            db.execute(
                "UPDATE entries SET state = 'running', pid = ?, started = ?, error = ''"
                " WHERE id = ?",
                (this.pid, this.create_time(), row[0]),
            )
            started = db.execute(f"SELECT {_COLUMNS} FROM entries WHERE id = ?", row).fetchone()
        return _entry(started)

    def set_run(self, entry: int, run: Path) -> None:
        """Record the run folder of a running entry, so that it can be found after a crash."""
        self._update(entry, "run = ?", str(run))

    def finish(self, entry: int, state: EntryState, *, error: str = "") -> None:
        """Record how a running entry ended; `error`: why it failed."""
        self._update(entry, "state = ?, error = ?", state, error)

    def requeue(self, entry: int) -> None:
        """Let an entry that has ended or was interrupted wait again, at its place."""
        self._update(entry, "state = 'waiting', run = '', error = ''")

    def remove(self, entry: int) -> None:
        """Remove an entry that is not running; the files of its run stay.

        Raises: AppError if it is running.
        """
        with self._connect() as db:
            found = db.execute(f"SELECT {_COLUMNS} FROM entries WHERE id = ?", (entry,)).fetchone()
            if found is None:
                raise _unknown(entry)
            if _entry(found).state == "running":
                raise AppError(
                    f"Entry {entry} of the queue is running.", "Stop its run, then remove it."
                )
            db.execute("DELETE FROM entries WHERE id = ?", (entry,))

    def move(self, entry: int, place: int) -> None:
        """Move an entry to a place, counted from 0 over all entries."""
        with self._connect() as db:
            db.execute("BEGIN IMMEDIATE")
            rows = db.execute("SELECT id FROM entries ORDER BY place, id").fetchall()
            order = [row[0] for row in rows]
            if entry not in order:
                raise _unknown(entry)
            order.remove(entry)
            order.insert(max(0, min(place, len(order))), entry)
            db.executemany(
                "UPDATE entries SET place = ? WHERE id = ?",
                [(position, id_) for position, id_ in enumerate(order, start=1)],
            )

    def clear_ended(self) -> int:
        """Remove the entries that are done, stopped or failed; returns their number."""
        with self._connect() as db:
            return db.execute(
                "DELETE FROM entries WHERE state IN ('done', 'stopped', 'failed')"
            ).rowcount

    def _update(self, entry: int, what: str, *values: str) -> None:
        with self._connect() as db:
            changed = db.execute(f"UPDATE entries SET {what} WHERE id = ?", (*values, entry))
            if not changed.rowcount:
                raise _unknown(entry)

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        """One short transaction: committed at the end, rolled back on an error."""
        try:
            with closing(sqlite3.connect(self.file, timeout=_WAIT_SECONDS)) as db:
                db.execute("PRAGMA journal_mode = WAL")
                with db:
                    yield db
        except sqlite3.Error as error:
            raise AppError(
                f"The queue {self.file} cannot be used: {error}.",
                "Close other windows, or make the folder writable.",
            ) from error


def _unknown(entry: int) -> AppError:
    return AppError(
        f"The queue has no entry {entry}.", "List the queue again: it may have been removed."
    )


def _entry(row: tuple[int, str, str, str, float, EntryState, int, float, str, str]) -> QueueEntry:
    id_, name, opened, recipe, added, state, pid, started, run, error = row
    if state == "running" and not _is_alive(pid, started):
        state = "interrupted"
    paths = tuple(Path(path) for path in json.loads(opened))
    return QueueEntry(id_, name, paths, recipe, added, state, run, error)


def _is_alive(pid: int, started: float) -> bool:
    if pid == os.getpid():
        return True
    try:
        return psutil.Process(pid).create_time() == started
    except psutil.Error:
        return False
