"""Suggested labels: what is learnt from a few, how sure, and what to label next."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from core.cli.app import main
from core.data.dataset import NO_LABEL, NO_SPLIT, DatasetIndex
from core.data.journal import Edit, Journal
from core.errors import DatasetError
from core.evaluation.suggest import check_labels, first_to_label, suggest
from core.features.dataset_features import (
    PictureFeatures,
    cost_of_features,
    picture_features,
)
from core.recipe.recipe import make_recipe

CLASSES = ("ant", "bee", "wasp")


def make_flat(labels: np.ndarray, root: Path = Path("/flat")) -> DatasetIndex:
    n = len(labels)
    return DatasetIndex(
        root=root,
        classes=CLASSES,
        files=tuple(f"{i:04}.png" for i in range(n)),
        labels=labels.astype(np.int32),
        splits=np.full(n, NO_SPLIT, np.uint8),
        bytes=np.ones(n, np.int64),
        widths=np.ones(n, np.int32),
        heights=np.ones(n, np.int32),
        split_origin="graftwork",
        name="flat",
    )


def make_set(*, noise: float = 1.0, per_class: int = 30) -> tuple[PictureFeatures, np.ndarray]:
    """Features in three clusters, mixed, and their true classes."""
    rng = np.random.default_rng(0)
    truth = rng.permutation(np.repeat(np.arange(3), per_class))
    vectors = np.eye(3, 24)[truth] * 4 + rng.normal(0, noise, (len(truth), 24))
    files = tuple(f"{i:04}.png" for i in range(len(truth)))
    return PictureFeatures("test", files, vectors.astype(np.float32), np.arange(len(truth))), truth


def with_labels(truth: np.ndarray, known: np.ndarray) -> DatasetIndex:
    labels = np.full(len(truth), NO_LABEL)
    labels[known] = truth[known]
    return make_flat(labels)


def few_of_each(truth: np.ndarray, number: int) -> np.ndarray:
    return np.concatenate([np.flatnonzero(truth == k)[:number] for k in range(3)])


def test_a_few_labels_are_enough_for_the_rest():
    features, truth = make_set(noise=0.5)
    found = suggest(features, with_labels(truth, few_of_each(truth, 3)))
    rows = [int(file[:4]) for file in found.files]
    assert len(found) == len(truth) - 9
    assert (found.best == truth[rows]).mean() > 0.97
    assert np.allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)


def test_a_dozen_labels_told_apart_give_no_certainty():
    features, truth = make_set(noise=0.3)
    found = suggest(features, with_labels(truth, few_of_each(truth, 4)))
    assert found.trial_is_right.all()
    assert found.confidence.mean() < 0.98


def test_probabilities_are_worth_what_they_say():
    features, truth = make_set(noise=2.2, per_class=150)
    found = suggest(features, with_labels(truth, few_of_each(truth, 30)))
    rows = [int(file[:4]) for file in found.files]
    right = (found.best == truth[rows]).mean()
    assert 0.6 < right < 0.95
    assert abs(found.confidence.mean() - right) < 0.08


def test_the_expected_errors_count_labelled_pictures_that_were_held_out():
    features, truth = make_set(noise=2.2, per_class=60)
    found = suggest(features, with_labels(truth, few_of_each(truth, 20)))
    low, high = found.expectation(0.0), found.expectation(0.9)
    assert low.count == len(found)
    assert low.tried == 60
    assert low.wrong == int((~found.trial_is_right).sum()) > 0
    assert high.count < low.count
    assert high.wrong <= low.wrong
    assert low.wrong / low.tried < low.most_wrong < 1


def test_a_threshold_that_no_labelled_picture_reached_promises_nothing():
    features, truth = make_set()
    expected = suggest(features, with_labels(truth, few_of_each(truth, 3))).expectation(0.9999)
    assert (expected.tried, expected.most_wrong) == (0, 1.0)


def test_one_picture_of_a_class_is_taken_for_what_it_is():
    features, truth = make_set(noise=0.5)
    known = np.concatenate([few_of_each(truth, 4)[:8], np.flatnonzero(truth == 2)[:1]])
    found = suggest(features, with_labels(truth, known))
    assert found.classes == CLASSES
    assert found.labelled == 9


def test_classes_without_a_picture_are_not_suggested():
    features, truth = make_set(noise=0.5)
    known = few_of_each(truth, 3)[:6]
    assert suggest(features, with_labels(truth, known)).classes == ("ant", "bee")


def test_one_class_alone_teaches_nothing():
    features, truth = make_set()
    index = with_labels(truth, few_of_each(truth, 3)[:3])
    with pytest.raises(DatasetError, match="one class"):
        suggest(features, index)
    with pytest.raises(DatasetError, match="no picture has a label"):
        check_labels(with_labels(truth, np.array([], int)))


def test_what_to_label_next_is_close_or_strange():
    features, truth = make_set(noise=1.5)
    # nobody has named the third class yet
    known = few_of_each(truth, 4)[:8]
    found = suggest(features, with_labels(truth, known))
    order = found.next_to_label()
    assert sorted(order.tolist()) == list(range(len(found)))
    top = np.sort(found.probabilities, axis=1)
    assert order[0] == (top[:, -1] - top[:, -2]).argmin()
    strange = [int(found.files[i][:4]) for i in order[3::4][:5]]
    assert (truth[strange] == 2).mean() >= 0.6


def test_a_rejected_class_gives_way_to_the_next_best():
    features, truth = make_set(noise=1.5)
    found = suggest(features, with_labels(truth, few_of_each(truth, 4)))
    first = found.files[0]
    best, second = np.argsort(-found.probabilities[0])[:2]
    again = found.without({first: (found.keys[best],)})
    assert again.best[0] == second
    assert again.probabilities[0].sum() == pytest.approx(1)
    none = found.without({first: found.keys})
    assert none.confidence[0] == pytest.approx(1 / 3)


def test_the_first_pictures_to_label_show_every_kind():
    features, truth = make_set(noise=0.5)
    index = with_labels(truth, np.array([], int))
    picked = first_to_label(features, index, count=6)
    assert len(set(picked)) == len(picked) == 6
    assert {int(truth[int(file[:4])]) for file in picked} == {0, 1, 2}
    assert picked == first_to_label(features, index, count=6)


def test_kinds_that_nobody_labelled_come_first():
    features, truth = make_set(noise=0.3)
    index = with_labels(truth, np.flatnonzero(truth != 1)[:20])
    picked = first_to_label(features, index, count=3)
    assert truth[int(picked[0][:4])] == 1


def test_files_that_the_dataset_lost_teach_nothing_and_are_not_suggested():
    features, truth = make_set()
    index = with_labels(truth, few_of_each(truth, 3))
    gone = [int(few_of_each(truth, 3)[0]), int(np.flatnonzero(index.labels == NO_LABEL)[0])]
    keep = ~np.isin(np.arange(len(index)), gone)
    smaller = DatasetIndex(
        **{
            **{name: getattr(index, name) for name in ("root", "classes", "split_origin", "name")},
            "files": tuple(np.array(index.files)[keep].tolist()),
            **{
                name: getattr(index, name)[keep]
                for name in ("labels", "splits", "bytes", "widths", "heights")
            },
        }
    )
    found = suggest(features, smaller)
    assert found.labelled == 8
    assert len(found) == len(index) - 10
    assert features.files[gone[1]] not in found.files
    assert features.files[gone[1]] not in first_to_label(features, smaller, count=90)


@pytest.fixture
def flat_folder(make_image_folder, tmp_path) -> Path:
    """Pictures of three shapes in one folder, the shape in the name only."""
    classed = make_image_folder(tmp_path / "classed", per_class=6, splits=())
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in sorted(classed.rglob("*.png")):
        path.rename(flat / f"{path.parent.name}-{path.name}")
    return flat


def test_features_are_counted_timed_and_then_there(flat_folder):
    from core.data.sources.scan import scan

    index = scan(flat_folder, allow_unlabelled=True)
    recipe = make_recipe({"model": "bundled/tf_efficientnet_lite0"})
    cost = cost_of_features(index, recipe)
    assert cost.total == 18
    assert cost.missing < 18
    features = picture_features(index, recipe)
    assert features.files == index.files
    assert features.vectors.shape == (18, 1280)
    assert cost_of_features(index, recipe) == type(cost)(18, 0, 0.0)


def test_the_command_line_suggests_labels_for_the_rest(flat_folder, tmp_path, capsys):
    journal = Journal(flat_folder)
    for shape in ("circle", "square", "triangle"):
        files = [path.name for path in sorted(flat_folder.glob(f"{shape}*"))[:3]]
        journal.add(Edit("relabel", tuple(files), shape))
    table = tmp_path / "out.csv"
    assert main(["suggest", str(flat_folder), "--json", "--csv", str(table)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["labelled"], answer["unlabelled"]) == (9, 9)
    right = [s["file"].startswith(s["label"]) for s in answer["suggestions"]]
    assert sum(right) >= 8
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [s["file"] for s in answer["suggestions"]]
    assert main(["suggest", str(flat_folder), "--csv", str(table)]) == 1
    assert "is there already" in capsys.readouterr().err


def test_the_command_line_says_when_there_is_nothing_to_learn_from(flat_folder, capsys):
    assert main(["suggest", str(flat_folder)]) == 1
    assert "no picture has a label" in " ".join(capsys.readouterr().err.split())
