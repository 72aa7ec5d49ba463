"""Labels suggested for pictures that have none, learnt from the few that have one.

A regularised logistic regression on the frozen features, a fraction of a second for a few
hundred labels. What its probabilities are worth is measured on the labelled pictures, each judged
by a fit without it: that gives the temperature and the expected errors.

Sources: uncertainty by the margin between the best two classes, Scheffer et al. 2001; smoothed
targets for calibration, Platt 1999; a diverse first choice by k-means, Zhdanov 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from core.data.dataset import NO_LABEL, DatasetIndex
from core.data.splits import stratified_folds
from core.errors import DatasetError
from core.evaluation.metrics import wilson_interval

if TYPE_CHECKING:
    from core.features.dataset_features import PictureFeatures

_STRENGTH = 100.0
"""scikit-learn's C, for features of unit mean square. Of 10, 100 and 1,000 the best or within
0.3 points of it on ants/bees and steel defects with 12 to 96 labels."""
_FOLDS = 5
_MOST_CROSS_FIT = 3_000
"""With more labels one part is held out instead of all in turn."""
NO_PICTURE = -2
"""In place of a label: the file is not in the dataset, or was taken out."""
_UNLIKE_EVERY = 4
_COMPONENTS = 50

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What to expect of the suggestions at or above a threshold.

    `count` pictures would be labelled. Of the labelled pictures `tried` reached the threshold
    when they were held out, `wrong` of them with a wrong class; `most_wrong` is the upper end of
    the 95 % interval of that share, 1 where none was tried.
    """

    count: int
    tried: int
    wrong: int
    most_wrong: float


@dataclass(frozen=True)
class Suggestions:
    """A label for each picture that has none.

    classes: names of the C classes that have a labelled picture, keys: what edits call them.
    probabilities: float32 [M, C] for the M `files`, calibrated, rows sum to 1. unlike: float32
    [M], 1 − cosine to the nearest labelled picture. trial_confidence, trial_is_right: [L] of the
    labelled pictures, each held out.
    """

    classes: tuple[str, ...]
    keys: tuple[str, ...]
    files: tuple[str, ...]
    probabilities: Floats
    unlike: Floats
    labelled: int
    trial_confidence: Floats
    trial_is_right: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.files)

    @property
    def best(self) -> npt.NDArray[np.int64]:
        """int64 [M]: the suggested class, a position in `classes`."""
        return self.probabilities.argmax(axis=1)

    @property
    def confidence(self) -> Floats:
        """float32 [M]: the probability of the suggested class."""
        return self.probabilities.max(axis=1)

    def without(self, rejected: Mapping[str, Sequence[str]]) -> Suggestions:
        """The same with classes ruled out: file → keys it is not. A picture of which no class is
        left gets all of them alike."""
        if not rejected:
            return self
        p = self.probabilities.copy()
        row_of = {file: i for i, file in enumerate(self.files)}
        for file, keys in rejected.items():
            row = row_of.get(file)
            if row is not None:
                p[row, [k for k, key in enumerate(self.keys) if key in keys]] = 0
        total = p.sum(axis=1, keepdims=True)
        p = np.where(total > 0, p / np.maximum(total, 1e-12), 1 / len(self.keys))
        return replace(self, probabilities=p.astype(np.float32))

    def expectation(self, threshold: float) -> Expectation:
        reached = self.trial_confidence >= threshold
        tried = int(reached.sum())
        wrong = int((reached & ~self.trial_is_right).sum())
        return Expectation(
            count=int((self.confidence >= threshold).sum()),
            tried=tried,
            wrong=wrong,
            most_wrong=wilson_interval(wrong, tried)[1] if tried else 1.0,
        )

    def most_certain(self) -> npt.NDArray[np.int64]:
        """Rows, the most certain first."""
        return np.argsort(-self.confidence, kind="stable")

    def next_to_label(self) -> npt.NDArray[np.int64]:
        """Rows, those first whose label teaches most.

        The closest decisions, and as every fourth the picture most unlike all labelled ones:
        a class that nobody has named yet hides among the decisions that look sure.
        """
        top = np.sort(self.probabilities, axis=1)
        close = np.argsort(top[:, -1] - top[:, -2], kind="stable")
        strange = np.argsort(-self.unlike, kind="stable")
        return _interleaved(close, strange, every=_UNLIKE_EVERY)


def suggest(features: PictureFeatures, index: DatasetIndex) -> Suggestions:
    """Suggestions for the pictures of `features` without a label in `index`.

    Raises: DatasetError where fewer than two classes have a labelled picture.
    """
    labels = labels_of(features, index)
    known, rest = np.flatnonzero(labels >= 0), np.flatnonzero(labels == NO_LABEL)
    present, truth = np.unique(labels[known], return_inverse=True)
    _check_classes(len(present))
    data = _scaled(features.vectors)
    held_out, is_held_out, is_possible = _held_out_logits(
        data[known], truth.astype(np.int64), classes=len(present)
    )
    usable = is_held_out & is_possible
    sharpness = _sharpness(held_out[usable], truth[usable])
    p = _softmax(_logits(data[known], truth, data[rest], classes=len(present)) * sharpness)
    trial = _softmax(held_out[is_held_out] * sharpness)
    return Suggestions(
        classes=tuple(index.classes[k] for k in present),
        keys=tuple(index.keys[k] for k in present),
        files=tuple(features.files[i] for i in rest),
        probabilities=p,
        unlike=_unlike(data[rest], data[known]),
        labelled=len(known),
        trial_confidence=trial.max(axis=1) if len(trial) else np.zeros(0, np.float32),
        trial_is_right=trial.argmax(axis=1) == truth[is_held_out],
    )


def check_labels(index: DatasetIndex) -> None:
    """Raises: DatasetError where there is nothing to learn from; no feature is needed to know."""
    _check_classes(len(np.unique(index.labels[index.labels != NO_LABEL])))


def _check_classes(number: int) -> None:
    if number < 2:
        what = "all labelled pictures are of one class" if number else "no picture has a label"
        raise DatasetError(
            f"There is nothing to learn from yet: {what}.",
            "Label pictures of two classes or more.",
        )


def first_to_label(
    features: PictureFeatures, index: DatasetIndex, *, count: int = 24, seed: int = 0
) -> tuple[str, ...]:
    """Files without a label to begin with: typical pictures of as many unlike kinds.

    The picture nearest to the middle of each of `count` clusters, the largest cluster first; a
    cluster that holds a labelled picture comes after those that hold none.
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    labels = labels_of(features, index)
    rest = np.flatnonzero(labels == NO_LABEL)
    if len(rest) <= count:
        return tuple(features.files[i] for i in rest)
    data = _scaled(features.vectors)
    most = min(_COMPONENTS, *data.shape)
    data = PCA(most, svd_solver="randomized", random_state=seed).fit_transform(data)
    count = min(count, len(np.unique(features.copies)))
    fitted = KMeans(count, n_init=1, random_state=seed).fit(data)
    away = fitted.transform(data[rest])
    cluster = fitted.labels_
    known = set(cluster[labels >= 0].tolist())
    sizes = np.bincount(cluster, minlength=count)
    order = sorted(range(count), key=lambda k: (k in known, -int(sizes[k])))
    picked = dict.fromkeys(
        int(rest[np.where(cluster[rest] == k, away[:, k], np.inf).argmin()])
        for k in order
        if (cluster[rest] == k).any()
    )
    return tuple(features.files[i] for i in picked)


def labels_of(features: PictureFeatures, index: DatasetIndex) -> npt.NDArray[np.int32]:
    """int32 [N]: the labels that the dataset gives the pictures now; NO_PICTURE for files that
    it has no more."""
    if features.files == index.files:
        return index.labels
    label = dict(zip(index.files, index.labels.tolist(), strict=True))
    return np.array([label.get(file, NO_PICTURE) for file in features.files], dtype=np.int32)


def to_json(suggestions: Suggestions, *, threshold: float, model: str) -> dict[str, Any]:
    """For the command line: every suggestion, the most certain first."""
    expected = suggestions.expectation(threshold)
    best, confidence = suggestions.best, suggestions.confidence
    return {
        "model": model,
        "labelled": suggestions.labelled,
        "unlabelled": len(suggestions),
        "classes": list(suggestions.classes),
        "threshold": threshold,
        "above_threshold": expected.count,
        "held_out_tried": expected.tried,
        "held_out_wrong": expected.wrong,
        "error_at_most": round(expected.most_wrong, 4) if expected.tried else None,
        "suggestions": [
            {
                "file": suggestions.files[i],
                "label": suggestions.classes[best[i]],
                "probability": round(float(confidence[i]), 4),
            }
            for i in suggestions.most_certain().tolist()
        ],
    }


def _scaled(vectors: Floats) -> Floats:
    """Directions about their mean, scaled to a mean square of one.

    With few labels that beat standardising every feature (12 labels of steel defects: 94 against
    83 % right), and it needs no label: the pictures without one help to find the mean.
    """
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    unit -= unit.mean(axis=0)
    scaled: Floats = unit / max(float(np.sqrt((unit**2).sum(axis=1).mean())), 1e-12)
    return scaled.astype(np.float32)


def _logits(
    data: Floats, truth: npt.NDArray[np.int64], asked: Floats, *, classes: int
) -> npt.NDArray[np.float64]:
    """float64 [M, C]; a class that `truth` lacks gets the least logit of the row."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=_STRENGTH, max_iter=300, tol=1e-3).fit(data, truth)
    answer = np.atleast_2d(fitted.decision_function(asked).T).T
    if len(fitted.classes_) == 2:
        answer = np.concatenate([-answer / 2, answer / 2], axis=1)
    logits = np.repeat(answer.min(axis=1, keepdims=True), classes, axis=1)
    logits[:, fitted.classes_] = answer
    return logits


def _held_out_logits(
    data: Floats, truth: npt.NDArray[np.int64], *, classes: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Logits [L, C] of fits without the picture, which rows were held out, and of which of them
    the fit had seen the class."""
    counts = np.bincount(truth)
    folds = max(2, min(_FOLDS, int(counts.max())))
    fold = stratified_folds(truth.astype(np.int32), folds=folds, seed=0, fewest=2)
    logits = np.zeros((len(truth), classes))
    is_held_out, is_possible = (np.zeros(len(truth), dtype=bool) for _ in range(2))
    for number in range(folds if len(truth) <= _MOST_CROSS_FIT else 1):
        mine = fold == number
        seen = np.unique(truth[~mine])
        if mine.any() and len(seen) > 1:
            logits[mine] = _logits(data[~mine], truth[~mine], data[mine], classes=classes)
            is_held_out |= mine
            is_possible |= mine & np.isin(truth, seen)
    return logits, is_held_out, is_possible


def _sharpness(logits: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]) -> float:
    """1 / temperature by the loss on held-out pictures, against targets a little below one.

    A dozen pictures told apart without a mistake would otherwise ask for certainty. With n of
    them the target is (n + 1) / (n + 2), the rest shared by the other classes.
    """
    n, classes = logits.shape
    if n < 2:
        return 0.5
    target = np.full((n, classes), 1 / (n + 2) / (classes - 1))
    target[np.arange(n), truth] = (n + 1) / (n + 2)
    tried = np.geomspace(0.05, 20, 61)
    losses = [-(target * _log_softmax(logits * b)).sum(axis=1).mean() for b in tried]
    return float(tried[int(np.argmin(losses))])


def _log_softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    logits = logits - logits.max(axis=1, keepdims=True)
    result: npt.NDArray[np.float64] = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return result


def _softmax(logits: npt.NDArray[np.float64]) -> Floats:
    return np.exp(_log_softmax(logits)).astype(np.float32)


def _unlike(asked: Floats, known: Floats) -> Floats:
    """float32 [M]: 1 − cosine to the nearest known row."""

    def unit(rows: Floats) -> Floats:
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)

    nearest = np.full(len(asked), -1.0, dtype=np.float32)
    known = unit(known)
    for start in range(0, len(asked), 1024):
        rows = slice(start, start + 1024)
        nearest[rows] = (unit(asked[rows]) @ known.T).max(axis=1)
    return 1 - nearest


def _interleaved(
    first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], *, every: int
) -> npt.NDArray[np.int64]:
    """Both orders of the same rows in one: each `every`-th place from the second."""
    a, b = iter(first.tolist()), iter(second.tolist())
    done: dict[int, None] = {}
    while len(done) < len(first):
        source = b if (len(done) + 1) % every == 0 else a
        row = next((r for r in source if r not in done), None)
        if row is not None:
            done[row] = None
    return np.array(list(done), dtype=np.int64)
