"""Fine-tuning where it ends badly: killed, full disks, stops at awkward moments, tiny sets."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file

from core.batches.pixel_cache import PixelCache
from core.catalog import catalog
from core.compute.device import Compute
from core.data.sources.scan import scan
from core.data.splits import honest_sets
from core.errors import Cancelled, RunError
from core.events import CheckpointSaved, EpochDone, Progress, RunEnded, RunResumed, StepDone
from core.models.build import build
from core.recipe.plan import make_plan
from core.recipe.recipe import Recipe
from core.runs import checkpoints
from core.runs.checkpoints import Head, make_reference, save_checkpoint
from core.runs.run_folder import Run, create_run
from core.runs.store import RunStore
from core.training.fit import resume
from core.training.loop import state
from core.training.loop.batches import Batches, TrainingSet, UnreadableImages
from core.training.loop.loop import FineTuneProgress
from core.training.loop.model import FineTunedModel
from core.training.loop.optimizers import make_optimizer
from helpers import TINY, of_kind, small_recipe, train

COMPUTE = Compute("cpu", "float32", "channels_last", 1, 1, 8)
pytestmark = pytest.mark.usefixtures("tiny_weights")

RECIPE = small_recipe()


@pytest.fixture
def folder(tmp_path, make_image_folder):
    return make_image_folder(tmp_path / "shapes", per_class={"train": 6, "val": 2})


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, make_image_folder) -> dict[int, Run]:
    """Runs that were stopped after one step and after two; tests resume copies of them."""
    root = tmp_path_factory.mktemp("stopped")
    folder = make_image_folder(root / "shapes", per_class={"train": 6, "val": 2})
    return {
        steps: train(
            folder, RECIPE, run=create_run(root / f"run-{steps}", RECIPE), stop_after=steps
        ).run
        for steps in (1, 2)
    }


@pytest.fixture
def stopped_run(stopped, tmp_path):
    """`stopped_run(steps)` → a run that was stopped after one step or two."""
    return lambda steps=1: Run(shutil.copytree(stopped[steps].path, tmp_path / "run"))


def an_epoch(number):
    return EpochDone(number, 0.5, 0.5, 0.5, 0.5, 1.0, step=number)


def test_events_after_half_a_line_are_read():
    run = RunStore().create("torn", RECIPE)
    run.append_event(an_epoch(0))
    with (run.path / "events.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"event": "StepDone", "st')  # killed here
    run.append_event(RunResumed(step=1, epoch=0))
    assert run.read_events() == [an_epoch(0), RunResumed(step=1, epoch=0)]


def test_epochs_that_a_resumed_run_does_again_stand_in_the_metrics_once():
    run = RunStore().create("twice", RECIPE)
    for number in range(3):
        run.append_event(an_epoch(number))
    run.append_event(RunResumed(step=1, epoch=1))  # killed before the state of epoch 2 was whole
    run.append_event(an_epoch(2))
    with (run.path / "metrics.csv").open(encoding="utf-8", newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1", "2"]


def test_a_half_written_state_is_nothing_to_resume():
    run = RunStore().create("half", RECIPE)
    run.write_classes(("a", "b"))
    run.append_event(RunEnded("stopped", 1, 0.5))
    run.last.mkdir(parents=True)
    (run.last / ".state.pt.tmp").write_bytes(b"half")
    assert not run.summary().can_resume
    (run.last / "state.pt").write_bytes(b"whole")
    assert run.summary().can_resume


def test_a_run_that_failed_can_be_resumed_from_its_state():
    run = RunStore().create("full-disk", RECIPE)
    run.write_classes(("a", "b"))
    run.append_event(RunEnded("failed", -1, 0.0, "no space"))
    run.last.mkdir(parents=True)
    (run.last / "state.pt").write_bytes(b"whole")
    assert run.summary().can_resume


def test_a_stop_before_a_resumed_run_trains_forgets_nothing(stopped_run):
    run = stopped_run()
    before = run.read_end()
    with pytest.raises(Cancelled):
        resume(run, should_stop=lambda: True)
    assert run.read_end() == before
    assert run.summary().can_resume


def test_a_new_best_model_makes_the_report_of_the_one_before_void(stopped_run):
    """Stopped: a report. Resumed, better, stopped while evaluating: that report is of the past."""
    run = stopped_run(2)
    assert run.read_report() is not None
    asked: list[Progress] = []
    bests: list[CheckpointSaved] = []

    def sink(event):
        if isinstance(event, Progress) and "evaluating" in event.note:
            asked.append(event)
        if isinstance(event, CheckpointSaved) and event.kind == "best":
            bests.append(event)

    result = resume(run, sink=sink, should_stop=lambda: bool(asked))
    if result.status == "stopped":
        assert (run.read_report() is None) == bool(bests)


def test_the_state_stays_until_the_report_is_written(stopped_run, monkeypatch):
    run = stopped_run()

    def full(self, report):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Run, "write_report", full)
        with pytest.raises(RunError, match="No space"):
            resume(run)
    assert run.summary().can_resume
    assert resume(run).status == "done"
    assert not run.last.exists()


def a_model():
    built = build(catalog.load().resolve(TINY), num_classes=2)
    plan = make_plan(RECIPE, built.group_sizes())
    head = Head(torch.zeros(2, built.feature_dim), torch.zeros(2))
    model = FineTunedModel(built, head, plan, COMPUTE)
    return model, make_optimizer(model, RECIPE, plan)


def test_a_loaded_state_holds_its_file_open_no_longer(tmp_path):
    """On Windows the next state could not take its place."""
    folder = tmp_path / "run" / "checkpoints" / "last"
    model, optimizer = a_model()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    state.save_state(folder, model, optimizer, FineTuneProgress(epoch=1))
    model, optimizer = a_model()
    assert state.load_state(folder, model, optimizer).epoch == 1
    maps = getattr(psutil.Process(), "memory_maps", list)()
    assert not [entry.path for entry in maps if str(folder) in entry.path]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04"])
def test_a_state_cut_short_is_refused_in_words(tmp_path, content):
    folder = tmp_path / "run" / "checkpoints" / "last"
    folder.mkdir(parents=True)
    (folder / "state.pt").write_bytes(content)
    with pytest.raises(RunError, match="damaged"):
        state.load_state(folder, *a_model())


def test_a_disk_that_fills_up_leaves_model_and_head_of_one_epoch(tmp_path, monkeypatch):
    """New weights under the head of the epoch before would answer wrongly, and silently."""
    built = build(catalog.load().resolve(TINY), num_classes=2)
    run = create_run(tmp_path / "run", RECIPE)
    features = np.random.default_rng(0).random((4, built.feature_dim), np.float32)

    def save(value):
        save_checkpoint(
            run.make_checkpoint_folder(),
            built,
            compute=COMPUTE,
            classes=("a", "b"),
            head=Head(torch.full((2, built.feature_dim), value), torch.full((2,), value)),
            reference=make_reference(features, 0),
            metadata={"epoch": value},
        )

    save(1.0)
    write = checkpoints.save_file

    def full(tensors, path):
        if "directions" in tensors:
            raise OSError(28, "No space left on device")
        write(tensors, path)

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        save(2.0)
    assert float(load_file(run.best.reference)["bias"][0]) == 1.0
    assert float(load_file(run.best.weights)["fc.bias"][0]) == 1.0
    assert sorted(p.name for p in run.best.folder.iterdir()) == [
        "model.json",
        "model.safetensors",
        "reference.safetensors",
    ]


@pytest.mark.parametrize("epochs", [1, 2, 3, 10])
def test_every_group_that_trains_opens_before_the_run_ends(epochs):
    recipe = Recipe(strategy="full", gradual=True, max_epochs=epochs)
    groups = [(name, {f"{name}.weight": 1}) for name in ("stem", "a", "b", "head")]
    plan = make_plan(recipe, groups)
    assert all(group.opens_at <= epochs for group in plan.groups)


def test_a_class_whose_other_images_are_unreadable_still_learns(tmp_path, make_image_folder):
    """What is left of a class trains; it is never only among the images that choose."""
    folder = make_image_folder(
        tmp_path / "two", classes=("a", "b"), per_class={"train": 2, "val": 1}
    )
    index = scan(folder)
    sets = honest_sets(index, folds=RECIPE.selection_folds, seed=RECIPE.seed)
    trains = next(int(i) for i in sets.fit if index.labels[i] == 0)
    index.path(trains).write_bytes(b"no picture")
    _result, run, events = train(index, RECIPE.with_values(max_epochs=1))
    assert len(of_kind(events, EpochDone)) == 2
    assert (run.best.description).is_file()
    learned = load_file(run.best.reference)["bias"]
    assert torch.isfinite(learned).all()
    assert [event.step for event in of_kind(events, StepDone)] == [1]
    # Both classes were learned from: two images of three, one of them of the damaged class.
    head = load_file(run.best.reference)["weight"]
    assert not torch.equal(head[0], head[1])


def test_a_batch_of_unreadable_pictures_counts_when_the_epoch_goes_on(tmp_path, make_image_folder):
    folder = make_image_folder(tmp_path / "one", classes=("a", "b"), per_class=3)
    paths = sorted((folder / "train").rglob("*.png"))
    model, _optimizer = a_model()
    recipe = RECIPE.with_values(batch_size=1, augmentation="none")
    pixels = PixelCache(paths, model.built.preprocessing)
    every = np.arange(len(paths))
    data = TrainingSet(pixels, every_label(paths), every, every[:1])
    order = np.random.default_rng([recipe.seed, 1]).permutation(every)
    paths[order[1]].unlink()
    batches = Batches(data, recipe)
    with model.thread_pool() as pool:
        numbers = [n for n, _v, _l in batches(1, 0, pool, UnreadableImages(lambda event: None))]
    assert numbers == [0, 2, 3, 4, 5]


def every_label(paths):
    return torch.tensor([int(path.parent.name == "b") for path in paths])


def test_a_selection_picture_that_vanishes_does_not_end_the_run(folder):
    index = scan(folder)
    sets = honest_sets(index, folds=RECIPE.selection_folds, seed=RECIPE.seed)
    gone = index.path(int(sets.selection[0]))

    def remove(event):
        if isinstance(event, EpochDone) and event.epoch == 0:
            gone.unlink()

    result, _run, events = train(index, RECIPE, on_event=remove)
    assert result.status == "done"
    assert any(gone.name in getattr(event, "text", "") for event in events)
