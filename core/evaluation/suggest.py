"""Suggests labels for pictures without a label, learned from those that have one.

A regularised logistic regression on frozen features takes a fraction of a second for a few hundred
labels. The labelled pictures, each predicted by a fit without it, give the temperature and the
expected errors. Computes no features and writes no labels.

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
"""scikit-learn's C, for features of unit mean square. Of 10, 100 and 1,000 it was the best, or
within 0.3 points of it, on ants/bees and steel defects with 12 to 96 labels."""
_FOLDS = 5
_MOST_CROSS_FIT = 3_000
"""With more labels only one fold is held out, instead of all in turn."""
NO_PICTURE = -2
"""Instead of a label: the file is not in the dataset, or was excluded."""
_UNLIKE_EVERY = 4
_COMPONENTS = 50

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Expectation:
    """The expected errors of the suggestions at or above a threshold.

    `count` pictures would be labelled. `tried` of the labelled pictures reached the threshold when
    they were held out, `wrong` of them with a wrong class; `most_wrong` is the upper end of the
    95 % interval of that share, 1 if `tried` is 0.
    """

    count: int
    tried: int
    wrong: int
    most_wrong: float


@dataclass(frozen=True)
class Suggestions:
    """The suggested labels of the M pictures without a label.

    classes: shown names of the C classes that have a labelled picture; keys: their names in edits.
    probabilities: float32 [M, C] for the `files`, calibrated, rows sum to 1. unlike: float32 [M],
    1 − cosine to the nearest labelled picture. trial_confidence, trial_is_right: [L] of the
    labelled pictures when they were held out.
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
        """The suggested class of each picture, as a position in `classes`: int64 [M]."""
        return self.probabilities.argmax(axis=1)

    @property
    def confidence(self) -> Floats:
        """The probability of the suggested class: float32 [M]."""
        return self.probabilities.max(axis=1)

    def without(self, rejected: Mapping[str, Sequence[str]]) -> Suggestions:
        """The suggestions without some classes; rejected: file → keys that the picture is not.

        A picture for which no class is left gets the same probability for all.
        """
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
        """The expected errors of the suggestions with at least this confidence."""
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
        """Rows sorted by confidence, the highest first: int64 [M]."""
        return np.argsort(-self.confidence, kind="stable")

    def next_to_label(self) -> npt.NDArray[np.int64]:
        """Rows sorted by how much their label would help, int64 [M].

        First the pictures with the smallest margin between two classes; every fourth is the one
        most unlike all labelled pictures, because pictures of a class without any label may have
        confident wrong suggestions.
        """
        top = np.sort(self.probabilities, axis=1)
        by_margin = np.argsort(top[:, -1] - top[:, -2], kind="stable")
        by_unlike = np.argsort(-self.unlike, kind="stable")
        return _interleaved(by_margin, by_unlike, every=_UNLIKE_EVERY)


def suggest(features: PictureFeatures, index: DatasetIndex) -> Suggestions:
    """Suggest labels for the pictures of `features` that have no label in `index`.

    Raises: DatasetError if fewer than two classes have a labelled picture.
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
    """Check that two classes have a labelled picture; needs no features. Raises: DatasetError."""
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
    """Choose files to label first: typical pictures of `count` different kinds.

    The picture nearest to the centre of each of `count` clusters (k-means), the largest cluster
    first; clusters with a labelled picture come last.
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
    """The current labels of the pictures, int32 [N]; NO_PICTURE for files not in the dataset."""
    if features.files == index.files:
        return index.labels
    label = dict(zip(index.files, index.labels.tolist(), strict=True))
    return np.array([label.get(file, NO_PICTURE) for file in features.files], dtype=np.int32)


def to_json(suggestions: Suggestions, *, threshold: float, model: str) -> dict[str, Any]:
    """The suggestions as the JSON document of the command line, the most certain first."""
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
    """Normalise vectors to length one, subtract their mean, and scale to a mean square of one.

    With few labels that was better than standardising every feature (12 labels of steel defects:
    94 against 83 % right), and unlabelled pictures contribute to the mean.
    """
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    unit -= unit.mean(axis=0)
    scaled: Floats = unit / max(float(np.sqrt((unit**2).sum(axis=1).mean())), 1e-12)
    return scaled.astype(np.float32)


def _logits(
    data: Floats, truth: npt.NDArray[np.int64], queries: Floats, *, classes: int
) -> npt.NDArray[np.float64]:
    """Fit to `data` with labels `truth`; the logits of `queries`: float64 [M, C].

    A class that is missing in `truth` gets the lowest logit of the row.
    """
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=_STRENGTH, max_iter=300, tol=1e-3).fit(data, truth)
    answer = np.atleast_2d(fitted.decision_function(queries).T).T
    if len(fitted.classes_) == 2:
        answer = np.concatenate([-answer / 2, answer / 2], axis=1)
    logits = np.repeat(answer.min(axis=1, keepdims=True), classes, axis=1)
    logits[:, fitted.classes_] = answer
    return logits


def _held_out_logits(
    data: Floats, truth: npt.NDArray[np.int64], *, classes: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Logits of each labelled picture by a fit without it.

    Returns logits float64 [L, C], which rows were held out, bool [L], and which of them are of a
    class that the fit has seen, bool [L].
    """
    counts = np.bincount(truth)
    folds = max(2, min(_FOLDS, int(counts.max())))
    fold = stratified_folds(truth.astype(np.int32), folds=folds, seed=0, fewest=2)
    logits = np.zeros((len(truth), classes))
    is_held_out, is_possible = (np.zeros(len(truth), dtype=bool) for _ in range(2))
    for number in range(folds if len(truth) <= _MOST_CROSS_FIT else 1):
        in_fold = fold == number
        seen = np.unique(truth[~in_fold])
        if in_fold.any() and len(seen) > 1:
            logits[in_fold] = _logits(
                data[~in_fold], truth[~in_fold], data[in_fold], classes=classes
            )
            is_held_out |= in_fold
            is_possible |= in_fold & np.isin(truth, seen)
    return logits, is_held_out, is_possible


def _sharpness(logits: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]) -> float:
    """1 / temperature, chosen by the loss on held-out pictures with smoothed targets.

    A dozen pictures without an error would otherwise give a confidence of one. With n pictures the
    target is (n + 1) / (n + 2); the rest is shared by the other classes.
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


def _unlike(queries: Floats, known: Floats) -> Floats:
    """1 − cosine to the nearest known row: float32 [M]."""

    def unit(rows: Floats) -> Floats:
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)

    nearest = np.full(len(queries), -1.0, dtype=np.float32)
    known = unit(known)
    for start in range(0, len(queries), 1024):
        rows = slice(start, start + 1024)
        nearest[rows] = (unit(queries[rows]) @ known.T).max(axis=1)
    return 1 - nearest


def _interleaved(
    first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], *, every: int
) -> npt.NDArray[np.int64]:
    """Merge two orders of the same rows; each `every`-th place is from the second."""
    a, b = iter(first.tolist()), iter(second.tolist())
    done: dict[int, None] = {}
    while len(done) < len(first):
        source = b if (len(done) + 1) % every == 0 else a
        row = next((r for r in source if r not in done), None)
        if row is not None:
            done[row] = None
    return np.array(list(done), dtype=np.int64)
