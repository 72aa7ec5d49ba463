"""Fine-tuning: from the probe, by the plan, resumable to the bit, and never worse than it began."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from core.batches.augment import adjust_brightness_contrast, training_view
from core.batches.pixel_cache import PixelCache
from core.catalog import catalog
from core.compute.device import Compute
from core.errors import RunError
from core.evaluation.classifier import Classifier
from core.evaluation.evaluate import evaluate
from core.events import EpochDone, Notice, PlanChanged, RunEnded, RunResumed, StepDone
from core.images.decode import read_image
from core.models.build import build
from core.recipe.plan import make_plan
from core.runs.checkpoints import Head
from core.runs.run_folder import Run, create_run
from core.runs.store import RunStore
from core.training.fit import resume
from core.training.loop.model import FineTunedModel
from helpers import LITE0, TINY, Trained, is_same, of_kind, small_recipe, train, weights_of

pytestmark = pytest.mark.usefixtures("tiny_weights")

RECIPE = small_recipe(strategy="full")


@pytest.fixture
def folder(tmp_path, make_image_folder):
    return make_image_folder(tmp_path / "shapes", per_class={"train": 9, "val": 4})


@pytest.fixture(scope="module")
def shapes(tmp_path_factory, make_image_folder) -> Path:
    """The folder that `whole` was trained on."""
    root = tmp_path_factory.mktemp("whole")
    return make_image_folder(root / "shapes", per_class={"train": 9, "val": 4})


@pytest.fixture(scope="module")
def whole(shapes, tmp_path_factory) -> Trained:
    """A full fine-tuning that never stopped."""
    run = create_run(tmp_path_factory.mktemp("runs") / "whole", RECIPE)
    return train(shapes, RECIPE, run=run)


@pytest.fixture(scope="module")
def cut(shapes, tmp_path_factory) -> Trained:
    """The same, stopped in the middle of its second epoch; tests resume copies of it."""
    run = create_run(tmp_path_factory.mktemp("runs") / "cut", RECIPE)
    return train(shapes, RECIPE, run=run, stop_after=4)


@pytest.fixture
def cut_run(cut, tmp_path) -> Run:
    return Run(shutil.copytree(cut.run.path, tmp_path / "cut"))


def test_full_fine_tuning_leaves_a_run_that_is_not_worse_than_its_probe(whole):
    result, run, events = whole

    assert result.status == "done"
    assert result.strategy == "full"
    assert result.report is not None
    assert result.report.n == 12
    epochs = of_kind(events, EpochDone)
    assert [epoch.epoch for epoch in epochs] == [0, 1, 2]
    assert result.probe_selection_accuracy == epochs[0].selection_accuracy
    assert result.best_selection_accuracy == max(e.selection_accuracy for e in epochs)
    assert result.best_epoch in {0, 1, 2}
    steps = of_kind(events, StepDone)
    assert [step.step for step in steps] == list(range(1, 7))  # 18 images, 8 a step, 2 epochs
    assert all(step.images_per_s > 0 and step.memory_mb > 0 for step in steps)
    assert not run.last.exists()  # nothing is left to resume
    assert run.read_report() == result.report
    assert len(run.read_predictions()) == 12
    assert evaluate(run).confusion == result.report.confusion
    with (run.path / "metrics.csv").open(encoding="utf-8") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1", "2"]


def test_rates_rise_fall_and_are_lower_in_older_layers(whole):
    steps = of_kind(whole.events, StepDone)
    for step in steps:
        ratios = [a / b for a, b in itertools.pairwise(step.rates) if b]
        assert ratios == pytest.approx([RECIPE.layer_decay] * len(ratios))
    heads = [step.rates[-1] for step in steps]
    assert max(heads) == pytest.approx(RECIPE.learning_rate, rel=0.1)
    assert heads[-1] < 0.2 * max(heads)


def test_the_model_on_disk_answers_as_the_report_says(shapes, whole):
    run = whole.run
    predictions = run.read_predictions()
    classifier = Classifier.open(run.path)
    answers = classifier.classify([shapes / p.file for p in predictions], top=1)
    for prediction, answer in zip(predictions, answers, strict=True):
        assert answer.top[0].label == run.read_classes()[prediction.predicted]
        assert answer.top[0].probability == pytest.approx(prediction.probability, abs=1e-4)
    assert whole.result.report.top1 == np.mean([p.label == p.predicted for p in predictions])


def test_a_run_stopped_and_resumed_gives_the_bits_of_one_that_never_stopped(whole, cut, cut_run):
    run = whole.run
    assert cut.result.status == "stopped"
    assert cut_run.summary().can_resume

    events = []
    resumed = resume(cut_run, sink=events.append)

    assert resumed.status == "done"
    assert of_kind(events, RunResumed) == [RunResumed(step=4, epoch=1)]
    assert [step.step for step in of_kind(events, StepDone)] == [5, 6]
    assert dataclasses.replace(resumed, run=run.path, seconds=0) == dataclasses.replace(
        whole.result, seconds=0
    )
    assert is_same(weights_of(cut_run), weights_of(run))
    last = [of_kind(r, EpochDone)[-1] for r in (run, cut_run)]
    assert last[0].selection_loss == last[1].selection_loss
    assert last[0].train_loss == pytest.approx(last[1].train_loss)
    assert cut_run.read_status() == "done"


def test_a_finished_run_and_one_without_a_state_are_not_resumed(whole):
    with pytest.raises(RunError, match="has finished"):
        resume(whole.run)
    empty = RunStore().create("empty", RECIPE)
    empty.append_event(RunEnded("stopped", -1, 0.0))
    with pytest.raises(RunError, match="no state to go on from"):
        resume(empty)


def test_a_damaged_state_is_refused_in_words_and_the_best_model_stays(cut_run):
    (cut_run.last / "state.pt").write_bytes(b"not a state")
    with pytest.raises(RunError, match="damaged"):
        resume(cut_run)
    assert Classifier.open(cut_run.path).classes == ("circle", "square", "triangle")


def test_partial_fine_tuning_changes_its_groups_and_nothing_else(folder):
    recipe = RECIPE.with_values(strategy="partial", layer_groups=1, learning_rate=1e-3)
    result, run, events = train(folder, recipe)
    built = build(catalog.load().resolve(TINY), num_classes=3)
    before = built.module.state_dict()
    opened = {g.name for g in make_plan(recipe, built.group_sizes()).groups if g.is_trained}
    assert of_kind(events, PlanChanged)[0].opened == ("layer4", "head")
    after = weights_of(run)
    trained = {n for g in built.groups if g.name in opened for n in g.parameters}
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed <= trained
    # Where the probe was best it is what was saved: the pretrained backbone.
    assert any(name.startswith("layer4") for name in changed) == (result.best_epoch > 0)


def test_batch_norm_statistics_stay_as_pretrained(folder):
    built = build(catalog.load().resolve(TINY), num_classes=3)
    before = {n: b.clone() for n, b in built.module.named_buffers()}
    model, views = a_model(built, folder)
    optimizer = torch.optim.SGD([p for _, p in model.parameters("layer4")], lr=0.1)
    weight = model.built.module.get_parameter("layer4.0.conv1.weight").detach().clone()
    with model.thread_pool():
        model.forward_backward(views, torch.zeros(len(views), dtype=torch.int64))
    optimizer.step()
    assert all(torch.equal(before[n], b) for n, b in model.built.module.named_buffers())
    assert not torch.equal(weight, model.built.module.get_parameter("layer4.0.conv1.weight"))


def a_model(built, folder, workers=2):
    compute = Compute("cpu", "float32", "channels_last", workers, 1, 8)
    plan = make_plan(RECIPE, built.group_sizes())
    generator = torch.Generator().manual_seed(0)
    head = Head(torch.randn(3, built.feature_dim, generator=generator) / 30, torch.zeros(3))
    model = FineTunedModel(built, head, plan, compute)
    model.set_trainable(plan.open_in(1))
    paths = sorted((folder / "train").rglob("*.png"))[:10]
    pixels = PixelCache(paths, built.preprocessing)
    views = [
        training_view(pixels.working(i), built.preprocessing, "light", np.random.default_rng(i))
        for i in range(len(paths))
    ]
    return model, views


def test_replicas_give_the_gradient_of_one_model(folder):
    gradients = []
    labels = torch.arange(10) % 3
    for workers in (1, 2):
        built = build(catalog.load().resolve(TINY), num_classes=3)
        model, views = a_model(built, folder, workers)
        with model.thread_pool():
            done = model.forward_backward(views, labels)
        gradients.append([p.grad for _, p in model.parameters("layer3")])
        assert 0 <= done.correct <= 10
    for one, two in zip(*gradients, strict=True):
        assert torch.allclose(one, two, atol=1e-5, rtol=1e-3)


def test_the_gradient_is_that_of_the_plain_way(folder):
    built = build(catalog.load().resolve(TINY), num_classes=3)
    model, views = a_model(built, folder)
    labels = torch.arange(10) % 3
    with model.thread_pool():
        done = model.forward_backward(views, labels)
    plain = build(catalog.load().resolve(TINY), num_classes=3)
    head = model.head()
    plain.set_head(head.weight, head.bias)
    images = torch.stack([v.pixels for v in views]).float() / 255
    images = adjust_brightness_contrast(
        images,
        torch.tensor([v.draw.brightness for v in views]).float(),
        torch.tensor([v.draw.contrast for v in views]).float(),
    )
    mean = torch.tensor(plain.preprocessing.mean).view(1, 3, 1, 1)
    std = torch.tensor(plain.preprocessing.std).view(1, 3, 1, 1)
    loss = nn.functional.cross_entropy(plain.module((images - mean) / std), labels)
    loss.backward()
    assert done.loss == pytest.approx(loss.item(), abs=1e-5)
    ours = dict(model.parameters("layer2"))
    for name, parameter in plain.module.named_parameters():
        if name.startswith("layer2."):
            error = (ours[name].grad - parameter.grad).norm() / parameter.grad.norm()
            assert error < 0.01, name


def test_gradual_fine_tuning_opens_one_group_after_the_other(folder):
    recipe = RECIPE.with_values(
        strategy="partial", layer_groups=2, gradual=True, open_every=1, max_epochs=3, patience=9
    )
    events = train(folder, recipe).events
    changes = [(c.epoch, c.opened) for c in of_kind(events, PlanChanged)]
    assert changes == [(1, ("head",)), (2, ("layer4",)), (3, ("layer3",))]
    first = of_kind(events, StepDone)[0]
    assert [rate > 0 for rate in first.rates] == [False] * (len(first.rates) - 1) + [True]


def test_a_picture_that_vanishes_during_the_run_is_named_and_left_out(folder):
    gone = folder / "train" / "circle" / "train_0000.png"

    def remove(event):
        if isinstance(event, EpochDone) and event.epoch == 0:
            gone.unlink()

    recipe = RECIPE.with_values(selection_folds=2, seed=3)
    result, _run, events = train(folder, recipe, on_event=remove)
    assert result.status == "done"
    texts = [notice.text for notice in of_kind(events, Notice)]
    assert any("train_0000.png" in text for text in texts)


# -- pixels and augmentation -----------------------------------------------------------------


@pytest.fixture(scope="module")
def preprocessing():
    return build(catalog.load().resolve(LITE0), meta=True).preprocessing


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (64, 64), (1000, 90)])
@pytest.mark.parametrize(("budget", "disk"), [(10**9, 0), (0, 10**9), (0, 0)])
def test_cached_pixels_are_those_of_the_validation_preprocessing(
    tmp_path, preprocessing, size, budget, disk
):
    path = tmp_path / "picture.png"
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    expected = preprocessing.pixels(read_image(path, short_side=preprocessing.resize_px))
    with PixelCache([path], preprocessing, budget_bytes=budget, disk_bytes=disk) as cache:
        for _ in range(2):
            assert np.array_equal(cache.validation(0), expected)
        assert cache.cached == (1 if budget or disk else 0)
        view = training_view(cache.working(0), preprocessing, "none", np.random.default_rng(0))
        assert np.array_equal(view.pixels.permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("augmentation", ["light", "strong"])
@pytest.mark.parametrize("size", [(256, 256), (900, 256), (256, 700), (3, 256)])
def test_views_have_the_models_size_and_repeat_with_their_seed(preprocessing, augmentation, size):
    working = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    views = [
        training_view(working, preprocessing, augmentation, np.random.default_rng([1, 2]))
        for _ in range(2)
    ]
    assert views[0].pixels.shape == (3, preprocessing.height, preprocessing.width)
    assert torch.equal(views[0].pixels, views[1].pixels)
    assert views[0].draw == views[1].draw
    other = training_view(working, preprocessing, augmentation, np.random.default_rng([1, 3]))
    assert not torch.equal(views[0].pixels, other.pixels)


def test_relight_is_what_torchvision_does():
    from torchvision.transforms.v2 import functional

    images = torch.rand(3, 3, 8, 8)
    brightness, contrast = torch.tensor([0.8, 1.0, 1.2]), torch.tensor([1.2, 0.8, 1.0])
    expected = [
        functional.adjust_contrast(functional.adjust_brightness(x, float(b)), float(c))
        for x, b, c in zip(images, brightness, contrast, strict=True)
    ]
    got = adjust_brightness_contrast(images.clone(), brightness, contrast)
    assert torch.allclose(got, torch.stack(expected), atol=1e-5)


def test_the_running_mean_is_what_is_judged_and_kept(folder):
    built = build(catalog.load().resolve(TINY), num_classes=3)
    compute = Compute("cpu", "float32", "channels_last", 1, 1, 8)
    plan = make_plan(RECIPE, built.group_sizes())
    head = Head(torch.zeros(3, built.feature_dim), torch.zeros(3))
    model = FineTunedModel(built, head, plan, compute, ema_decay=0.5)
    model.update_ema()
    with torch.no_grad():
        for _ in range(4):
            model.linear.bias += 1
            model.update_ema()
    assert 0 < float(model.head().bias[0]) < 4
    assert model.linear.bias[0].item() == 4
    plain = FineTunedModel(built, head, plan, compute)
    assert plain.inference_model is built


def test_a_full_disk_in_fine_tuning_ends_the_run_and_keeps_the_best_model(folder, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("core.training.fine_tuning.save_state", full)
    run = RunStore().create("full", RECIPE)
    with pytest.raises(RunError, match="No space left on device"):
        train(folder, RECIPE, run=run)
    assert run.read_status() == "failed"
    assert Classifier.open(run.path).classes == ("circle", "square", "triangle")
