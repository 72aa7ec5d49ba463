"""The batches of a fine-tuning: mixed, balanced and varied in every way, and still exact."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from core.batches.augment import augment_batch, mix, training_view
from core.batches.augment_params import augmentation_of
from core.batches.pixel_cache import PixelCache
from core.catalog import catalog
from core.compute.device import Compute
from core.data.sources.scan import scan
from core.events import RunResumed, StepDone
from core.models.build import build
from core.recipe.plan import make_plan
from core.runs.checkpoints import Head
from core.training.fit import resume
from core.training.loop.batches import Batches, TrainingSet, UnreadableImages
from core.training.loop.model import FineTunedModel
from helpers import TINY, is_same, of_kind, small_recipe, train, weights_of

pytestmark = pytest.mark.usefixtures("tiny_weights")

RECIPE = small_recipe(
    sampling="balanced", augmentation="strong", rotation=20, flip_vertical=0.5, saturation=0.3,
    hue=0.1, auto_augment="rand", erasing=0.5, mixup=0.4, cutmix=1.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_image_folder):
    """Twelve circles, three squares and four triangles to learn from."""
    root = tmp_path_factory.mktemp("uneven") / "shapes"
    make_image_folder(root, per_class={"train": 12, "val": 3})
    for name, kept in (("square", 3), ("triangle", 4)):
        for path in sorted((root / "train" / name).iterdir())[kept:]:
            path.unlink()
    return root


@pytest.mark.parametrize("budget", [0, pytest.param(10**9, marks=pytest.mark.slow)])
def test_a_run_with_everything_on_resumes_to_the_bit(folder, monkeypatch, budget):
    """Stopped inside the second epoch; without a budget all pictures come from the mapped file."""
    monkeypatch.setattr("core.batches.pixel_cache.memory_budget", lambda: budget)
    whole, run, events = train(folder, RECIPE)
    steps = of_kind(events, StepDone)
    stopped, cut, _events = train(folder, RECIPE, stop_after=len(steps) // 2 + 1)
    assert (whole.status, stopped.status) == ("done", "stopped")
    again = []
    resumed = resume(cut, sink=again.append)
    assert [e.epoch for e in of_kind(again, RunResumed)] == [1]
    assert dataclasses.replace(resumed, run=run.path, seconds=0) == dataclasses.replace(
        whole, seconds=0
    )
    assert is_same(weights_of(cut), weights_of(run))
    losses = {e.step: e.loss for e in of_kind(again, StepDone)}
    assert losses == {e.step: e.loss for e in steps if e.step in losses}
    assert len(losses) == len(steps) - len(steps) // 2 - 1


def a_model(workers=2):
    built = build(catalog.load().resolve(TINY), num_classes=3)
    compute = Compute("cpu", "float32", "channels_last", workers, 1, 8)
    plan = make_plan(RECIPE, built.group_sizes())
    generator = torch.Generator().manual_seed(0)
    head = Head(torch.randn(3, built.feature_dim, generator=generator) / 30, torch.zeros(3))
    model = FineTunedModel(built, head, plan, compute)
    model.set_trainable(plan.open_in(1))
    return model


def views_of(folder, preprocessing, recipe):
    paths = sorted((folder / "train").rglob("*.png"))[:10]
    pixels = PixelCache(paths, preprocessing)
    return [
        training_view(
            pixels.working(i), preprocessing, augmentation_of(recipe), np.random.default_rng(i)
        )
        for i in range(len(paths))
    ]


def test_the_gradient_of_mixed_images_is_that_of_the_plain_way(folder):
    model = a_model()
    labels = torch.arange(10) % 3
    views = views_of(folder, model.built.preprocessing, RECIPE)
    with model.thread_pool():
        done = model.forward_backward(views, labels)
    plain = build(catalog.load().resolve(TINY), num_classes=3)
    head = model.head()
    plain.set_head(head.weight, head.bias)
    for name, parameter in plain.module.named_parameters():
        parameter.requires_grad_(name.startswith("layer4."))
    mean = torch.tensor(plain.preprocessing.mean).view(1, 3, 1, 1)
    std = torch.tensor(plain.preprocessing.std).view(1, 3, 1, 1)
    draws = [view.draw for view in views]
    images = augment_batch(torch.stack([v.pixels for v in views]).float() / 255, draws, fill=mean)
    mixed, truth = mix((images - mean) / std, labels, draws, classes=3)
    logits = plain.module(mixed)
    loss = nn.functional.cross_entropy(logits, truth)
    loss.backward()
    assert done.loss == pytest.approx(loss.item(), abs=1e-5)
    assert done.correct == int((logits.argmax(1) == truth.argmax(1)).sum())
    ours = dict(model.parameters("layer4"))
    for name, parameter in plain.module.named_parameters():
        if name.startswith("layer4."):
            error = (ours[name].grad - parameter.grad).norm() / parameter.grad.norm()
            assert error < 0.01, name


def test_an_image_drawn_twice_in_an_epoch_is_varied_anew(folder):
    paths = sorted((folder / "train").rglob("*.png"))
    names = ["circle", "square", "triangle"]
    labels = torch.tensor([names.index(path.parent.name) for path in paths])
    model = a_model(1)
    every = np.arange(len(paths))
    data = TrainingSet(PixelCache(paths, model.built.preprocessing), labels, every, every[:1])
    batches = Batches(data, RECIPE)
    with model.thread_pool() as pool:
        made = [(v, t) for _n, v, t in batches(1, 0, pool, UnreadableImages(lambda event: None))]
    truth = torch.cat([t for _v, t in made])
    assert torch.bincount(truth).tolist() == [7, 6, 6]  # of 12, 3 and 4 images
    squares = [
        view.pixels.numpy().tobytes()
        for views, labels in made
        for view, label in zip(views, labels.tolist(), strict=True)
        if label == 1
    ]
    assert len(set(squares)) == 6


def test_selection_and_report_images_are_never_varied(folder, monkeypatch):
    """Whatever the recipe says, they are cut as the model wants them and as they are classified."""
    import core.batches.augment as augment

    judged = []
    embed = "core.compute.embedder.Embedder.embed"
    from core.compute.embedder import Embedder

    plain = Embedder.embed

    def record(self, pixels):
        judged.append(pixels)
        return plain(self, pixels)

    monkeypatch.setattr(embed, record)
    index = scan(folder)
    train(folder, RECIPE.with_values(max_epochs=1))
    preprocessing = build(catalog.load().resolve(TINY), meta=True).preprocessing
    cache = PixelCache([index.path(i) for i in range(len(index))], preprocessing)
    known = {cache.validation(i).tobytes() for i in range(len(index))}
    seen = [image.numpy().tobytes() for batch in judged for image in batch]
    assert len(seen) > len(index)
    assert set(seen) <= known
    assert augment.is_mixed([]) is False
