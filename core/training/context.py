"""What every strategy is given: the sets, the model, the device, and frozen features."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from core.compute.device import Compute
from core.compute.distributed import SINGLE_PROCESS, World
from core.compute.embedder import Embedder
from core.data.changes import changed_files, changed_sources
from core.data.dataset import DatasetIndex
from core.data.splits import HonestSets
from core.errors import DatasetError
from core.evaluation.evaluate import Evaluation
from core.events import Notice, Progress, ShouldStop, Sink
from core.features.cache import FeatureCache, Features, embed_files, join_features
from core.models.build import BuiltModel
from core.recipe.plan import Plan
from core.recipe.recipe import Recipe
from core.runs.run_folder import Run
from core.training.distillation import LoadedTeacher
from core.training.live_model import BetweenSteps
from core.training.multi_task import NO_TASKS, TaskPlan
from core.words import list_some

_HIGH_RATE = 0.01


@dataclass(frozen=True, kw_only=True)
class TrainingContext:
    """Everything one training works with, resolved for this machine."""

    recipe: Recipe
    index: DatasetIndex
    sets: HonestSets
    run: Run
    built: BuiltModel
    compute: Compute
    plan: Plan
    log_event: Sink
    """Writes an event into the run and passes it on to the listener."""
    emit: Sink
    """Passes an event to the listener alone."""
    should_stop: ShouldStop
    between_steps: BetweenSteps | None = None
    rate_factor: float = 1.0
    """A resumed run multiplies its learning rates by this."""
    world: World = SINGLE_PROCESS
    """The processes that train together; rank 0 alone writes into the run."""
    tasks: TaskPlan = NO_TASKS
    """What is learned beside the label."""
    teacher: LoadedTeacher | None = None
    """For distillation; `make_teacher` makes it answer for this dataset's classes."""


@dataclass(frozen=True)
class FrozenFeatures:
    """Features of the frozen backbone, a row for each image, and which rows can be used.

    `positions` (int64 [N], into the index) are the training images, then the report images; the
    rows of all else follow them. labels: int64 [N]. train_rows, report_rows: int64, the readable
    ones.
    """

    positions: npt.NDArray[np.int64]
    raw: Features
    labels: torch.Tensor
    train_rows: npt.NDArray[np.int64]
    report_rows: npt.NDArray[np.int64]

    @property
    def vectors(self) -> torch.Tensor:
        """float32 [N, D]"""
        return torch.from_numpy(self.raw.vectors)


@dataclass(frozen=True)
class Outcome:
    """The result of a strategy; its best model is saved in the run."""

    epochs: int
    best_epoch: int
    selection_accuracy: float
    was_stopped: bool
    evaluation: Evaluation | None
    """None where there is no report."""
    probe_accuracy: float | None = None
    """Of the head on frozen features on the selection images, before fine-tuning."""


def log_no_report(context: TrainingContext) -> None:
    """Log that the report set has no readable image."""
    split = context.sets.report_split
    context.log_event(Notice("warning", f"No {split} image can be read: there is no report."))


def embed(context: TrainingContext) -> FrozenFeatures:
    """Features of the training and the report images by the frozen backbone, cached per image.

    Every process computes its part and gets all. Raises: Cancelled.
    """
    sets, index = context.sets, context.index
    positions = np.concatenate([sets.train, sets.report])
    rows = context.world.shard(np.arange(len(positions)))
    features = _embed(context, positions[rows])
    if context.world.world_size > 1:
        features = join_features(context.world.all_gather((rows, features)))
    for notice in _failure_notices(index, positions, features):
        context.log_event(notice)
    is_train = np.arange(len(positions)) < len(sets.train)
    return FrozenFeatures(
        positions=positions,
        raw=features,
        labels=torch.from_numpy(index.labels[positions].astype(np.int64)),
        train_rows=np.flatnonzero(features.is_ok & is_train),
        report_rows=np.flatnonzero(features.is_ok & ~is_train),
    )


def check_classes(context: TrainingContext, features: FrozenFeatures) -> None:
    """Raises: DatasetError where unreadable files leave a class without training images."""
    readable = set(features.labels[features.train_rows].tolist())
    missing = [name for label, name in enumerate(context.index.classes) if label not in readable]
    if missing:
        raise DatasetError(
            f"No training image of the class “{missing[0]}” could be read.",
            "Add readable images to it or remove the class folder.",
        )


def readable_folds(sets: HonestSets, rows: npt.NDArray[np.int64]) -> torch.Tensor:
    """The selection fold of each of these training rows, int64 [len(rows)], numbered without gaps.

    Raises: DatasetError where fewer than two folds are left, so that nothing can be held out.
    """
    folds, numbers = np.unique(sets.fold[rows], return_inverse=True)
    if len(folds) < 2:
        raise DatasetError(
            f"Only {len(rows)} training images can be read, too few to hold any out.",
            "Add readable images.",
        )
    return torch.from_numpy(numbers.astype(np.int64))


def dataset_notices(index: DatasetIndex, sets: HonestSets) -> list[Notice]:
    """The notes of the scan, and what was left out: one notice for each reason."""
    by_reason: dict[str, list[str]] = {}
    for file, reason in sets.left_out:
        by_reason.setdefault(reason, []).append(file)
    notices = [Notice("info", note) for note in index.notes] + [
        Notice("info", f"Left out ({len(files)}), {reason}: {list_some(files)}.")
        for reason, files in by_reason.items()
    ]
    return notices + _change_notices(index, sets)


def _change_notices(index: DatasetIndex, sets: HonestSets) -> list[Notice]:
    """Warnings about files and label tables that have changed since the dataset was opened."""
    notices = []
    files = changed_files(index, [*sets.train.tolist(), *sets.report.tolist()])
    if files:
        one = len(files) == 1
        notices.append(
            f"{len(files):,} picture{' has' if one else 's have'} changed since the dataset was"
            f" opened; the run uses {'it as it is' if one else 'them as they are'} now:"
            f" {list_some(files)}."
        )
    notices += [
        f"{name} has changed since the dataset was opened; the run uses the labels from before."
        for name in changed_sources(index)
    ]
    return [Notice("warning", text) for text in notices]


def rate_notices(recipe: Recipe) -> list[Notice]:
    """A warning where a learning rate is so high that it destroys pretrained weights."""
    is_tuning = recipe.strategy in ("partial", "full")
    highest = max(recipe.learning_rate, recipe.late_rate or 0.0, recipe.early_rate or 0.0)
    if not is_tuning or highest < _HIGH_RATE:
        return []
    return [
        Notice(
            "warning",
            f"A learning rate of {highest:g} is high for fine-tuning: it may destroy what the "
            "pretrained layers know. Usual: 1e-5 to 1e-3.",
        )
    ]


def _failure_notices(
    index: DatasetIndex, positions: npt.NDArray[np.int64], features: Features
) -> list[Notice]:
    """One warning for each reason why files could not be used."""
    by_reason: dict[str, list[str]] = {}
    for i, reason in features.failures:
        by_reason.setdefault(reason, []).append(index.files[int(positions[i])])
    return [
        Notice("warning", f"{list_some(files)} cannot be read and was left out: {reason}.")
        if len(files) == 1
        else Notice("warning", f"{len(files):,} files left out, {reason}: {list_some(files)}.")
        for reason, files in by_reason.items()
    ]


def _embed(context: TrainingContext, positions: npt.NDArray[np.int64]) -> Features:
    """Features of these images of the index; progress goes to the listener, not into the run."""
    cache = FeatureCache.of(context.built, context.compute)
    begin = time.perf_counter()
    cached: int | None = None

    def on_progress(done: int, total: int, note: str) -> None:
        nonlocal cached
        if cached is None:  # the first call gives the number of images found in the cache
            cached = done
        seconds = max(time.perf_counter() - begin, 1e-6)
        context.emit(Progress(done, total, note, images_per_s=(done - cached) / seconds))

    try:
        return embed_files(
            [context.index.path(int(i)) for i in positions],
            Embedder(context.built, context.compute),
            context.compute,
            cache=cache,
            on_progress=on_progress,
            should_stop=context.should_stop,
        )
    finally:
        cache.close()
        if cache.trouble:
            context.emit(
                Notice(
                    "warning",
                    f"The feature cache cannot be used ({cache.trouble}); training goes on, but "
                    "the next run has to embed these images again.",
                )
            )
