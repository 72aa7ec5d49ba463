"""Recognises the format of a table of labels: encoding, delimiter, header, and each column."""

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

# The most certain name of a column first.
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
_HINT = "Name its columns path and label; optional columns are split and group."


@dataclass(frozen=True)
class Columns:
    """The position of each column; None: the table has no such column.

    tasks: (name, position) of further label columns.
    """

    delimiter: str
    has_header: bool
    path: int
    label: int
    split: int | None = None
    yes_means: str = ""
    """The split that a yes in the split column means (`is_valid`); "": the column names splits."""
    group: int | None = None
    tasks: list[tuple[str, int]] = field(default_factory=list)
    names: tuple[str, ...] = ()

    @property
    def needed(self) -> int:
        """Number of cells that a row must have for its path and label."""
        return max(self.path, self.label) + 1

    def split_word(self, row: Sequence[str]) -> str:
        """The split of a row as a word; "" if it has none."""
        if self.split is None or self.split >= len(row):
            return ""
        word = row[self.split].strip()
        if not self.yes_means:
            return word
        is_yes = _YES_NO.get(word.lower())
        return word if is_yes is None else self.yes_means if is_yes else "train"


def read_text(path: Path) -> tuple[str, str]:
    """The text of a table, and a note to show if its encoding was guessed, else "".

    Raises: DatasetError if it cannot be read or is larger than 1 GiB.
    """
    try:
        if path.stat().st_size > 2**30:
            raise DatasetError(
                f"The table “{path.name}” is larger than 1 GiB.", "Divide it into several tables."
            )
        data = path.read_bytes()
    except FileNotFoundError:
        raise DatasetError(f"There is no file {path}.", "Check the path.") from None
    except OSError as error:
        raise DatasetError(
            f"The table {path} cannot be read: {error.strerror or error}.",
            "Ask for read permission, or copy the file.",
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
    """Find the columns of a table. `name`: the table's file name, for messages.

    Raises: DatasetError if no column has pictures, or none has labels.
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
        return _columns_by_name(name, delimiter, header, rows)
    return _columns_by_content(name, delimiter, rows)


def _lines(text: str) -> list[str]:
    return text[: 256 * 1024].splitlines()


def _delimiter(lines: list[str], *, is_tsv: bool) -> str:
    """The delimiter with which most rows have as many cells as the first one."""
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


def _columns_by_name(
    name: str, delimiter: str, header: list[str], rows: list[list[str]]
) -> Columns:
    """The columns by the names in the header. Raises: DatasetError."""
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
        # If one of two columns is the label, the other must be the picture.
        rest = [i for i in range(len(header)) if i != label]
        if len(rest) != 1:
            raise DatasetError(
                f"The table “{name}” has no column of pictures, only {columns}.", _HINT
            )
        path = rest[0]
    if label is None:
        raise DatasetError(f"The table “{name}” has no column of labels, only {columns}.", _HINT)
    used = {path, label, *(i for _, i in tasks)}
    split, group = _first(header, _SPLITS), _first(header, _GROUPS)
    yes_no = [] if split is not None else _yes_no_splits(header, rows[1:])
    yes_no = [i for i in yes_no if i not in used]
    yes_means = _YES_NO_SPLITS[header[yes_no[0]]] if yes_no else ""
    split = yes_no[0] if yes_no else split
    return Columns(
        delimiter,
        has_header=True,
        path=path,
        label=label,
        split=split if split not in used else None,
        yes_means=yes_means,
        group=group if group not in used else None,
        tasks=tasks,
        names=tuple(cell.strip() for cell in shown),
    )


def _yes_no_splits(header: list[str], rows: list[list[str]]) -> list[int]:
    """Positions of columns such as `is_valid` that have only yes and no, in any spelling."""
    return [
        i
        for i, cell in enumerate(header)
        if cell in _YES_NO_SPLITS
        and rows
        and all(i < len(row) and row[i].strip().lower() in _YES_NO for row in rows)
    ]


def _columns_by_content(name: str, delimiter: str, rows: list[list[str]]) -> Columns:
    """The columns of a table without a header: pictures by their suffix, splits by their names.

    Raises: DatasetError.
    """
    width = min(len(row) for row in rows)
    looks = [sum(is_image_name(row[i].strip()) for row in rows) for i in range(width)]
    if width < 2 or max(looks) * 2 < len(rows):
        columns = ", ".join(cell.strip() for cell in rows[0])[:200]
        raise DatasetError(
            f"The table “{name}” has no column of pictures and labels; its first line is: "
            f"{columns}.",
            _HINT,
        )
    path = looks.index(max(looks))
    rest = [i for i in range(width) if i != path]
    splits = [i for i in rest if all(split_of(row[i].strip()) is not None for row in rows)]
    split = splits[0] if splits and len(rest) > 1 else None
    label = next(i for i in rest if i != split)
    return Columns(delimiter, has_header=False, path=path, label=label, split=split)
