"""The jobs of the Runs page. Core is imported inside: it takes seconds to load."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import AppError
from core.events import EpochDone, check_stop
from gui.kit.workers import JobContext

if TYPE_CHECKING:
    from core.runs.run_folder import Run, RunSummary


@dataclass(frozen=True, slots=True)
class Difference:
    """A key of the recipe in which two runs differ; `values` in the order of the runs."""

    key: str
    values: tuple[str, str]


@dataclass(frozen=True, slots=True)
class RunDetails:
    """What the table does not say. `seconds` of the epochs; `size_bytes` of the folder."""

    path: Path
    other: Path | None
    """The run it is compared with."""
    error: str
    epochs: int
    seconds: float
    size_bytes: int
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class RunCurves:
    """Accuracy and loss of a run on its selection images, by epoch."""

    path: Path
    name: str
    """Unique among the curves that are read together."""
    epochs: tuple[int, ...]
    accuracies: tuple[float, ...]
    losses: tuple[float, ...]
    data: str
    """Equal for runs that chose on the same images."""


@dataclass(frozen=True, slots=True)
class Trashed:
    """The runs that were moved to the trash; `problem` says why the others were not."""

    paths: tuple[Path, ...]
    problem: str = ""


def list_runs(context: JobContext) -> tuple[RunSummary, ...]:
    """All runs, newest first, without those that were stopped before they had a model."""
    from core.runs.run_folder import Run
    from core.runs.store import RunStore

    return tuple(
        run
        for run in RunStore().runs()
        if run.status != "stopped" or Run(run.path).best.weights.is_file()
    )


def read_details(path: Path, other: Path | None, context: JobContext) -> RunDetails:
    """The details of a run, compared with `other`. Raises: AppError where the folder is gone."""
    from core.runs.run_folder import Run

    run = Run(path)
    ended = run.read_end()
    epochs: dict[int, float] = {}
    for event in run.read_events():
        check_stop(context.should_stop)
        if isinstance(event, EpochDone):
            epochs[event.epoch] = event.seconds  # an epoch done again after a resume counts once
    return RunDetails(
        path=path,
        other=other,
        error=ended.error if ended is not None else "",
        epochs=max(epochs, default=0),
        seconds=sum(epochs.values()),
        size_bytes=_size(path),
        differences=_differences(path, other) if other is not None else (),
    )


def read_curves(paths: Sequence[Path], context: JobContext) -> tuple[RunCurves, ...]:
    """The curves of these runs."""
    from core.runs.run_folder import Run

    found = []
    for path in paths:
        check_stop(context.should_stop)
        run = Run(path)
        epochs = {event.epoch: event for event in run.read_events() if isinstance(event, EpochDone)}
        order = sorted(epochs)
        found.append(
            RunCurves(
                path=path,
                name=path.name,
                epochs=tuple(order),
                accuracies=tuple(epochs[epoch].selection_accuracy for epoch in order),
                losses=tuple(epochs[epoch].selection_loss for epoch in order),
                data=_data_of(run),
            )
        )
    return tuple(found)


def _data_of(run: Run) -> str:
    """A hash of the files and folds of a run; empty where it has no record of them yet."""
    try:
        document = run.read_dataset()
        chosen = (document["files"], document["folds"], document["hashes"])
    except (AppError, KeyError):
        return ""
    return hashlib.blake2b(repr(chosen).encode(errors="surrogateescape")).hexdigest()


def write_note(path: Path, text: str, context: JobContext) -> None:
    """Write the note of a run. Raises: AppError."""
    from core.runs.run_folder import Run

    Run(path).write_note(text)


def set_archived(paths: Sequence[Path], is_archived: bool, context: JobContext) -> int:
    """Archive runs, or bring them back; returns their number. Raises: AppError."""
    from core.runs.run_folder import Run

    for path in paths:
        Run(path).set_archived(is_archived)
    return len(paths)


def _size(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_size if file.is_file() else 0
        except OSError:  # gone meanwhile, or not ours to look at
            continue
    return total


def _differences(path: Path, other: Path) -> tuple[Difference, ...]:
    from core.runs.run_folder import Run

    try:
        mine, theirs = (Run(p).read_recipe().model_dump() for p in (path, other))
    except AppError:
        return ()
    return tuple(
        Difference(key, (_text(theirs[key]), _text(mine[key])))
        for key in mine
        if mine[key] != theirs[key]
    )


def _text(value: Any) -> str:
    if value is None:
        return "chosen"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def read_settings(path: Path, context: JobContext) -> dict[str, Any]:
    """The recipe of a run: its model, and what is not the default. Raises: AppError."""
    from core.runs.run_folder import Run

    recipe = Run(path).read_recipe()
    fields = type(recipe).model_fields
    return {
        key: value
        for key, value in recipe.model_dump().items()
        if key in ("model", "strategy") or value != fields[key].default
    }


def move_to_trash(paths: Sequence[Path], context: JobContext) -> Trashed:
    """Move runs to the platform's trash, not one that is running. Nothing is deleted for good."""
    from core.runs.run_folder import Run

    trashed: list[Path] = []
    for position, path in enumerate(paths):
        if context.should_stop():
            return Trashed(tuple(trashed), f"Stopped: {len(paths) - len(trashed)} stayed.")
        context.on_progress(position, len(paths), "moving to the trash")
        if Run(path).read_status() == "running":
            return Trashed(tuple(trashed), f"The run {path.name} is on: stop it first.")
        try:
            _trash(path)
        except OSError as error:
            reason = error.strerror or str(error) or type(error).__name__
            return Trashed(
                tuple(trashed),
                f"{path.name} could not be moved to the trash: {reason}. It was left as it is; "
                "open its folder to take it away by hand.",
            )
        trashed.append(path)
    return Trashed(tuple(trashed))


def _trash(path: Path) -> None:
    """Raises: OSError where there is no trash or it takes nothing."""
    import send2trash  # type: ignore[import-untyped]

    send2trash.send2trash(str(path))
