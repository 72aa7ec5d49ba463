"""What the curves say: each ill found with its evidence, healthy curves left in peace."""

from __future__ import annotations

import math
import random

import pytest

from core.events import EpochDone, RunResumed, RunStarted, StepDone
from core.runs.curve_findings import Curves, LossTrack, analyze_curves, analyze_events
from helpers import run_python

ILLS = {
    "not-a-number", "diverging", "collapsed", "rate-too-high", "overfitting", "underfitting",
    "rate-too-low", "plateau",
}  # fmt: skip


def epochs(train, selection, accuracy, *, probe=None, train_accuracy=None, top_share=None):
    """Epochs from lists of losses and accuracies; `probe`: (loss, accuracy) of epoch 0."""
    made = []
    if probe is not None:
        made.append(EpochDone(0, 0.3, 0.9, probe[0], probe[1], 1.0, top_share=0.5))
    shares = top_share or [0.5] * len(train)
    right = train_accuracy or accuracy
    for number, values in enumerate(zip(train, right, selection, accuracy, strict=True), start=1):
        made.append(EpochDone(number, *values, 1.0, top_share=shares[number - 1]))
    return made


def track(losses, rate=3e-4):
    made = LossTrack()
    for step, loss in enumerate(losses, start=1):
        made.add(StepDone(step, 1, loss, (rate / 10, rate), 10.0))
    return made


def read(made, losses=(), rate=3e-4, **told):
    return analyze_curves(Curves(made, track(losses, rate), **told))


def kinds(findings):
    return [finding.kind for finding in findings]


# -- ills ------------------------------------------------------------------------------------


def test_overfitting_is_told_with_the_losses_that_show_it():
    (found,) = read(
        epochs(
            [0.9, 0.6, 0.4, 0.25, 0.15, 0.08],
            [0.80, 0.60, 0.66, 0.75, 0.86, 0.99],
            [0.70, 0.81, 0.80, 0.79, 0.80, 0.78],
        )
    )
    assert found.kind == "overfitting"
    assert found.level == "warning"
    assert found.message == (
        "Validation has not improved for 4 epochs while the training loss fell from 0.6 to 0.08 "
        "and that of the held-out check rose from 0.6 to 0.99: overfitting."
    )
    assert found.advice.startswith("Epoch 2 is kept. More images, stronger augmentation")


def test_overfitting_against_the_probe_compares_epochs_of_one_kind():
    found = read(
        epochs(
            [0.9, 0.6, 0.4, 0.2], [0.5, 0.55, 0.62, 0.7], [0.84, 0.84, 0.83, 0.83],
            probe=(0.45, 0.85),
        )
    )  # fmt: skip
    assert kinds(found) == ["overfitting"]
    assert "for 4 epochs while the training loss fell from 0.9 to 0.2" in found[0].message


def test_a_loss_that_rises_while_the_accuracy_gains_is_a_note():
    (found,) = read(
        epochs(
            [0.9, 0.6, 0.4, 0.25, 0.15],
            [0.80, 0.60, 0.66, 0.70, 0.78],
            [0.7, 0.8, 0.81, 0.82, 0.83],
        )
    )
    assert (found.kind, found.level) == ("overfitting", "note")
    assert "surer than they are right" in found.message


def test_diverging_steps_are_told_before_an_epoch_is_over():
    losses = [1.0 - 0.01 * step for step in range(60)] + [0.5 * 1.05**step for step in range(60)]
    (found,) = read([], losses, rate=0.1)
    assert (found.kind, found.level) == ("diverging", "error")
    assert "The training loss rose from" in found.message
    assert found.advice == "The highest rate was 0.1; 1e-5 to 1e-3 are usual for fine-tuning."


def test_diverging_epochs_are_told_where_there_are_no_steps():
    (found,) = read(epochs([0.6, 0.9, 1.6], [0.6, 0.8, 1.5], [0.7, 0.6, 0.5]))
    assert found.kind == "diverging"
    assert "(0.6, 0.9, 1.6)" in found.message


def test_a_loss_that_is_not_a_number_is_told_with_its_step_and_alone():
    found = read(epochs([0.6], [0.6], [0.7]), [0.5] * 36 + [math.nan] + [0.5] * 9)
    assert kinds(found) == ["not-a-number"]
    assert "step 37" in found[0].message
    assert "the best epoch before it is kept" in found[0].advice
    assert kinds(read(epochs([0.6, math.nan], [0.5, 0.5], [0.7, 0.7]))) == ["not-a-number"]
    assert kinds(read(epochs([0.6, 0.5], [0.5, math.inf], [0.7, 0.7]))) == ["not-a-number"]


def test_one_answer_for_all_is_told_with_its_share():
    found = read(
        epochs([0.9, 1.1], [1.1, 1.1], [0.34, 0.33], probe=(0.4, 0.85), top_share=[0.99, 1.0])
    )
    assert found[0].kind == "collapsed"
    assert found[0].message.startswith("100% of the images of the held-out check get the")
    assert "33% of them right" in found[0].message


def test_one_class_with_nearly_all_images_is_no_collapse_where_the_answers_are_right():
    found = read(
        epochs([0.1, 0.05], [0.1, 0.06], [0.985, 0.99], probe=(0.1, 0.98), top_share=[0.98, 0.985])
    )
    assert kinds(found) == ["gain"]


def test_from_scratch_the_first_epoch_may_know_one_answer():
    assert read(epochs([1.1], [1.1], [0.33], top_share=[1.0])) == ()
    assert kinds(read(epochs([1.1] * 2, [1.1] * 2, [0.33] * 2, top_share=[1.0] * 2))) == [
        "collapsed"
    ]


def test_a_head_on_cached_features_says_no_more_than_that_it_collapsed():
    made = epochs([0.9, 0.5, 0.3, 0.1], [0.5, 0.6, 0.7, 0.9], [0.8, 0.8, 0.7, 0.7])
    assert read(made, is_head_only=True) == ()
    made = epochs([0.7] * 3, [0.7] * 3, [0.5] * 3, top_share=[1.0] * 3)
    assert kinds(read(made, is_head_only=True)) == ["collapsed"]


def test_torn_features_name_the_rate():
    found = read(
        epochs([0.9, 0.8], [1.4, 1.2], [0.55, 0.61], probe=(0.25, 0.92)),
        [0.9] * 30, rate=1e-2, selection_images=80,
    )  # fmt: skip
    assert kinds(found)[0] == "rate-too-high"
    assert "from 92.0% with a classifier on frozen features to 61.0% at best" in found[0].message
    assert "The highest rate was 0.01" in found[0].advice


def test_a_fall_that_chance_explains_is_no_torn_feature():
    made = epochs([0.3, 0.25], [0.6, 0.5], [0.8, 0.84], probe=(0.25, 0.92))
    assert "rate-too-high" not in kinds(read(made, selection_images=20))


def test_a_loss_that_goes_up_and_down_names_a_rate_too_high():
    (found,) = read(
        epochs([0.5, 0.8, 0.45, 0.9, 0.5, 0.85], [0.6, 0.8] * 3, [0.8, 0.7] * 3), rate=1e-3
    )
    assert found.kind == "rate-too-high"
    assert "0.5, 0.8, 0.45, 0.9, 0.5, 0.85" in found.message


def test_underfitting_is_told_where_training_and_selection_stay_low():
    (found,) = read(
        epochs(
            [1.9, 1.72, 1.66, 1.65, 1.64, 1.64], [1.9, 1.75, 1.7, 1.69, 1.69, 1.68],
            [0.3, 0.38, 0.40, 0.41, 0.41, 0.41], train_accuracy=[0.3, 0.36, 0.4, 0.4, 0.41, 0.41],
        ),
        classes=10,
    )  # fmt: skip
    assert found.kind == "underfitting"
    assert "stays at 1.64 and only 41% of the training images are right" in found.message


def test_strong_augmentation_is_no_underfitting():
    made = epochs(
        [1.3, 1.2, 1.15, 1.14, 1.14, 1.14], [0.6, 0.5, 0.45, 0.43, 0.42, 0.41],
        [0.7, 0.72, 0.74, 0.75, 0.76, 0.77], train_accuracy=[0.5, 0.52, 0.55, 0.55, 0.55, 0.55],
    )  # fmt: skip
    assert not ILLS & set(kinds(read(made, classes=10)))


def test_small_even_steps_name_a_rate_too_low():
    (found,) = read(
        epochs([1.50, 1.48, 1.46, 1.44, 1.42], [1.5, 1.49, 1.47, 1.46, 1.44], [0.5] * 5),
        [1.5] * 30, rate=1e-5,
    )  # fmt: skip
    assert found.kind == "rate-too-low"
    assert "1.5 → 1.42 in 5 epochs at a rate of 1e-05" in found.message
    assert found.advice == "Raise it to three or ten times as much."


def test_a_plateau_is_told_and_a_settled_run_is_good():
    losses = [0.8, 0.5, 0.41, 0.40, 0.40, 0.40, 0.40]
    (found,) = read(
        epochs(
            losses, [0.8, 0.55, 0.5, 0.51, 0.5, 0.51, 0.5], [0.7, 0.8, 0.85, 0.85, 0.84, 0.85, 0.84]
        )
    )
    assert (found.kind, found.level) == ("plateau", "note")
    assert "Nothing has moved for 4 epochs" in found.message
    losses = [0.3, 0.1, 0.02, 0.01, 0.01, 0.01, 0.01]
    (found,) = read(
        epochs(losses, [0.2, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05], [0.9, 0.96, 0.99] + [0.985] * 4)
    )
    assert (found.kind, found.level) == ("settled", "good")


def test_what_brought_nothing_and_what_brought_something_are_told():
    probe = (0.2, 0.95)
    found = read(epochs([0.3, 0.28], [0.21, 0.21], [0.94, 0.95], probe=probe))
    assert kinds(found) == ["no-gain"]
    found = read(epochs([0.3, 0.2], [0.19, 0.15], [0.95, 0.97], probe=probe))
    assert [finding.text for finding in found] == [
        "2.0 points better in the held-out check than the classifier on frozen features."
    ]


# -- healthy curves --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_healthy_noisy_curves_raise_no_alarm(seed):
    """Falling losses with the noise of small selections, a cosine's end, batches of eight."""
    rng = random.Random(seed)
    number = rng.choice([4, 8, 12])
    floor, start = rng.uniform(0.05, 0.3), rng.uniform(0.5, 1.5)
    curve = [floor + start * math.exp(-3 * k / number) for k in range(number)]
    train = [loss * rng.uniform(0.97, 1.03) for loss in curve]
    selection = [1.1 * loss * rng.uniform(0.97, 1.03) for loss in curve]
    accuracy = [min(0.99, 1 - 0.3 * loss + rng.uniform(-0.01, 0.01)) for loss in selection]
    probe = (selection[0] * 1.1, accuracy[0] - 0.02)
    steps = [
        loss * rng.lognormvariate(0, 0.4) for loss in curve for _ in range(rng.choice([5, 50]))
    ]
    for many in range(1, number + 1):
        made = epochs(train[:many], selection[:many], accuracy[:many], probe=probe)
        cut = len(steps) * many // number
        found = read(made, steps[:cut], classes=5, selection_images=60)
        assert not ILLS & set(kinds(found)), (many, found)


def test_batches_with_an_outlier_now_and_then_do_not_diverge():
    rng = random.Random(0)
    losses = [3.0 if step % 40 == 39 else rng.uniform(0.02, 0.1) for step in range(400)]
    for many in range(20, 400, 7):
        assert read([], losses[:many]) == ()


def test_nothing_is_said_of_nothing():
    assert read([]) == ()
    assert read(epochs([0.5], [0.5], [0.8])) == ()
    assert analyze_events([]) == ()


# -- from a run's events ---------------------------------------------------------------------


def test_events_that_a_resume_took_back_count_no_more():
    started = RunStarted(
        "r", "m", "full", "cpu", "float32", 80, 20, 20, 5, steps_per_epoch=10, classes=2
    )
    first = EpochDone(1, 0.5, 0.8, 0.5, 0.8, 1.0)
    lost = EpochDone(2, math.nan, 0.1, math.nan, 0.5, 1.0)
    steps = [StepDone(step, 1, 0.5, (1e-3,), 9.0) for step in range(1, 11)]
    broken = StepDone(11, 2, math.nan, (1e-3,), 9.0)
    events = [started, *steps, first, broken, lost]
    assert kinds(analyze_events(events)) == ["not-a-number"]
    assert analyze_events([*events, RunResumed(step=10, epoch=1)]) == ()


def test_reading_curves_needs_neither_torch_nor_numpy():
    code = (
        "import sys, core.runs.curve_findings; "
        "print([n for n in ('torch', 'numpy', 'PySide6') if n in sys.modules])"
    )
    printed = run_python(code)
    assert printed == "[]"
