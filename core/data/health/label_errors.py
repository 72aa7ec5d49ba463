"""Finds labels that are probably wrong, and pictures unlike the rest of their class, by features.

Works on numpy vectors and labels; knows nothing of models or files. Label errors: every picture
gets probabilities from classifiers that were fitted to frozen features without it; confident
learning finds labels that contradict them (Northcutt, Jiang, Chuang 2021, by the library cleanlab).
The suspects are left out of a second fit, so that errors do not confirm each other. Unlike their
class: the mean distance to the nearest ten of the class, compared with the median of the class
(Ramaswamy, Rastogi, Shim 2000).

Measured with the bundled Lite0, a twentieth of the labels flipped by three seeds: of ants and bees
13–18 of 19 found by 14–20 findings, of steel defects 81–85 of 90 by 83–86; without any flip none
in either set. See tests/benchmarks/test_health.py.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.events import OnProgress, ShouldStop, check_stop, never_stop, no_progress

FOLDS = 5
FEWEST = 5
"""A class with fewer pictures is not checked: the other pictures say too little about it."""
CLEAR = (0.05, 0.9)
"""A label with a probability below the first is always suspect if another label has a probability
above the second."""
UNLIKE = 4.0
"""Limit of the log distance, in robust deviations above the class's median."""
NEIGHBOURS = 10

_MOST_FITTED = 20_000_000
"""Most pictures × features to which a fold is fitted; of more pictures a sample is used."""
_REFERENCE = 2000
"""Size of the sample of a class to which distances are computed, instead of all pairs."""
_BLOCK = 512

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LabelErrors:
    """The suspected label errors of a dataset.

    rows: int64 [E], the most suspicious first. suggested: int64 [E], the label that fits better.
    given and better: float32 [E], probabilities of the given and of the suggested label.
    judged: number of pictures that could be checked. accuracy: share of them with the label that
    is most probable.
    """

    rows: npt.NDArray[np.int64]
    suggested: npt.NDArray[np.int64]
    given: npt.NDArray[np.float32]
    better: npt.NDArray[np.float32]
    judged: int
    accuracy: float


@dataclass(frozen=True)
class Unlike:
    """The pictures that are unlike the rest of their class.

    rows: int64 [U], the most unlike first. times: float32 [U], distance to the nearest pictures of
    the class divided by the class's median. deviations: float32 [U], robust deviations of its log.
    """

    rows: npt.NDArray[np.int64]
    times: npt.NDArray[np.float32]
    deviations: npt.NDArray[np.float32]


def label_errors(
    vectors: Vectors,
    labels: npt.NDArray[np.int32],
    *,
    units: npt.NDArray[np.int64] | None = None,
    on_progress: OnProgress = no_progress,
    should_stop: ShouldStop = never_stop,
) -> LabelErrors:
    """Find suspected label errors of vectors float32 [N, D] with labels [N] ≥ 0.

    `units` int64 [N]: pictures with the same number are copies and are held out together. Call it
    in a worker thread: it imports scikit-learn and cleanlab, which takes seconds.

    Raises: Cancelled.
    """
    counts = np.bincount(labels)
    known = np.flatnonzero(counts >= FEWEST)
    rows = np.flatnonzero(np.isin(labels, known))
    if len(known) < 2:
        nothing = np.zeros(0, np.int64)
        none = np.zeros(0, np.float32)
        return LabelErrors(nothing, nothing, none, none, 0, 0.0)
    from cleanlab.filter import find_label_issues

    y = np.searchsorted(known, labels[rows])
    fold = _folds(y, None if units is None else units[rows])
    trusted = np.ones(len(y), bool)
    for turn, rule in enumerate(("prune_by_noise_rate", "both")):
        probabilities = _out_of_fold_probabilities(
            vectors[rows], y, fold, trusted,
            on_progress=_report_from(on_progress, turn * FOLDS), should_stop=should_stop,
        )  # fmt: skip
        issues = find_label_issues(y, probabilities, filter_by=rule, n_jobs=1)
        trusted = ~issues
    # Estimated noise rates miss one error among a few dozen pictures; clear probabilities do not.
    own = probabilities[np.arange(len(y)), y]
    issues = issues | ((own < CLEAR[0]) & (probabilities.max(1) > CLEAR[1]))
    best = probabilities.argmax(1)
    suspects = np.flatnonzero(issues & (best != y))
    given = probabilities[suspects, y[suspects]]
    better = probabilities[suspects, best[suspects]]
    order = np.argsort(given - better, kind="stable")
    suspects = suspects[order]
    return LabelErrors(
        rows=rows[suspects],
        suggested=known[best[suspects]],
        given=given[order].astype(np.float32),
        better=better[order].astype(np.float32),
        judged=len(rows),
        accuracy=float((best == y).mean()),
    )


def _report_from(on_progress: OnProgress, done_before: int) -> Callable[[int], None]:
    return lambda done: on_progress(done_before + done, 2 * FOLDS, "Judging labels")


def unlike_their_class(
    vectors: Vectors, labels: npt.NDArray[np.int32], *, should_stop: ShouldStop = never_stop
) -> Unlike:
    """Find pictures far from all others of their class, of vectors float32 [N, D], labels [N].

    Pictures with a label below 0 are ignored.

    Raises: Cancelled.
    """
    deviations = np.zeros(len(labels), np.float32)
    times = np.ones(len(labels), np.float32)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    for label in np.unique(labels[labels >= 0]):
        members = np.flatnonzero(labels == label)
        if len(members) < 2 * FEWEST:
            continue
        distance = np.log(np.maximum(_to_nearest(unit[members], should_stop), 1e-6))
        middle = np.median(distance)
        spread = max(1.4826 * float(np.median(np.abs(distance - middle))), 0.02)
        deviations[members] = (distance - middle) / spread
        times[members] = np.exp(distance - middle)
    rows = np.flatnonzero(deviations > UNLIKE)
    rows = rows[np.argsort(-deviations[rows], kind="stable")]
    return Unlike(rows, times[rows], deviations[rows])


def _to_nearest(unit: Vectors, should_stop: ShouldStop) -> npt.NDArray[np.float32]:
    """Mean distance of unit vectors [n, D] to the nearest ones in a sample of them: float32 [n]."""
    n = len(unit)
    sample = np.random.default_rng(0).permutation(n)[:_REFERENCE]
    count = min(NEIGHBOURS, len(sample) - 1)
    distance = np.zeros(n, np.float32)
    for start in range(0, n, _BLOCK):
        check_stop(should_stop)
        rows = np.arange(start, min(n, start + _BLOCK))
        likeness = unit[rows] @ unit[sample].T
        likeness[rows[:, None] == sample[None]] = -2  # not its own neighbour
        near = -np.partition(-likeness, count - 1, axis=1)[:, :count]
        distance[rows] = np.sqrt(np.maximum(0, 2 - 2 * near)).mean(1)
    return distance


def _folds(y: npt.NDArray[np.int64], units: npt.NDArray[np.int64] | None) -> npt.NDArray[np.int64]:
    """The fold of each picture, int64 [n]: stratified, seeded; copies are in one fold."""
    from sklearn.model_selection import StratifiedKFold

    fold = np.zeros(len(y), np.int64)
    splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    for number, (_, held_out) in enumerate(splitter.split(y, y)):
        fold[held_out] = number
    if units is not None:
        _, first, inverse = np.unique(units, return_index=True, return_inverse=True)
        fold = fold[first[np.ravel(inverse)]]
    return fold


def _out_of_fold_probabilities(
    x: Vectors,
    y: npt.NDArray[np.int64],
    fold: npt.NDArray[np.int64],
    trusted: npt.NDArray[np.bool_],
    *,
    on_progress: Callable[[int], None],
    should_stop: ShouldStop,
) -> npt.NDArray[np.float64]:
    """Probabilities float64 [n, classes] of each picture by the head that was fitted without it.

    `trusted` bool [n]: the pictures to which heads are fitted. The penalty grows with the number
    of features, so that it has the same effect for every backbone.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    classes = int(y.max()) + 1
    probabilities = np.full((len(y), classes), 1e-6)
    rng = np.random.default_rng(0)
    for number in range(FOLDS):
        check_stop(should_stop)
        on_progress(number)
        held_out = np.flatnonzero(fold == number)
        fitted = np.flatnonzero((fold != number) & trusted)
        most = max(_MOST_FITTED // x.shape[1], 20 * classes)
        if len(fitted) > most:
            fitted = rng.permutation(fitted)[:most]
        if len(set(y[fitted].tolist())) < 2 or not held_out.size:
            continue
        mean, std = x[fitted].mean(0), x[fitted].std(0)
        std = np.maximum(std, 1e-6 * max(float(std.max()), 1e-12))
        head = LogisticRegression(C=4 / x.shape[1], max_iter=200)
        with warnings.catch_warnings():  # the last steps of the solver change almost nothing
            warnings.simplefilter("ignore", ConvergenceWarning)
            head.fit((x[fitted] - mean) / std, y[fitted])
        probabilities[held_out[:, None], head.classes_[None]] = head.predict_proba(
            (x[held_out] - mean) / std
        )
    return probabilities / probabilities.sum(1, keepdims=True)
