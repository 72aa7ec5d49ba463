"""The range test on a real model: it leaves no trace, repeats itself and can be asked for."""

from __future__ import annotations

import copy
import json
import random

import numpy as np
import pytest
import torch

from core.batches.augment import training_view
from core.batches.augment_params import augmentation_of
from core.batches.pixel_cache import PixelCache
from core.catalog import catalog
from core.cli.app import main
from core.compute.device import Compute
from core.data.sources.scan import scan
from core.errors import AppError, Cancelled
from core.events import Notice
from core.models.build import build
from core.recipe.plan import make_plan
from core.recipe.recipe import Recipe
from core.runs.checkpoints import Head
from core.training.loop.batches import TrainingSet
from core.training.loop.model import FineTunedModel
from core.training.loop.optimizers import make_optimizer
from core.training.losses import Loss
from core.training.lr_finder import find as lr_finder
from core.training.lr_finder.curve import RateCurve, RatePoint, Reading, Smoother, rate_at
from core.training.lr_finder.find import find_rate, range_test
from helpers import TINY, small_recipe

pytestmark = pytest.mark.usefixtures("tiny_weights")

RECIPE = small_recipe(batch_size=2, gradual=True)
COMPUTE = Compute("cpu", "float32", "channels_last", 2, 1, 8)
STEPS = 20


@pytest.fixture
def index(tmp_path, make_image_folder):
    return scan(make_image_folder(tmp_path / "shapes", per_class={"train": 6, "val": 2}))


class Bench:
    """A model that has learned a little, so that momentum and gradients are there to lose."""

    def __init__(self, index, *, train_batch_norm: bool = False) -> None:
        built = build(catalog.load().resolve(RECIPE.model), num_classes=3)
        self.plan = make_plan(RECIPE, built.group_sizes())
        generator = torch.Generator().manual_seed(0)
        weight = torch.randn(3, built.feature_dim, generator=generator) / 100
        self.model = FineTunedModel(
            built,
            Head(weight, torch.zeros(3)),
            self.plan,
            COMPUTE,
            ema_decay=0.9,
            train_batch_norm=train_batch_norm,
        )
        self.optimizer = make_optimizer(self.model, RECIPE, self.plan)
        train = index.indices("train")
        self.data = TrainingSet(
            pixels=PixelCache([index.path(int(i)) for i in train], built.preprocessing),
            labels=torch.from_numpy(index.labels[train].astype(np.int64)),
            fit=np.arange(len(train)),
            selection=np.arange(3),
        )

    def test(self, *, rates=None, should_stop=lambda points: False):
        points: list[RatePoint] = []
        end = range_test(
            self.model, self.optimizer, self.data, RECIPE, self.plan, loss=Loss(),
            rates=rates or [rate_at(step, 1e-7, 1.0, STEPS) for step in range(1, STEPS + 1)],
            smoother=Smoother(1e-7, 1.0, STEPS), on_point=points.append,
            log_event=lambda event: None, should_stop=lambda: should_stop(points),
        )  # fmt: skip
        return points, end

    def learn_a_little(self) -> None:
        self.model.set_trainable([g.name for g in self.plan.groups if g.opens_at == 1])
        variation = augmentation_of(RECIPE)
        pixels = self.data.pixels
        views = [
            training_view(
                pixels.working(i), pixels.preprocessing, variation, np.random.default_rng(i)
            )
            for i in range(4)
        ]
        with self.model.thread_pool():
            self.model.forward_backward(views, self.data.labels[:4])
        self.optimizer.step()
        self.model.update_ema()

    def everything(self):
        """All that a run could notice, as copies."""
        replicas = self.model._replicas
        parameters = [p for r in replicas for p in r.parameters]
        return copy.deepcopy(
            {
                "state": self.model.state(),
                "optimizer": self.optimizer.state_dict(),
                "flags": [p.requires_grad for p in parameters],
                "gradients": [p.grad for p in parameters],
                "buffers": [b for r in replicas for b in r.module.buffers()],
                "modes": [m.training for r in replicas for m in r.module.modules()],
                "torch": torch.get_rng_state(),
                "numpy": np.random.get_state(),
                "python": random.getstate(),
            }
        )


def equal(a, b) -> bool:
    """Bit for bit, through whatever holds them."""
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return a == b


@pytest.fixture
def bench(index):
    made = Bench(index)
    made.learn_a_little()
    return made


def test_afterwards_all_is_bit_for_bit_as_before_and_a_second_test_gives_the_same_curve(bench):
    before = bench.everything()
    assert any(gradient is not None for gradient in before["gradients"])
    assert before["optimizer"]["state"]
    first, end = bench.test()
    assert len(first) > 3
    assert len({point.loss for point in first}) == len(first)  # it did learn in between
    assert equal(before, bench.everything())
    assert (first, end) == bench.test()


def test_statistics_of_batchnorm_that_learn_are_put_back_too(index):
    bench = Bench(index, train_batch_norm=True)
    before = bench.everything()
    bench.test(rates=[1e-3, 1e-2])
    assert equal(before, bench.everything())


def test_a_cancelled_test_leaves_no_trace_either(bench):
    before = bench.everything()
    with pytest.raises(Cancelled):
        bench.test(should_stop=lambda points: len(points) == 2)
    assert equal(before, bench.everything())


def test_a_loss_that_is_no_number_ends_the_test_and_leaves_no_trace(bench):
    before = bench.everything()
    points, end = bench.test(rates=[1e30] * STEPS)
    assert end == "diverged"
    assert len(points) < STEPS
    assert equal(before, bench.everything())


def test_rates_of_the_layer_groups_keep_their_ratio(bench, monkeypatch):
    seen: list[dict[str, float]] = []
    step = bench.optimizer.step

    def spy(*arguments, **words):
        seen.append({g["name"]: g["lr"] for g in bench.optimizer.param_groups})
        return step(*arguments, **words)

    monkeypatch.setattr(bench.optimizer, "step", spy)
    bench.test(rates=[1e-6, 1e-5])
    planned = {g.name: g.learning_rate for g in bench.plan.groups if g.is_trained}
    assert len(planned) == 2
    for rate, rates in zip((1e-6, 1e-5), seen, strict=True):
        assert rates["head"] == pytest.approx(rate)
        for name, planned_rate in planned.items():
            assert rates[name] / rates["head"] == pytest.approx(planned_rate / planned["head"])


def test_a_dataset_gives_the_same_curve_twice_and_the_random_states_stay(index):
    path = index.path(int(index.indices("train")[0]))
    path.write_bytes(path.read_bytes()[:40])
    torch.manual_seed(5)
    states = (torch.get_rng_state(), random.getstate())
    heard: list[object] = []
    first = find_rate(RECIPE, index, steps=STEPS, sink=heard.append)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    second = find_rate(RECIPE, index, steps=STEPS)
    assert first.points == second.points
    assert first.reading == second.reading
    assert tuple(p for p in heard if isinstance(p, RatePoint)) == first.points
    assert any(isinstance(n, Notice) and path.name in n.text for n in heard)
    assert first.groups[-1] == ("head", 1.0)
    assert first.groups[0][1] == pytest.approx(RECIPE.layer_decay)


def test_the_command_line_prints_a_curve_and_writes_it(index, tmp_path, capsys):
    target = tmp_path / "curve.csv"
    options = [
        "--set", "layer_groups=0", "--set", "batch_size=2", "--set", "selection_folds=3",
        "--set", "precision=float32", "--model", TINY, "--steps", "20", "--csv", str(target),
    ]  # fmt: skip
    assert main(["lr-find", str(index.root), *options]) == 0
    said = capsys.readouterr()
    assert "fits its head directly" in said.err  # the strategy left alone is feature extraction
    assert "rate of the head" in said.out
    assert "Rates by layer group: head × 1" in said.out
    lines = target.read_text(encoding="utf-8").splitlines()
    assert f"{len(lines) - 1} steps in" in said.out


def test_the_command_line_answers_in_json(index, capsys, monkeypatch):
    points = tuple(RatePoint(i + 1, 10.0 ** (i - 7), 1.0, 1.0) for i in range(7))
    reading = Reading(1e-4, "because")
    made = RateCurve(points, "highest", reading, "a model", "full", (("head", 1.0),), 1.0)
    asked: list[Recipe] = []

    def find(recipe, *_arguments, **_words):
        asked.append(recipe)
        return made

    monkeypatch.setattr(lr_finder, "find_rate", find)
    command = ["lr-find", str(index.root), "--strategy", "gradual", "--set", "seed=3"]
    assert main([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["reading"]["suggestion"] == 1e-4
    assert document["points"][0] == {"step": 1, "rate": 1e-7, "loss": 1.0, "smooth": 1.0}
    assert (asked[0].strategy, asked[0].gradual, asked[0].seed) == ("full", True, 3)
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "--set learning_rate=0.0001" in said
    assert "suggested" in said


def test_the_command_line_refuses_a_range_that_is_none(index, capsys):
    assert main(["lr-find", str(index.root), "--lowest", "1", "--highest", "0.1"]) == 1
    assert "no range" in capsys.readouterr().err


def test_rates_are_refused_before_anything_is_read(index):
    with pytest.raises(AppError, match="steps"):
        find_rate(RECIPE, index, steps=3)
