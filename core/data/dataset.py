"""The types of the data path: what a scan found, and the honest sets carved from it.

Columns, not objects: a hundred thousand files cost well under 1 KB each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

SPLITS = ("train", "val", "test")
"""Split codes are positions in this tuple."""

ProblemKind = Literal[
    "unreadable",
    "no permission",
    "empty class",
    "few images",
    "contradiction",
    "class set",
    "no class",
]
"""unreadable: not a picture, or damaged. few images: a class that cannot both train and be tested.
contradiction: the same bytes under two labels. class set: train and val do not hold the same
classes. no class: pictures that stand in no class folder.
"""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a dataset; `file` is relative to its root, or a class folder."""

    file: str
    kind: ProblemKind
    reason: str


@dataclass(frozen=True)
class DatasetIndex:
    """What a scan found. Readable images only; broken ones are in `problems`.

    files[i] is relative to `root` (POSIX separators), labels[i] an index into `classes`,
    splits[i] an index into SPLITS. `split_origin` says who made the split: "folders" (the user's
    own train/val folders) or "graftwork" (val was carved from what trains: 80/20, stratified,
    grouped by duplicates, seed 0).
    """

    root: Path
    classes: tuple[str, ...]
    files: tuple[str, ...]
    labels: npt.NDArray[np.int32]
    splits: npt.NDArray[np.uint8]
    bytes: npt.NDArray[np.int64]
    widths: npt.NDArray[np.int32]
    heights: npt.NDArray[np.int32]
    split_origin: Literal["folders", "graftwork"]
    problems: tuple[Problem, ...] = ()
    ignored: tuple[str, ...] = ()
    duplicates: tuple[tuple[str, ...], ...] = ()
    """Groups of files with the same bytes."""
    leaks: tuple[tuple[str, ...], ...] = ()
    """Groups of duplicates that stand in more than one split."""
    verified: bool = False
    """True when every picture was decoded to its end, not only its header read."""
    name: str = field(default="")
    notes: tuple[str, ...] = ()
    """What the scan decided for the user and the user should know, a sentence each."""

    def __len__(self) -> int:
        return len(self.files)

    def path(self, i: int) -> Path:
        return self.root / self.files[i]

    def indices(self, split: str) -> npt.NDArray[np.int64]:
        """Positions of the images of one split, ascending."""
        return np.flatnonzero(self.splits == SPLITS.index(split))

    def class_counts(self) -> dict[str, int]:
        counts = np.bincount(self.labels, minlength=len(self.classes))
        return {name: int(n) for name, n in zip(self.classes, counts, strict=True)}

    def split_counts(self) -> dict[str, int]:
        """Images per split, splits that hold none left out."""
        counts = np.bincount(self.splits, minlength=len(SPLITS))
        return {name: int(n) for name, n in zip(SPLITS, counts, strict=True) if n}

    def class_split_counts(self) -> npt.NDArray[np.int64]:
        """int64 [classes, len(SPLITS)]"""
        table = np.zeros((len(self.classes), len(SPLITS)), dtype=np.int64)
        np.add.at(table, (self.labels, self.splits), 1)
        return table
