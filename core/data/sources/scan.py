"""Scans a dataset: which files can be read, which cannot and why, copies and leaks.

The user's files are read, never written. `sources` finds the class and split of each file,
`file_reader` reads them or uses the cache, `splits` draws a missing val. Knows nothing of edits.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.data.dataset import (
    NO_GROUP,
    NO_LABEL,
    NO_SPLIT,
    SPLITS,
    DatasetIndex,
    Problem,
    ProblemKind,
    Task,
    contradiction,
)
from core.data.sources.file_reader import FileReader
from core.data.sources.folders import Layout, files_below, is_image_name
from core.data.sources.sources import find_sources
from core.data.splits import SplitPlan, draw, hold_out_val
from core.errors import DatasetError, DecodeError
from core.events import OnProgress, ShouldStop, never_stop, no_progress
from core.images.decode import read_header

_TRAIN = SPLITS.index("train")
_VAL = SPLITS.index("val")


def scan(
    source: Path | str | Sequence[Path],
    *,
    verify: bool = False,
    allow_unlabelled: bool = False,
    fresh: bool = False,
    on_progress: OnProgress = no_progress,
    should_stop: ShouldStop = never_stop,
) -> DatasetIndex:
    """Scan a folder of images, a table, an archive, or several of these.

    A folder has class folders, or train/val/test with class folders; a table lists pictures and
    labels (see `tables`); an archive is unpacked once (see `archives`). The header of every file
    is read; with `verify` every picture is decoded completely. Files that have not changed since
    an earlier scan are not read again, unless `fresh`. Files that cannot be read are in
    `problems`, files that are not pictures in `ignored`, both left out of `files`. If there is no
    val, a fifth of the training images becomes val. With `allow_unlabelled` pictures without a
    label are kept, with NO_LABEL, and there may be no class at all. May be called from any thread.

    Raises: DatasetError if nothing can be trained on it; Cancelled.
    """
    on_progress(0, 0, "Looking for pictures")
    layout = find_sources(
        source,
        allow_unlabelled=allow_unlabelled,
        on_progress=on_progress,
        should_stop=should_stop,
    )
    reader = FileReader(layout, verify=verify, fresh=fresh)
    reader.read(on_progress, should_stop)
    if not layout.root.is_dir():
        raise DatasetError(
            f"The folder {layout.root} vanished while it was read.",
            "Check the drive or the network, and drop the folder again.",
        )
    index, at = _select_classes(layout, reader, allow_unlabelled=allow_unlabelled)
    try:
        groups = _duplicates(index, at, reader, on_progress, should_stop)
        index = _with_val(index, groups, reader)
    finally:
        reader.save()
    index = _with_duplicates(index, groups)
    return replace(index, problems=tuple(sorted(index.problems, key=_problem_order)))


def picture_files(folder: Path, *, should_stop: ShouldStop = never_stop) -> list[Path]:
    """The pictures in a folder and its subfolders, sorted, to classify all of them.

    Files with a picture's suffix are included even if they are broken, so that this is reported;
    other files if their content is a picture.

    Raises: DatasetError if the folder cannot be read; Cancelled.
    """
    found = files_below(folder, should_stop=should_stop)
    return [path for path in found if is_image_name(path.name) or _has_header(path)]


def _has_header(path: Path) -> bool:
    try:
        read_header(path)
    except DecodeError:
        return False
    return True


def to_json(index: DatasetIndex) -> dict[str, Any]:
    """The scan as the JSON document of the command line.

    `problems` are broken files and classes; pictures that have a copy under another label are not
    broken, so they are listed separately, in `contradictions`.
    """
    faults = [problem for problem in index.problems if problem.kind != "contradiction"]
    contradictions = [problem for problem in index.problems if problem.kind == "contradiction"]
    return {
        "dataset": index.name,
        "root": str(index.root),
        "sources": [str(path) for path in index.opened],
        "images": len(index),
        "unlabelled": len(index.unlabelled),
        "classes": index.class_counts(),
        "splits": index.split_counts(),
        "split_origin": index.split_origin,
        "verified": index.verified,
        "problems": [
            {"file": problem.file, "kind": problem.kind, "reason": problem.reason}
            for problem in faults
        ],
        "contradictions": [
            {"file": problem.file, "reason": problem.reason} for problem in contradictions
        ],
        "ignored": len(index.ignored),
        "ignored_files": list(index.ignored),
        "duplicates": [list(group) for group in index.duplicates],
        "leaks": [list(group) for group in index.leaks],
        "tasks": {task.name: list(task.classes) for task in index.tasks},
        "notes": list(index.notes),
    }


def _select_classes(
    layout: Layout, reader: FileReader, *, allow_unlabelled: bool
) -> tuple[DatasetIndex, npt.NDArray[np.int64]]:
    """The index of the readable images of classes that can be trained, with all problems.

    Returns the index and, for each of its images, the position in the layout, int64 [n].

    Raises: DatasetError if there are too few classes.
    """
    labels = np.array(layout.labels, dtype=np.int32)
    splits = np.array(layout.splits, dtype=np.uint8)
    readable = reader.readable
    failures = reader.failures()
    problems = list(layout.problems)
    problems += [Problem(layout.files[i], kind, why) for i, (kind, why) in failures.items()]
    counts = np.zeros((len(layout.classes), len(SPLITS)), dtype=np.int64)
    counted = readable & (labels != NO_LABEL)
    np.add.at(counts, (labels[counted], splits[counted]), 1)
    problems += _class_problems(layout, counts, failures)

    trained = np.flatnonzero(counts[:, _TRAIN])
    unlabelled = readable & (labels == NO_LABEL)
    notes = list(layout.notes)
    if not (allow_unlabelled and (unlabelled.any() or len(trained))):
        _refuse_few_classes(layout, trained, failures)
        if unlabelled.any():
            number = int(unlabelled.sum())
            notes.append(f"{_images(number)} without a label {_is_or_are(number)} left out.")
            unlabelled[:] = False
    elif len(trained) == 1 and not unlabelled.any():
        notes.append(
            f"It has one class, “{layout.classes[trained[0]]}”, and a classifier tells classes "
            "apart: give some pictures another one, or add a folder."
        )
    # One more at the end, where NO_LABEL (-1) points.
    new_label = np.full(len(layout.classes) + 1, NO_LABEL, dtype=np.int32)
    new_label[trained] = np.arange(len(trained), dtype=np.int32)
    labels = new_label[labels]
    keep = unlabelled | (readable & (labels != NO_LABEL))
    at = np.flatnonzero(keep)
    ignored = layout.ignored + [
        layout.files[i] for i in np.flatnonzero(~readable).tolist() if i not in failures
    ]
    groups = None if layout.groups is None else np.array(layout.groups, dtype=np.int32)[at]
    records = reader.records
    index = DatasetIndex(
        root=layout.root,
        classes=tuple(layout.classes[i] for i in trained),
        files=tuple(itertools.compress(layout.files, keep.tolist())),
        labels=labels[at],
        splits=splits[at],
        bytes=records.stats[at, 0],
        widths=records.widths[at],
        heights=records.heights[at],
        split_origin="folders",
        problems=tuple(problems),
        ignored=tuple(sorted(ignored)),
        verified=reader.is_all_verified,
        name=layout.name,
        notes=tuple(notes),
        sources=layout.sources,
        groups=groups,
        tasks=tuple(
            Task(task.name, task.classes, np.array(task.labels, dtype=np.int32)[at])
            for task in layout.tasks
        ),
        modified_ns=records.stats[at, 1],
        stamps=layout.stamps,
    )
    return index, at


def _class_problems(
    layout: Layout,
    counts: npt.NDArray[np.int64],
    failures: dict[int, tuple[ProblemKind, str]],
) -> list[Problem]:
    """Problems of empty classes, classes in one split only, and classes of one image.

    counts: readable images, int64 [classes, splits]. failures: see `FileReader.failures`.
    """
    problems = []
    failed = np.zeros_like(counts)
    for i in failures:
        if layout.labels[i] != NO_LABEL:
            failed[layout.labels[i], layout.splits[i]] += 1
    place = "class" if layout.is_table else "folder"
    present = counts.sum(axis=0) > 0
    unlisted = {p.file for p in layout.problems if p.kind in ("no permission", "unreadable")}
    for folder in layout.folders:
        count = int(counts[folder.label, folder.split])
        trains = counts[folder.label, _TRAIN] > 0
        if count == 0:
            broken = int(failed[folder.label, folder.split])
            what = "holds no picture"
            if folder.path in unlisted:
                what = "could not be looked into"
            elif broken:
                what = f"holds no picture that can be read ({broken:,} cannot)"
            left = "" if trains else ", so the class is left out"
            problems.append(Problem(folder.path, "empty class", f"the {place} {what}{left}"))
        elif not trains:
            problems.append(
                Problem(
                    folder.path,
                    "class set",
                    f"the class has {_images(count)} here and none in train; left out",
                )
            )
        elif folder.split == _TRAIN:
            if count == 1:
                problems.append(
                    Problem(
                        folder.path,
                        "few images",
                        "the class has one training image; nothing can be set aside to check it",
                    )
                )
            if present[_VAL] and not counts[folder.label, _VAL]:
                problems.append(
                    Problem(
                        folder.path,
                        "class set",
                        "the class has no image in val: how well it is told apart is not measured",
                    )
                )
    return problems


def _refuse_few_classes(
    layout: Layout,
    trained: npt.NDArray[np.intp],
    failures: dict[int, tuple[ProblemKind, str]],
) -> None:
    """Raise DatasetError if fewer than two classes can be trained; `trained`: their labels."""
    name, where = layout.name, "train of " if layout.has_splits else ""
    if len(trained) > 1:
        return
    if len(trained) == 1:
        raise DatasetError(
            f"“{name}” has only one class with pictures (“{layout.classes[trained[0]]}”).",
            "A classifier tells classes apart: add "
            + ("pictures of a second one." if layout.is_table else "a folder for a second one."),
        )
    if failures:
        first = min(failures)
        raise DatasetError(
            f"None of the {len(failures):,} pictures in {where}“{name}” can be read"
            f" (the first, {layout.files[first]}: {failures[first][1]}).",
            f"The table's paths are looked for from {layout.root}: put the pictures there."
            if layout.is_table
            else "Check that the files open in an image viewer.",
        )
    if layout.is_table:
        raise DatasetError(
            f"No picture in {where}“{name}” has a label.", "Fill the table's column of labels."
        )
    raise DatasetError(
        f"The class folders in {where}“{name}” hold no pictures.",
        "Put the pictures of each class into its folder.",
    )


def _duplicates(
    index: DatasetIndex,
    at: npt.NDArray[np.int64],
    reader: FileReader,
    on_progress: OnProgress,
    should_stop: ShouldStop,
) -> list[npt.NDArray[np.int64]]:
    """Groups of positions with the same bytes; only files that may be copies are hashed.

    at: the positions of the index's images in the layout that was read.
    """
    # Copies have equal bytes, width and height. A collision of this sum reads a file too many, but
    # is not an error: the content decides.
    size = (index.bytes * 1_000_003 + index.widths) * 65_537 + index.heights
    _, inverse, counts = np.unique(size, return_inverse=True, return_counts=True)
    suspects = np.flatnonzero(counts[inverse] > 1)
    is_hashed, hashes = reader.hash_files(at[suspects], on_progress, should_stop)
    suspects, hashes = suspects[is_hashed], hashes[is_hashed]
    # lexsort is stable: the members of a group stay in the order of the files.
    order = np.lexsort(hashes.T)
    is_same = (hashes[order[1:]] == hashes[order[:-1]]).all(axis=1)
    begins = np.flatnonzero(np.diff(is_same.astype(np.int8), prepend=0, append=0) == 1)
    ends = np.flatnonzero(np.diff(is_same.astype(np.int8), prepend=0, append=0) == -1)
    groups = [
        suspects[order[begin : end + 1]].astype(np.int64)
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)
    ]
    return sorted(groups, key=lambda group: int(group[0]))


def _with_val(
    index: DatasetIndex, groups: list[npt.NDArray[np.int64]], reader: FileReader
) -> DatasetIndex:
    """The index, with a val drawn from its training images if it has none.

    groups: positions with the same bytes.
    """
    training = index.indices("train")
    if (index.splits == _VAL).any() or not training.size:
        return index
    if index.groups is not None and (index.groups != NO_GROUP).any():
        copies = _as_files(index, groups)
        return replace(draw(replace(index, duplicates=copies), SplitPlan()), duplicates=())
    place = np.full(len(index), -1, dtype=np.int64)
    place[training] = np.arange(len(training))
    inside = [place[group][place[group] >= 0] for group in groups]
    copies_inside = [group for group in inside if len(group) > 1]
    # Drawing imports scikit-learn, which takes longer than the rest of a second scan.
    key = _key_of(index.labels[training], copies_inside)
    val = reader.stored_val(key)
    if val is None or len(val) != len(training):
        val = hold_out_val(index.labels[training], copies_inside)
        reader.store_val(key, val)
    splits = index.splits.copy()
    splits[training[val]] = _VAL
    return replace(index, splits=splits, split_origin="graftwork")


def _key_of(labels: npt.NDArray[np.int32], copies: list[npt.NDArray[np.int64]]) -> bytes:
    key = hashlib.blake2b(labels.tobytes(), digest_size=16)
    for group in copies:
        key.update(group.tobytes() + b"|")
    return key.digest()


def _with_duplicates(index: DatasetIndex, groups: list[npt.NDArray[np.int64]]) -> DatasetIndex:
    """The index with its duplicates, leaks and contradictions; groups: equal bytes."""
    leaks = [group for group in groups if len(set(index.splits[group].tolist()) - {NO_SPLIT}) > 1]
    problems = list(index.problems)
    for group in groups:
        labelled = [i for i in group.tolist() if index.labels[i] != NO_LABEL]
        for i in labelled:
            others = [j for j in labelled if index.labels[j] != index.labels[i]]
            if others:
                problems.append(contradiction(index, i, others[0]))
    return replace(
        index,
        problems=tuple(problems),
        duplicates=_as_files(index, groups),
        leaks=_as_files(index, leaks),
    )


def _as_files(
    index: DatasetIndex, groups: list[npt.NDArray[np.int64]]
) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(index.files[i] for i in group.tolist()) for group in groups)


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"


def _is_or_are(count: int) -> str:
    return "is" if count == 1 else "are"


def _problem_order(problem: Problem) -> tuple[str, str]:
    return problem.file, problem.kind
