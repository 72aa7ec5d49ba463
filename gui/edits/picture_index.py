"""Which pictures of a dataset are shown, and in which order. No Qt.

A hundred thousand pictures are filtered in columns; what costs more than a comparison of columns
is made once per dataset and kept in `PictureIndex`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.data.dataset import NO_SPLIT, SPLITS, DatasetIndex

Positions = npt.NDArray[np.int64]
Order = Literal["folder", "name", "size", "class"]
Show = Literal["all", "problems", "wrong", "excluded", "unlabelled"]


class PictureIndex:
    """A dataset with its pictures looked up by file, by name, and by their place in the scan."""

    def __init__(self, dataset: DatasetIndex) -> None:
        self.dataset = dataset

    def prepare(self) -> PictureIndex:
        """Fill the look-ups now, in this thread, except those that only a search needs."""
        _ = self.dataset.scanned.position, self.taken_out
        return self

    def take_over(self, before: PictureIndex | None) -> PictureIndex:
        """Reuse what depends on the scan alone where `before` is of the same scan."""
        if before is not None and before.dataset.scanned is self.dataset.scanned:
            for name in ("folded", "name_rank"):
                if name in before.__dict__:
                    self.__dict__[name] = before.__dict__[name]
        return self

    @cached_property
    def position(self) -> Mapping[str, int]:
        """File → position in the dataset; excluded files are missing."""
        return _Kept(self.dataset.scanned.position, self.taken_out)

    @cached_property
    def excluded(self) -> frozenset[str]:
        """The files that edits excluded."""
        return frozenset(self.dataset.excluded)

    @cached_property
    def origin(self) -> Positions:
        """int64 [n]: the position of each picture in the dataset as scanned."""
        return np.delete(np.arange(len(self.dataset.scanned), dtype=np.int64), self.taken_out)

    @cached_property
    def taken_out(self) -> Positions:
        """int64, ascending: the positions of the excluded pictures in the dataset as scanned."""
        position = self.dataset.scanned.position
        return np.array(sorted(position[file] for file in self.dataset.excluded), dtype=np.int64)

    @cached_property
    def folded(self) -> list[str]:
        """The files of the scan in lower case, for searching."""
        return [file.casefold() for file in self.dataset.scanned.files]

    @cached_property
    def name_rank(self) -> Positions:
        """int64 [n of the scan]: where each picture stands when all are ordered by file name."""
        names = [file.rpartition("/")[2] for file in self.folded]
        rank = np.empty(len(names), dtype=np.int64)
        rank[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
        return rank

    def class_of(self, file: str) -> str:
        """The key of a picture's class; empty where it has none or is not in the dataset."""
        i = self.position.get(file)
        if i is None or self.dataset.labels[i] < 0:
            return ""
        return self.dataset.keys[int(self.dataset.labels[i])]


class _Kept(Mapping[str, int]):
    """File → position among the files that are kept, counted from their positions in the scan:
    a hundred thousand need no table of their own after each edit."""

    def __init__(self, scanned: Mapping[str, int], taken_out: Positions) -> None:
        self._scanned, self._taken_out = scanned, taken_out

    def __getitem__(self, file: str) -> int:
        at = self._scanned[file]
        before = int(np.searchsorted(self._taken_out, at))
        if before < len(self._taken_out) and self._taken_out[before] == at:
            raise KeyError(file)
        return at - before

    def __iter__(self) -> Iterator[str]:
        taken_out = set(self._taken_out.tolist())
        return (file for file, at in self._scanned.items() if at not in taken_out)

    def __len__(self) -> int:
        return len(self._scanned) - len(self._taken_out)


@dataclass(frozen=True, slots=True)
class PictureFilter:
    """What to show: of these classes (none: of all), in this split, this kind, with this text."""

    classes: tuple[int, ...] = ()
    split: str = ""
    show: Show = "all"
    kind: str = ""
    """With `show` "problems": only findings of this title; empty: of any."""
    text: str = ""
    order: Order = "folder"


@dataclass(frozen=True)
class Found:
    """Positions into `dataset` in the order to show; `dataset` is the one as scanned where
    excluded pictures are shown. `loose`: files with a finding that are not in the dataset."""

    dataset: DatasetIndex
    positions: Positions
    ids: Positions
    """Their positions in the dataset as scanned, which edits do not change."""
    captions: tuple[str, ...] | None = None
    loose: tuple[str, ...] = ()


def find(
    pictures: PictureIndex,
    wanted: PictureFilter,
    *,
    troubles: Mapping[str, Sequence[str]],
    wrong: Mapping[str, str],
) -> Found:
    """What the filter lets through.

    `troubles`: the titles of the findings of each file; `wrong`: for each file that a run took
    for another class, that class.
    """
    if wanted.show == "excluded":
        return _find_excluded(pictures, wanted)
    dataset = pictures.dataset
    keep = np.ones(len(dataset), dtype=np.bool_)
    if wanted.classes:
        keep &= np.isin(dataset.labels, wanted.classes)
    if wanted.split or wanted.show == "unlabelled":
        code = SPLITS.index(wanted.split) if wanted.split in SPLITS else NO_SPLIT
        keep &= dataset.splits == code
    names: dict[int, str] = {}
    loose: tuple[str, ...] = ()
    if wanted.show in ("problems", "wrong"):
        named = _named(wanted, troubles, wrong)
        position = pictures.position
        names = {position[file]: name for file, name in named.items() if file in position}
        flagged = np.zeros(len(dataset), dtype=np.bool_)
        flagged[list(names)] = True
        keep &= flagged
        if wanted.show == "problems":
            loose = tuple(f for f in named if _is_loose(pictures, f, wanted))
    if wanted.text:
        keep &= _with_text(pictures, wanted.text)[pictures.origin]
    positions = _sorted(np.flatnonzero(keep), pictures, dataset, wanted.order)
    captions = None
    if names or loose:
        captions = (
            *(names[i] for i in positions.tolist()),
            *(troubles[f][0] for f in loose),
        )
    return Found(dataset, positions, pictures.origin[positions], captions, loose)


def _find_excluded(pictures: PictureIndex, wanted: PictureFilter) -> Found:
    """Excluded pictures by their class and split of the scan."""
    scanned, dataset = pictures.dataset.scanned, pictures.dataset
    keep = np.zeros(len(scanned), dtype=np.bool_)
    keep[pictures.taken_out] = True
    if wanted.classes:
        keys = {dataset.keys[label] for label in wanted.classes}
        labels = [i for i, key in enumerate(scanned.keys) if key in keys]
        keep &= np.isin(scanned.labels, labels)
    if wanted.split:
        code = SPLITS.index(wanted.split) if wanted.split in SPLITS else NO_SPLIT
        keep &= scanned.splits == code
    if wanted.text:
        keep &= _with_text(pictures, wanted.text)
    positions = _sorted(np.flatnonzero(keep), pictures, scanned, wanted.order)
    return Found(scanned, positions, positions)


def _named(
    wanted: PictureFilter, troubles: Mapping[str, Sequence[str]], wrong: Mapping[str, str]
) -> dict[str, str]:
    """File → caption of what is shown."""
    if wanted.show == "wrong":
        return {file: f"→ {name}" for file, name in wrong.items()}
    return {
        file: wanted.kind or titles[0]
        for file, titles in troubles.items()
        if not wanted.kind or wanted.kind in titles
    }


def _is_loose(pictures: PictureIndex, file: str, wanted: PictureFilter) -> bool:
    """A file that is not in the dataset, e.g. unreadable: its folders tell where it belongs."""
    dataset = pictures.dataset
    if file in pictures.position or file in pictures.excluded:
        return False
    folders = set(file.split("/")[:-1])
    names = {dataset.keys[label] for label in wanted.classes}
    return (
        (not names or bool(names & folders))
        and (not wanted.split or wanted.split in folders)
        and wanted.text.casefold() in file.casefold()
    )


def _with_text(pictures: PictureIndex, text: str) -> npt.NDArray[np.bool_]:
    """bool [n of the scan]"""
    needle = text.casefold()
    return np.fromiter(
        (needle in name for name in pictures.folded), np.bool_, count=len(pictures.folded)
    )


def _sorted(
    positions: Positions, pictures: PictureIndex, dataset: DatasetIndex, order: Order
) -> Positions:
    if order == "class":
        return positions[np.argsort(dataset.labels[positions], kind="stable")]
    if order == "size":  # the largest first
        pixels = dataset.widths.astype(np.int64) * dataset.heights
        return positions[np.argsort(-pixels[positions], kind="stable")]
    if order == "name":
        ids = positions if dataset is dataset.scanned else pictures.origin[positions]
        return positions[np.argsort(pictures.name_rank[ids], kind="stable")]
    return positions


def places_of(before: Positions, after: Positions, size: int) -> Positions:
    """int64, as long as `before`: where each of these ids (below `size`) stands in `after`, -1:
    nowhere."""
    place = np.full(size, -1, dtype=np.int64)
    place[after] = np.arange(len(after))
    return place[before]
