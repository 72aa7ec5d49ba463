"""Several processes that train together, started by torchrun with gloo on the processor."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
import torch

from core.compute.distributed import SINGLE_PROCESS, World
from core.data.open_dataset import open_dataset
from core.errors import RunError
from core.events import EpochDone, Event, RunStarted, StepDone
from core.features.cache import Features, joined
from core.recipe.recipe import Recipe
from core.runs.run_folder import Run
from core.runs.store import RunStore
from core.training.fit import fit, resume
from core.training.torchrun import fit_together, resume_together

RECIPE = Recipe(
    strategy="full", max_epochs=2, batch_size=7,
    precision="float32", selection_folds=3, augmentation="none", device="cpu",
)  # fmt: skip


@pytest.fixture
def index(tmp_path, make_image_folder):
    # 21 training images: steps and selection do not divide by two.
    return open_dataset(make_image_folder(tmp_path / "shapes", per_class={"train": 7, "val": 5}))


def _train(index, recipe: Recipe, sink=lambda event: None):
    run = RunStore().create(index.name, recipe)
    return fit(recipe, index, run, sink=sink)


def _epochs(run: Run) -> list[EpochDone]:
    return [event for event in run.read_events() if isinstance(event, EpochDone)]


def test_two_processes_come_to_what_one_comes_to(index) -> None:
    alone = _train(index, RECIPE)
    heard: list[Event] = []
    both = fit_together(RECIPE.with_values(processes=2), index, sink=heard.append)
    assert both.status == "done"
    assert both.report is not None
    assert both.report.n == alone.report.n == len(index.indices("val"))
    assert both.report.confusion == alone.report.confusion
    one, two = _epochs(Run(alone.run)), _epochs(Run(both.run))
    assert len(one) == len(two) == 3
    for a, b in zip(one, two, strict=True):
        assert b.selection_loss == pytest.approx(a.selection_loss, rel=1e-3)
        assert b.train_loss == pytest.approx(a.train_loss, rel=1e-3)
        assert b.selection_accuracy == a.selection_accuracy
    assert sum(isinstance(event, StepDone) for event in heard) == one[-1].step
    assert sum(isinstance(event, RunStarted) for event in heard) == 1
    assert Run(both.run).read_environment()["resolved"]["processes"] == 2
    hashes = json.loads((both.run / "dataset.json").read_text())["hashes"]
    assert hashes == json.loads((alone.run / "dataset.json").read_text())["hashes"]


@pytest.mark.slow
def test_a_stop_saves_and_the_run_goes_on_to_the_same_end(index) -> None:
    recipe = RECIPE.with_values(processes=2, max_epochs=3)
    whole = fit_together(recipe, index)
    seen = threading.Event()

    def sink(event: Event) -> None:
        if isinstance(event, EpochDone) and event.epoch == 1:
            seen.set()

    stopped = fit_together(recipe, index, sink=sink, should_stop=seen.is_set)
    assert stopped.status == "stopped"
    result = resume_together(Run(stopped.run))
    assert result.status == "done"
    for a, b in zip(_epochs(Run(whole.run))[-1:], _epochs(Run(result.run))[-1:], strict=True):
        assert b.selection_loss == pytest.approx(a.selection_loss, rel=1e-4)
    with pytest.raises(RunError, match="has finished"):
        resume(Run(result.run))


@pytest.mark.slow
def test_what_the_processes_cannot_do_is_said_in_their_words(index) -> None:
    with pytest.raises(RunError, match="no such layer"):
        fit_together(RECIPE.with_values(processes=2, layer_rates={"nothing": 1.0}), index)


def test_alone_there_is_nothing_to_share() -> None:
    assert SINGLE_PROCESS.all_reduce(1.5, 2) == (1.5, 2)
    assert SINGLE_PROCESS.any(True)
    assert not SINGLE_PROCESS.any(False)
    assert SINGLE_PROCESS.all_gather("x") == ["x"]
    assert SINGLE_PROCESS.broadcast_call(lambda: 3) == 3
    assert SINGLE_PROCESS.shard(np.arange(5)).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_the_shares_are_all_there_is_and_differ_by_one(size: int) -> None:
    shares = [World(rank, size).shard(np.arange(5)) for rank in range(size)]
    assert sorted(np.concatenate(shares).tolist()) == [0, 1, 2, 3, 4]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_features_of_shares_are_those_of_the_whole() -> None:
    vectors = np.arange(10, dtype=np.float32).reshape(5, 2)
    parts = []
    for rank in range(2):
        own = World(rank, 2).shard(np.arange(5))
        is_ok = own != 3
        failures = tuple((i, "broken") for i, at in enumerate(own) if at == 3)
        names = tuple(f"h{i}" for i in own)
        parts.append((own, Features(vectors[own], is_ok, names, failures, len(own), 1.0)))
    whole = joined(parts)
    assert torch.equal(torch.from_numpy(whole.vectors), torch.from_numpy(vectors))
    assert whole.hashes == ("h0", "h1", "h2", "h3", "h4")
    assert whole.failures == ((3, "broken"),)
    assert whole.is_ok.tolist() == [True, True, True, False, True]


@pytest.mark.slow
def test_two_processes_are_taught_and_learn_label_columns_as_one_does(
    tmp_path, make_image_folder
) -> None:
    folder = make_image_folder(tmp_path / "shapes", per_class={"train": 7, "val": 5})
    rows = ["path,label,split,label_parity"]
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        split, name = path.parts[-3:-1]
        parity = "" if number % 5 == 0 else ("odd" if number % 2 else "even")
        rows.append(f"{path.relative_to(folder).as_posix()},{name},{split},{parity}")
    table = folder / "shapes.csv"
    table.write_text("\n".join(rows))
    index = open_dataset(table)
    recipe = RECIPE.with_values(
        strategy="partial", layer_groups=1, max_epochs=1, teacher="bundled/tf_efficientnet_lite0",
        tasks="all",
    )  # fmt: skip
    alone = _train(index, recipe)
    both = fit_together(recipe.with_values(processes=2), index)
    for a, b in zip(_epochs(Run(alone.run)), _epochs(Run(both.run)), strict=True):
        assert b.train_loss == pytest.approx(a.train_loss, rel=1e-3)
        assert b.selection_loss == pytest.approx(a.selection_loss, rel=1e-3)
        assert b.task_accuracies == a.task_accuracies
    assert both.report is not None
    assert alone.report is not None
    assert both.report.tasks == alone.report.tasks
