"""What is odd about a dataset: findings of the scan and of the look at its health, in words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from core.data.journal import Edit
from core.words import list_some
from gui.edits.text import name_written
from gui.kit.words import count, quote

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex
    from core.data.health import check
    from core.data.health.check import HealthReport
    from gui.edits.picture_index import PictureIndex

_NAMED = 4
LEAK, COPY, TORN, ODD_SIZE = "leak", "exact duplicates", "two labels", "odd size"
_TITLES = {
    "unreadable": "Unreadable",
    "no permission": "No permission",
    TORN: "Two labels",
    LEAK: "Leak",
    "label error": "Label error?",
    COPY: "Copies",
    "near duplicates": "Near copies",
    "unlike its class": "Unlike its class",
    "blurred": "Blurred",
    "dark": "Dark",
    "bright": "Bright",
    "flat": "One colour",
    "tiny": "Tiny",
    "odd aspect": "Odd shape",
    ODD_SIZE: "Odd size",
    "imbalance": "Uneven classes",
    "few images": "Few images",
    "class set": "Class missing",
    "empty class": "Empty class",
    "no class": "No class",
}
_OF_CLASSES = ("empty class", "few images", "class set")
_COPIES = (COPY, "near duplicates", LEAK, TORN)
"""Kinds that are about several pictures: with one left there is nothing to find."""
_MOST_ODD = 0.05  # of the pictures; what is more frequent is the nature of the dataset
_TINY = 8  # times smaller than the middle picture
_NARROW = 4.0  # times as long as wide


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One thing to know about: what kind, of which files or folder, in words why, and what to do.

    Without an edit that answers it, it can only be kept.
    """

    kind: str
    place: str
    reason: str
    files: tuple[str, ...] = ()
    """Pictures to look at, relative to the dataset; none where it is about a folder."""
    edit: Edit | None = None

    @property
    def title(self) -> str:
        """The kind of finding in words."""
        return _TITLES.get(self.kind, self.kind.capitalize())

    @property
    def dismissal(self) -> Edit:
        """The edit that hides it for good, or until undone."""
        return Edit("keep", self.files or (self.place,), self.kind)


def name_action(finding: FindingRow, edit: Edit, shown: dict[str, str]) -> str:
    """`Exclude 2 copies`, `Relabel to “bees”`: the edit that answers it, as its button says it.

    `shown`: the name of each class by its key.
    """
    n = len(edit.files)
    if edit.kind == "relabel":
        return f"Relabel to {quote(shown.get(edit.value, edit.value))}"
    if edit.kind == "move":
        return f"Move {count(n, 'picture')} to {edit.value}"
    if finding.kind in (COPY, "near duplicates") and n < len(finding.files):
        return f"Exclude {count(n, 'copy', 'copies')}"
    return "Exclude it" if n == 1 else f"Exclude all {n:,}"


def name_action_for_all(findings: Sequence[FindingRow]) -> str:
    """`Exclude 14 pictures` for all findings of a kind."""
    return name_written([finding.edit for finding in findings if finding.edit is not None])


def list_findings(
    pictures: PictureIndex,
    report: HealthReport | None = None,
    dismissed: Collection[tuple[str, str]] = (),
) -> list[FindingRow]:
    """Everything, the gravest first: what cannot be used, what flatters the result, what is odd.

    Left out is what a person has dismissed ((kind, file)), and what an edit has answered since
    the report was made.
    """
    dataset = pictures.dataset
    found = _of_problems(dataset)
    if report is None:
        found += [*_of_copies(dataset), *_odd_sizes(dataset)]
    else:
        health_of = (_of_health(pictures, finding) for finding in report.findings)
        found += [finding for finding in health_of if finding is not None]
    order = list(_TITLES)
    open_ones = [
        finding
        for finding in found
        if not all((finding.kind, file) in dismissed for file in finding.files or (finding.place,))
    ]
    return sorted(open_ones, key=lambda finding: _rank(order, finding.kind))


def _rank(order: list[str], kind: str) -> int:
    return order.index(kind) if kind in order else len(order)


def _of_problems(dataset: DatasetIndex) -> list[FindingRow]:
    """What the scan says of files and folders."""
    return [
        FindingRow(
            problem.kind,
            problem.file,
            problem.reason,
            () if problem.kind in _OF_CLASSES else (problem.file,),
        )
        for problem in sorted(dataset.problems, key=lambda problem: problem.file)
        if problem.kind != "contradiction"  # said once for all copies of a picture
    ]


def _of_copies(dataset: DatasetIndex) -> list[FindingRow]:
    leaks = set(dataset.leaks)
    torn = {problem.file for problem in dataset.problems if problem.kind == "contradiction"}
    found = []
    for group in sorted(dataset.duplicates):
        what = count(len(group), "file") + " with the same content"
        finding = FindingRow(
            COPY,
            list_some(group, _NAMED),
            f"{what}, in one part of the split; training uses one of them",
            group,
            Edit("exclude", group[1:]),
        )
        if torn.intersection(group):
            why = f"{what}, in two classes: one label is wrong; left out of train"
            finding = FindingRow(TORN, list_some(group, _NAMED), why, group, Edit("exclude", group))
        elif group in leaks:
            why = f"{what}, in two parts of the split; left out of train, so as to judge fairly"
            finding = FindingRow(LEAK, list_some(group, _NAMED), why, group)
        found.append(finding)
    return found


def _of_health(pictures: PictureIndex, finding: check.HealthFinding) -> FindingRow | None:
    """As the dataset is now; None where an edit has answered it, or the scan says it too."""
    if finding.kind == "class" or (finding.kind == "unreadable" and not finding.pictures):
        return None
    files = tuple(file for file in finding.files if file in pictures.position)
    edit = finding.edit
    act_on = tuple(file for file in edit.files if file in pictures.position)
    if not files or (finding.kind in _COPIES and len(files) < 2):
        return None
    if edit.kind == "relabel":
        act_on = tuple(file for file in act_on if pictures.class_of(file) != edit.value)
    elif edit.kind == "move":
        split_of, position = pictures.dataset.split_of, pictures.position
        act_on = tuple(file for file in act_on if split_of(position[file]) != edit.value)
    if edit.kind != "keep" and not act_on:
        return None
    if finding.kind == TORN and len({pictures.class_of(file) for file in files}) < 2:
        return None
    place, why = list_some(files, _NAMED), finding.why.removesuffix(".")
    answer = None if edit.kind == "keep" else replace(edit, files=act_on)
    return FindingRow(finding.kind, place, why, files, answer)


def _odd_sizes(dataset: DatasetIndex) -> list[FindingRow]:
    if not len(dataset):
        return []
    short = np.minimum(dataset.widths, dataset.heights)
    long = np.maximum(dataset.widths, dataset.heights)
    middle = float(np.median(short))
    tiny = short * _TINY < middle
    narrow = long > short * _NARROW
    found = []
    for flags, why in (
        (tiny, f"far smaller than the others, whose short side is about {middle:,.0f} pixels"),
        (narrow, "much longer than wide: a square cut out of it shows a part only"),
    ):
        if not 0 < flags.sum() <= max(1.0, _MOST_ODD * len(dataset)):
            continue
        for i in np.flatnonzero(flags).tolist():
            size = f"{dataset.widths[i]:,} × {dataset.heights[i]:,} pixels"
            file = dataset.files[i]
            found.append(
                FindingRow(ODD_SIZE, file, f"{size}, {why}", (file,), Edit("exclude", (file,)))
            )
    return found
