"""Checks the health of a dataset: what may be wrong with its pictures, why, and what to do.

Combines the measures of single pictures, near duplicates and label errors to findings. Changes
nothing; `open_findings` leaves out findings that the user has decided on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.catalog.names import full_name
from core.data.dataset import NO_LABEL, NO_SPLIT, SPLITS, DatasetIndex
from core.data.health.findings import (
    KINDS,
    HealthFinding,
    HealthReport,
    IndexFeatures,
    Kind,
    open_findings,
)
from core.data.health.label_errors import FOLDS, UNLIKE, label_errors, unlike_their_class
from core.data.health.measure import Measured, measure
from core.data.health.near_duplicates import LIKE, TURNS, Pairs, connected_groups, near_pairs
from core.data.journal import Edit, EditKind
from core.data.splits import copies_of
from core.events import OnProgress, ShouldStop, check_stop

__all__ = [
    "KINDS",
    "HealthFinding",
    "HealthReport",
    "IndexFeatures",
    "Kind",
    "check_health",
    "open_findings",
]

TINY_SIDE = 32
"""Pixels: a smaller picture is enlarged more than seven times for a 224 px model."""
ODD_ASPECT = 4.0
"""Ratio of long to short side: a square crop would keep less than a quarter."""
DARK, BRIGHT, FLAT = 20.0, 235.0, 4.0
"""Limits of mean gray (DARK, BRIGHT) and of its standard deviation (FLAT), of 0…255."""
BLUR_MADS = 4.0
"""Limit of the log sharpness, in robust deviations below the dataset's median."""
IMBALANCE = 10.0
"""Limit of the ratio of the largest to the smallest class."""


def check_health(
    index: DatasetIndex,
    *,
    on_progress: OnProgress,
    should_stop: ShouldStop,
    features: IndexFeatures | None = None,
) -> HealthReport:
    """Check the health of a dataset; after a stop a second call continues where it stopped.

    With `features`, finds also pictures unlike the rest of their class and suspected label errors.
    Call it in a worker thread: with `features` it imports scikit-learn and cleanlab, which takes
    seconds.

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
    near = _near_groups(index, measured, readable, exact, should_stop)
    found += [_copies(index, group, "near duplicates", why, score) for group, why, score in near]
    found += _odd_pictures(index, measured.rows, readable)
    found += _imbalance(index)
    notes, methods = [*_notes(index, measured)], [*_METHODS]
    if features is not None:
        copies = [*exact, *(group for group, _, _ in near)]
        by_features, method, note = _by_features(
            index, features, copies, on_progress=on_progress, should_stop=should_stop
        )
        found += by_features
        methods += method
        notes += note
    check_stop(should_stop)
    found.sort(key=lambda f: (KINDS.index(f.kind), -f.score, f.files))
    return HealthReport(tuple(found), len(index), measured.read, tuple(notes), tuple(methods))


_METHODS = (
    "Exact duplicates have the same bytes.",
    "Near duplicates: hashes of 128 bits of gray thumbnails, also turned and mirrored, confirmed "
    f"by the correlation of the thumbnails (at least {LIKE}) and of their detail, measured "
    "against how alike other pictures of the dataset are. Pieces that show a tenth less at an "
    "edge, or pictures turned by a few degrees, may be missed.",
    "Blurred: sharpness (variance of the Laplacian at a short side of 256 px) "
    f"{BLUR_MADS:g} robust deviations below the dataset's median. Dark: mean gray below {DARK:g}, "
    f"bright: above {BRIGHT:g}, and far from what is usual in the class; flat: spread below "
    f"{FLAT:g}, of 255. Tiny: short side below {TINY_SIDE} px. Odd aspect: more than "
    f"{ODD_ASPECT:g} to 1. Imbalance: more than {IMBALANCE:g} to 1.",
)


def _notes(index: DatasetIndex, measured: Measured) -> Iterator[str]:
    if measured.trouble:
        yield (
            f"What was measured could not be kept ({measured.trouble}): the next look reads all "
            "pictures again."
        )
    if not index.root.is_dir():
        yield f"The folder {index.root} vanished: {len(measured.reasons):,} pictures were not read."


def _unreadable(index: DatasetIndex, measured: Measured) -> Iterator[HealthFinding]:
    for problem in index.problems:
        if problem.kind in ("unreadable", "no permission"):
            why = f"It cannot be read: {problem.reason}."
            edit = Edit("exclude", (problem.file,))
            yield HealthFinding("unreadable", (problem.file,), (), why, "problem", edit)
    if not index.root.is_dir():
        return
    for i, reason in sorted(measured.reasons.items()):
        yield _one(index, "unreadable", i, f"It cannot be read: {reason}.", "problem", "exclude")


def _classes(index: DatasetIndex) -> Iterator[HealthFinding]:
    """The problems that the scan found with whole classes."""
    for problem in index.problems:
        if problem.kind in ("empty class", "few images", "class set", "no class"):
            why = problem.reason[:1].upper() + problem.reason[1:] + "."
            edit = Edit("keep", (problem.file,), "class")
            yield HealthFinding("class", (problem.file,), (), why, "note", edit)


_Near = tuple[tuple[int, ...], str, float]
"""(positions, why, score) of a group of near copies."""


def _near_groups(
    index: DatasetIndex,
    measured: Measured,
    readable: npt.NDArray[np.bool_],
    exact: list[tuple[int, ...]],
    should_stop: ShouldStop,
) -> list[_Near]:
    """Groups of near copies. Of pictures with the same bytes only the first is compared."""
    usable = readable & (measured.rows["std"] >= FLAT)  # a flat picture's pattern is noise
    for twins in exact:
        usable[list(twins[1:])] = False
    rows = np.flatnonzero(usable)
    pairs = near_pairs(measured.rows["thumb"][rows], should_stop=should_stop)
    twins_of = {twins[0]: twins for twins in exact}
    groups = connected_groups(len(rows), pairs)
    group_of = {row: number for number, group in enumerate(groups) for row in group}
    linked: list[list[int]] = [[] for _ in groups]
    for k, row in enumerate(pairs.first.tolist()):
        linked[group_of[row]].append(k)
    near: list[_Near] = []
    for group, chosen in zip(groups, linked, strict=True):
        firsts = rows[group].tolist()
        members = sorted(i for first in firsts for i in twins_of.get(first, (first,)))
        near.append((tuple(members), *_likeness(pairs, chosen)))
    return near


def _likeness(pairs: Pairs, chosen: list[int]) -> tuple[str, float]:
    """(why, score) of a group of near copies by its least similar pair; chosen: its pairs."""
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
) -> HealthFinding:
    """The finding about a group of copies.

    Two labels if they have several, else a leak if they are in several splits, else `kind`.
    """
    files = tuple(index.files[i] for i in group)
    labels = sorted({int(index.labels[i]) for i in group} - {NO_LABEL})
    if len(labels) > 1:
        return _two_labels(index, group, labels, why, score)
    splits = sorted({int(index.splits[i]) for i in group} - {NO_SPLIT})
    if len(splits) > 1:
        where = " and ".join(SPLITS[split] for split in splits)
        # Report images stay; the copies move to their split, so that no copy is trained on.
        to = splits[-1]
        movers = tuple(index.files[i] for i in group if index.splits[i] not in (to, NO_SPLIT))
        return HealthFinding(
            "leak", files, group, f"{why}; they stand in {where}.", "problem",
            Edit("move", movers, SPLITS[to]), score,
        )  # fmt: skip
    return HealthFinding(kind, files, group, f"{why}.", "note", Edit("exclude", files[1:]), score)


def _two_labels(
    index: DatasetIndex, group: tuple[int, ...], labels: list[int], why: str, score: float
) -> HealthFinding:
    """The finding about copies with several labels.

    If most have one label, the others should get it; else all should be excluded.
    """
    files = tuple(index.files[i] for i in group)
    votes = np.bincount(index.labels[[i for i in group if index.labels[i] != NO_LABEL]])
    most = int(votes.argmax())
    counts = " and ".join(f"{index.classes[label]} ({votes[label]})" for label in labels)
    why = f"{why}; they are labelled {counts}."
    if 2 * votes[most] > votes.sum():
        wrong = tuple(index.files[i] for i in group if index.labels[i] not in (most, NO_LABEL))
        edit = Edit("relabel", wrong, index.keys[most])
    else:
        edit = Edit("exclude", files)
    return HealthFinding("two labels", files, group, why, "problem", edit, score)


def _by_features(
    index: DatasetIndex,
    features: IndexFeatures,
    copies: list[tuple[int, ...]],
    *,
    on_progress: OnProgress,
    should_stop: ShouldStop,
) -> tuple[list[HealthFinding], list[str], list[str]]:
    """(findings, methods, notes) about label errors and pictures unlike their class.

    copies: groups of positions of exact and near copies.
    """
    name = full_name(features.model)
    usable = np.flatnonzero(features.is_ok & (index.labels != NO_LABEL))
    vectors, labels = features.vectors[usable], index.labels[usable]
    unit = np.arange(len(index))
    for group in copies:
        unit[list(group)] = unit[list(group)].min()
    found: list[HealthFinding] = []
    methods: list[str] = []
    notes: list[str] = []
    errors = label_errors(
        vectors, labels, units=unit[usable], on_progress=on_progress, should_stop=should_stop
    )
    for row, label, given, better in zip(
        errors.rows, errors.suggested, errors.given, errors.better, strict=True
    ):
        i = int(usable[row])
        why = (
            f"It looks like {index.classes[label]} ({better:.0%}), not like "
            f"{index.class_of(i)} ({given:.0%}), to classifiers that never saw it."
        )
        found.append(
            _one(
                index, "label error", i, why, "problem", "relabel",
                value=index.keys[label], score=float(better - given),
            )
        )  # fmt: skip
    if errors.judged:
        methods.append(
            f"Label errors: {FOLDS}-fold logistic heads on the frozen features of {name} "
            f"foretold {errors.accuracy:.1%} of the labels of {errors.judged:,} pictures; "
            "confident learning (cleanlab) names the labels that do not hold."
        )
    else:
        notes.append("Labels were not judged: that takes two classes of five pictures or more.")
    on_progress(0, 0, "Looking for pictures unlike their class")
    unlike = unlike_their_class(vectors, labels, should_stop=should_stop)
    suspected = {int(usable[row]) for row in errors.rows}
    for row, times, deviations in zip(unlike.rows, unlike.times, unlike.deviations, strict=True):
        i = int(usable[row])
        if i in suspected:
            continue
        why = (
            f"It is {times:.1f} times as far from its nearest in {index.class_of(i)} as usual "
            f"there ({deviations:.1f} robust deviations)."
        )
        score = float(deviations / (deviations + UNLIKE))
        found.append(_one(index, "unlike its class", i, why, "note", "exclude", score=score))
    methods.append(
        f"Unlike their class: mean angle of the frozen features of {name} to the nearest "
        f"ten of the class, its logarithm more than {UNLIKE:g} robust deviations above the "
        "class's median."
    )
    return found, methods, notes


def _one(
    index: DatasetIndex,
    kind: Kind,
    i: int,
    why: str,
    severity: Literal["problem", "note"],
    action: EditKind,
    *,
    value: str = "",
    score: float = 0.0,
) -> HealthFinding:
    """A finding about the single picture i."""
    files = (index.files[i],)
    value = kind if action == "keep" else value
    return HealthFinding(kind, files, (i,), why, severity, Edit(action, files, value), score)


def _odd_pictures(
    index: DatasetIndex, rows: npt.NDArray[np.void], readable: npt.NDArray[np.bool_]
) -> Iterator[HealthFinding]:
    """Findings about size, brightness, sharpness and aspect; rows: MEASURES [N]."""
    if not readable.any():
        return
    short = np.minimum(index.widths, index.heights)
    aspect = np.maximum(index.widths, index.heights) / np.maximum(short, 1)
    sharp = np.log1p(rows["sharp"])
    middle = float(np.median(sharp[readable]))
    spread = 1.4826 * float(np.median(np.abs(sharp[readable] - middle)))
    # At least 0.25: in a dataset of similar pictures a small difference is not blur.
    blurred = sharp < middle - BLUR_MADS * max(spread, 0.25)
    usual = float(np.median(short))
    unusual = _unusual(rows["mean"], index.labels, readable)
    for i in np.flatnonzero(readable).tolist():
        mean, std = float(rows["mean"][i]), float(rows["std"][i])
        if short[i] < TINY_SIDE <= usual:
            why = f"Its short side has {short[i]} pixels; usual here are {usual:.0f}."
            yield _one(index, "tiny", i, why, "note", "exclude")
        if std < FLAT:
            why = f"It is nearly of one colour: its gray spreads by {std:.1f} of 255."
            yield _one(index, "flat", i, why, "note", "exclude")
        elif (mean < DARK or mean > BRIGHT) and unusual[i]:
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


def _unusual(
    gray: npt.NDArray[np.float32], labels: npt.NDArray[np.int32], readable: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Whether the brightness is far from the class's median: bool [N]. Some classes are dark."""
    unusual = np.zeros(len(gray), np.bool_)
    for label in np.unique(labels):
        members = np.flatnonzero((labels == label) & readable)
        if members.size:
            away = np.abs(gray[members] - np.median(gray[members]))
            unusual[members] = away > 3 * max(1.4826 * float(np.median(away)), 10.0)
    return unusual


def _imbalance(index: DatasetIndex) -> Iterator[HealthFinding]:
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
        edit = Edit("keep", files, "imbalance")
        yield HealthFinding("imbalance", files, pictures, why, "note", edit)
