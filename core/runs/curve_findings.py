"""Interprets the curves of a run (overfitting, divergence …): a pure function of epochs and steps.

The window shows the findings beside the plots, the command line at the end of a training. Every
finding contains the figures that support it, and says what to do if something should be done.
Thresholds are set so that realistic curves (noisy, few selection images, augmentation that keeps
the training loss high) give no false alarm: tests/core/runs/test_curve_findings.py has both kinds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from core.events import EpochDone, Event, RunResumed, RunStarted, StepDone

Kind = Literal[
    "not-a-number", "diverging", "collapsed", "rate-too-high", "overfitting", "underfitting",
    "rate-too-low", "plateau", "no-gain", "waiting", "settled", "gain",
]  # fmt: skip
Level = Literal["good", "note", "warning", "error"]

_START_STEPS = 10
_SLOW = 0.95
_FEWEST_STEPS = 20
"""With fewer steps the mean of the losses has no clear direction."""
_ONE_ANSWER = 0.98
_PATIENT_EPOCHS = 3
_FLAT = 0.03
"""Relative change of a loss that counts as none."""
_USUAL_RATES = "1e-5 to 1e-3 are usual for fine-tuning"
_USUAL_MOST = 3e-3
_LOW_RATE = 3e-4


@dataclass(frozen=True, slots=True)
class CurveFinding:
    """One observation about the curves; `advice` is empty if nothing needs to be done."""

    kind: Kind
    level: Level
    message: str
    advice: str = ""

    @property
    def text(self) -> str:
        """Message and advice, as one text to show."""
        return f"{self.message} {self.advice}".strip()


class LossTrack:
    """A summary of the losses of the steps so far, updated step by step.

    `start`: mean of the first ten; `now`: exponential moving average; `lowest`: its minimum.
    """

    def __init__(self) -> None:
        self.steps = 0
        self.start = 0.0
        self.now = 0.0
        self.lowest = math.inf
        self.lowest_step = 0
        self.rate = 0.0
        """The highest learning rate of any layer group so far."""
        self.not_a_number: tuple[int, int] | None = None
        """(step, epoch) of the first loss that is infinite or NaN."""
        self._sum = self._weight = 0.0

    def add(self, event: StepDone) -> None:
        """Update the summary by one step."""
        loss = event.loss
        self.rate = max(self.rate, *event.rates) if event.rates else self.rate
        if not math.isfinite(loss):
            self.not_a_number = self.not_a_number or (event.step, event.epoch)
            return
        self.steps += 1
        if self.steps <= _START_STEPS:
            self.start += (loss - self.start) / self.steps
        self._sum = _SLOW * self._sum + (1 - _SLOW) * loss
        self._weight = _SLOW * self._weight + (1 - _SLOW)
        self.now = self._sum / self._weight
        if self.steps >= _START_STEPS and self.now < self.lowest:
            self.lowest, self.lowest_step = self.now, event.step


@dataclass(frozen=True)
class Curves:
    """The curves of a run. Epoch 0, if present, is the head from which fine-tuning begins.

    `classes`, `selection_images`: 0 if unknown.
    """

    epochs: Sequence[EpochDone]
    track: LossTrack
    is_head_only: bool = False
    """A head fitted directly to cached features, a convex problem: its curves say little."""
    classes: int = 0
    selection_images: int = 0
    is_from_scratch: bool = False
    """Training from scratch: epoch 0 is then a head that has learned nothing."""

    @property
    def probe(self) -> EpochDone | None:
        """Epoch 0: the head on frozen features; None without one."""
        if self.is_from_scratch:
            return None
        return next((epoch for epoch in self.epochs if epoch.epoch == 0), None)

    @property
    def learned(self) -> list[EpochDone]:
        """The epochs in which the model was trained."""
        return [epoch for epoch in self.epochs if epoch.epoch > 0]

    @property
    def best(self) -> EpochDone:
        """The epoch with the best selection accuracy, then loss: the one that is kept."""
        return max(self.epochs, key=lambda e: (e.selection_accuracy, -e.selection_loss))


def analyze_curves(curves: Curves) -> tuple[CurveFinding, ...]:
    """The findings about curves, the most serious first; empty if there are none."""
    if broken := _not_a_number(curves):
        return (broken,)
    if curves.is_head_only:
        collapsed = _collapsed(curves)
        return (collapsed,) if collapsed else ()
    found = _found(curves, _diverging, _collapsed, _rate_too_high, _overfitting)
    if found and found[0].kind == "diverging":
        return (found[0],)
    found = found or _found(curves, _rate_too_low, _underfitting)[:1]
    found = found or _found(curves, _plateau, _waiting, _no_gain)[:1]
    gain = _gain(curves)
    return (*found, gain) if gain else tuple(found)


def _found(curves: Curves, *checks: Callable[[Curves], CurveFinding | None]) -> list[CurveFinding]:
    return [finding for check in checks if (finding := check(curves))]


def analyze_events(events: Iterable[Event]) -> tuple[CurveFinding, ...]:
    """The findings about a run's recorded events; steps that a resume repeats are left out."""
    epochs: list[EpochDone] = []
    steps: list[StepDone] = []
    started: RunStarted | None = None
    for event in events:
        if isinstance(event, RunStarted):
            started = event
        elif isinstance(event, StepDone):
            steps.append(event)
        elif isinstance(event, EpochDone):
            epochs.append(event)
        elif isinstance(event, RunResumed):
            epochs = [epoch for epoch in epochs if epoch.epoch <= event.epoch]
            steps = [step for step in steps if step.step <= event.step]
    track = LossTrack()
    for step in steps:
        track.add(step)
    return analyze_curves(make_curves(started, epochs, track))


def make_curves(
    started: RunStarted | None, epochs: Sequence[EpochDone], track: LossTrack
) -> Curves:
    """The curves of a run, from its events and the summary of its steps."""
    return Curves(
        epochs,
        track,
        is_head_only=started is not None and started.steps_per_epoch == 0,
        classes=started.classes if started is not None else 0,
        selection_images=started.selection_images if started is not None else 0,
        is_from_scratch=started is not None and started.strategy == "scratch",
    )


# -- what ends or spoils a run ---------------------------------------------------------------


def _not_a_number(curves: Curves) -> CurveFinding | None:
    advice = (
        "Lower the learning rate to a third or a tenth, or train in float32; "
        "the best epoch before it is kept."
    )
    if curves.track.not_a_number:
        step, epoch = curves.track.not_a_number
        message = (
            f"The loss of step {step:,} (epoch {epoch:,}) is not a number: the run has broken."
        )
        return CurveFinding("not-a-number", "error", message, advice)
    for epoch_done in curves.epochs:
        if not math.isfinite(epoch_done.train_loss + epoch_done.selection_loss):
            message = f"The loss of epoch {epoch_done.epoch:,} is not a number: the run has broken."
            return CurveFinding("not-a-number", "error", message, advice)
    return None


def _diverging(curves: Curves) -> CurveFinding | None:
    """The loss of the steps is far above its minimum and its start, or that of the epochs has risen
    twice in a row."""
    advice = _lower_rate(curves)
    track = curves.track
    if (
        track.steps >= _FEWEST_STEPS
        and track.now >= max(2 * track.lowest, track.lowest + 0.5)
        and track.now > 1.2 * track.start
    ):
        message = (
            f"The training loss rose from {track.lowest:.3g} (step {track.lowest_step:,}) to "
            f"{track.now:.3g}: diverging."
        )
        return CurveFinding("diverging", "error", message, advice)
    losses = [epoch.train_loss for epoch in curves.learned[-3:]]
    rises = [after > 1.1 * before for before, after in pairwise(losses)]
    if len(rises) == 2 and all(rises) and losses[-1] > 1.5 * losses[0] + 0.1:
        message = f"The training loss rises from epoch to epoch ({_listed(losses)}): diverging."
        return CurveFinding("diverging", "error", message, advice)
    return None


def _collapsed(curves: Curves) -> CurveFinding | None:
    last = curves.epochs[-1] if curves.epochs else None
    if last is None or last.top_share is None or last.top_share < _ONE_ANSWER:
        return None
    # If nearly all images are of one class, predicting only that class may be right.
    if last.selection_accuracy >= (1.0 if last.top_share == 1.0 else 0.9):
        return None
    probe = curves.probe
    was_better = probe is not None and (probe.top_share or 1.0) < _ONE_ANSWER
    if last.epoch < 2 and not (was_better and last.epoch == 1):
        return None  # from scratch the first epoch often predicts only one class
    message = (
        f"{last.top_share:.0%} of the images of the held-out check get the same answer at epoch "
        f"{last.epoch:,} ({last.selection_accuracy:.0%} of them right): collapsed to one class."
    )
    advice = (
        "Lower the learning rate; where one class has most of the images, draw them balanced "
        "(sampling = balanced)."
    )
    return CurveFinding("collapsed", "error", message, advice)


def _rate_too_high(curves: Curves) -> CurveFinding | None:
    return _lost_features(curves) or _oscillation(curves)


def _lost_features(curves: Curves) -> CurveFinding | None:
    """Fine-tuning is much worse than the head on frozen features from which it began."""
    probe, learned = curves.probe, curves.learned
    if probe is None or not learned:
        return None
    top = max(learned, key=lambda epoch: epoch.selection_accuracy)
    lost = probe.selection_accuracy - top.selection_accuracy
    lowest = min(epoch.selection_loss for epoch in learned)
    if lost <= _noise(curves, probe) or lowest < 1.5 * probe.selection_loss + 0.1:
        return None
    message = (
        f"The accuracy in the held-out check fell from {probe.selection_accuracy:.1%} with a "
        f"classifier on frozen features to {top.selection_accuracy:.1%} at best, "
        f"the loss rose from {probe.selection_loss:.3g} to "
        f"{lowest:.3g}: the pretrained features are lost, the learning rate is too high."
    )
    return CurveFinding("rate-too-high", "warning", message, _lower_rate(curves))


def _oscillation(curves: Curves) -> CurveFinding | None:
    """The training loss rises and falls in turn, by more than noise."""
    losses = [epoch.train_loss for epoch in curves.learned[-6:]]
    if len(losses) < 5:
        return None
    moves = [after - before for before, after in pairwise(losses)]
    turns = sum(a * b < 0 for a, b in pairwise(moves))
    size = sum(abs(move) for move in moves) / len(moves)
    if turns < len(moves) - 1 or size < 0.15 * sum(losses) / len(losses) or size < 0.02:
        return None
    message = (
        f"The training loss goes up and down from epoch to epoch ({_listed(losses)}): the rate is "
        "too high."
    )
    return CurveFinding("rate-too-high", "warning", message, _lower_rate(curves))


def _overfitting(curves: Curves) -> CurveFinding | None:
    learned = curves.learned
    if len(learned) < _PATIENT_EPOCHS:
        return None
    last = learned[-1]
    lowest = min(curves.epochs, key=lambda epoch: epoch.selection_loss)
    waited = last.epoch - lowest.epoch
    # The probe was trained without augmentation: its training loss cannot be compared.
    at_lowest = lowest if lowest.epoch > 0 else learned[0]
    has_risen = all(
        epoch.selection_loss > 1.05 * lowest.selection_loss + 0.01 for epoch in learned[-2:]
    )
    if waited < _PATIENT_EPOCHS or not has_risen or last.train_loss > 0.9 * at_lowest.train_loss:
        return None
    fell = (
        f"while the training loss fell from {at_lowest.train_loss:.3g} to {last.train_loss:.3g} "
        f"and that of the held-out check rose from {lowest.selection_loss:.3g} to "
        f"{last.selection_loss:.3g}"
    )
    since_best = last.epoch - curves.best.epoch
    if since_best < 2:
        message = (
            f"The accuracy in the held-out check still rises ({curves.best.selection_accuracy:.1%} "
            f"at epoch {curves.best.epoch:,}) {fell}: overfitting begins, the answers become "
            "surer than they are right."
        )
        return CurveFinding(
            "overfitting", "note", message, "The temperature is measured at the end."
        )
    message = f"Validation has not improved for {_epochs(since_best)} {fell}: overfitting."
    advice = (
        f"Epoch {curves.best.epoch:,} is kept. More images, stronger augmentation, weight decay "
        "or fewer layers in training help."
    )
    return CurveFinding("overfitting", "warning", message, advice)


# -- what moves too little -------------------------------------------------------------------


def _underfitting(curves: Curves) -> CurveFinding | None:
    learned = curves.learned
    if len(learned) < 5 or not _is_flat([epoch.train_loss for epoch in learned[-3:]]):
        return None
    last = learned[-1]
    top = curves.best.selection_accuracy
    # Strong augmentation lowers the training accuracy: then selection is well above it.
    if last.train_accuracy >= 0.8 or top >= 0.8 or top > last.train_accuracy + 0.05:
        return None
    if curves.classes and last.train_loss < 0.35 * math.log(curves.classes):
        return None
    message = (
        f"The training loss stays at {last.train_loss:.3g} and only {last.train_accuracy:.0%} of "
        f"the training images are right ({last.selection_accuracy:.0%} in the held-out check): "
        "underfitting."
    )
    advice = "Let more layers train, raise the rate, take a larger model; look at the labels too."
    return CurveFinding("underfitting", "warning", message, advice)


def _rate_too_low(curves: Curves) -> CurveFinding | None:
    """The training loss still falls in small even steps, at a rate below the usual ones."""
    losses = [epoch.train_loss for epoch in curves.learned]
    if len(losses) < 4 or (curves.track.rate and curves.track.rate >= _LOW_RATE):
        return None
    falls = [before - after for before, after in pairwise(losses)]
    mean = sum(falls) / len(falls)
    is_even = min(falls) > 0 and falls[-1] > 0.5 * mean
    if not is_even or losses[-1] < 0.85 * losses[0] or curves.best.selection_accuracy >= 0.97:
        return None
    rate = f" at a rate of {curves.track.rate:.1g}" if curves.track.rate else ""
    message = (
        f"The training loss falls in small even steps, {losses[0]:.3g} → {losses[-1]:.3g} in "
        f"{_epochs(len(losses))}{rate}: the rate is too low."
    )
    return CurveFinding("rate-too-low", "note", message, "Raise it to three or ten times as much.")


def _plateau(curves: Curves) -> CurveFinding | None:
    learned = curves.learned
    if len(learned) < 5:
        return None
    last = learned[-1]
    lowest = min(curves.epochs, key=lambda epoch: epoch.selection_loss)
    waited = last.epoch - max(curves.best.epoch, lowest.epoch)
    recent = [epoch.train_loss for epoch in learned[-4:]]
    if waited < _PATIENT_EPOCHS or not (_is_flat(recent) or max(recent) < 0.02):
        return None
    if curves.best.selection_accuracy >= 0.97:
        message = (
            f"Settled: {curves.best.selection_accuracy:.1%} in the held-out check at epoch "
            f"{curves.best.epoch:,}, and nothing has moved for {_epochs(waited)}."
        )
        return CurveFinding("settled", "good", message)
    message = (
        f"Nothing has moved for {_epochs(waited)}: at most "
        f"{curves.best.selection_accuracy:.1%} in the held-out check, "
        f"training loss {recent[0]:.3g} → {recent[-1]:.3g}: a plateau."
    )
    advice = (
        "More epochs alone will not help: let more layers train, lower the rate, or add images."
    )
    return CurveFinding("plateau", "note", message, advice)


def _waiting(curves: Curves) -> CurveFinding | None:
    learned = curves.learned
    if not learned or curves.best.epoch == 0:
        return None
    waited = learned[-1].epoch - curves.best.epoch
    if waited < _PATIENT_EPOCHS:
        return None
    message = (
        f"The held-out check has not improved for {_epochs(waited)}; epoch "
        f"{curves.best.epoch:,} is kept."
    )
    return CurveFinding("waiting", "note", message)


def _no_gain(curves: Curves) -> CurveFinding | None:
    probe = curves.probe
    if probe is None or curves.best.epoch != 0 or len(curves.learned) < 2:
        return None
    message = (
        "No epoch is better than the classifier on frozen features yet "
        f"({probe.selection_accuracy:.1%} in the held-out check)."
    )
    return CurveFinding("no-gain", "note", message)


def _gain(curves: Curves) -> CurveFinding | None:
    probe = curves.probe
    if probe is None or len(curves.learned) < 2:
        return None
    gain = curves.best.selection_accuracy - probe.selection_accuracy
    if gain <= 0:
        return None
    message = (
        f"{100 * gain:.1f} points better in the held-out check than the classifier on frozen "
        "features."
    )
    return CurveFinding("gain", "good", message)


# -- words and figures -----------------------------------------------------------------------


def _noise(curves: Curves, probe: EpochDone) -> float:
    """How far an accuracy may fall by chance: two standard errors, at least 5 points; 0…1."""
    if not curves.selection_images:
        return 0.1
    share = probe.selection_accuracy
    return max(0.05, 2 * math.sqrt(share * (1 - share) / curves.selection_images))


def _is_flat(losses: Sequence[float]) -> bool:
    middle = sum(losses) / len(losses)
    return max(losses) - min(losses) <= _FLAT * middle


def _lower_rate(curves: Curves) -> str:
    rate = curves.track.rate
    if rate > _USUAL_MOST:
        return f"The highest rate was {rate:.1g}; {_USUAL_RATES}."
    if rate:
        return f"Lower the learning rate ({rate:.1g}) to a third or a tenth."
    return "Lower the learning rate to a third or a tenth."


def _epochs(number: int) -> str:
    return f"{number:,} epoch" + ("" if number == 1 else "s")


def _listed(losses: Sequence[float]) -> str:
    return ", ".join(f"{loss:.3g}" for loss in losses)
