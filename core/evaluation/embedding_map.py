"""Computes a map of pictures: features projected to two dimensions, and nearest neighbours.

Two layouts: principal components at once, then t-SNE (van der Maaten & Hinton 2008) from there.
Neighbours are found by features, not on the map, whose distances mean little. Labels are not
used: a relabelled picture keeps its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from core.data.dataset import NO_LABEL
from core.errors import DatasetError
from core.events import OnProgress, ShouldStop, check_stop, never_stop, no_progress

if TYPE_CHECKING:
    from core.features.dataset_features import PictureFeatures

MOST_ARRANGED = 5_000
"""Most points that t-SNE arranges; each further one is placed beside its nearest of these."""
NEIGHBOURS = 10
_COMPONENTS = 50
_STAGES = 4
_STAGE_ITERATIONS = 250  # the minimum in scikit-learn; a stop takes effect between stages
_PERPLEXITY = 30.0
_EXAGGERATION = 12.0
_EXACT_UP_TO = 8_000  # with more pictures neighbours are found by the principal components
_BLOCK = 512
_MOST_OWN, _LEAST_OTHER = 0.2, 0.6

Layout = Literal["PCA", "t-SNE"]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PictureMap:
    """The positions of pictures on a map, and their neighbours.

    xy: float32 [N, 2], each axis about −1…1. neighbours: int32 [N, K], rows of the nearest other
    pictures by cosine, nearest first, −1 if there are fewer; exact copies do not count. arranged:
    number of points that t-SNE arranged. explained: share of the variance of the features in the
    two principal components.
    """

    model: str
    files: tuple[str, ...]
    xy: Floats
    layout: Layout
    neighbours: npt.NDArray[np.int32]
    explained: float
    arranged: int = 0
    unreadable: int = 0

    def __len__(self) -> int:
        return len(self.files)


def draw_map(
    features: PictureFeatures,
    *,
    seed: int = 0,
    on_stage: Callable[[PictureMap], None] | None = None,
    on_progress: OnProgress = no_progress,
    should_stop: ShouldStop = never_stop,
) -> PictureMap:
    """Compute the map by t-SNE; `on_stage` gets intermediate maps, first principal components.

    Determined by features and seed. Fewer than five pictures are mapped by principal components
    only.

    Raises: DatasetError if fewer than two pictures can be read; Cancelled.
    """
    if len(features) < 2:
        raise DatasetError(
            f"A map needs two pictures that can be read; there are {len(features)}.",
            "Look at the problems of the dataset.",
        )
    on_progress(0, _STAGES + 2, "finding the main directions")
    directions = _directions(features.vectors)
    components, explained = _principal(directions, seed=seed)
    check_stop(should_stop)
    on_progress(1, _STAGES + 2, "finding neighbours")
    near = neighbours(
        directions if len(features) <= _EXACT_UP_TO else components,
        features.copies,
        should_stop=should_stop,
    )
    made = PictureMap(
        model=features.model,
        files=features.files,
        xy=_normalized(components[:, :2]),
        layout="PCA",
        neighbours=near,
        explained=explained,
        unreadable=len(features.unreadable),
    )
    if len(features) < 5:
        return made
    if on_stage is not None:
        on_stage(made)
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(features))[:MOST_ARRANGED])
    moved = components[chosen]
    plane = moved[:, :2] / max(float(moved[:, 0].std()), 1e-12) * 1e-4
    for stage in range(_STAGES):
        check_stop(should_stop)
        on_progress(stage + 2, _STAGES + 2, "arranging the map (t-SNE)")
        plane = _stage(moved, plane, is_first=stage == 0, seed=seed)
        xy = (
            plane if len(chosen) == len(features) else _place_others(components, chosen, plane, rng)
        )
        made = replace(made, xy=_normalized(xy), layout="t-SNE", arranged=len(chosen))
        if on_stage is not None and stage + 1 < _STAGES:
            on_stage(made)
    return made


def neighbours(
    vectors: Floats,
    copies: npt.NDArray[np.int64],
    *,
    count: int = NEIGHBOURS,
    should_stop: ShouldStop = never_stop,
) -> npt.NDArray[np.int32]:
    """The nearest rows by cosine, nearest first: int32 [N, count], −1 if there are fewer.

    copies: int64 [N], the same number for rows of the same picture, which do not count.
    """
    n = len(vectors)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(length, 1e-12)
    found = np.full((n, count), -1, dtype=np.int32)
    most = min(count, n)
    for start in range(0, n, _BLOCK):
        check_stop(should_stop)
        rows = slice(start, min(n, start + _BLOCK))
        alike = unit[rows] @ unit.T
        alike[copies[rows, None] == copies[None, :]] = -np.inf  # itself as well
        top = np.argpartition(-alike, most - 1, axis=1)[:, :most]
        value = np.take_along_axis(alike, top, axis=1)
        order = np.argsort(-value, axis=1, kind="stable")
        top = np.take_along_axis(top, order, axis=1)
        is_there = np.isfinite(np.take_along_axis(value, order, axis=1))
        found[rows, :most] = np.where(is_there, top, -1)
    return found


def agreement(labels: npt.NDArray[np.int32], near: npt.NDArray[np.int32]) -> tuple[int, int]:
    """(number of pictures whose nearest neighbour has the same class, number of pictures).

    labels: int32 [N]; pictures without a label are ignored. near: int32 [N, K] from `neighbours`.
    """
    first = _first_labelled(labels, near)
    judged = (labels != NO_LABEL) & (first >= 0)
    same = labels[judged] == labels[first[judged]]
    return int(same.sum()), int(judged.sum())


def suspects(labels: npt.NDArray[np.int32], near: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Rows of pictures whose label may be wrong, by their neighbours: int64, ascending.

    At most a fifth of the labelled neighbours have the picture's own class, and at least three
    fifths have one other class.
    """
    near_labels = np.where(near >= 0, labels[near], NO_LABEL)
    known = (near_labels != NO_LABEL).sum(axis=1)
    own = ((near_labels == labels[:, None]) & (near_labels != NO_LABEL)).sum(axis=1)
    most_other = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels[labels != NO_LABEL]):
        counted = (near_labels == label).sum(axis=1)
        most_other = np.maximum(most_other, np.where(labels == label, 0, counted))
    least = np.maximum(known, 1)
    judged = (labels != NO_LABEL) & (known >= 3)
    chosen = judged & (own / least <= _MOST_OWN) & (most_other / least >= _LEAST_OTHER)
    return np.flatnonzero(chosen)


def _first_labelled(
    labels: npt.NDArray[np.int32], near: npt.NDArray[np.int32]
) -> npt.NDArray[np.int64]:
    """The nearest neighbour that has a label: int64 [N], −1 if none has."""
    is_labelled = (near >= 0) & (labels[near] != NO_LABEL)
    column = is_labelled.argmax(axis=1)
    first = near[np.arange(len(near)), column].astype(np.int64)
    return np.where(is_labelled.any(axis=1), first, -1)


def _directions(vectors: Floats) -> Floats:
    """Vectors scaled to length one, so that Euclidean distances order as cosines do."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = (vectors / np.maximum(length, 1e-12)).astype(np.float32)
    return unit


def _principal(directions: Floats, *, seed: int) -> tuple[Floats, float]:
    """The first components, float32 [N, K ≥ 2], and the share of variance in the first two."""
    from sklearn.decomposition import PCA

    most = min(_COMPONENTS, *directions.shape)
    fitted = PCA(most, svd_solver="randomized", random_state=seed).fit(directions)
    components = fitted.transform(directions).astype(np.float32)
    if components.shape[1] < 2:
        components = np.pad(components, ((0, 0), (0, 2 - components.shape[1])))
    share = fitted.explained_variance_ratio_[:2].sum()
    return components, float(np.nan_to_num(share))


def _stage(components: Floats, plane: Floats, *, is_first: bool, seed: int) -> Floats:
    """Run `_STAGE_ITERATIONS` iterations of t-SNE, starting at `plane`, float32 [n, 2].

    In stages, because a call of scikit-learn cannot be stopped and a thousand iterations of 5,000
    points take half a minute. The first stage is with exaggeration, the others without.
    """
    from sklearn.manifold import TSNE

    made = TSNE(
        2,
        perplexity=min(_PERPLEXITY, (len(components) - 1) / 3),
        early_exaggeration=_EXAGGERATION if is_first else 1.0,
        max_iter=_STAGE_ITERATIONS,
        init=plane.astype(np.float32),
        random_state=seed,
    ).fit_transform(components)
    moved: Floats = made.astype(np.float32)
    return moved


def _place_others(
    components: Floats, chosen: npt.NDArray[np.int64], plane: Floats, rng: np.random.Generator
) -> Floats:
    """Positions of all points: the chosen as in `plane`, each other close to its nearest chosen."""
    xy = np.empty((len(components), 2), dtype=np.float32)
    xy[chosen] = plane
    others = np.setdiff1d(np.arange(len(components)), chosen)
    placed = components[chosen]
    squares = (placed**2).sum(axis=1)
    jitter = 0.004 * float(np.ptp(plane, axis=0).max())
    for start in range(0, len(others), _BLOCK):
        rows = others[start : start + _BLOCK]
        nearest = (squares - 2 * components[rows] @ placed.T).argmin(axis=1)
        xy[rows] = plane[nearest] + rng.normal(0, jitter, (len(rows), 2))
    return xy


def _normalized(xy: Floats) -> Floats:
    """Positions rotated so that the widest direction is horizontal, centred, scaled to −1…1."""
    centred = xy - xy.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1]
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), [0, 1]] < 0, -1, 1)
    turned = centred @ axes
    turned -= (turned.max(axis=0) + turned.min(axis=0)) / 2
    fitted: Floats = (turned / max(float(np.abs(turned).max()), 1e-12)).astype(np.float32)
    return fitted
