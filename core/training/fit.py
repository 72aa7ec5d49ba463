"""The trainer: a recipe and a dataset in, a run folder with a model and a report out.

Read it top to bottom. It draws the honest sets, computes what is frozen once, fits the head,
saves, and evaluates on images that chose nothing.
"""

from __future__ import annotations

import time
from typing import Any, Literal

import numpy as np
import torch

from core.data.dataset import DatasetIndex
from core.data.splits import HonestSets, honest_sets
from core.errors import Cancelled, DatasetError, RunError
from core.evaluation.metrics import make_report
from core.evaluation.report import Report
from core.events import (
    CheckpointSaved,
    EpochDone,
    Event,
    Notice,
    Progress,
    RunEnded,
    RunStarted,
    ShouldStop,
    Sink,
    check_stop,
    never_stop,
    no_sink,
)
from core.models import catalog
from core.models.build import BuiltModel, build
from core.recipe import Recipe
from core.training.checkpoints import Head, make_reference, save_checkpoint
from core.training.device import Compute, resolve_compute
from core.training.embed import Embedder
from core.training.features import FeatureCache, Features, embed_files
from core.training.head import FittedHead, HeadEpoch, fit_head, is_cross_fitted
from core.training.runs import Run, RunResult


def fit(
    recipe: Recipe,
    index: DatasetIndex,
    run: Run,
    *,
    sink: Sink = no_sink,
    should_stop: ShouldStop = never_stop,
) -> RunResult:
    """Train as the recipe says and leave everything in the run folder.

    A stop during the head's epochs ends them early and saves the best head so far (status
    `stopped`). A stop before there is a head raises Cancelled; computed features stay cached.
    Raises: AppError for what the user can mend; Cancelled.
    """

    def tell(event: Event) -> None:
        run.append_event(event)
        sink(event)

    try:
        return _fit(recipe, index, run, tell=tell, sink=sink, should_stop=should_stop)
    except Cancelled:
        tell(RunEnded("stopped", -1, 0.0))
        raise
    except OSError as error:
        failure = RunError(
            f"The run stopped at {error.filename or run.path}: {error.strerror or error}.",
            "Mend that and train again; the features already computed are kept.",
        )
        _tell_failure(tell, failure)
        raise failure from error
    except Exception as error:
        _tell_failure(tell, error)
        raise


def _tell_failure(tell: Sink, error: Exception) -> None:
    try:
        tell(RunEnded("failed", -1, 0.0, str(error)))
    except OSError:
        return  # the disk that failed the run cannot take its last line either


def _fit(
    recipe: Recipe,
    index: DatasetIndex,
    run: Run,
    *,
    tell: Sink,
    sink: Sink,
    should_stop: ShouldStop,
) -> RunResult:
    start = time.perf_counter()
    if not index.root.is_dir():
        raise DatasetError(
            f"The dataset folder {index.root} is no longer there.",
            "Put it back, or open the dataset at its new place.",
        )
    run.write_classes(index.classes)
    sets = honest_sets(index, folds=recipe.selection_folds, seed=recipe.seed)
    built = build(catalog.load().resolve(recipe.model), num_classes=len(index.classes))
    check_stop(should_stop)
    compute = resolve_compute(recipe, built)
    run.write_environment({**compute.to_dict(), "torch_threads": torch.get_num_threads()})
    tell(
        RunStarted(
            run=run.path.name,
            model=built.card.id,
            strategy=recipe.strategy,
            device=compute.device,
            precision=compute.precision,
            train_images=len(sets.train),
            selection_images=len(sets.train if _is_cross_fitted(sets, built) else sets.selection),
            report_images=len(sets.report),
            epochs=recipe.epochs,
        )
    )
    for notice in _notices(index, sets):
        tell(notice)

    positions = np.concatenate([sets.train, sets.report])
    features = _embed(index, positions, built, compute, sink=sink, should_stop=should_stop)
    for notice in _failures(index, positions, features):
        tell(notice)
    run.write_dataset(_dataset_document(index, sets, positions, features))
    trains, reports = _usable(index, sets, features)
    check_stop(should_stop)

    vectors = torch.from_numpy(features.vectors)
    labels = torch.from_numpy(index.labels[positions].astype(np.int64))
    device = torch.device(compute.device)

    epoch_start = time.perf_counter()

    def on_epoch(done: HeadEpoch) -> None:
        nonlocal epoch_start
        now = time.perf_counter()
        tell(
            EpochDone(
                epoch=done.epoch,
                train_loss=done.train_loss,
                train_accuracy=done.train_accuracy,
                selection_loss=done.selection_loss,
                selection_accuracy=done.selection_accuracy,
                seconds=now - epoch_start,
                l2=done.l2,
            )
        )
        epoch_start = now

    head = fit_head(
        vectors[trains].to(device),
        labels[trains].to(device),
        _folds_there(sets, trains).to(device),
        classes=len(index.classes),
        epochs=recipe.epochs,
        patience=recipe.patience,
        l2=recipe.l2,
        on_epoch=on_epoch,
        should_stop=should_stop,
    )
    save_checkpoint(
        run.make_checkpoint_folder(),
        built,
        compute=compute,
        classes=index.classes,
        head=Head(head.weight, head.bias),
        reference=make_reference(features.vectors[trains.numpy()], recipe.seed),
        facts={
            "strategy": recipe.strategy,
            "epoch": head.epoch,
            "l2": head.l2,
            "temperature": head.temperature,
            "selection": {
                "images": head.selection_images,
                "loss": head.selection_loss,
                "accuracy": head.selection_accuracy,
                "cross_fitted": head.is_cross_fitted,
            },
        },
    )
    tell(CheckpointSaved("best", head.epoch, str(run.best.folder)))

    report = _report(head, vectors[reports], labels[reports], index, sets, recipe)
    if report is not None:
        run.write_report(report)
    else:
        tell(Notice("warning", f"No {sets.report_split} image can be read: there is no report."))
    status: Literal["done", "stopped"] = "stopped" if head.was_stopped else "done"
    tell(RunEnded(status, head.epoch, head.selection_accuracy))
    return RunResult(
        run=run.path,
        status=status,
        model=built.card.id,
        strategy=recipe.strategy,
        epochs=head.epochs,
        best_selection_accuracy=head.selection_accuracy,
        report=report,
        seconds=time.perf_counter() - start,
    )


def _notices(index: DatasetIndex, sets: HonestSets) -> list[Notice]:
    """What the scan noted, and what was left out and why: one sentence for each reason."""
    by_reason: dict[str, list[str]] = {}
    for file, reason in sets.left_out:
        by_reason.setdefault(reason, []).append(file)
    return [Notice("info", note) for note in index.notes] + [
        Notice("info", f"Left out ({len(files)}), {reason}: {_some(files)}.")
        for reason, files in by_reason.items()
    ]


def _failures(
    index: DatasetIndex, positions: np.ndarray[Any, Any], features: Features
) -> list[Notice]:
    """One sentence for each reason why files could not be used."""
    by_reason: dict[str, list[str]] = {}
    for i, reason in features.failures:
        by_reason.setdefault(reason, []).append(index.files[int(positions[i])])
    return [
        Notice("warning", f"{_some(files)} cannot be read and was left out: {reason}.")
        if len(files) == 1
        else Notice("warning", f"{len(files):,} files left out, {reason}: {_some(files)}.")
        for reason, files in by_reason.items()
    ]


def _some(files: list[str]) -> str:
    return ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")


def _embed(
    index: DatasetIndex,
    positions: np.ndarray[Any, Any],
    built: BuiltModel,
    compute: Compute,
    *,
    sink: Sink,
    should_stop: ShouldStop,
) -> Features:
    """Features of the images at `positions`; progress goes to the listener, not into the run."""
    cache = FeatureCache.of(built, compute)
    begin = time.perf_counter()
    cached: int | None = None

    def on_progress(done: int, total: int, note: str) -> None:
        nonlocal cached
        if cached is None:  # the first call says what was there already
            cached = done
        seconds = max(time.perf_counter() - begin, 1e-6)
        sink(Progress(done, total, note, images_per_s=(done - cached) / seconds))

    try:
        return embed_files(
            [index.path(int(i)) for i in positions],
            Embedder(built, compute),
            compute,
            cache=cache,
            on_progress=on_progress,
            should_stop=should_stop,
        )
    finally:
        cache.close()
        if cache.trouble:
            sink(
                Notice(
                    "warning",
                    f"The feature cache cannot be used ({cache.trouble}); training goes on, but "
                    "the next run has to embed these images again.",
                )
            )


def _usable(
    index: DatasetIndex, sets: HonestSets, features: Features
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of `features` to train on and to report on.

    Raises: DatasetError where unreadable files leave a class without training images.
    """
    is_train = np.arange(len(features.is_ok)) < len(sets.train)
    trains = np.flatnonzero(features.is_ok & is_train)
    reports = np.flatnonzero(features.is_ok & ~is_train)
    there = set(index.labels[sets.train[trains]].tolist())
    missing = [name for label, name in enumerate(index.classes) if label not in there]
    if missing:
        raise DatasetError(
            f"No training image of the class “{missing[0]}” could be read.",
            "Add readable images to it or take the class folder away.",
        )
    return torch.from_numpy(trains), torch.from_numpy(reports)


def _is_cross_fitted(sets: HonestSets, built: BuiltModel) -> bool:
    return is_cross_fitted(
        len(sets.train),
        folds=sets.folds,
        classes=built.num_classes,
        feature_dim=built.feature_dim,
    )


def _folds_there(sets: HonestSets, trains: torch.Tensor) -> torch.Tensor:
    """The folds of the readable training images, int64, without the numbers of emptied ones.

    Raises: DatasetError where fewer than two are left, so that nothing can be held out.
    """
    folds, numbers = np.unique(sets.fold[trains.numpy()], return_inverse=True)
    if len(folds) < 2:
        raise DatasetError(
            f"Only {len(trains)} training images can be read, too few to hold any out.",
            "Add readable images.",
        )
    return torch.from_numpy(numbers.astype(np.int64))


def _report(
    head: FittedHead,
    vectors: torch.Tensor,
    labels: torch.Tensor,
    index: DatasetIndex,
    sets: HonestSets,
    recipe: Recipe,
) -> Report | None:
    """On the report set, which chose nothing; None where it is empty."""
    if not len(labels):
        return None
    how = (
        f"{head.selection_images:,} training images, each by heads fitted without it"
        if head.is_cross_fitted
        else f"{head.selection_images:,} training images held out"
    )
    chosen = "epoch and temperature" if recipe.l2 else "L2 penalty, epoch and temperature"
    return make_report(
        (vectors @ head.weight.T + head.bias).softmax(1),
        labels,
        classes=index.classes,
        split=sets.report_split,
        selected_on=f"{chosen} were chosen on {how}; no {sets.report_split} image chose anything",
    )


def _dataset_document(
    index: DatasetIndex,
    sets: HonestSets,
    positions: np.ndarray[Any, Any],
    features: Features,
) -> dict[str, Any]:
    """Which files took part, as what, with content hashes; columns."""
    roles = ["train"] * len(sets.train) + [sets.report_split] * len(sets.report)
    folds = sets.fold.tolist() + [-1] * len(sets.report)
    return {
        "root": str(index.root),
        "name": index.name,
        "split_origin": index.split_origin,
        "classes": list(index.classes),
        "files": [index.files[int(i)] for i in positions],
        "labels": index.labels[positions].tolist(),
        "roles": roles,
        "folds": folds,
        "hashes": list(features.hashes),
        "left_out": [list(pair) for pair in sets.left_out],
        "unreadable": [[index.files[int(positions[i])], reason] for i, reason in features.failures],
        "test_files": [index.files[int(i)] for i in index.indices("test")],
        "test_labels": index.labels[index.indices("test")].tolist(),
    }
