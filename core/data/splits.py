"""Honest sets: what trains, what chooses, and what is reported, with no copy on two sides.

Needs numpy; scikit-learn is imported when something is split (its import takes a second).
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
    """How train, val and test are drawn: stratified by class, copies and groups on one side.

    `val` and `test` are shares of the images. With `folds` > 0 val is fold number `fold` (from 0)
    of so many instead, and its share is that of a fold. `together` are groups of files that stand
    on one side for another reason than the same bytes or a common group: near copies.
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
                "Both are shares of all images: choose less than 100% together, val above 0%.",
            )
        if self.folds and not (2 <= self.folds <= 100 and 0 <= self.fold < self.folds):
            raise DatasetError(
                f"There is no fold {self.fold + 1} of {self.folds}.",
                "Choose 2 to 100 folds, and one of them.",
            )

    @property
    def in_words(self) -> str:
        """`val 20%, test 10%, seed 3`"""
        if self.folds:
            said = f"fold {self.fold + 1} of {self.folds}"
        else:
            said = f"val {self.val:.0%}" + (f", test {self.test:.0%}" if self.test else "")
        near = ", near copies together" if self.together else ""
        return f"{said}, seed {self.seed}{near}"

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> SplitPlan:
        """Raises: DatasetError for what is no plan."""
        try:
            values = json.loads(text)
            values["together"] = tuple(tuple(group) for group in values.get("together", ()))
            return cls(**values)
        except (TypeError, ValueError, AttributeError) as error:
            raise DatasetError(f"A split cannot be drawn by “{text}”: {error}.") from error


@dataclass(frozen=True)
class HonestSets:
    """Positions into `index.files`; the three sets share no image and no copy of one.

    train: int64 [n] ascending, `selection` included. fold: int64 [n], the fold (0…folds-1) of
    each training image. report: int64 [m] ascending, the images whose accuracy is shown.
    """

    train: Positions
    fold: npt.NDArray[np.int64]
    report: Positions
    report_split: str
    left_out: tuple[tuple[str, str], ...] = ()
    """(file, why) of the images that were left out of both sets."""

    @property
    def folds(self) -> int:
        return int(self.fold.max()) + 1

    @property
    def selection(self) -> Positions:
        """The training images that choose: early stopping, best checkpoint, regularisation."""
        chosen: Positions = self.train[self.fold == 0]
        return chosen

    @property
    def fit(self) -> Positions:
        """The training images that are not `selection`."""
        rest: Positions = self.train[self.fold != 0]
        return rest


def honest_sets(index: DatasetIndex, *, folds: int = 5, seed: int = 0) -> HonestSets:
    """The sets of a dataset: folds stratified by class, the same for the same index and seed.

    Left out of training are images of contradictory label, copies of val or test images, and
    further copies of a training image. The user's own val and test stay as they are; in a val
    that Graftwork carved a copied picture counts once. `selection` holds an image of every class
    that has two, and never the only one. There are fewer folds than asked for where no class has
    that many images.

    Raises: DatasetError where a class has nothing to train on, or nothing is left to report.
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
            "Add images of it, or take its folder out of the dataset.",
        )
    if counts.max() < 2:
        raise DatasetError(
            f"“{index.name or index.root.name}” has one training image per class.",
            "Give every class two or more: one trains while another checks.",
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
    """int64 [len(train)]: the fold of each training image, a group in one fold."""
    labels = index.labels[train]
    groups = None if index.groups is None else index.groups[train]
    if groups is None or not _has_company(groups):
        return stratified_folds(labels, folds=folds, seed=seed, fewest=2)
    units = _units(len(train), [np.flatnonzero(groups == g) for g in _shared(groups)])
    fold = _spread(labels, units, folds=folds, seed=seed)
    if len(np.unique(fold)) < 2:
        raise DatasetError(
            f"The training images of “{index.name or index.root.name}” are all of one group.",
            "Some have to be held out to choose by: give it more groups, or leave groups away.",
        )
    return np.unique(fold, return_inverse=True)[1].astype(np.int64)


def draw(index: DatasetIndex, plan: SplitPlan) -> DatasetIndex:
    """The dataset with train and val (and test, where the plan has one) drawn anew.

    A test of the user's own stays as it is, and what nobody labelled stands nowhere. Images with
    the same bytes, images of one group, and what the plan names go together. The same for the same
    index and plan.

    Groups of the result join what the plan keeps together.

    Raises: DatasetError where the plan draws a test and the dataset has one.
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
    if is_usual and not _has_company(groups):
        copies = [group for group in together if len(group) > 1]
        splits[pool[carve_val(labels, copies, seed=plan.seed)]] = _VAL
    else:
        together += [np.flatnonzero(groups == g) for g in _shared(groups)]
        units = _units(len(pool), together)
        if plan.folds:
            fold = _spread(labels, units, folds=plan.folds, seed=plan.seed)
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
    # What the plan keeps together stays so where training images are held out, too.
    kept = np.full(len(index), NO_GROUP, dtype=np.int32)
    is_shared = np.bincount(units)[units] > 1
    kept[pool[is_shared]] = units[is_shared]
    return replace(drawn, groups=kept)


def _named_together(index: DatasetIndex, plan: SplitPlan, place: Positions) -> list[Positions]:
    """The groups of the plan as places in the pool; files that are gone are passed over."""
    if not plan.together:
        return []
    wanted = {file for group in plan.together for file in group}
    position = {file: i for i, file in enumerate(index.files) if file in wanted}
    groups = [
        np.array([place[position[f]] for f in group if f in position], dtype=np.int64)
        for group in plan.together
    ]
    return [group[group >= 0] for group in groups if (group >= 0).any()]


def k_folds(index: DatasetIndex, *, folds: int, seed: int = 0) -> Iterable[DatasetIndex]:
    """The dataset `folds` times, each time with another part as val; every image is in val once.

    Raises: DatasetError for an impossible number.
    """
    return [draw(index, SplitPlan(seed=seed, folds=folds, fold=i)) for i in range(folds)]


def _shared(groups: npt.NDArray[np.int32]) -> list[int]:
    """The groups that more than one image belongs to."""
    names, counts = np.unique(groups[groups != NO_GROUP], return_counts=True)
    return [int(name) for name in names[counts > 1]]


def _has_company(groups: npt.NDArray[np.int32]) -> bool:
    return bool(_shared(groups))


def _units(n: int, together: Iterable[Positions]) -> Positions:
    """int64 [n]: images that must stay together, over several reasons, have one number."""
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
    """float64 [n] in 0…1: where each image stands in a random order of its class's units.

    A unit counts as of its most frequent class, and stands where its middle is: shares cut from
    the depths hold for every class as nearly as the sizes of its units allow.
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
    """bool [n]: of classes whose few units are all larger than val's share, the first unit."""
    chosen = np.zeros(len(labels), dtype=np.bool_)
    for label in np.setdiff1d(labels, labels[is_held_out]).tolist():
        members = np.flatnonzero(labels == label)
        if len(np.unique(units[members])) > 1:
            chosen |= units == units[members[np.argmin(depth[members])]]
    return chosen


def _spread(labels: npt.NDArray[np.int32], units: Positions, *, folds: int, seed: int) -> Positions:
    """int64 [n]: the fold of each image, units whole, classes spread evenly."""
    depth = _depths(labels, units, seed=seed)
    return np.minimum((depth * folds).astype(np.int64), folds - 1)


def carve_val(
    labels: npt.NDArray[np.int32], copies: Iterable[Positions], *, seed: int = 0
) -> npt.NDArray[np.bool_]:
    """bool [n]: which images become val: a fifth of each class that has three images or more.

    `copies` are groups of positions with the same bytes: a group goes as a whole, and stays in
    train where its labels contradict each other (nothing learns or is judged by those).
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
    """int64 [n]: the fold of each image, every class spread evenly over the folds.

    Fold 0 is the one that is held out: a class of at least `fewest` images (and any class with
    as many as there are folds) has one there, a smaller one none. Exact copies must have been left
    out: then StratifiedKFold does; StratifiedGroupKFold loops over the groups in Python (measured:
    2 s for 10,000 images, against 0.02 s for 100,000).
    """
    fold = np.zeros(len(labels), dtype=np.int64)
    if not len(labels):
        return fold
    counts = np.bincount(labels)
    common = np.flatnonzero(counts[labels] >= folds)
    if common.size:
        from sklearn.model_selection import StratifiedKFold

        dealer = StratifiedKFold(folds, shuffle=True, random_state=seed)
        for number, (_, held_out) in enumerate(dealer.split(common, labels[common])):
            fold[common[held_out]] = number
    # Classes with fewer images than folds: one image per fold, dealt from the held-out fold on.
    # scikit-learn would leave it to chance whether the held-out fold gets one, and warn.
    rng = np.random.default_rng(seed)
    for label in np.flatnonzero((counts > 0) & (counts < folds)):
        members = rng.permutation(np.flatnonzero(labels == label))
        turns = np.arange(len(members))
        fold[members] = turns if len(members) >= fewest else 1 + turns % (folds - 1)
    return fold


def _left_out(index: DatasetIndex) -> dict[int, str]:
    """Position → why it neither trains nor counts in a val that Graftwork carved itself."""
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
    """`index.duplicates` as ascending positions."""
    if not index.duplicates:
        return []
    wanted = {file for group in index.duplicates for file in group}
    position = {file: i for i, file in enumerate(index.files) if file in wanted}
    return [np.array(sorted(position[f] for f in group), np.int64) for group in index.duplicates]
