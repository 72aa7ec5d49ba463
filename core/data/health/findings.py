"""The findings of a health check, as plain data that the window may hold. Knows no measurement.

A finding is accepted by its edit (`journal.add(finding.edit)`), or dismissed by another
(`journal.add(Edit("keep", finding.files, finding.kind))`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from core.data.journal import Edit

Kind = Literal[
    "unreadable", "class", "two labels", "leak", "label error", "exact duplicates",
    "near duplicates", "unlike its class", "blurred", "dark", "bright", "flat", "tiny",
    "odd aspect", "imbalance",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)
"""The kinds in the order of importance, as reports show them."""


@dataclass(frozen=True, slots=True)
class HealthFinding:
    """One possible problem of a dataset. `why` is a sentence with the measured values.

    `files` are relative to the dataset's root, `pictures` their positions in the checked index.
    Unreadable files and empty class folders are in no index, so `pictures` may be shorter.
    """

    kind: Kind
    files: tuple[str, ...]
    pictures: tuple[int, ...]
    why: str
    severity: Literal["problem", "note"]
    edit: Edit
    """What is suggested: exclude, relabel, move or keep; of copies, all but the first file."""
    score: float = 0.0
    """How certain the finding is, 0…1, if that is measured; findings of a kind are sorted by it."""

    @property
    def key(self) -> str:
        """An id of the finding, determined by its kind and its files."""
        parts = "\0".join([self.kind, *sorted(self.files)])
        return hashlib.blake2b(parts.encode(errors="surrogateescape"), digest_size=8).hexdigest()


@dataclass(frozen=True)
class HealthReport:
    """The result of a health check of `images` images."""

    findings: tuple[HealthFinding, ...]
    images: int
    read: int
    """Number of files that were read; the others were measured in an earlier check."""
    notes: tuple[str, ...] = ()
    """What could not be checked, and why; a sentence each."""
    methods: tuple[str, ...] = ()
    """How the findings were made, a sentence each."""

    def counts(self) -> dict[Kind, int]:
        """Kind → its number of findings, in the order of KINDS; kinds without any are left out."""
        found = [finding.kind for finding in self.findings]
        return {kind: found.count(kind) for kind in KINDS if kind in found}


@dataclass(frozen=True)
class IndexFeatures:
    """Features of the pictures of an index, by the frozen backbone of `model`.

    vectors: float32 [N, D]; is_ok: bool [N], False where a picture could not be read.
    """

    vectors: npt.NDArray[np.float32]
    is_ok: npt.NDArray[np.bool_]
    model: str
    computed: int = 0
    """Number of pictures whose features were computed, not found in the cache."""


def open_findings(
    findings: Iterable[HealthFinding], edits: Sequence[Edit]
) -> tuple[HealthFinding, ...]:
    """The findings that no edit in force has dismissed or settled by excluding files.

    Dismissed: all its files have a `keep` edit of this kind. Settled: all files of its edit are
    excluded.
    """
    kept: dict[str, set[str]] = {}
    excluded: set[str] = set()
    for edit in edits:
        if edit.kind == "keep":
            kept.setdefault(edit.value, set()).update(edit.files)
        elif edit.kind == "exclude":
            excluded.update(edit.files)
        elif edit.kind == "restore":
            excluded.difference_update(edit.files)
    return tuple(
        finding
        for finding in findings
        if not (
            set(finding.files) <= kept.get(finding.kind, set())
            or _is_settled(finding.edit, excluded)
        )
    )


def _is_settled(edit: Edit, excluded: set[str]) -> bool:
    return bool(edit.files) and edit.kind != "keep" and excluded.issuperset(edit.files)
