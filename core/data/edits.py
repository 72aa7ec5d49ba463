"""Applies edits to a dataset: returns a changed copy of the index; no file is changed.

Does not know where edits are stored; `journal` does.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from core.data.dataset import NO_LABEL, NO_SPLIT, SPLITS, DatasetIndex, Problem, contradiction
from core.data.journal import Edit
from core.data.splits import SplitPlan, draw

_TRAIN = SPLITS.index("train")


def apply(index: DatasetIndex, edits: Sequence[Edit]) -> DatasetIndex:
    """The dataset with `edits` applied, oldest first, to what the scan found.

    Edits of missing files or classes are ignored. The new class of a relabelled picture is added
    if it is missing; a class without pictures stays, a merged one is removed. A picture that had
    no label goes to train until a split is drawn; if nothing is in val, a split is drawn. The last
    edit of the kind `split` counts, and its draw stays fixed: pictures relabelled or excluded
    later do not change the split of others. Pictures moved by hand after it stay moved.
    """
    index = index.scanned
    if not edits:
        return index
    working = _Working(index)
    for edit in edits:
        working.apply(edit)
    return working.finish(index, is_split_drawn=any(edit.kind == "split" for edit in edits))


class _Working:
    """The columns of the dataset while edits are applied; excluded images stay until `finish`."""

    def __init__(self, index: DatasetIndex) -> None:
        self.index = index
        self.position = index.position
        self.keys = list(index.keys)
        self.labels, self.splits = index.labels.copy(), index.splits.copy()
        self.kept = np.ones(len(index), dtype=np.bool_)
        self.shown: dict[str, str] = {}
        self.merged_away: set[str] = set()
        self.split_origin = index.split_origin
        self.plan: SplitPlan | None = None
        self.labels_drawn = self.labels
        self.moved: dict[int, int] = {}

    def apply(self, edit: Edit) -> None:
        """Change the columns by one edit."""
        if edit.kind == "rename":
            self.shown[edit.files[0]] = edit.value
        elif edit.kind == "merge":
            merged = [self.keys.index(name) for name in edit.files if name in self.keys]
            if merged:
                self.labels[np.isin(self.labels, merged)] = self._class(edit.value)
                self.merged_away |= set(edit.files) - {edit.value}
        elif edit.kind == "split":
            self.plan = SplitPlan.from_json(edit.value) if edit.value else None
            self.labels_drawn = self.labels.copy()
            self.moved = {}
        else:
            at = [self.position[file] for file in edit.files if file in self.position]
            if not at:
                return
            if edit.kind == "relabel":
                self.labels[at] = self._class(edit.value)
            elif edit.kind == "move":
                self.moved |= dict.fromkeys(at, SPLITS.index(edit.value))
            elif edit.kind in ("exclude", "restore"):
                self.kept[at] = edit.kind == "restore"

    def _class(self, key: str) -> int:
        """The label of a class, which is added if it is missing."""
        if key not in self.keys:
            self.keys.append(key)
        self.merged_away.discard(key)
        return self.keys.index(key)

    def finish(self, index: DatasetIndex, *, is_split_drawn: bool) -> DatasetIndex:
        """The changed copy of `index`, without the excluded images."""
        self.splits[(self.labels != NO_LABEL) & (self.splits == NO_SPLIT)] = _TRAIN
        labels, keys = self._sorted_classes()
        names = [self.shown.get(key, key) for key in keys]
        if len(set(names)) < len(names):  # shown names must be unique
            names = keys
        at = np.flatnonzero(self.kept)
        is_whole = len(at) == len(index)
        files = index.files if is_whole else tuple(itertools.compress(index.files, self.kept))
        groups = (
            tuple(f for f in group if self.kept[index.position[f]]) for group in index.duplicates
        )
        edited = dataclasses.replace(
            index,
            classes=tuple(names),
            class_keys=tuple(keys) if keys != names else (),
            files=files,
            labels=labels[at],
            splits=self.splits[at],
            bytes=index.bytes[at],
            widths=index.widths[at],
            heights=index.heights[at],
            groups=None if index.groups is None else index.groups[at],
            tasks=tuple(task.select(at) for task in index.tasks),
            modified_ns=None if index.modified_ns is None else index.modified_ns[at],
            duplicates=tuple(group for group in groups if len(group) > 1),
            excluded=tuple(index.files[i] for i in np.flatnonzero(~self.kept)),
            unedited=index,
        )
        if self.plan is not None:
            edited = self._drawn(index, edited, self.plan, at)
        elif not is_split_drawn and not (index.splits != NO_SPLIT).any():
            edited = draw(edited, SplitPlan())
        return self._with_moves(edited, at)

    def _sorted_classes(self) -> tuple[npt.NDArray[np.int32], list[str]]:
        """(labels int32 [n], class keys), with classes sorted by key, as torchvision does."""
        used = set(np.unique(self.labels).tolist())
        keys = self.keys
        order = sorted(
            (i for i, key in enumerate(keys) if i in used or key not in self.merged_away),
            key=lambda i: keys[i],
        )
        # One more at the end, where NO_LABEL (-1) points.
        new_label = np.full(len(keys) + 1, NO_LABEL, dtype=np.int32)
        new_label[order] = np.arange(len(order), dtype=np.int32)
        return new_label[self.labels], [keys[i] for i in order]

    def _drawn(
        self, index: DatasetIndex, edited: DatasetIndex, plan: SplitPlan, at: npt.NDArray[np.int64]
    ) -> DatasetIndex:
        """`edited` with the split of `plan`, drawn by the labels at the time of that edit.

        Excluded images take part. With the current labels, one relabelled or excluded image would
        change the split of others, and images of test would become training images.
        """
        at_that_time = dataclasses.replace(index, labels=self.labels_drawn)
        drawn = draw(at_that_time, plan)
        splits, groups = drawn.splits, drawn.groups
        splits[(self.labels != NO_LABEL) & (splits == NO_SPLIT)] = _TRAIN  # labelled later
        return dataclasses.replace(
            edited,
            splits=splits[at],
            groups=None if groups is None else groups[at],
            split_origin="graftwork",
        )

    def _with_moves(self, edited: DatasetIndex, at: npt.NDArray[np.int64]) -> DatasetIndex:
        """`edited` with moves by hand applied, and its leaks and contradictions found anew."""
        splits = edited.splits.copy()
        for old, split in self.moved.items():
            new = int(np.searchsorted(at, old))
            if self.kept[old] and splits[new] != NO_SPLIT:
                splits[new] = split
        where = {
            file: int(np.searchsorted(at, self.position[file]))
            for group in edited.duplicates
            for file in group
        }
        leaks, contradictions = [], []
        for group in edited.duplicates:
            members = [where[file] for file in group]
            if len({int(splits[i]) for i in members} - {NO_SPLIT}) > 1:
                leaks.append(group)
            for i in members:
                others = [j for j in members if edited.labels[j] != edited.labels[i]]
                if others and NO_LABEL not in (edited.labels[i], edited.labels[others[0]]):
                    contradictions.append(contradiction(edited, i, others[0]))
        problems = [p for p in edited.problems if p.kind != "contradiction"] + contradictions
        return dataclasses.replace(
            edited, splits=splits, leaks=tuple(leaks), problems=tuple(sorted(problems, key=_order))
        )


def _order(problem: Problem) -> tuple[str, str]:
    return problem.file, problem.kind
