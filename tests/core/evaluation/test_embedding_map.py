"""The map of pictures: layouts, neighbours, and whose label looks wrong."""

from __future__ import annotations

import numpy as np
import pytest

from core.data.dataset import NO_LABEL
from core.errors import Cancelled, DatasetError
from core.evaluation import embedding_map
from core.evaluation.embedding_map import agreement, draw_map, neighbours, suspects
from core.features.dataset_features import PictureFeatures


def make_features(*, classes: int = 3, per_class: int = 12, seed: int = 0) -> PictureFeatures:
    """Clusters of directions that are far apart."""
    rng = np.random.default_rng(seed)
    centres = np.eye(classes, 16) * 10
    vectors = np.repeat(centres, per_class, axis=0) + rng.normal(0, 0.5, (classes * per_class, 16))
    n = len(vectors)
    return PictureFeatures(
        model="test",
        files=tuple(f"{i:04}.png" for i in range(n)),
        vectors=vectors.astype(np.float32),
        copies=np.arange(n),
    )


def labels_for(features: PictureFeatures, classes: int = 3) -> np.ndarray:
    return np.repeat(np.arange(classes), len(features) // classes).astype(np.int32)


def test_the_components_come_first_and_the_arranged_map_last():
    features = make_features()
    stages = []
    made = draw_map(features, on_stage=stages.append)
    assert [stage.layout for stage in stages] == ["PCA", "t-SNE", "t-SNE", "t-SNE"]
    assert made.layout == "t-SNE"
    assert made.arranged == len(features)
    assert np.isfinite(made.xy).all()
    assert np.abs(made.xy).max() <= 1
    assert 0 < made.explained <= 1


def test_clusters_of_features_are_clusters_on_the_map():
    features = make_features()
    made = draw_map(features)
    plane = neighbours_in_plane(made.xy)
    labels = labels_for(features)
    assert (labels[plane] == labels).all()


def neighbours_in_plane(xy: np.ndarray) -> np.ndarray:
    away = ((xy[:, None] - xy[None]) ** 2).sum(-1)
    np.fill_diagonal(away, np.inf)
    return away.argmin(axis=1)


def test_the_same_features_give_the_same_map():
    features = make_features(per_class=6)
    assert np.array_equal(draw_map(features).xy, draw_map(features).xy)


def test_more_points_than_can_be_arranged_stand_beside_their_nearest(monkeypatch):
    monkeypatch.setattr(embedding_map, "MOST_ARRANGED", 18)
    features = make_features(per_class=20)
    made = draw_map(features)
    assert made.arranged == 18
    labels = labels_for(features)
    assert (labels[neighbours_in_plane(made.xy)] == labels).mean() > 0.9


def test_a_stop_leaves_between_two_stages():
    asked = []

    def stop() -> bool:
        asked.append(1)
        return any(stage.layout == "t-SNE" for stage in stages)

    stages = []
    with pytest.raises(Cancelled):
        draw_map(make_features(), on_stage=stages.append, should_stop=stop)
    assert len(stages) == 2


def test_two_pictures_have_a_map_and_one_has_none():
    few = make_features(classes=2, per_class=1)
    assert draw_map(few).layout == "PCA"
    one = make_features(classes=1, per_class=1)
    with pytest.raises(DatasetError, match="two pictures"):
        draw_map(one)


def test_copies_are_not_each_others_neighbours():
    vectors = np.array([[1, 0], [1, 0], [0.9, 0.1], [0, 1]], np.float32)
    near = neighbours(vectors, np.array([0, 0, 1, 2]), count=3)
    assert near[0].tolist() == [2, 3, -1]
    assert near[2].tolist()[:2] in ([0, 1], [1, 0])


def test_agreement_counts_pictures_with_a_labelled_nearest_neighbour():
    near = np.array([[1, 2], [0, 2], [3, 0], [2, -1]], np.int32)
    labels = np.array([0, 0, 1, NO_LABEL], np.int32)
    # 0 and 1 agree; of 2 the nearest has no label, so the next one, of another class, counts
    assert agreement(labels, near) == (2, 3)


def test_a_label_that_no_neighbour_shares_is_suspected():
    features = make_features()
    near = neighbours(features.vectors, features.copies)
    labels = labels_for(features)
    assert suspects(labels, near).tolist() == []
    labels[5] = 2
    assert suspects(labels, near).tolist() == [5]


def test_without_any_label_nothing_agrees_and_nothing_is_suspected():
    features = make_features()
    near = neighbours(features.vectors, features.copies)
    labels = np.full(len(features), NO_LABEL, np.int32)
    assert agreement(labels, near) == (0, 0)
    assert suspects(labels, near).tolist() == []
