"""From a folder to a `DatasetIndex`: what can be read, what cannot and why, copies and leaks.

The user's folder is read, never written. Which file belongs where is told by `layout`, how a
picture is read by `decode`, how a missing split is made by `splits`.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.data.dataset import SPLITS, DatasetIndex, Problem, ProblemKind, contradiction
from core.data.decode import decode, read_bytes, read_header, read_header_and_size
from core.data.layout import Layout, files_below, find_layout, is_image_name
from core.data.splits import carve_val
from core.data.threads import in_threads, patiently
from core.errors import DatasetError, DecodeError
from core.events import OnProgress, ShouldStop, check_stop, never_stop, no_progress

_VERIFY_SHORT_SIDE_PX = 64
_TRAIN = SPLITS.index("train")
_VAL = SPLITS.index("val")


def scan(
    path: Path | str,
    *,
    verify: bool = False,
    on_progress: OnProgress = no_progress,
    should_stop: ShouldStop = never_stop,
) -> DatasetIndex:
    """What a folder of images holds: class folders, or train/val/test that hold class folders.

    The header of every file is read; with `verify` every picture is decoded to its end. Files
    that cannot be read are in `problems`, files that are no pictures in `ignored`, both left out
    of `files`. Where the folder has no val, a fifth of its training images becomes that. May be
    called from any thread.

    Raises: DatasetError for a folder nothing can be trained on, Cancelled.
    """
    on_progress(0, 0, "Looking for pictures")
    layout = patiently(
        lambda stopping: find_layout(path, should_stop=stopping),
        note="Looking for pictures",
        name=f"the folder {Path(path).name}",
        on_progress=on_progress,
        should_stop=should_stop,
    )
    found = _Reader(layout, verify=verify).read(on_progress, should_stop)
    if not layout.root.is_dir():
        raise DatasetError(
            f"The folder {layout.root} vanished while it was read.",
            "Check the drive or the network, and drop the folder again.",
        )
    index = _judge_classes(layout, found)
    groups = _duplicates(index, on_progress, should_stop)
    index = _with_val(index, groups)
    index = _with_duplicates(index, groups)
    return replace(index, problems=tuple(sorted(index.problems, key=_problem_order)))


def picture_files(folder: Path, *, should_stop: ShouldStop = never_stop) -> list[Path]:
    """The pictures in a folder and the folders in it, sorted, for classifying all of them.

    What is named like a picture counts even if broken, so that it is told; of other files those
    whose content is one.

    Raises: DatasetError for what is no readable folder, Cancelled.
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
    """The scan as the JSON of the command line.

    `problems` are files and classes with a fault of their own; copies of a picture under two
    labels are each sound, so they stand apart, in `contradictions`.
    """
    faults = [problem for problem in index.problems if problem.kind != "contradiction"]
    torn = [problem for problem in index.problems if problem.kind == "contradiction"]
    return {
        "dataset": index.name,
        "root": str(index.root),
        "images": len(index),
        "classes": index.class_counts(),
        "splits": index.split_counts(),
        "split_origin": index.split_origin,
        "verified": index.verified,
        "problems": [
            {"file": problem.file, "kind": problem.kind, "reason": problem.reason}
            for problem in faults
        ],
        "contradictions": [{"file": problem.file, "reason": problem.reason} for problem in torn],
        "ignored": len(index.ignored),
        "ignored_files": list(index.ignored),
        "duplicates": [list(group) for group in index.duplicates],
        "leaks": [list(group) for group in index.leaks],
        "notes": list(index.notes),
    }


class _Reader:
    """Reads the files of a layout into columns; the threads write each to its own place."""

    def __init__(self, layout: Layout, *, verify: bool) -> None:
        count = len(layout.files)
        self.layout = layout
        self.verify = verify
        self.prefix = os.path.join(str(layout.root), "")  # noqa: PTH118
        self.readable = np.zeros(count, dtype=bool)
        self.bytes = np.zeros(count, dtype=np.int64)
        self.widths = np.zeros(count, dtype=np.int32)
        self.heights = np.zeros(count, dtype=np.int32)
        self.failures: dict[int, tuple[ProblemKind, str]] = {}

    def read(self, on_progress: OnProgress, should_stop: ShouldStop) -> _Reader:
        in_threads(
            self._read_file,
            len(self.layout.files),
            note="Checking pictures" if self.verify else "Reading pictures",
            on_progress=on_progress,
            should_stop=should_stop,
            name=self.layout.files.__getitem__,
        )
        return self

    def _read_file(self, i: int) -> None:
        path = self.prefix + self.layout.files[i]
        try:
            self.widths[i], self.heights[i], self.bytes[i] = read_header_and_size(path)
            if self.verify:
                decode(read_bytes(path), path, short_side=_VERIFY_SHORT_SIDE_PX)
        except DecodeError as error:
            if isinstance(error.__cause__, PermissionError):
                self.failures[i] = ("no permission", error.reason)
            elif is_image_name(path) or self.widths[i]:
                self.failures[i] = ("unreadable", error.reason)
            return
        self.readable[i] = True


def _judge_classes(layout: Layout, found: _Reader) -> DatasetIndex:
    """Keeps the readable images of classes that can be trained; says what was left out."""
    labels = np.array(layout.labels, dtype=np.int32)
    splits = np.array(layout.splits, dtype=np.uint8)
    problems = list(layout.problems)
    for i, (kind, reason) in found.failures.items():
        problems.append(Problem(layout.files[i], kind, reason))
    counts = np.zeros((len(layout.classes), len(SPLITS)), dtype=np.int64)
    np.add.at(counts, (labels[found.readable], splits[found.readable]), 1)
    problems += _class_problems(layout, counts, found)

    trained = np.flatnonzero(counts[:, _TRAIN])
    _refuse_few_classes(layout, trained, found)
    new_label = np.full(len(layout.classes), -1, dtype=np.int32)
    new_label[trained] = np.arange(len(trained), dtype=np.int32)
    keep = found.readable & (new_label[labels] >= 0)
    ignored = layout.ignored + [
        file
        for i, file in enumerate(layout.files)
        if not found.readable[i] and i not in found.failures
    ]
    return DatasetIndex(
        root=layout.root,
        classes=tuple(layout.classes[i] for i in trained),
        files=tuple(itertools.compress(layout.files, keep)),
        labels=new_label[labels[keep]],
        splits=splits[keep],
        bytes=found.bytes[keep],
        widths=found.widths[keep],
        heights=found.heights[keep],
        split_origin="folders",
        problems=tuple(problems),
        ignored=tuple(sorted(ignored)),
        verified=found.verify,
        name=layout.name,
        notes=tuple(layout.notes),
    )


def _class_problems(layout: Layout, counts: npt.NDArray[np.int64], found: _Reader) -> list[Problem]:
    """Empty classes, classes of one split only, classes of one image. counts: [classes, splits]."""
    problems = []
    failed = np.zeros_like(counts)
    for i in found.failures:
        failed[layout.labels[i], layout.splits[i]] += 1
    present = counts.sum(axis=0) > 0
    for folder in layout.folders:
        count = int(counts[folder.label, folder.split])
        trains = counts[folder.label, _TRAIN] > 0
        if count == 0:
            broken = int(failed[folder.label, folder.split])
            what = "holds no picture"
            if broken:
                what = f"holds no picture that can be read ({broken:,} cannot)"
            left = "" if trains else ", so the class is left out"
            problems.append(Problem(folder.path, "empty class", f"the folder {what}{left}"))
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


def _refuse_few_classes(layout: Layout, trained: npt.NDArray[np.intp], found: _Reader) -> None:
    name, where = layout.name, "train of " if layout.has_splits else ""
    if len(trained) > 1:
        return
    if len(trained) == 1:
        raise DatasetError(
            f"“{name}” has only one class with pictures (“{layout.classes[trained[0]]}”).",
            "A classifier tells classes apart: add a folder for a second one.",
        )
    if found.failures:
        first = min(found.failures)
        raise DatasetError(
            f"None of the {len(found.failures):,} pictures in {where}“{name}” can be read"
            f" (the first, {layout.files[first]}: {found.failures[first][1]}).",
            "Check that the files open in an image viewer.",
        )
    raise DatasetError(
        f"The class folders in {where}“{name}” hold no pictures.",
        "Put the pictures of each class into its folder.",
    )


def _duplicates(
    index: DatasetIndex, on_progress: OnProgress, should_stop: ShouldStop
) -> list[npt.NDArray[np.int64]]:
    """Groups of positions with the same bytes; only files of equal size are read for it."""
    _, inverse, counts = np.unique(index.bytes, return_inverse=True, return_counts=True)
    suspects = np.flatnonzero(counts[inverse] > 1)
    digests: list[bytes] = [b""] * len(suspects)

    def hash_file(j: int) -> None:
        try:
            with index.path(int(suspects[j])).open("rb", buffering=0) as file:
                digests[j] = hashlib.file_digest(file, _blake2b).digest()
        except OSError:
            # Read a moment ago and gone now: the training names it. Alike nothing.
            digests[j] = b"gone %d" % j

    in_threads(
        hash_file,
        len(suspects),
        note="Looking for copies",
        on_progress=on_progress,
        should_stop=should_stop,
        name=lambda j: index.files[int(suspects[j])],
    )
    groups: dict[bytes, list[int]] = {}
    for position, digest in zip(suspects.tolist(), digests, strict=True):
        groups.setdefault(digest, []).append(position)
    check_stop(should_stop)
    return [np.array(group, dtype=np.int64) for group in groups.values() if len(group) > 1]


def _blake2b() -> Any:
    return hashlib.blake2b(digest_size=16)


def _with_val(index: DatasetIndex, groups: list[npt.NDArray[np.int64]]) -> DatasetIndex:
    """The index, with val carved from its training images where it has none."""
    if (index.splits == _VAL).any():
        return index
    training = index.indices("train")
    place = np.full(len(index), -1, dtype=np.int64)
    place[training] = np.arange(len(training))
    inside = [place[group][place[group] >= 0] for group in groups]
    val = carve_val(index.labels[training], [group for group in inside if len(group) > 1])
    splits = index.splits.copy()
    splits[training[val]] = _VAL
    return replace(index, splits=splits, split_origin="graftwork")


def _with_duplicates(index: DatasetIndex, groups: list[npt.NDArray[np.int64]]) -> DatasetIndex:
    """The index, with its copies, its leaks and its contradictions named."""
    leaks = [group for group in groups if len(set(index.splits[group].tolist())) > 1]
    problems = list(index.problems)
    for group in groups:
        for i in group.tolist():
            others = [j for j in group.tolist() if index.labels[j] != index.labels[i]]
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


def _problem_order(problem: Problem) -> tuple[str, str]:
    return problem.file, problem.kind
