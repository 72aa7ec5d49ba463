"""Training from scratch, and what every recipe promises: exact resume, frozen statistics, the same
step in parts, dry steps without a trace. A small network without pretrained weights keeps it quick.
"""

from __future__ import annotations

import copy
import math

import pytest
import torch

from core.batches.augment import TrainingView
from core.catalog import catalog
from core.compute.device import Compute
from core.errors import AppError, MemoryShortError, RunError
from core.events import DryRun, EpochDone, Notice, RunEnded, RunStarted, StepDone
from core.models.build import build
from core.recipe.plan import make_plan
from core.runs.checkpoints import Head
from core.runs.store import RunStore
from core.training.fit import resume
from core.training.loop import dry_run as dry_runs
from core.training.loop.dry_run import dry_run
from core.training.loop.model import FineTunedModel
from core.training.loop.optimizers import make_optimizer
from core.training.loop.step import Stepper
from core.training.losses import Loss
from helpers import TINY, is_same, of_kind, small_recipe, train, weights_of

RECIPE = small_recipe(strategy="scratch", learning_rate=3e-3)
COMPUTE = Compute("cpu", "float32", "channels_last", 2, 1, 8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_image_folder):
    root = tmp_path_factory.mktemp("shapes")
    return make_image_folder(root / "shapes", per_class={"train": 9, "val": 2})


@pytest.fixture(autouse=True)
def one_core(monkeypatch):
    """Threads that wait for each other take many times as long where other tests run too."""
    monkeypatch.setattr("core.compute.choose.psutil.cpu_count", lambda logical=True: 1)


def a_stepper(recipe=RECIPE, *, workers=2, told=None, statistics=False):
    """A stepper of the small network with seeded numbers, and 12 random pictures."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = build(catalog.load().resolve(TINY), num_classes=3, pretrained=False)
    for name, buffer in built.module.named_buffers():
        if name.endswith("running_var"):
            buffer.fill_(2.0)
    plan = make_plan(recipe, built.group_sizes())
    generator = torch.Generator().manual_seed(1)
    head = Head(torch.randn(3, built.feature_dim, generator=generator) / 10, torch.zeros(3))
    compute = Compute("cpu", "float32", "channels_last", workers, 1, 8)
    model = FineTunedModel(
        built,
        head,
        plan,
        compute,
        ema_decay=recipe.ema_decay,
        dropout=recipe.dropout,
        train_batch_norm=statistics,
    )
    model.set_trainable([group.name for group in plan.groups if group.is_trained])
    optimizer = make_optimizer(model, recipe, plan)
    log_event = (told if told is not None else []).append
    stepper = Stepper(model, optimizer, recipe, Loss(), log_event=log_event)
    side = built.preprocessing
    views = [
        TrainingView(
            torch.randint(0, 256, (3, side.height, side.width), generator=generator).byte()
        )
        for _ in range(12)
    ]
    return stepper, plan, views, torch.arange(12) % 3


def everything(stepper):
    """All numbers a step can change."""
    return copy.deepcopy(
        {
            "trainee": stepper.model.state(),
            "optimizer": stepper.optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "gradients": [p.grad for p in stepper.model.built.module.parameters()],
        }
    )


# -- from scratch ------------------------------------------------------------------------------


def test_a_run_from_scratch_begins_untrained_says_so_and_learns_statistics(folder) -> None:
    result, run, events = train(folder, RECIPE.with_values(max_epochs=1))
    assert (result.strategy, result.status) == ("scratch", "done")
    assert result.probe_selection_accuracy is None
    assert of_kind(events, RunStarted)[0].strategy == "scratch"
    assert any("No pretrained weights" in notice.text for notice in of_kind(events, Notice))
    epochs = of_kind(events, EpochDone)
    assert [epoch.epoch for epoch in epochs] == [0, 1]
    assert epochs[0].l2 == 0
    assert result.report.selected_on.startswith("Trained from scratch") or (
        result.report.selected_on.startswith("trained from scratch")
    )
    kept = weights_of(run)
    tracked = [value for name, value in kept.items() if name.endswith("num_batches_tracked")]
    expected = of_kind(events, StepDone)[-1].step if result.best_epoch else 0
    assert {int(value) for value in tracked} == {expected}


def test_the_seed_decides_the_random_numbers_a_run_begins_with(folder) -> None:
    runs = [train(folder, RECIPE.with_values(seed=seed), stop_after=1) for seed in (0, 0, 1)]
    losses = [of_kind(trained.events, StepDone)[0].loss for trained in runs]
    assert losses[0] == losses[1] != losses[2]


def test_statistics_move_from_scratch_and_nowhere_else() -> None:
    for statistics, moves in ((True, True), (False, False)):
        stepper, _plan, views, labels = a_stepper(workers=1, statistics=statistics)
        module = stepper.model.built.module
        before = {n: b.clone() for n, b in module.named_buffers() if "running" in n}
        with stepper.model.thread_pool():
            for step in (1, 2):
                stepper.step(views, labels, step=step, epoch=1)
        changed = [not torch.equal(b, before[n]) for n, b in module.named_buffers() if n in before]
        assert changed == [moves] * len(before)
        mean = stepper.model.inference_model.module
        assert all(
            torch.equal(b, before[n]) is not moves for n, b in mean.named_buffers() if n in before
        )


def test_from_scratch_every_layer_learns_at_one_rate() -> None:
    recipe = RECIPE.with_values(gradual=True, layer_decay=0.1, open_at=(5,))
    groups = [(name, {f"{name}.weight": 1}) for name in ("stem", "a", "head")]
    plan = make_plan(recipe, groups)
    assert {(group.opens_at, group.learning_rate) for group in plan.groups} == {(1, 3e-3)}


# -- exact resume ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"schedule": "plateau", "step_epochs": 1, "accumulate": 2, "batch_size": 4},
        {"schedule": "step", "step_epochs": 1, "optimizer": "sgd", "dropout": 0.3},
        {"schedule": "one-cycle", "optimizer": "lamb", "clip_norm": 0.5, "ema_decay": 0},
        {"optimizer": "lion", "monitor": "macro-f1", "patience": 1, "class_weights": "balanced"},
    ],
    ids=lambda values: values.get("schedule", "early-stopping"),
)
def test_a_stopped_and_resumed_run_is_the_run_that_never_stopped(folder, values) -> None:
    recipe = RECIPE.with_values(**({"max_epochs": 3} | values))
    whole, run, events = train(folder, recipe)
    # In the middle of the second epoch, of the third where all are run.
    stopped, cut, _ = train(folder, recipe, stop_after=5)
    assert stopped.status == "stopped"
    resumed = resume(cut)
    assert is_same(weights_of(cut), weights_of(run))
    assert (resumed.epochs, resumed.best_epoch) == (whole.epochs, whole.best_epoch)
    mine = [(s.step, s.loss, s.rates) for s in of_kind(cut, StepDone)]
    assert mine == [(s.step, s.loss, s.rates) for s in of_kind(events, StepDone)]


# -- steps in parts ----------------------------------------------------------------------------


def gradients_of(recipe, **kwargs):
    stepper, _plan, views, labels = a_stepper(recipe, **kwargs)
    with stepper.model.thread_pool():
        learned = stepper._accumulate(views, labels, 1, step_images=len(views))
    return learned, gradients(stepper)


def gradients(stepper):
    """Of the backbone; the module's own head takes no part."""
    every = [p.grad for p in stepper.model.built.module.parameters()]
    return [gradient for gradient in every if gradient is not None]


def test_accumulated_parts_make_the_step_of_the_large_batch() -> None:
    large, one = gradients_of(RECIPE.with_values(batch_size=12))
    small, many = gradients_of(RECIPE.with_values(batch_size=4, accumulate=3))
    assert small.loss == pytest.approx(large.loss, rel=1e-5)
    assert small.correct == large.correct
    for mine, theirs in zip(many, one, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6, rtol=1e-3)


def test_dropout_is_the_same_for_any_number_of_cores_and_another_in_each_step() -> None:
    recipe = RECIPE.with_values(dropout=0.5)
    losses = [gradients_of(recipe, workers=workers)[0].loss for workers in (1, 2)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] != pytest.approx(gradients_of(RECIPE)[0].loss, rel=1e-4)
    stepper, _plan, views, labels = a_stepper(recipe)
    with stepper.model.thread_pool():
        first, second = (
            stepper._accumulate(views, labels, step, step_images=len(views)) for step in (1, 2)
        )
    assert first.loss != second.loss


def run_out_of_memory(stepper, monkeypatch, *, above):
    """As a device that holds no more than `above` images at once."""
    learn = stepper.model.forward_backward

    def short(views, labels, **kwargs):
        if len(views) > above:
            raise torch.OutOfMemoryError("Tried to allocate 20.00 MiB")
        return learn(views, labels, **kwargs)

    monkeypatch.setattr(stepper.model, "forward_backward", short)


def test_out_of_memory_halves_what_is_learned_at_once_and_keeps_the_step(monkeypatch) -> None:
    whole, one = gradients_of(RECIPE)
    told = []
    stepper, _plan, views, labels = a_stepper(told=told)
    run_out_of_memory(stepper, monkeypatch, above=3)
    with stepper.model.thread_pool():
        learned = stepper._accumulate(views, labels, 1, step_images=len(views))
    assert stepper.micro_batches == 4
    assert learned.loss == pytest.approx(whole.loss, rel=1e-5)
    for ours, theirs in zip(gradients(stepper), one, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6, rtol=1e-3)
    assert [notice.level for notice in told] == ["warning", "warning"]
    assert "in micro-batches of 3, 4 for a step" in told[-1].text


def test_what_does_not_fit_even_one_by_one_is_refused_in_words(monkeypatch) -> None:
    stepper, _plan, views, labels = a_stepper()
    run_out_of_memory(stepper, monkeypatch, above=0)
    with stepper.model.thread_pool(), pytest.raises(MemoryShortError, match="one image at a time"):
        stepper.step(views, labels, step=1, epoch=1)


# -- dry steps ---------------------------------------------------------------------------------


@pytest.mark.parametrize("statistics", [False, True])
def test_dry_steps_tell_of_memory_and_time_and_leave_no_trace(statistics) -> None:
    stepper, plan, views, labels = a_stepper(RECIPE, workers=1, statistics=statistics)
    before = everything(stepper)
    with stepper.model.thread_pool():
        found = dry_run(stepper, plan, views, labels, steps=10, compute=COMPUTE)
        assert is_same(everything(stepper), before)
        assert not stepper.optimizer.state
        # Also in the middle of a run, where the optimizer remembers.
        stepper.step(views, labels, step=1, epoch=1)
        stepper.model.zero_grad()
        before = everything(stepper)
        dry_run(stepper, plan, views, labels, steps=10, compute=COMPUTE)
    assert is_same(everything(stepper), before)
    assert found.memory_mb > 0
    assert found.seconds_total == pytest.approx(10 * found.seconds_per_step)


def test_a_step_that_cannot_fit_is_refused_before_it_is_made(monkeypatch) -> None:
    stepper, plan, views, labels = a_stepper(RECIPE)
    sizes, step = [], stepper.step
    monkeypatch.setattr(dry_runs, "available_bytes", lambda: 1_000)
    monkeypatch.setattr(
        stepper, "step", lambda v, *a, **k: (sizes.append(len(v)), step(v, *a, **k))[1]
    )
    before = everything(stepper)
    with (
        stepper.model.thread_pool(),
        pytest.raises(MemoryShortError, match="GB of memory") as caught,
    ):
        dry_run(stepper, plan, views, labels, steps=10, compute=COMPUTE)
    assert sizes == [2, 4]  # never the whole step
    assert "accumulate" in caught.value.hint
    assert is_same(everything(stepper), before)


# -- losses that are no numbers ----------------------------------------------------------------


def test_a_loss_that_is_no_number_ends_the_run_and_it_goes_on_at_a_third(
    folder, monkeypatch
) -> None:
    monkeypatch.setattr("core.training.fine_tuning.make_loss", lambda *args: _Breaks(after=5))
    events = []
    run = RunStore().create("shapes", RECIPE)
    with pytest.raises(RunError, match=r"loss is no number any more in epoch 2, step 4") as caught:
        train(folder, RECIPE, run=run, on_event=events.append)
    assert "third of the rate" in caught.value.hint
    ended = of_kind(events, RunEnded)[-1]
    assert (ended.status, ended.has_diverged) == ("failed", True)
    assert ended.best_selection_accuracy == max(
        epoch.selection_accuracy for epoch in of_kind(events, EpochDone)
    )
    assert run.summary().can_resume
    monkeypatch.undo()
    again = []
    assert resume(run, sink=again.append).status == "done"
    assert any("0.33 times" in notice.text for notice in of_kind(again, Notice))
    before = of_kind(events, StepDone)
    after = of_kind(again, StepDone)
    assert [step.step for step in after] == [4, 5, 6]
    assert after[0].rates[-1] < before[-1].rates[-1] / 2


class _Breaks:
    """A loss that is no number from some batch on; a step's loss is asked for once here."""

    def __init__(self, *, after):
        self._left = after

    def __call__(self, logits, truth):
        self._left -= 1
        return Loss()(logits, truth) * (math.nan if self._left < 0 else 1)


def test_a_gradient_that_is_no_number_changes_no_weight() -> None:
    stepper, _plan, views, labels = a_stepper()
    weights = {n: p.clone() for n, p in stepper.model.built.module.named_parameters()}
    next(stepper.model.built.module.parameters()).register_hook(lambda g: g * math.inf)
    with stepper.model.thread_pool(), pytest.raises(RunError, match="gradient is no number"):
        stepper.step(views, labels, step=7, epoch=3)
    for name, parameter in stepper.model.built.module.named_parameters():
        assert torch.equal(parameter, weights[name])


# -- the other keys ----------------------------------------------------------------------------


def test_the_determinism_switch_holds_in_the_run_and_is_put_back(folder) -> None:
    seen = []

    def look(current):
        seen.append(torch.are_deterministic_algorithms_enabled())

    recipe = RECIPE.with_values(deterministic=True, max_epochs=1)
    result, _run, _events = train(folder, recipe, between_steps=look)
    assert result.status == "done"
    assert set(seen) == {True}
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_images_of_a_step_found_for_a_run_are_those_of_its_resumption(folder) -> None:
    recipe = RECIPE.with_values(batch_size="auto", max_epochs=2)
    _result, run, events = train(folder, recipe, stop_after=1)
    found = run.read_environment()["resolved"]["batch_size"]
    steps = -(-18 // found)
    assert of_kind(events, RunStarted)[0].steps_per_epoch == steps
    assert run.read_recipe().batch_size == "auto"
    again = []
    resume(run, sink=again.append)
    assert of_kind(again, StepDone)[-1].step == 2 * steps


def test_weights_for_a_class_that_is_not_there_end_the_run_before_it_trains(folder) -> None:
    with pytest.raises(AppError, match="no such class"):
        train(folder, RECIPE.with_values(class_weights={"circles": 2}))


def test_a_run_tells_of_its_dry_steps_once_and_before_the_first_step(folder) -> None:
    _result, run, events = train(folder, RECIPE.with_values(max_epochs=1), stop_after=2)
    kinds = [type(event) for event in events if isinstance(event, DryRun | StepDone)]
    assert kinds == [DryRun, StepDone, StepDone]
    again = []
    resume(run, sink=again.append)
    assert not of_kind(again, DryRun)
