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
from core.features.cache import Features, join_features
from core.runs.run_folder import Run
from core.training.fit import resume
from core.training.torchrun import fit_with_torchrun, resume_with_torchrun
from helpers import LITE0, of_kind, small_recipe, train

RECIPE = small_recipe(model=LITE0, strategy="full", batch_size=7, augmentation="none")


@pytest.fixture
def index(tmp_path, make_image_folder):
    # 21 training images: steps and selection do not divide by two.
    return open_dataset(make_image_folder(tmp_path / "shapes", per_class={"train": 7, "val": 5}))


@pytest.mark.parametrize("strategy", [pytest.param("full", marks=pytest.mark.slow), "partial"])
def test_two_processes_come_to_what_one_comes_to(index, strategy) -> None:
    recipe = RECIPE.with_values(strategy=strategy)
    alone = train(index, recipe).result
    heard: list[Event] = []
    both = fit_with_torchrun(recipe.with_values(processes=2), index, sink=heard.append)
    assert both.status == "done"
    assert both.report is not None
    assert both.report.n == alone.report.n == len(index.indices("val"))
    assert both.report.confusion == alone.report.confusion
    one, two = of_kind(Run(alone.run), EpochDone), of_kind(Run(both.run), EpochDone)
    assert len(one) == len(two) == 3
    for a, b in zip(one, two, strict=True):
        assert b.selection_loss == pytest.approx(a.selection_loss, rel=1e-3)
        assert b.train_loss == pytest.approx(a.train_loss, rel=1e-3)
        assert b.selection_accuracy == a.selection_accuracy
    assert len(of_kind(heard, StepDone)) == one[-1].step
    assert len(of_kind(heard, RunStarted)) == 1
    assert Run(both.run).read_environment()["resolved"]["processes"] == 2
    hashes = json.loads((both.run / "dataset.json").read_text())["hashes"]
    assert hashes == json.loads((alone.run / "dataset.json").read_text())["hashes"]


@pytest.mark.slow
def test_a_stop_saves_and_the_run_goes_on_to_the_same_end(index) -> None:
    recipe = RECIPE.with_values(processes=2, max_epochs=3)
    whole = fit_with_torchrun(recipe, index)
    seen = threading.Event()

    def sink(event: Event) -> None:
        if isinstance(event, EpochDone) and event.epoch == 1:
            seen.set()

    stopped = fit_with_torchrun(recipe, index, sink=sink, should_stop=seen.is_set)
    assert stopped.status == "stopped"
    result = resume_with_torchrun(Run(stopped.run))
    assert result.status == "done"
    a, b = (of_kind(Run(ended.run), EpochDone)[-1] for ended in (whole, result))
    assert b.selection_loss == pytest.approx(a.selection_loss, rel=1e-4)
    with pytest.raises(RunError, match="has finished"):
        resume(Run(result.run))


@pytest.mark.slow
def test_what_the_processes_cannot_do_is_said_in_their_words(index) -> None:
    with pytest.raises(RunError, match="no such layer"):
        fit_with_torchrun(RECIPE.with_values(processes=2, layer_rates={"nothing": 1.0}), index)


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
    whole = join_features(parts)
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
        split, name = path.micro_batches[-3:-1]
        parity = "" if number % 5 == 0 else ("odd" if number % 2 else "even")
        rows.append(f"{path.relative_to(folder).as_posix()},{name},{split},{parity}")
    table = folder / "shapes.csv"
    table.write_text("\n".join(rows))
    index = open_dataset(table)
    recipe = RECIPE.with_values(
        strategy="partial", layer_groups=1, max_epochs=1, teacher="bundled/tf_efficientnet_lite0",
        tasks="all",
    )  # fmt: skip
    alone = train(index, recipe).result
    both = fit_with_torchrun(recipe.with_values(processes=2), index)
    one, two = (of_kind(Run(ended.run), EpochDone) for ended in (alone, both))
    for a, b in zip(one, two, strict=True):
        assert b.train_loss == pytest.approx(a.train_loss, rel=1e-3)
        assert b.selection_loss == pytest.approx(a.selection_loss, rel=1e-3)
        assert b.task_accuracies == a.task_accuracies
    assert both.report is not None
    assert alone.report is not None
    assert both.report.tasks == alone.report.tasks
