"""Pictures unlike the rest of their class, and labels that are probably wrong, from features.

Takes vectors and labels as numpy and knows nothing of models or files. Labels: every picture is
judged by classifiers that never saw it, fitted to the frozen features; confident learning says
which labels do not hold (Northcutt, Jiang, Chuang 2021, by the library cleanlab). What it finds is
left out of a second fit, so that the errors do not vouch for each other. Unlike its class: the
mean distance to the nearest ten of the class, against what is usual there (Ramaswamy, Rastogi,
Shim 2000).

Measured with the bundled Lite0, a twentieth of the labels flipped by three seeds: of ants and bees
13–18 of 19 found by 14–20 findings, of steel defects 81–85 of 90 by 83–86; without any flip none
in either set. See tests/benchmarks/test_health.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.events import OnProgress, ShouldStop, check_stop, never_stop, no_progress

FOLDS = 5
FEWEST = 5
"""A class with fewer pictures is not judged: nothing can be said about it by the rest."""
CLEAR = (0.05, 0.9)
"""A label less likely than the first, where another is likelier than the second, is suspect in any
case."""
UNLIKE = 4.0
"""Robust deviations of the log distance above the class's median."""
NEIGHBOURS = 10

_MOST_FITTED = 20_000_000
"""Pictures × features that a fold is fitted to at most; more pictures are sampled by class."""
_REFERENCE = 2000
"""Pictures of a class that stand for it when distances are taken: never all pairs."""
_BLOCK = 512

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LabelErrors:
    """rows: int64 [E], the most suspicious first; suggested: int64 [E], the label that fits better.

    given and better: float32 [E], probabilities of the label given and of the one suggested.
    judged: how many pictures could be judged. accuracy: share of them whose label was foretold.
    """

    rows: npt.NDArray[np.int64]
    suggested: npt.NDArray[np.int64]
    given: npt.NDArray[np.float32]
    better: npt.NDArray[np.float32]
    judged: int
    accuracy: float


@dataclass(frozen=True)
class Unlike:
    """rows: int64 [U], the most unlike first; times: float32 [U], how many times as far from the
    nearest of its class as is usual there; deviations: float32 [U]."""

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
    """Suspected label errors of float32 [N, D] and labels [N] ≥ 0.

    `units` int64 [N]: pictures of one number are copies and are held out together. Imports
    scikit-learn and cleanlab, which takes seconds: for a worker.

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
        probabilities = _foretold(
            vectors[rows], y, fold, trusted,
            on_progress=_after(on_progress, turn * FOLDS), should_stop=should_stop,
        )  # fmt: skip
        issues = find_label_issues(y, probabilities, filter_by=rule, n_jobs=1)
        trusted = ~issues
    # Rates of noise say nothing about one error among a few dozen pictures; such odds do.
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


def _after(on_progress: OnProgress, done_before: int) -> Callable[[int], None]:
    return lambda done: on_progress(done_before + done, 2 * FOLDS, "Judging labels")


def unlike_their_class(
    vectors: Vectors, labels: npt.NDArray[np.int32], *, should_stop: ShouldStop = never_stop
) -> Unlike:
    """Pictures far from all others of their class, of float32 [N, D] and labels [N].

    Labels below 0 are passed over.

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
    """float32 [n]: mean distance of unit vectors [n, D] to the nearest in a sample of them."""
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
    """int64 [n]: stratified, seeded; the copies of a picture in the fold of the first."""
    from sklearn.model_selection import StratifiedKFold

    fold = np.zeros(len(y), np.int64)
    dealer = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    for number, (_, held_out) in enumerate(dealer.split(y, y)):
        fold[held_out] = number
    if units is not None:
        _, first, inverse = np.unique(units, return_index=True, return_inverse=True)
        fold = fold[first[np.ravel(inverse)]]
    return fold


def _foretold(
    x: Vectors,
    y: npt.NDArray[np.int64],
    fold: npt.NDArray[np.int64],
    trusted: npt.NDArray[np.bool_],
    *,
    on_progress: Callable[[int], None],
    should_stop: ShouldStop,
) -> npt.NDArray[np.float64]:
    """float64 [n, classes]: each picture's probabilities by the heads that were fitted without it.

    The penalty grows with the number of features, so that it weighs alike for every backbone.
    """
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    classes = int(y.max()) + 1
    foretold = np.full((len(y), classes), 1e-6)
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
        with warnings.catch_warnings():  # near enough: the penalty decides, not the last step
            warnings.simplefilter("ignore", ConvergenceWarning)
            head.fit((x[fitted] - mean) / std, y[fitted])
        foretold[held_out[:, None], head.classes_[None]] = head.predict_proba(
            (x[held_out] - mean) / std
        )
    return foretold / foretold.sum(1, keepdims=True)
