"""k-fold cross-validation over real runs."""

import json
from pathlib import Path

import numpy as np
import pytest

from core.cli.app import main
from core.data.sources.scan import scan
from core.errors import Cancelled, DatasetError
from core.events import RunStarted
from core.recipe.recipe import Recipe
from core.runs.run_folder import Run
from core.runs.store import RunStore
from core.training.cross_validation import cross_validate
from helpers import TINY

pytestmark = pytest.mark.usefixtures("tiny_weights")

RECIPE = Recipe(model=TINY, precision="float32", selection_folds=2)


@pytest.fixture
def index(tmp_path: Path, make_image_folder):
    return scan(make_image_folder(tmp_path / "shapes", per_class=6, splits=()))


def test_every_image_is_judged_once_and_each_fold_is_a_run(index) -> None:
    found = cross_validate(RECIPE, index, folds=3, store=RunStore())
    assert len(found.folds) == 3
    assert found.n == len(index)
    judged = [p.file for fold in found.folds for p in Run(fold.run).read_predictions()]
    assert sorted(judged) == sorted(index.files)
    right = [p.label == p.predicted for f in found.folds for p in Run(f.run).read_predictions()]
    assert found.accuracy == pytest.approx(np.mean(right))
    assert found.interval[0] <= found.accuracy <= found.interval[1]
    assert all("fold-" in fold.run.name for fold in found.folds)


def test_a_stop_ends_with_the_folds_that_are_done(index) -> None:
    started = []

    def sink(event: object) -> None:
        if isinstance(event, RunStarted):
            started.append(event)

    found = cross_validate(
        RECIPE, index, folds=3, store=RunStore(), sink=sink, should_stop=lambda: len(started) > 1
    )
    assert len(found.folds) == 1
    assert found.to_dict()["asked_folds"] == 3
    with pytest.raises(Cancelled):
        cross_validate(RECIPE, index, folds=3, store=RunStore(), should_stop=lambda: True)


def test_an_impossible_number_of_folds_is_refused(index) -> None:
    with pytest.raises(DatasetError, match="2 to 100"):
        cross_validate(RECIPE, index, folds=1, store=RunStore())


def test_the_command_line_says_mean_and_spread(tmp_path: Path, make_image_folder, capsys) -> None:
    folder = make_image_folder(tmp_path / "shapes", per_class=6, splits=())
    command = ["train", str(folder), "--model", TINY, "--folds", "3"]
    assert main([*command, "--set", "selection_folds=2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said["folds"]) == 3
    assert said["n"] == 18
    assert 0 <= said["accuracy"] <= 1
    assert main([*command, "--out", str(tmp_path / "x")]) == 2
