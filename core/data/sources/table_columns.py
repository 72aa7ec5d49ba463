"""What the columns of a table of labels mean: delimiter, header, and which column is which."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from core.data.sources.folders import is_image_name
from core.data.sources.split_names import split_of
from core.errors import DatasetError

# The surest name of a column first.
_PATHS = (
    "path", "file", "filename", "file_name", "filepath", "file_path", "image_path", "img_path",
    "image_file", "image_filename", "image_name", "img_name", "imagename", "relative_path",
    "relpath", "rel_path", "fname", "image", "images", "img", "picture", "photo", "image_id",
    "img_id", "imageid", "id", "name",
)  # fmt: skip
_LABELS = (
    "label", "labels", "class", "classes", "class_name", "classname", "label_name", "category",
    "category_name", "target", "class_label", "ground_truth", "y", "species", "breed", "diagnosis",
    "tag", "label_id", "class_id", "category_id", "label_idx", "class_idx", "type",
)  # fmt: skip
_SPLITS = ("split", "subset", "set", "partition", "phase", "usage", "data_set", "dataset", "fold")
_YES_NO_SPLITS = {
    "is_valid": "val", "is_val": "val", "is_validation": "val", "valid": "val", "val": "val",
    "validation": "val", "is_test": "test",
}  # fmt: skip
_YES_NO = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_GROUPS = (
    "group", "group_id", "patient", "patient_id", "subject", "subject_id", "scene", "scene_id",
    "case", "case_id", "lesion_id", "person", "person_id", "specimen", "specimen_id", "location",
    "sequence", "sequence_id", "video", "video_id", "site",
)  # fmt: skip
_TASK = re.compile(r"(?:label|task)[_:]+(.+)")
_DELIMITERS = "\t;,|"
_SAMPLE_ROWS = 50
_HINT = "Name its columns path and label, and where there are more, split and group."


@dataclass(frozen=True)
class Columns:
    """Positions of the columns; None where the table has none. tasks: (name, position)."""

    delimiter: str
    has_header: bool
    path: int
    label: int
    split: int | None = None
    yes_means: str = ""
    """The split column says only whether an image is of this split (`is_valid`)."""
    group: int | None = None
    tasks: list[tuple[str, int]] = field(default_factory=list)
    names: tuple[str, ...] = ()

    @property
    def most(self) -> int:
        """How many columns a row needs for its path and label."""
        return max(self.path, self.label) + 1

    def split_word(self, row: Sequence[str]) -> str:
        """What a row says of its split; empty where it says nothing."""
        if self.split is None or self.split >= len(row):
            return ""
        word = row[self.split].strip()
        if not self.yes_means:
            return word
        says_yes = _YES_NO.get(word.lower())
        return word if says_yes is None else self.yes_means if says_yes else "train"


def read_text(path: Path) -> tuple[str, str]:
    """The text of a table and what to note about how it was read.

    Raises: DatasetError.
    """
    try:
        if path.stat().st_size > 2**30:
            raise DatasetError(f"“{path.name}” is larger than 1 GiB.", "Divide it into several.")
        data = path.read_bytes()
    except FileNotFoundError:
        raise DatasetError(f"There is no file {path}.", "Check the path.") from None
    except OSError as error:
        raise DatasetError(
            f"The table {path} cannot be read: {error.strerror or error}.",
            "Ask for read permission on it, or copy it.",
        ) from error
    note = ""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):  # Excel's “Unicode text”
        text = data.decode("utf-16", "replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
            note = f"{path.name} is not UTF-8; it was read as Latin-1."
    return text.replace("\0", ""), note


def find_columns(name: str, text: str) -> Columns:
    """Which column is which. `name` is the table's, for messages.

    Raises: DatasetError where there are no pictures or no labels in it.
    """
    lines = [line for line in islice(_lines(text), _SAMPLE_ROWS) if line.strip()]
    if not lines:
        raise DatasetError(f"The table “{name}” is empty.", _HINT)
    delimiter = _delimiter(lines, is_tsv=name.lower().endswith((".tsv", ".tab")))
    try:
        rows = [
            row
            for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
            if any(cell.strip() for cell in row)
        ]
    except csv.Error as error:
        raise DatasetError(f"The table “{name}” cannot be read: {error}.", _HINT) from error
    header = [_plain(cell) for cell in rows[0]]
    if _first(header, _PATHS) is not None or _first(header, _LABELS) is not None:
        return _by_names(name, delimiter, header, rows)
    return _by_content(name, delimiter, rows)


def _lines(text: str) -> list[str]:
    return text[: 256 * 1024].splitlines()


def _delimiter(lines: list[str], *, is_tsv: bool) -> str:
    if is_tsv and "\t" in lines[0]:
        return "\t"

    def evenness(delimiter: str) -> tuple[int, int]:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:
            return 0, 0
        if not widths or widths[0] < 2:
            return 0, 0
        return sum(width == widths[0] for width in widths), widths[0]

    best = max(_DELIMITERS, key=evenness)
    return best if evenness(best) != (0, 0) else ","


def _plain(cell: str) -> str:
    return re.sub(r"[\s\-.]+", "_", cell.strip().lower())


def _first(header: Sequence[str], names: Sequence[str]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _by_names(name: str, delimiter: str, header: list[str], rows: list[list[str]]) -> Columns:
    shown = rows[0]
    label = _first(header, _LABELS)
    tasks = [
        (match[1].strip("_ ") or cell, i)
        for i, cell in enumerate(header)
        if i != label and cell not in _LABELS and (match := _TASK.fullmatch(cell))
    ]
    if label is None and tasks:
        label = tasks.pop(0)[1]
    path = _first(header, _PATHS)
    columns = ", ".join(cell.strip() for cell in shown)[:200]
    if path is None:
        # Of two columns of which one is the label, the other is the picture's.
        rest = [i for i in range(len(header)) if i != label]
        if len(rest) != 1:
            raise DatasetError(f"“{name}” has no column of pictures, only {columns}.", _HINT)
        path = rest[0]
    if label is None:
        raise DatasetError(f"“{name}” has no column of labels, only {columns}.", _HINT)
    taken = {path, label, *(i for _, i in tasks)}
    split, group = _first(header, _SPLITS), _first(header, _GROUPS)
    yes_no = [] if split is not None else _yes_no_splits(header, rows[1:])
    yes_no = [i for i in yes_no if i not in taken]
    yes_means = _YES_NO_SPLITS[header[yes_no[0]]] if yes_no else ""
    split = yes_no[0] if yes_no else split
    return Columns(
        delimiter,
        has_header=True,
        path=path,
        label=label,
        split=split if split not in taken else None,
        yes_means=yes_means,
        group=group if group not in taken else None,
        tasks=tasks,
        names=tuple(cell.strip() for cell in shown),
    )


def _yes_no_splits(header: list[str], rows: list[list[str]]) -> list[int]:
    """Columns such as `is_valid` that hold only yes and no, in whatever way."""
    return [
        i
        for i, cell in enumerate(header)
        if cell in _YES_NO_SPLITS
        and rows
        and all(i < len(row) and row[i].strip().lower() in _YES_NO for row in rows)
    ]


def _by_content(name: str, delimiter: str, rows: list[list[str]]) -> Columns:
    """Without a header: pictures are known by their suffix, splits by their words."""
    width = min(len(row) for row in rows)
    looks = [sum(is_image_name(row[i].strip()) for row in rows) for i in range(width)]
    if width < 2 or max(looks) * 2 < len(rows):
        columns = ", ".join(cell.strip() for cell in rows[0])[:200]
        raise DatasetError(
            f"“{name}” has no column of pictures and labels; its first line is: {columns}.", _HINT
        )
    path = looks.index(max(looks))
    rest = [i for i in range(width) if i != path]
    splits = [i for i in rest if all(split_of(row[i].strip()) is not None for row in rows)]
    split = splits[0] if splits and len(rest) > 1 else None
    label = next(i for i in rest if i != split)
    return Columns(delimiter, has_header=False, path=path, label=label, split=split)
