"""The health of a dataset: what may be wrong with its pictures, why, and what to do about it.

`health` finds, `open_findings` leaves out what a person has answered already. Findings are plain
data: an edit of the journal answers one (`journal.add(finding.action, finding.act_on,
finding.value)`), or dismisses it (`journal.add("keep", finding.files, finding.kind)`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from core.data.dataset import NO_LABEL, NO_SPLIT, SPLITS, DatasetIndex
from core.data.health_measure import Measured, measure
from core.data.journal import Edit
from core.data.near_copies import TURNS, Pairs, grouped, near_pairs
from core.data.splits import copies_of
from core.events import OnProgress, ShouldStop

TINY_SIDE = 32
"""Pixels: below this a 224 px model sees a picture blown up more than seven times."""
ODD_ASPECT = 4.0
"""Long to short side: a square crop would keep less than a quarter."""
DARK, BRIGHT, FLAT = 20.0, 235.0, 4.0
"""Mean gray below or above, spread of gray below, of 0…255."""
BLUR_MADS = 4.0
"""Log sharpness this many robust deviations below the dataset's median."""
IMBALANCE = 10.0
"""Most to fewest images of a class."""

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
class Finding:
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
    findings: tuple[Finding, ...]
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
    notes: tuple[str, ...] = field(default=())


def health(
    index: DatasetIndex,
    *,
    on_progress: OnProgress,
    should_stop: ShouldStop,
    features: FrozenFeatures | None = None,
) -> HealthReport:
    """What may be wrong with a dataset; a second call goes on where the first stopped.

    With `features` also images unlike the rest of their class and suspected label errors. May be
    called from any thread; a worker's, as it imports scikit-learn and cleanlab then.

    Raises: Cancelled.
    """
    measured = measure(index, on_progress=on_progress, should_stop=should_stop)
    on_progress(0, 0, "Looking for near copies")
    readable = np.ones(len(index), np.bool_)
    readable[list(measured.reasons)] = False
    found = [*_unreadable(index, measured), *_classes(index)]
    exact = [tuple(group.tolist()) for group in copies_of(index)]
    found += [
        _copies(index, group, "exact duplicates", "They have the same bytes") for group in exact
    ]
    found += _near(index, measured, readable, exact, should_stop)
    found += _odd_pictures(index, measured.rows, readable)
    found += _imbalance(index)
    order = sorted(found, key=lambda f: (KINDS.index(f.kind), -f.score, f.files))
    return HealthReport(tuple(order), len(index), measured.read, tuple(_notes(index, measured)))


def open_findings(findings: Iterable[Finding], edits: Sequence[Edit]) -> tuple[Finding, ...]:
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


def _notes(index: DatasetIndex, measured: Measured) -> Iterator[str]:
    if measured.trouble:
        yield (
            f"What was measured could not be kept ({measured.trouble}): the next look reads all "
            "pictures again."
        )
    if not index.root.is_dir():
        yield f"The folder {index.root} vanished: {len(measured.reasons):,} pictures were not read."


def _unreadable(index: DatasetIndex, measured: Measured) -> Iterator[Finding]:
    for problem in index.problems:
        if problem.kind in ("unreadable", "no permission"):
            why = f"It cannot be read: {problem.reason}."
            yield Finding(
                "unreadable", (problem.file,), (), why, "problem", "exclude", (problem.file,)
            )
    if not index.root.is_dir():
        return
    for i, reason in sorted(measured.reasons.items()):
        yield _one(index, "unreadable", i, f"It cannot be read: {reason}.", "problem", "exclude")


def _classes(index: DatasetIndex) -> Iterator[Finding]:
    """What the scan found wrong with whole classes."""
    for problem in index.problems:
        if problem.kind in ("empty class", "few images", "class set", "no class"):
            why = problem.reason[:1].upper() + problem.reason[1:] + "."
            yield Finding(
                "class", (problem.file,), (), why, "note", "keep", (problem.file,), "class"
            )


def _near(
    index: DatasetIndex,
    measured: Measured,
    readable: npt.NDArray[np.bool_],
    exact: list[tuple[int, ...]],
    should_stop: ShouldStop,
) -> Iterator[Finding]:
    """Of a group of the same bytes its first stands for all."""
    usable = readable & (measured.rows["std"] >= FLAT)  # a flat picture's pattern is noise
    for group in exact:
        usable[list(group[1:])] = False
    rows = np.flatnonzero(usable)
    pairs = near_pairs(measured.rows["thumb"][rows], should_stop=should_stop)
    twins = {group[0]: group for group in exact}
    linked: dict[int, list[int]] = {}
    groups = grouped(len(rows), pairs)
    group_of = {row: number for number, group in enumerate(groups) for row in group}
    for k, row in enumerate(pairs.first.tolist()):
        linked.setdefault(group_of[row], []).append(k)
    for number, group in enumerate(groups):
        members = sorted(i for row in group for i in twins.get(int(rows[row]), (int(rows[row]),)))
        why, score = _likeness(pairs, linked[number])
        yield _copies(index, tuple(members), "near duplicates", why, score)


def _likeness(pairs: Pairs, chosen: list[int]) -> tuple[str, float]:
    worst = min(chosen, key=lambda k: float(pairs.likeness[k]))
    likeness = float(pairs.likeness[worst])
    turns = sorted({TURNS[int(pairs.turn[k])][0] for k in chosen} - {""})
    turned = f" ({' or '.join(turns)})" if turns else ""
    return (
        f"They show the same{turned}: their thumbnails correlate by {likeness:.3f} and their "
        f"hashes differ in {int(pairs.bits[worst])} of 128 bits",
        max(0.0, likeness),
    )


def _copies(
    index: DatasetIndex, group: tuple[int, ...], kind: Kind, why: str, score: float = 1.0
) -> Finding:
    """What copies are, by where they stand: two labels weigh more than a leak, that more than
    copies in one class and split."""
    files = tuple(index.files[i] for i in group)
    labels = sorted({int(index.labels[i]) for i in group} - {NO_LABEL})
    if len(labels) > 1:
        names = " and ".join(index.classes[label] for label in labels)
        return Finding(
            "two labels", files, group, f"{why}; they are labelled {names}.", "problem",
            "exclude", files, score=score,
        )  # fmt: skip
    splits = sorted({int(index.splits[i]) for i in group} - {NO_SPLIT})
    if len(splits) > 1:
        where = " and ".join(SPLITS[split] for split in splits)
        # What reports stays as it is; the copies go there, so that nothing learns from them.
        to = splits[-1]
        movers = tuple(index.files[i] for i in group if index.splits[i] not in (to, NO_SPLIT))
        return Finding(
            "leak", files, group, f"{why}; they stand in {where}.", "problem",
            "move", movers, SPLITS[to], score,
        )  # fmt: skip
    return Finding(kind, files, group, f"{why}.", "note", "exclude", files[1:], score=score)


def _one(
    index: DatasetIndex,
    kind: Kind,
    i: int,
    why: str,
    severity: Literal["problem", "note"],
    action: Action,
    *,
    value: str = "",
    score: float = 0.0,
) -> Finding:
    files = (index.files[i],)
    value = kind if action == "keep" else value
    return Finding(kind, files, (i,), why, severity, action, files, value, score)


def _odd_pictures(
    index: DatasetIndex, rows: npt.NDArray[np.void], readable: npt.NDArray[np.bool_]
) -> Iterator[Finding]:
    if not readable.any():
        return
    short = np.minimum(index.widths, index.heights)
    aspect = np.maximum(index.widths, index.heights) / np.maximum(short, 1)
    sharp = np.log1p(rows["sharp"])
    middle = float(np.median(sharp[readable]))
    spread = 1.4826 * float(np.median(np.abs(sharp[readable] - middle)))
    # At least 0.25: in a set of like pictures a small difference is not blur.
    blurred = sharp < middle - BLUR_MADS * max(spread, 0.25)
    usual = float(np.median(short))
    for i in np.flatnonzero(readable).tolist():
        mean, std = float(rows["mean"][i]), float(rows["std"][i])
        if short[i] < TINY_SIDE <= usual:
            why = f"Its short side has {short[i]} pixels; usual here are {usual:.0f}."
            yield _one(index, "tiny", i, why, "note", "exclude")
        if std < FLAT:
            why = f"It is nearly of one colour: its gray spreads by {std:.1f} of 255."
            yield _one(index, "flat", i, why, "note", "exclude")
        elif mean < DARK or mean > BRIGHT:
            kind: Kind = "dark" if mean < DARK else "bright"
            why = f"Its mean gray is {mean:.0f} of 255."
            yield _one(index, kind, i, why, "note", "keep")
        elif blurred[i]:
            why = f"Its sharpness is {rows['sharp'][i]:.0f}; usual here is {np.expm1(middle):.0f}."
            yield _one(index, "blurred", i, why, "note", "keep")
        if aspect[i] > ODD_ASPECT:
            why = f"It is {aspect[i]:.1f} times as long as it is wide."
            if index.widths[i] > index.heights[i]:
                why = f"It is {aspect[i]:.1f} times as wide as it is high."
            yield _one(index, "odd aspect", i, why, "note", "keep")


def _imbalance(index: DatasetIndex) -> Iterator[Finding]:
    counts = {name: n for name, n in index.class_counts().items() if n}
    if not counts:
        return
    low, high = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[high] > IMBALANCE * counts[low]:
        label = index.classes.index(low)
        pictures = tuple(np.flatnonzero(index.labels == label).tolist())
        files = tuple(index.files[i] for i in pictures)
        why = (
            f"“{low}” has {counts[low]:,} images and “{high}” {counts[high]:,}, "
            f"{counts[high] / counts[low]:.0f} times as many: add images, or train on balanced "
            "epochs."
        )
        yield Finding("imbalance", files, pictures, why, "note", "keep", files, "imbalance")
