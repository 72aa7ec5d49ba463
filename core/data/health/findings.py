"""What health found: plain data, without the looking. Any half of the program may hold it.

An edit of the journal answers a finding (`journal.add(finding.action, finding.act_on,
finding.value)`), or dismisses it (`journal.add("keep", finding.files, finding.kind)`).
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
"""In the order of weight, as reports show them."""

Action = Literal["exclude", "relabel", "move", "keep"]
"""A kind of the journal's edits."""


@dataclass(frozen=True, slots=True)
class HealthFinding:
    """One thing that may be wrong. `why` is a sentence with the numbers.

    `files` are relative to the dataset's root, `pictures` their positions in the index looked at:
    those of unreadable files or empty class folders are not in an index, then it is shorter.
    """

    kind: Kind
    files: tuple[str, ...]
    pictures: tuple[int, ...]
    why: str
    severity: Literal["problem", "note"]
    action: Action
    act_on: tuple[str, ...]
    """The files of the action: of copies all but the first."""
    value: str = ""
    """relabel: the key of the class; move: the split; keep: the kind."""
    score: float = 0.0
    """How sure, 0…1, where it is measured; findings of one kind are sorted by it."""

    @property
    def key(self) -> str:
        """Names the finding, the same as long as its kind and its files are the same."""
        parts = "\0".join([self.kind, *sorted(self.files)])
        return hashlib.blake2b(parts.encode(errors="surrogateescape"), digest_size=8).hexdigest()


@dataclass(frozen=True)
class HealthReport:
    findings: tuple[HealthFinding, ...]
    images: int
    read: int
    """Files read now; the others were measured before."""
    notes: tuple[str, ...] = ()
    """What could not be looked at, and why; a sentence each."""
    methods: tuple[str, ...] = ()
    """How it was looked at, a sentence each."""

    def counts(self) -> dict[Kind, int]:
        """Findings of each kind there is, in the order of KINDS."""
        found = [finding.kind for finding in self.findings]
        return {kind: found.count(kind) for kind in KINDS if kind in found}


@dataclass(frozen=True)
class FrozenFeatures:
    """What a frozen backbone makes of the pictures of an index, and whose it is.

    vectors: float32 [N, D]; is_ok: bool [N], the rows that are filled.
    """

    vectors: npt.NDArray[np.float32]
    is_ok: npt.NDArray[np.bool_]
    model: str
    computed: int = 0
    """How many were not in the cache."""


def open_findings(
    findings: Iterable[HealthFinding], edits: Sequence[Edit]
) -> tuple[HealthFinding, ...]:
    """The findings that no edit in force has dismissed or answered.

    Dismissed: all its files were kept, for this kind. Answered: what it acts on was excluded.
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
            or (finding.act_on and finding.action != "keep" and set(finding.act_on) <= excluded)
        )
    )
