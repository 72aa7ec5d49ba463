"""Divides a dataset into training, selection and report images, with no copy in two of them.

`draw` makes train, val and test; `honest_sets` takes folds for selection from train. Needs numpy;
scikit-learn is imported when something is divided (its import takes a second).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt

from core.data.dataset import NO_GROUP, NO_LABEL, SPLITS, DatasetIndex
from core.errors import DatasetError

Positions = npt.NDArray[np.int64]


_TRAIN, _VAL, _TEST = (SPLITS.index(name) for name in SPLITS)


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """How train, val and test are drawn: stratified by class, copies and groups kept together.

    `val` and `test` are shares of the images. With `folds` > 0, val is fold number `fold` (from 0)
    of `folds` instead. `together`: further groups of files that stay in one split (near copies),
    beside those with the same bytes or in the same group.
    """

    val: float = 0.2
    test: float = 0.0
    seed: int = 0
    folds: int = 0
    fold: int = 0
    together: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        if not (0 < self.val < 1 and 0 <= self.test < 1 and self.val + self.test < 1):
            raise DatasetError(
                f"val {self.val:.0%} and test {self.test:.0%} leave nothing to train on.",
                "Both are shares of all images: val must be above 0%, the sum below 100%.",
            )
        if self.folds and not (2 <= self.folds <= 100 and 0 <= self.fold < self.folds):
            raise DatasetError(
                f"There is no fold {self.fold + 1} of {self.folds}.",
                "Use 2 to 100 folds, and the number of one of them.",
            )

    @property
    def in_words(self) -> str:
        """The plan as text to show: `val 20%, test 10%, seed 3`."""
        if self.folds:
            shares = f"fold {self.fold + 1} of {self.folds}"
        else:
            shares = f"val {self.val:.0%}" + (f", test {self.test:.0%}" if self.test else "")
        near = ", near copies together" if self.together else ""
        return f"{shares}, seed {self.seed}{near}"

    def to_json(self) -> str:
        """The plan as JSON, for the journal; `from_json` reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> SplitPlan:
        """The plan that `to_json` wrote. Raises: DatasetError if `text` is not a plan."""
        try:
            values = json.loads(text)
            values["together"] = tuple(tuple(group) for group in values.get("together", ()))
            return cls(**values)
        except (TypeError, ValueError, AttributeError) as error:
            raise DatasetError(f"A split cannot be drawn by “{text}”: {error}.") from error


@dataclass(frozen=True)
class HonestSets:
    """The images for training, selection and report, as positions into `index.files`.

    No image and no copy of one is in two of them. train: int64 [n] ascending, `selection` included.
    fold: int64 [n], the fold (0…folds-1) of each training image. report: int64 [m] ascending, the
    images whose accuracy is shown.
    """

    train: Positions
    fold: npt.NDArray[np.int64]
    report: Positions
    report_split: str
    left_out: tuple[tuple[str, str], ...] = ()
    """(file, reason) of the images that are in neither `train` nor `report`."""

    @property
    def folds(self) -> int:
        """Number of folds."""
        return int(self.fold.max()) + 1

    @property
    def selection(self) -> Positions:
        """The training images held out for early stopping, best checkpoint and regularisation."""
        chosen: Positions = self.train[self.fold == 0]
        return chosen

    @property
    def fit(self) -> Positions:
        """The training images that are not `selection`."""
        rest: Positions = self.train[self.fold != 0]
        return rest


def honest_sets(index: DatasetIndex, *, folds: int = 5, seed: int = 0) -> HonestSets:
    """The honest sets of a dataset: folds stratified by class, determined by index and seed.

    Left out of training are images with contradictory labels, copies of val or test images, and
    further copies of a training image. The user's own val and test stay as they are; in a val
    drawn by Graftwork a copied picture counts once. `selection` has an image of every class that
    has at least two, and never the only one. There are fewer than `folds` folds if no class has
    that many images.

    Raises: DatasetError if a class has no training image, or no image is left for the report.
    """
    left_out = _left_out(index)
    chosen = index.labels != NO_LABEL
    chosen[list(left_out)] = False
    train = np.flatnonzero(chosen & (index.splits == SPLITS.index("train")))
    labels = index.labels[train]
    counts = np.bincount(labels, minlength=len(index.classes))
    if len(index.classes) < 2:
        raise DatasetError(
            f"“{index.name or index.root.name}” has fewer than two classes with pictures.",
            "A classifier tells classes apart: label pictures of a second one.",
        )
    if not counts.all():
        empty = index.classes[int(np.argmin(counts))]
        raise DatasetError(
            f"The class “{empty}” has no image left to train on"
            + (" once copies and contradictions are left out." if left_out else "."),
            "Add images of it, or remove its folder from the dataset.",
        )
    if counts.max() < 2:
        raise DatasetError(
            f"“{index.name or index.root.name}” has one training image per class.",
            "Give every class two or more: one for training, one to check it.",
        )
    report = np.flatnonzero(chosen & (index.splits == SPLITS.index("val")))
    if not report.size:
        raise DatasetError(
            f"“{index.name or index.root.name}” has too few images to keep some for the report.",
            "Give every class three images or more, or add a folder val.",
        )
    folds = max(2, min(folds, int(counts.max())))
    fold = _folds_of(index, train, folds=folds, seed=seed)
    return HonestSets(
        train=train,
        fold=fold,
        report=report,
        report_split="val",
        left_out=tuple((index.files[i], left_out[i]) for i in sorted(left_out)),
    )


def _folds_of(index: DatasetIndex, train: Positions, *, folds: int, seed: int) -> Positions:
    """The fold of each training image, int64 [len(train)]; a group is in one fold."""
    labels = index.labels[train]
    groups = None if index.groups is None else index.groups[train]
    if groups is None or not _has_shared_group(groups):
        return stratified_folds(labels, folds=folds, seed=seed, fewest=2)
    units = _units(len(train), [np.flatnonzero(groups == g) for g in _shared(groups)])
    fold = _assign_folds(labels, units, folds=folds, seed=seed)
    if len(np.unique(fold)) < 2:
        raise DatasetError(
            f"The training images of “{index.name or index.root.name}” are all of one group.",
            "Some must be held out for selection: use more groups, or no groups.",
        )
    return np.unique(fold, return_inverse=True)[1].astype(np.int64)


def draw(index: DatasetIndex, plan: SplitPlan) -> DatasetIndex:
    """The dataset with a new train and val (and test, if the plan has one).

    The user's own test stays as it is; pictures without a label are in no split. Images with the
    same bytes, of one group, or of one group of `plan.together` are in one split. Determined by
    index and plan. `groups` of the result contain what the plan keeps together.

    Raises: DatasetError if the plan draws a test and the dataset has one.
    """
    has_test = bool((index.splits == _TEST).any())
    if has_test and plan.test:
        raise DatasetError(
            f"“{index.name or index.root.name}” has a test of its own, which stays as it is.",
            "Draw val alone: set the share of test to 0.",
        )
    pool = np.flatnonzero((index.labels != NO_LABEL) & (index.splits != _TEST))
    place = np.full(len(index), -1, dtype=np.int64)
    place[pool] = np.arange(len(pool))
    together = [place[group][place[group] >= 0] for group in copies_of(index)]
    groups = np.full(len(pool), NO_GROUP) if index.groups is None else index.groups[pool]
    labels = index.labels[pool]
    splits = index.splits.copy()
    splits[pool] = _TRAIN
    together += _named_together(index, plan, place)
    is_usual = not plan.folds and not plan.test and plan.val == 0.2 and not plan.together
    if is_usual and not _has_shared_group(groups):
        copies = [group for group in together if len(group) > 1]
        splits[pool[hold_out_val(labels, copies, seed=plan.seed)]] = _VAL
    else:
        together += [np.flatnonzero(groups == g) for g in _shared(groups)]
        units = _units(len(pool), together)
        if plan.folds:
            fold = _assign_folds(labels, units, folds=plan.folds, seed=plan.seed)
            splits[pool[fold == plan.fold]] = _VAL
        else:
            depth = _depths(labels, units, seed=plan.seed)
            splits[pool[depth < plan.val + plan.test]] = _VAL
            splits[pool[depth < plan.test]] = _TEST
            splits[pool[_too_coarse(labels, units, depth, splits[pool] != _TRAIN)]] = _VAL
    splits = splits.astype(index.splits.dtype)
    drawn = replace(index, splits=splits, split_origin="graftwork")
    if not plan.together:
        return drawn
    # What the plan keeps together must also be in one fold of the training images.
    kept = np.full(len(index), NO_GROUP, dtype=np.int32)
    is_shared = np.bincount(units)[units] > 1
    kept[pool[is_shared]] = units[is_shared]
    return replace(drawn, groups=kept)


def _named_together(index: DatasetIndex, plan: SplitPlan, place: Positions) -> list[Positions]:
    """`plan.together` as positions in the pool (`place`: index → pool); missing files left out."""
    if not plan.together:
        return []
    wanted = {file for group in plan.together for file in group}
    position = {file: i for i, file in enumerate(index.files) if file in wanted}
    groups = [
        np.array([place[position[f]] for f in group if f in position], dtype=np.int64)
        for group in plan.together
    ]
    return [group[group >= 0] for group in groups if (group >= 0).any()]


def draw_folds(index: DatasetIndex, *, folds: int, seed: int = 0) -> Iterable[DatasetIndex]:
    """The dataset `folds` times, each time with another fold as val; every image is in val once.

    Raises: DatasetError if `folds` is not 2…100.
    """
    return [draw(index, SplitPlan(seed=seed, folds=folds, fold=i)) for i in range(folds)]


def _shared(groups: npt.NDArray[np.int32]) -> list[int]:
    """The groups that more than one image belongs to."""
    names, counts = np.unique(groups[groups != NO_GROUP], return_counts=True)
    return [int(name) for name in names[counts > 1]]


def _has_shared_group(groups: npt.NDArray[np.int32]) -> bool:
    return bool(_shared(groups))


def _units(n: int, together: Iterable[Positions]) -> Positions:
    """A number for each image, int64 [n]; images that must stay together have the same.

    `together`: groups of positions; groups that share an image become one.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = [(group[0], i) for group in together for i in group[1:]]
    if not pairs:
        return np.arange(n, dtype=np.int64)
    a, b = np.array(pairs, dtype=np.int64).T
    graph = coo_array((np.ones(len(a), dtype=np.int8), (a, b)), shape=(n, n))
    units: Positions = connected_components(graph, directed=False)[1].astype(np.int64)
    return units


def _depths(
    labels: npt.NDArray[np.int32], units: Positions, *, seed: int
) -> npt.NDArray[np.float64]:
    """The place of each image in a random order of its class's units: float64 [n] in 0…1.

    A unit counts for its most frequent class, and its place is that of its middle image. So all
    images below a threshold t are a share t of every class, as nearly as its units allow.
    """
    rng = np.random.default_rng(seed)
    numbers, first, unit, sizes = np.unique(
        units, return_index=True, return_inverse=True, return_counts=True
    )
    label = labels[first].astype(np.int64)
    mixed = np.unique(unit[labels != label[unit]])
    for u in mixed.tolist():
        label[u] = np.bincount(labels[unit == u]).argmax()
    depth = np.zeros(len(numbers))
    for name in np.unique(label).tolist():
        members = rng.permutation(np.flatnonzero(label == name))
        end = np.cumsum(sizes[members])
        depth[members] = (end - sizes[members] / 2) / end[-1]
    return depth[unit]


def _too_coarse(
    labels: npt.NDArray[np.int32],
    units: Positions,
    depth: npt.NDArray[np.float64],
    is_held_out: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    """The first unit of each class that is not held out yet but has two units or more: bool [n].

    These are classes whose few units are all larger than the share of val.
    """
    chosen = np.zeros(len(labels), dtype=np.bool_)
    for label in np.setdiff1d(labels, labels[is_held_out]).tolist():
        members = np.flatnonzero(labels == label)
        if len(np.unique(units[members])) > 1:
            chosen |= units == units[members[np.argmin(depth[members])]]
    return chosen


def _assign_folds(
    labels: npt.NDArray[np.int32], units: Positions, *, folds: int, seed: int
) -> Positions:
    """The fold of each image, int64 [n]: units stay whole, classes are spread evenly."""
    depth = _depths(labels, units, seed=seed)
    return np.minimum((depth * folds).astype(np.int64), folds - 1)


def hold_out_val(
    labels: npt.NDArray[np.int32], copies: Iterable[Positions], *, seed: int = 0
) -> npt.NDArray[np.bool_]:
    """Which images become val, bool [n]: a fifth of each class that has three images or more.

    `copies` are groups of positions with the same bytes: a group moves as a whole, and stays in
    train if its labels contradict each other (those are used neither for training nor report).
    """
    leads = np.ones(len(labels), dtype=bool)
    contradictory: list[int] = []
    groups = list(copies)
    for group in groups:
        leads[group[1:]] = False
        if len(set(labels[group].tolist())) > 1:
            contradictory.append(int(group[0]))
    leads[contradictory] = False
    positions = np.flatnonzero(leads)
    val = np.zeros(len(labels), dtype=bool)
    val[positions] = stratified_folds(labels[positions], folds=5, seed=seed, fewest=3) == 0
    for group in groups:
        val[group] = val[group[0]]
    return val


def stratified_folds(
    labels: npt.NDArray[np.int32], *, folds: int, seed: int, fewest: int
) -> npt.NDArray[np.int64]:
    """The fold of each image, int64 [n], with every class spread evenly over the folds.

    Fold 0 is the one that is held out: a class of at least `fewest` images (and any class with at
    least `folds` images) has one there, a smaller class has none. Exact copies must have been left
    out, so that StratifiedKFold is enough: StratifiedGroupKFold loops over the groups in Python
    (measured: 2 s for 10,000 images, against 0.02 s for 100,000).
    """
    fold = np.zeros(len(labels), dtype=np.int64)
    if not len(labels):
        return fold
    counts = np.bincount(labels)
    common = np.flatnonzero(counts[labels] >= folds)
    if common.size:
        from sklearn.model_selection import StratifiedKFold

        splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
        for number, (_, held_out) in enumerate(splitter.split(common, labels[common])):
            fold[common[held_out]] = number
    # Classes with fewer images than folds: one image per fold, beginning with the held-out fold.
    # In scikit-learn chance decides whether the held-out fold gets one, and it warns.
    rng = np.random.default_rng(seed)
    for label in np.flatnonzero((counts > 0) & (counts < folds)):
        members = rng.permutation(np.flatnonzero(labels == label))
        turns = np.arange(len(members))
        fold[members] = turns if len(members) >= fewest else 1 + turns % (folds - 1)
    return fold


def _left_out(index: DatasetIndex) -> dict[int, str]:
    """Position → reason, of images left out of training and of a val drawn by Graftwork."""
    left_out: dict[int, str] = {}
    train, val = SPLITS.index("train"), SPLITS.index("val")
    for group in copies_of(index):
        members = [i for i in group.tolist() if index.labels[i] != NO_LABEL]
        held_out = [j for j in members if index.splits[j] != train]
        first: dict[int, int] = {}
        for i in members:
            split = int(index.splits[i])
            kept = first.setdefault(split, i)
            other = next((j for j in members if index.labels[j] != index.labels[i]), None)
            if split == train and other is not None:
                left_out[i] = f"the same picture has another label as {index.files[other]}"
            elif split == train and held_out:
                name = SPLITS[index.splits[held_out[0]]]
                left_out[i] = f"the same picture is in {name}: {index.files[held_out[0]]}"
            elif kept != i and (
                split == train or (split == val and index.split_origin == "graftwork")
            ):
                left_out[i] = f"a copy of {index.files[kept]}"
    return left_out


def copies_of(index: DatasetIndex) -> list[Positions]:
    """`index.duplicates` as arrays of ascending positions, int64."""
    if not index.duplicates:
        return []
    wanted = {file for group in index.duplicates for file in group}
    position = {file: i for i, file in enumerate(index.files) if file in wanted}
    return [np.array(sorted(position[f] for f in group), np.int64) for group in index.duplicates]
