"""The parts of a step: losses, schedules, optimizers, memory. No model."""

from __future__ import annotations

import mmap
import threading

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from core.errors import AppError
from core.recipe.recipe import Recipe, make_recipe
from core.runs.checkpoints import Head
from core.system import memory
from core.training.loop.batch_size_finder import find_batch_size
from core.training.loop.loop import FineTuneProgress
from core.training.loop.optimizers import clip_gradients
from core.training.loop.schedules import Plateau, Schedule
from core.training.loop.validate import ValidationResult, validation_result
from core.training.losses import Loss, make_loss
from helpers import WAIT_S

LABELS = torch.tensor([0, 1, 2, 2, 2, 2])


def logits(rows=6):
    return torch.randn(rows, 3, generator=torch.Generator().manual_seed(1))


# -- losses ------------------------------------------------------------------------------------


def test_the_plain_loss_is_the_cross_entropy_of_all_images() -> None:
    assert Loss()(logits(), LABELS) == pytest.approx(6 * cross_entropy(logits(), LABELS).item())


def test_a_focal_loss_without_focus_is_the_cross_entropy_with_smoothing_and_weights() -> None:
    weights = torch.tensor([2.0, 1.0, 0.5])
    plain = Loss(label_smoothing=0.1, class_weights=weights)
    barely = Loss(label_smoothing=0.1, class_weights=weights, gamma=1e-7)
    assert barely(logits(), LABELS).item() == pytest.approx(
        plain(logits(), LABELS).item(), rel=1e-5
    )


def test_a_focal_loss_cares_less_for_what_is_answered_well() -> None:
    sure, unsure = torch.tensor([[6.0, 0, 0]]), torch.tensor([[0.1, 0, 0]])
    truth, focal = torch.tensor([0]), Loss(gamma=2.0)
    assert focal(sure, truth) / Loss()(sure, truth) < 0.01
    assert focal(unsure, truth) / Loss()(unsure, truth) > 0.3


def test_mixed_labels_are_the_mixture_of_the_losses() -> None:
    truth = torch.tensor([[0.3, 0.7, 0.0]])
    for loss in (Loss(), Loss(gamma=1.5)):
        parts = [loss(logits(1), torch.tensor([label])).item() for label in (0, 1)]
        assert loss(logits(1), truth).item() == pytest.approx(0.3 * parts[0] + 0.7 * parts[1])


def test_balanced_weights_let_each_class_count_the_same_and_an_image_one_on_average() -> None:
    weights = make_loss(Recipe(class_weights="balanced"), LABELS, ("a", "b", "c")).class_weights
    assert (weights * LABELS.bincount()).tolist() == pytest.approx([2, 2, 2])
    assert weights[LABELS].mean() == pytest.approx(1)


def test_weights_by_name_are_one_where_nothing_is_said_and_a_wrong_name_is_refused() -> None:
    recipe = make_recipe({"class_weights": "bee = 3"})
    assert make_loss(recipe, LABELS, ("ant", "bee", "fly")).class_weights.tolist() == [1, 3, 1]
    with pytest.raises(AppError, match="no such class") as caught:
        make_loss(make_recipe({"class_weights": {"bees": 3}}), LABELS, ("ant", "bee", "fly"))
    assert "“bee”" in caught.value.hint


# -- schedules ---------------------------------------------------------------------------------


def rates(steps_per_epoch=2, losses=(), **values):
    """The rate of each step as a share of the highest."""
    recipe = Recipe(strategy="full", **values)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.0)
    optimizer.param_groups[0]["highest_lr"] = 1.0
    schedule, plateau = Schedule(optimizer, recipe, steps_per_epoch=steps_per_epoch), Plateau()
    found = []
    for step in range(1, steps_per_epoch * recipe.max_epochs_or_default + 1):
        schedule.set_rates(step, plateau)
        found.append(optimizer.param_groups[0]["lr"])
        if losses and step % steps_per_epoch == 0:
            plateau.update(losses[step // steps_per_epoch - 1], patience=recipe.step_epochs)
    return found


def of_torch(make, steps, *, every=1, losses=()):
    """The same of one of torch's schedulers, stepped after each `every` steps."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    found = []
    for step in range(1, steps + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step % every == 0:
            scheduler.step(*([losses[step // every - 1]] if losses else []))
    return found


def test_the_step_schedule_is_torchs() -> None:
    ours = rates(schedule="step", step_epochs=5, step_factor=0.1, max_epochs=12, warmup=0)
    theirs = of_torch(lambda o: torch.optim.lr_scheduler.StepLR(o, 5, 0.1), 24, every=2)
    assert ours == pytest.approx(theirs)


def test_one_cycle_is_torchs() -> None:
    ours = rates(schedule="one-cycle", max_epochs=10)
    theirs = of_torch(
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 1.0, 20, cycle_momentum=False), 20
    )
    assert ours == pytest.approx(theirs)


def test_plateau_is_torchs_and_a_drop_stays() -> None:
    losses = (1.0, 0.9, 0.91, 0.92, 0.95, 0.5, 0.6, 0.7, 0.8, 0.9)
    ours = rates(
        schedule="plateau", max_epochs=10, step_epochs=3, step_factor=0.5, warmup=0, losses=losses
    )
    theirs = of_torch(
        lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o, factor=0.5, patience=2),
        20,
        every=2,
        losses=losses,
    )
    assert ours == pytest.approx(theirs)
    assert min(ours) == 0.25


def test_the_cosine_rises_falls_and_ends_near_zero() -> None:
    found = rates(schedule="cosine", max_epochs=10, warmup=0.2, steps_per_epoch=5)
    assert found[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    assert found[9:] == sorted(found[9:], reverse=True)
    assert 0 < found[-1] < 0.01
    assert set(rates(schedule="constant", max_epochs=3, warmup=0)) == {1.0}


# -- gradients, memory, trials -------------------------------------------------------------------


def test_gradients_are_shortened_to_the_norm_asked_for_and_their_length_is_told() -> None:
    weight = nn.Parameter(torch.zeros(4))
    optimizer = torch.optim.SGD([weight], lr=1)
    weight.grad = torch.full((4,), 3.0)
    assert clip_gradients(optimizer, None) == pytest.approx(6)
    assert weight.grad.norm() == pytest.approx(6)
    assert clip_gradients(optimizer, 1.5) == pytest.approx(6)
    assert weight.grad.norm() == pytest.approx(1.5, rel=1e-4)


def test_memory_of_a_container_counts_when_it_is_less_than_the_machines(
    tmp_path, monkeypatch
) -> None:
    limit, used = tmp_path / "memory.max", tmp_path / "memory.current"
    limit.write_text("50000000\n")
    used.write_text("30000000\n")
    (tmp_path / "memory.stat").write_text("anon 20000000\ninactive_file 10000000\n")
    monkeypatch.setattr(memory, "_CGROUP_2", (limit, used))
    assert memory.available_bytes() == 30_000_000
    limit.write_text("max\n")
    assert memory.available_bytes() > 50_000_000


def test_what_is_taken_and_given_back_within_a_call_is_seen(monkeypatch) -> None:
    """The process's size is a number here: what the allocator has kept from before would count."""
    seen, sizes = threading.Event(), iter([100, 100, 700])

    def resident() -> int:
        size = next(sizes, 300)
        if size == 300:  # the largest has been seen
            seen.set()
        return size

    monkeypatch.setattr(memory, "resident_bytes", resident)
    with memory.PeakMemory() as peak:
        assert seen.wait(WAIT_S)
    assert peak.growth_bytes == 600


def test_the_size_of_the_process_is_what_its_pages_take() -> None:
    before = memory.resident_bytes()
    with mmap.mmap(-1, 64 * 2**20) as pages:  # new ones: no allocator has had them before
        pages.write(b"x" * len(pages))
        assert memory.resident_bytes() - before > 48 * 2**20


@pytest.mark.parametrize(
    ("fits", "faster_to", "fit_images", "expected"),
    [
        (10_000, 10_000, 100_000, 256),  # a device that is never full
        (10_000, 64, 100_000, 64),  # more than 64 at once are no faster
        (16, 10_000, 100_000, 16),
        (0, 10_000, 100_000, 1),
        (10_000, 10_000, 300, 32),  # an epoch keeps eight steps
        (10_000, 10_000, 40, 4),
    ],
)
def test_the_images_of_a_step_are_found_by_trying(fits, faster_to, fit_images, expected) -> None:
    def attempt(size):
        return None if size > fits else float(min(size, faster_to))

    assert find_batch_size(attempt, fit_images=fit_images) == expected


# -- the best epoch ------------------------------------------------------------------------------


def judged(accuracy, loss, balanced=0.5, macro_f1=0.5):
    return ValidationResult(
        torch.empty(0),
        Head(torch.empty(0), torch.empty(0)),
        loss,
        accuracy,
        1.0,
        balanced_accuracy=balanced,
        macro_f1=macro_f1,
    )


@pytest.mark.parametrize(
    ("monitor", "best"),
    [("accuracy", 1), ("loss", 2), ("balanced-accuracy", 3), ("macro-f1", 0)],
)
def test_the_best_epoch_is_the_monitors_and_never_worse_than_the_first(monitor, best) -> None:
    epochs = [
        judged(0.8, 0.5, macro_f1=0.9),
        judged(0.9, 0.6),
        judged(0.7, 0.3),
        judged(0.7, 0.9, balanced=0.8),
        judged(0.9, 0.7),  # as accurate as epoch 1, with a higher loss
    ]
    progress = FineTuneProgress()
    for number, result in enumerate(epochs):
        progress.epoch = number
        is_best = progress.update(result, monitor)
        assert is_best == (progress.best_epoch == number)
    assert progress.best_epoch == best
    assert progress.waited == len(epochs) - 1 - best
    assert epochs[best].score(monitor) >= epochs[0].score(monitor)


def test_scores_by_class_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import balanced_accuracy_score, f1_score

    head = Head(torch.eye(4), torch.zeros(4))
    truth = torch.tensor([0, 0, 0, 1, 1, 2])  # nothing of the fourth class
    answers = torch.tensor([0, 0, 1, 1, 0, 2])
    result = validation_result(torch.eye(4)[answers], head, truth)
    assert result.balanced_accuracy == pytest.approx(balanced_accuracy_score(truth, answers))
    assert result.macro_f1 == pytest.approx(f1_score(truth, answers, average="macro"))


def test_how_far_a_run_is_comes_back_from_what_was_saved() -> None:
    progress = FineTuneProgress(epoch=2, step=9, halvings=1, plateau=Plateau(0.4, 1, 2))
    assert FineTuneProgress.from_dict(progress.to_dict()) == progress
