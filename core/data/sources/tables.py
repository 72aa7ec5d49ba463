"""Reads a table of labels as a `Layout`: `path,label[,split][,group]` in any order, CSV or TSV.

Further columns named `label_…` are tasks of their own. No picture is opened here.
"""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from pathlib import Path

from core.data.dataset import NO_GROUP, NO_LABEL, NO_SPLIT, SPLITS, Problem
from core.data.sources.folders import ClassFolder, Layout, LayoutTask
from core.data.sources.split_names import split_of
from core.data.sources.table_columns import Columns, find_columns, read_text
from core.data.sources.table_paths import PathResolver, is_table
from core.errors import DatasetError
from core.events import ShouldStop, check_stop, never_stop

__all__ = ["is_table", "read_table"]

_TRAIN = SPLITS.index("train")
_CHECK_EVERY = 8192
_COMMON_NAMES = frozenset(
    ("labels", "label", "annotations", "metadata", "dataset", "data", "index", "classes", "images")
)


class _Codes:
    """Assigns a number to each word, in the order of first use."""

    def __init__(self) -> None:
        self.words: dict[str, int] = {}

    def __call__(self, word: str) -> int:
        return self.words.setdefault(word, len(self.words)) if word else NO_LABEL

    def sorted(self) -> tuple[tuple[str, ...], dict[int, int]]:
        """The words sorted, as torchvision does, and old number → new number."""
        words = tuple(sorted(self.words))
        return words, {NO_LABEL: NO_LABEL} | {self.words[w]: i for i, w in enumerate(words)}


class _Rows:
    """The rows of a table, as columns."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.raw: list[str] = []
        self.lines: list[int] = []
        self.labels: list[int] = []
        self.splits: list[str] = []
        self.groups: list[int] = []
        self.tasks: list[list[int]] = [[] for _ in columns.tasks]
        self.label_codes = _Codes()
        self.group_codes = _Codes()
        self.task_codes = [_Codes() for _ in columns.tasks]
        self.short: list[int] = []

    def read(self, text: str, should_stop: ShouldStop) -> None:
        """Read all rows of `text`. Raises: csv.Error, Cancelled."""
        columns = self.columns
        path, label, split, group = columns.path, columns.label, columns.split, columns.group
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=columns.delimiter)
        rows = iter(reader)
        if columns.has_header:
            while not any(cell.strip() for cell in next(rows)):
                pass
        for number, row in enumerate(rows):
            if number % _CHECK_EVERY == 0:
                check_stop(should_stop)
            if len(row) < columns.needed or not row[path].strip():
                if any(cell.strip() for cell in row):
                    self.short.append(reader.line_num)
                continue
            self.raw.append(row[path])
            self.lines.append(reader.line_num)
            self.labels.append(self.label_codes(row[label].strip()))
            if split is not None:
                self.splits.append(columns.split_word(row))
            if group is not None:
                self.groups.append(self.group_codes(row[group].strip()) if group < len(row) else -1)
            for task, codes, (_, i) in zip(self.tasks, self.task_codes, columns.tasks, strict=True):
                task.append(codes(row[i].strip()) if i < len(row) else NO_LABEL)


def read_table(path: Path, *, should_stop: ShouldStop = never_stop) -> Layout:
    """Read a table of labels. Paths in it are relative to its folder, or absolute.

    `root` is the table's folder, or the common parent folder of all pictures. A file listed twice
    with the same label counts once; one with two labels is a problem and gets no label. Rows
    without a label give pictures without a label.

    Raises: DatasetError if it is not a table of labels; Cancelled.
    """
    text, note = read_text(path)
    columns = find_columns(path.name, text)
    rows = _Rows(columns)
    try:
        rows.read(text, should_stop)
    except csv.Error as error:
        raise DatasetError(
            f"The table “{path.name}” cannot be read: {error}.",
            "Check that every quotation mark is closed.",
        ) from error
    if not rows.raw:
        raise DatasetError(
            f"The table “{path.name}” names no picture.", "Add one line for each picture."
        )
    status = path.stat()
    layout = Layout(path.parent, _shown_name(path), notes=[note] if note else [], is_table=True)
    layout.sources = (path,)
    layout.stamps = ((path, status.st_size, status.st_mtime_ns),)
    check_stop(should_stop)
    layout.root, files = _files(path, rows.raw, should_stop)
    splits = _splits(layout, path.name, rows)
    keep = _drop_repeats(layout, rows, files, splits)
    layout.classes, new = rows.label_codes.sorted()
    layout.files = [files[i] for i in keep]
    layout.labels = [new[rows.labels[i]] for i in keep]
    layout.splits = [splits[i] if rows.labels[i] != NO_LABEL else NO_SPLIT for i in keep]
    if columns.group is not None and rows.group_codes.words:
        layout.groups = [rows.groups[i] if rows.groups[i] >= 0 else NO_GROUP for i in keep]
        number = len(rows.group_codes.words)
        layout.notes.append(
            f"Pictures of one {columns.names[columns.group]} stay together: {number:,} groups."
        )
        _note_split_groups(layout)
    for (name, _), codes, labels in zip(columns.tasks, rows.task_codes, rows.tasks, strict=True):
        classes, new_task = codes.sorted()
        layout.tasks.append(LayoutTask(name, classes, [new_task[labels[i]] for i in keep]))
    if layout.tasks:
        named = ", ".join(f"{task.name} ({len(task.classes):,} classes)" for task in layout.tasks)
        layout.notes.append(f"Further labels are kept beside the class: {named}.")
    seen = sorted(set(zip(layout.labels, layout.splits, strict=True)))
    layout.folders = [
        ClassFolder(layout.classes[label], label, split)
        for label, split in seen
        if label != NO_LABEL
    ]
    if rows.short:
        layout.notes.append(
            f"{_lines(len(rows.short))} of {path.name} without a path or a label column"
            f" {'is' if len(rows.short) == 1 else 'are'} left out (the first: {rows.short[0]})."
        )
    return layout


def _shown_name(table: Path) -> str:
    """The name of the dataset: the table's, or its folder's if the table's is a common word."""
    is_common = table.stem.lower() in _COMMON_NAMES or split_of(table.stem) is not None
    return (table.parent.name if is_common else "") or table.stem


def _files(table: Path, raw: list[str], should_stop: ShouldStop) -> tuple[Path, list[str]]:
    """The root folder, and each file relative to it. Raises: DatasetError, Cancelled."""
    places = PathResolver(table, raw)
    full = []
    for number, path in enumerate(raw):
        if number % _CHECK_EVERY == 0:
            check_stop(should_stop)
        full.append(places.file_of(path))
    full = [os.path.normpath(file) if "/.." in file else file for file in full]
    prefix = f"{str(table.parent).rstrip('/')}/"
    if all(file.startswith(prefix) for file in full):
        return table.parent, [file[len(prefix) :] for file in full]
    folders = {file.rpartition("/")[0] or "/" for file in full}
    try:
        root = Path(os.path.commonpath(folders))
    except ValueError:
        raise DatasetError(
            f"The pictures of the table “{table.name}” are on different drives.",
            "Move them to one drive.",
        ) from None
    start = len(f"{root.as_posix().rstrip('/')}/")
    return root, [file[start:] for file in full]


def _splits(layout: Layout, name: str, rows: _Rows) -> list[int]:
    """The split code of every row; -1: left out, for an unknown word, which becomes a problem."""
    if rows.columns.split is None:
        return [_TRAIN] * len(rows.raw)
    column = rows.columns.names[rows.columns.split] if rows.columns.names else "split"
    counts = Counter(rows.splits)
    meaning = {word: _TRAIN if not word else split_of(word) for word in counts}
    words = [word for word in counts if word]
    if not any(meaning[word] is not None for word in words):
        if words:
            layout.notes.append(
                f"The column {column} of {name} names no train, val or test and is not used"
                f" (it holds {', '.join(sorted(words)[:4])})."
            )
        return [_TRAIN] * len(rows.raw)
    layout.has_splits = True
    for word in sorted(word for word in words if meaning[word] is None):
        layout.problems.append(
            Problem(
                name,
                "unknown split",
                f"{_lines(counts[word])} {'has' if counts[word] == 1 else 'have'} the split"
                f" “{word}”, which is none of train, val and test; left out",
            )
        )
    if counts.get(""):
        layout.notes.append(f"{_lines(counts[''])} of {name} without a split: these train.")
    code = {word: -1 if split is None else split for word, split in meaning.items()}
    return [code[word] for word in rows.splits]


def _drop_repeats(layout: Layout, rows: _Rows, files: list[str], splits: list[int]) -> list[int]:
    """The rows to keep, each file once. A file with two labels loses both; `rows` is changed."""
    first: dict[str, int] = {}
    again = 0
    contradictory: dict[int, int] = {}
    words = list(rows.label_codes.words)
    for i, file in enumerate(files):
        if splits[i] < 0:
            continue
        before = first.setdefault(file, i)
        if before == i:
            continue
        again += 1
        if rows.labels[before] == NO_LABEL and before not in contradictory:
            rows.labels[before], splits[before] = rows.labels[i], splits[i]
        elif rows.labels[i] not in (NO_LABEL, rows.labels[before]):
            contradictory.setdefault(before, i)
    for before, i in contradictory.items():
        layout.problems.append(
            Problem(
                files[before],
                "two labels",
                f"line {rows.lines[before]} of the table says {words[rows.labels[before]]}, line"
                f" {rows.lines[i]} says {words[rows.labels[i]]}; neither is used",
            )
        )
        rows.labels[before] = NO_LABEL
    if again > len(contradictory):
        number = again - len(contradictory)
        layout.notes.append(
            f"{_lines(number)} of the table {'names' if number == 1 else 'name'} a picture again;"
            " each counts once."
        )
    return list(first.values())


def _note_split_groups(layout: Layout) -> None:
    """Add a note if groups are in more than one split."""
    splits_of: dict[int, set[int]] = {}
    for group, split in zip(layout.groups or [], layout.splits, strict=True):
        if group != NO_GROUP and split != NO_SPLIT:
            splits_of.setdefault(group, set()).add(split)
    divided = sum(len(splits) > 1 for splits in splits_of.values())
    if divided:
        verb = "group stands" if divided == 1 else "groups stand"
        layout.notes.append(
            f"{divided:,} {verb} in more than one split of the table: val is easier than it should"
            " be."
        )


def _lines(count: int) -> str:
    return f"{count:,} line{'' if count == 1 else 's'}"
