"""Fine-tuning: the backbone learns with the head, as the plan says. Read `fine_tune` top to bottom.

It begins with the head that the frozen features gave (linear probe first, then fine-tune: Kumar
et al. 2022); that head is epoch 0, and the result is the epoch with the best selection accuracy
(then loss), so it is never worse on `selection` than the probe. Rates fall from the head backwards
by `layer_decay` and over the run as a cosine after a warm-up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import torch
from timm.scheduler import CosineLRScheduler
from torch import Tensor
from torch.nn.functional import cross_entropy

from core.data.augment import View, training_view
from core.data.pixels import PixelCache
from core.data.sampling import Drawn, epoch_order
from core.data.variation import variation_of
from core.errors import DatasetError, DecodeError
from core.events import (
    EpochDone,
    Notice,
    PlanChanged,
    Progress,
    ShouldStop,
    Sink,
    StepDone,
)
from core.recipe import Recipe
from core.training.checkpoints import Head
from core.training.device import Compute
from core.training.embed import Embedder
from core.training.head import inverse_temperature
from core.training.plan import Plan
from core.training.trainee import Trainee

_BETAS = (0.9, 0.999)


@dataclass(frozen=True)
class TrainingSet:
    """Pictures and their labels. `fit` and `selection` are positions into both."""

    pixels: PixelCache
    labels: Tensor
    """int64 [N]"""
    fit: npt.NDArray[np.int64]
    selection: npt.NDArray[np.int64]
    settle: Callable[[], str] = str
    """Called after each epoch: finds a better way to read what is not kept, and says so."""


@dataclass(frozen=True)
class Judgement:
    """What the selection images say of the model as it is.

    features: float32 [S, D] and head: what made the logits; temperature ≥ 1 softens the
    probabilities where the model is surer than it is right (Guo et al. 2017).
    """

    features: Tensor
    head: Head
    loss: float
    accuracy: float
    temperature: float
    top_share: float | None = None
    """Share of the images that get the most frequent answer."""

    def is_better_than(self, other: Judgement) -> bool:
        """By accuracy, then by loss."""
        return (self.accuracy, -self.loss) > (other.accuracy, -other.loss)


@dataclass
class FineTuning:
    """How far a fine-tuning is: what a resumed run needs beside weights and optimizer."""

    epoch: int = 0
    """Whole epochs done."""
    step: int = 0
    """Steps done in the run."""
    step_of_epoch: int = 0
    """Batches of the current epoch that are done with."""
    best_epoch: int = 0
    best_accuracy: float = 0.0
    best_loss: float = float("inf")
    waited: int = 0
    """Epochs since the best one."""
    probe_accuracy: float = 0.0
    loss_sum: float = 0.0
    right: int = 0
    seen: int = 0
    """Sums over the current epoch so far."""
    was_stopped: bool = field(default=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def _nothing(progress: FineTuning) -> None:
    """Nobody wants to look at the model."""


def fine_tune(
    trainee: Trainee,
    data: TrainingSet,
    recipe: Recipe,
    plan: Plan,
    *,
    compute: Compute,
    progress: FineTuning,
    optimizer: torch.optim.Optimizer,
    keep_best: Callable[[Judgement, int], None],
    keep_last: Callable[[FineTuning], None],
    tell: Sink,
    sink: Sink,
    should_stop: ShouldStop,
    between_steps: Callable[[FineTuning], None] = _nothing,
) -> FineTuning:
    """Train until the epochs are over, patience ends or a stop is asked for.

    `keep_best(judgement, epoch)` is called whenever the selection images prefer the model as it
    is; `keep_last(progress)` after every epoch and at a stop, when the run can go on from here.
    `tell` writes into the run, `sink` speaks to the listener alone. `between_steps(progress)` may
    look at the model and must leave it as it is. Mutates `trainee`.
    """
    batches_of = Batches(data, recipe)
    schedule = cosine_schedule(optimizer, recipe, steps=batches_of.steps * recipe.most_epochs)
    best = Judgement(
        torch.empty(0), trainee.head(), progress.best_loss, progress.best_accuracy, 1.0
    )
    gone = Unreadable(tell)
    with trainee.working() as pool:
        while progress.epoch < recipe.most_epochs and progress.waited < recipe.patience:
            epoch = progress.epoch + 1
            _open(trainee, plan, epoch, tell=tell, is_start=progress.step_of_epoch == 0)
            begin = time.perf_counter()
            busy_seconds, images = 0.0, 0
            for batch, views, labels in batches_of(epoch, progress.step_of_epoch, pool, gone):
                asked = time.perf_counter()
                between_steps(progress)
                if should_stop():  # also where a paused run waits
                    progress.was_stopped = True
                    keep_last(progress)
                    return progress
                step_begin = time.perf_counter()
                begin += step_begin - asked  # a pause is no part of the epoch's seconds
                schedule.step_update(progress.step + 1)
                gradients = trainee.learn(views, labels)
                trainee.scaler.step(optimizer)
                trainee.scaler.update()
                trainee.average()
                step_seconds = time.perf_counter() - step_begin

                progress.step += 1
                progress.step_of_epoch = batch + 1
                progress.loss_sum += gradients.loss * len(views)
                progress.right += gradients.right
                progress.seen += len(views)
                busy_seconds, images = busy_seconds + step_seconds, images + len(views)
                tell(
                    StepDone(
                        step=progress.step,
                        epoch=epoch,
                        loss=gradients.loss,
                        rates=rates_of(optimizer, plan, epoch),
                        images_per_s=len(views) / step_seconds,
                        memory_mb=memory_mb(compute.device),
                    )
                )
            judgement = judge(trainee, data, compute, gone, sink=sink, pool=pool)
            progress.epoch, progress.step_of_epoch = epoch, 0
            if judgement.is_better_than(best):
                best = judgement
                progress.best_epoch, progress.waited = epoch, 0
                progress.best_accuracy, progress.best_loss = judgement.accuracy, judgement.loss
                keep_best(judgement, epoch)
            else:
                progress.waited += 1
            tell(
                EpochDone(
                    epoch=epoch,
                    train_loss=progress.loss_sum / max(1, progress.seen),
                    train_accuracy=progress.right / max(1, progress.seen),
                    selection_loss=judgement.loss,
                    selection_accuracy=judgement.accuracy,
                    seconds=time.perf_counter() - begin,
                    step=progress.step,
                    images_per_s=images / busy_seconds if busy_seconds else 0.0,
                    top_share=judgement.top_share,
                )
            )
            progress.loss_sum, progress.right, progress.seen = 0.0, 0, 0
            keep_last(progress)
            if text := data.settle():
                tell(Notice("info", text))
    return progress


def _open(trainee: Trainee, plan: Plan, epoch: int, *, tell: Sink, is_start: bool) -> None:
    """Let train what the plan opens by this epoch; say so when it changes."""
    now = plan.open_in(epoch)
    trainee.open(now)
    before = plan.open_in(epoch - 1) if epoch > 1 else ()
    opened = tuple(name for name in now if name not in before)
    if opened and is_start:
        frozen = tuple(group.name for group in plan.groups if group.name not in now)
        tell(PlanChanged(epoch, opened, frozen))


class Unreadable:
    """Says once of each picture that it could no longer be read."""

    def __init__(self, tell: Sink) -> None:
        self._tell = tell
        self._said: set[int] = set()

    def say(self, position: int, error: DecodeError) -> None:
        if position not in self._said:
            self._said.add(position)
            self._tell(Notice("warning", f"{error.message} The run goes on without it."))


class Batches:
    """The batches of an epoch, the next one being prepared while one is learned from."""

    def __init__(self, data: TrainingSet, recipe: Recipe) -> None:
        self._data, self._recipe = data, recipe
        self._variation = variation_of(recipe)
        self.steps = -(-len(data.fit) // recipe.step_images)

    def __call__(
        self, epoch: int, skip: int, pool: ThreadPoolExecutor, gone: Unreadable
    ) -> Iterator[tuple[int, list[View], Tensor]]:
        """From batch `skip` on, with its number. The order comes from (seed, epoch) alone.

        A batch of which no picture can be read any more is left out.
        """
        order = epoch_order(
            self._data.fit,
            self._data.labels.numpy(),
            seed=self._recipe.seed,
            epoch=epoch,
            is_balanced=self._recipe.sampling == "balanced",
        )
        cuts = np.array_split(np.arange(len(order)), self.steps)[skip:]
        shares = [[order[i] for i in cut] for cut in cuts]
        ahead = self._prepare(shares[0], epoch, pool) if shares else []
        for number, share in enumerate(shares):
            ready = ahead
            if number + 1 < len(shares):
                ahead = self._prepare(shares[number + 1], epoch, pool)
            views, kept = [], []
            for drawn, future in zip(share, ready, strict=True):
                try:
                    views.append(future.result())
                    kept.append(drawn.position)
                except DecodeError as error:
                    gone.say(drawn.position, error)
            if views:
                yield skip + number, views, self._data.labels[kept]

    def _prepare(
        self, share: list[Drawn], epoch: int, pool: ThreadPoolExecutor
    ) -> list[Future[View]]:
        return [pool.submit(self._view, drawn, epoch) for drawn in share]

    def _view(self, drawn: Drawn, epoch: int) -> View:
        pixels = self._data.pixels
        # An image that comes again in an epoch is varied anew.
        again = [drawn.time] if drawn.time else []
        rng = np.random.default_rng([self._recipe.seed, epoch, drawn.position, *again])
        working = pixels.working(drawn.position)
        return training_view(working, pixels.preprocessing, self._variation, rng)


def judge(
    trainee: Trainee,
    data: TrainingSet,
    compute: Compute,
    gone: Unreadable,
    *,
    sink: Sink,
    pool: ThreadPoolExecutor,
) -> Judgement:
    """Ask the selection images, exactly as pictures will be classified later.

    Raises: DatasetError where none can be read any more.
    """
    features, there = embed_pixels(trainee, data, compute, gone, sink=sink, pool=pool)
    return judgement_of(features, trainee.head(), data.labels[there])


def judgement_of(features: Tensor, head: Head, labels: Tensor) -> Judgement:
    """features: float32 [S, D], labels: int64 [S]"""
    logits = features @ head.weight.T + head.bias
    loss = float(cross_entropy(logits, labels))
    answers = logits.argmax(1)
    accuracy = float((answers == labels).float().mean())
    # Only ever softer: where few pictures are all right, their loss would ask for certainty.
    temperature = max(1.0, 1 / inverse_temperature(logits, labels))
    top_share = float(answers.bincount().max()) / len(answers)
    return Judgement(features, head, loss, accuracy, temperature, top_share)


def embed_pixels(
    trainee: Trainee,
    data: TrainingSet,
    compute: Compute,
    gone: Unreadable,
    *,
    sink: Sink,
    pool: ThreadPoolExecutor,
) -> tuple[Tensor, list[int]]:
    """Features float32 [n, D] of the selection pictures, by the model as it is now, and the n
    positions that can be read."""
    positions = data.selection
    embedder = Embedder(trainee.kept, compute)
    size = compute.batch_size
    shares = [positions[i : i + size] for i in range(0, len(positions), size)]

    def work(
        share: npt.NDArray[np.int64],
    ) -> tuple[Tensor | None, list[int], dict[int, DecodeError]]:
        pixels: dict[int, npt.NDArray[np.uint8]] = {}
        errors: dict[int, DecodeError] = {}
        for position in share.tolist():
            try:
                pixels[position] = data.pixels.validation(position)
            except DecodeError as error:
                errors[position] = error
        batch = torch.from_numpy(np.stack(list(pixels.values()))) if pixels else None
        return None if batch is None else embedder.embed(batch), list(pixels), errors

    rows: list[Tensor] = []
    there: list[int] = []
    done = 0
    for share, (features, kept, errors) in zip(shares, pool.map(work, shares), strict=True):
        for position, error in errors.items():
            gone.say(position, error)
        if features is not None:
            rows.append(features)
            there += kept
        done += len(share)
        sink(Progress(done, len(positions), "asking the selection images"))
    if not rows:
        raise DatasetError("No selection image can be read any more.", "Put the files back.")
    return torch.cat(rows), there


def make_optimizer(trainee: Trainee, recipe: Recipe, plan: Plan) -> torch.optim.AdamW:
    """AdamW with a rate for each layer group; no decay on biases, norms and tokens."""
    groups = []
    for group in plan.groups:
        if not group.is_trained:
            continue
        named = trainee.parameters(group.name)
        for decays in (True, False):
            chosen = [parameter for _, parameter in named if (parameter.ndim > 1) == decays]
            if chosen:
                groups.append(
                    {
                        "params": chosen,
                        "lr": group.learning_rate,
                        "weight_decay": recipe.weight_decay if decays else 0.0,
                        "name": group.name,
                    }
                )
    return torch.optim.AdamW(groups, betas=_BETAS)


def cosine_schedule(
    optimizer: torch.optim.Optimizer, recipe: Recipe, *, steps: int
) -> CosineLRScheduler:
    """A warm-up from zero, then a cosine to zero, both as shares of each group's highest rate.

    A pure function of the step, counted from 1; the highest rates travel in the optimizer.
    """
    warmup = round(recipe.warmup * steps)
    return CosineLRScheduler(
        optimizer,
        t_initial=max(1, steps - warmup + 1),
        warmup_t=warmup,
        warmup_prefix=True,
        t_in_epochs=False,
    )


def rates_of(optimizer: torch.optim.Optimizer, plan: Plan, epoch: int) -> tuple[float, ...]:
    """The rate of each group of the plan at the last step; 0 where it is frozen."""
    now = {group["name"]: float(group["lr"]) for group in optimizer.param_groups}
    is_open = set(plan.open_in(epoch))
    return tuple(now[g.name] if g.name in is_open else 0.0 for g in plan.groups)


_process = psutil.Process()


def memory_mb(device: str) -> float:
    """Of the process; on a GPU the most that tensors took there."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 2**20
    return float(_process.memory_info().rss) / 2**20
