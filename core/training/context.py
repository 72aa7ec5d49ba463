"""What every strategy needs before it trains: the sets, the model, the device, frozen features."""

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


@dataclass(frozen=True)
class TrainingContext:
    """One training, and whom it tells: `tell` writes into the run, `sink` is the listener alone."""

    recipe: Recipe
    index: DatasetIndex
    sets: HonestSets
    run: Run
    built: BuiltModel
    compute: Compute
    plan: Plan
    tell: Sink
    sink: Sink
    should_stop: ShouldStop
    between_steps: BetweenSteps | None = None
    rate_factor: float = 1.0
    """What a resumed run makes of its learning rates."""
    world: World = SINGLE_PROCESS
    """The processes that train together; the first one alone writes into the run."""
    tasks: TaskPlan = NO_TASKS
    """What is learned beside the label."""
    expert: LoadedTeacher | None = None
    """Who teaches; not yet ready to."""


@dataclass(frozen=True)
class FrozenFeatures:
    """Features of the frozen backbone, and which rows can be used.

    `positions` (int64 [N], into the index) are the training images, then the report images;
    `features` follow them. trains and reports: int64, the readable rows. labels: int64 [N].
    """

    positions: npt.NDArray[np.int64]
    features: Features
    labels: torch.Tensor
    trains: npt.NDArray[np.int64]
    reports: npt.NDArray[np.int64]

    @property
    def vectors(self) -> torch.Tensor:
        """float32 [N, D]"""
        return torch.from_numpy(self.features.vectors)


@dataclass(frozen=True)
class Outcome:
    """What a strategy leaves; the model is saved."""

    epochs: int
    best_epoch: int
    selection_accuracy: float
    was_stopped: bool
    evaluation: Evaluation | None
    probe_accuracy: float | None = None


def tell_no_report(job: TrainingContext) -> None:
    split = job.sets.report_split
    job.tell(Notice("warning", f"No {split} image can be read: there is no report."))


def embed(job: TrainingContext) -> FrozenFeatures:
    """Features of all images that take part, from the cache where they are there.

    Raises: DatasetError where unreadable files leave a class without training images; Cancelled.
    """
    sets, index = job.sets, job.index
    positions = np.concatenate([sets.train, sets.report])
    own = job.world.shard(np.arange(len(positions)))
    features = _embed(job, positions[own])
    if job.world.world_size > 1:
        features = join_features(job.world.all_gather((own, features)))
    for notice in _failures(index, positions, features):
        job.tell(notice)
    is_train = np.arange(len(positions)) < len(sets.train)
    return FrozenFeatures(
        positions=positions,
        features=features,
        labels=torch.from_numpy(index.labels[positions].astype(np.int64)),
        trains=np.flatnonzero(features.is_ok & is_train),
        reports=np.flatnonzero(features.is_ok & ~is_train),
    )


def check_classes(job: TrainingContext, frozen: FrozenFeatures) -> None:
    """Raises: DatasetError where unreadable files leave a class without training images."""
    there = set(frozen.labels[frozen.trains].tolist())
    missing = [name for label, name in enumerate(job.index.classes) if label not in there]
    if missing:
        raise DatasetError(
            f"No training image of the class “{missing[0]}” could be read.",
            "Add readable images to it or take the class folder away.",
        )


def folds_there(sets: HonestSets, trains: npt.NDArray[np.int64]) -> torch.Tensor:
    """The folds of the readable training images, int64, without the numbers of emptied ones.

    Raises: DatasetError where fewer than two are left, so that nothing can be held out.
    """
    folds, numbers = np.unique(sets.fold[trains], return_inverse=True)
    if len(folds) < 2:
        raise DatasetError(
            f"Only {len(trains)} training images can be read, too few to hold any out.",
            "Add readable images.",
        )
    return torch.from_numpy(numbers.astype(np.int64))


def notices_of(index: DatasetIndex, sets: HonestSets) -> list[Notice]:
    """What the scan noted, and what was left out and why: one sentence for each reason."""
    by_reason: dict[str, list[str]] = {}
    for file, reason in sets.left_out:
        by_reason.setdefault(reason, []).append(file)
    notices = [Notice("info", note) for note in index.notes] + [
        Notice("info", f"Left out ({len(files)}), {reason}: {list_some(files)}.")
        for reason, files in by_reason.items()
    ]
    return notices + _changes(index, sets)


def _changes(index: DatasetIndex, sets: HonestSets) -> list[Notice]:
    """What is no longer as it was when the dataset was opened, however long ago that was."""
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


def notices_of_rates(recipe: Recipe) -> list[Notice]:
    """A word on learning rates that destroy what a pretrained backbone knows."""
    is_tuning = recipe.strategy in ("partial", "full")
    most = max(recipe.learning_rate, recipe.late_rate or 0.0, recipe.early_rate or 0.0)
    if not is_tuning or most < _HIGH_RATE:
        return []
    return [
        Notice(
            "warning",
            f"A learning rate of {most:g} is high for fine-tuning: it may destroy what the "
            "pretrained layers know. Usual: 1e-5 to 1e-3.",
        )
    ]


def _failures(
    index: DatasetIndex, positions: npt.NDArray[np.int64], features: Features
) -> list[Notice]:
    """One sentence for each reason why files could not be used."""
    by_reason: dict[str, list[str]] = {}
    for i, reason in features.failures:
        by_reason.setdefault(reason, []).append(index.files[int(positions[i])])
    return [
        Notice("warning", f"{list_some(files)} cannot be read and was left out: {reason}.")
        if len(files) == 1
        else Notice("warning", f"{len(files):,} files left out, {reason}: {list_some(files)}.")
        for reason, files in by_reason.items()
    ]


def _embed(job: TrainingContext, positions: npt.NDArray[np.int64]) -> Features:
    """Progress goes to the listener, not into the run."""
    cache = FeatureCache.of(job.built, job.compute)
    begin = time.perf_counter()
    cached: int | None = None

    def on_progress(done: int, total: int, note: str) -> None:
        nonlocal cached
        if cached is None:  # the first call says what was there already
            cached = done
        seconds = max(time.perf_counter() - begin, 1e-6)
        job.sink(Progress(done, total, note, images_per_s=(done - cached) / seconds))

    try:
        return embed_files(
            [job.index.path(int(i)) for i in positions],
            Embedder(job.built, job.compute),
            job.compute,
            cache=cache,
            on_progress=on_progress,
            should_stop=job.should_stop,
        )
    finally:
        cache.close()
        if cache.trouble:
            job.sink(
                Notice(
                    "warning",
                    f"The feature cache cannot be used ({cache.trouble}); training goes on, but "
                    "the next run has to embed these images again.",
                )
            )
