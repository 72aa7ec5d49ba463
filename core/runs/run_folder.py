"""Reads and writes a run folder; the only file that knows its layout. No torch.

    <runs>/<name>-YYYYMMDD-HHMMSS/
        recipe.toml  dataset.json  env.json  classes.json  events.jsonl  metrics.csv
        checkpoints/best/   model.safetensors  reference.safetensors  model.json (tasks)
        checkpoints/last/   fine-tuning's state, from which it can be resumed
        checkpoints/teacher.safetensors   a teacher's head, until the run is done
        report.json  predictions.json  tensorboard/
        note.txt  archived  (only if the user has set them)

Every file is written completely or not at all (events.jsonl and metrics.csv grow by whole lines),
and a folder is never reused.
"""

from __future__ import annotations

import csv
import dataclasses
import importlib.metadata
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psutil

from core import events
from core.errors import RunError
from core.events import EpochDone, Event, RunEnded, RunResumed
from core.runs.report import Report
from core.system import atomic_files

if TYPE_CHECKING:
    from core.recipe.recipe import Recipe

RunStatus = Literal["done", "stopped", "failed", "running", "interrupted"]

_RECIPE, _CLASSES, _EVENTS, _REPORT = "recipe.toml", "classes.json", "events.jsonl", "report.json"
_DATASET, _ENV, _METRICS = "dataset.json", "env.json", "metrics.csv"
_PREDICTIONS, _NOTE, _ARCHIVED = "predictions.json", "note.txt", "archived"
_TAIL_BYTES = 1 << 15
_LIBRARIES = ("torch", "torchvision", "timm", "numpy", "pillow", "scikit-learn", "graftwork")


@dataclass(frozen=True, slots=True)
class Prediction:
    """The prediction for one image of the report set; `file` is relative to the dataset."""

    file: str
    label: int
    predicted: int
    probability: float
    """Probability of the predicted class, 0…1."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A row of the runs table."""

    path: Path
    name: str
    started: datetime
    model: str
    strategy: str
    dataset: str
    status: RunStatus
    report_accuracy: float | None
    classes: int
    best_selection_accuracy: float | None = None
    best_epoch: int | None = None
    can_resume: bool = False
    """Whether fine-tuning was stopped, interrupted or failed, and its state was saved."""
    note: str = ""
    """The user's note."""
    is_archived: bool = False
    """Archived runs are listed only on request."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The paths of one saved model."""

    folder: Path

    @property
    def weights(self) -> Path:
        """The file of the whole model's state dict."""
        return self.folder / "model.safetensors"

    @property
    def reference(self) -> Path:
        """The file of training features, which detect pictures unlike them."""
        return self.folder / "reference.safetensors"

    @property
    def tasks(self) -> Path:
        """The file of the heads of tasks; missing without tasks."""
        return self.folder / "tasks.safetensors"

    @property
    def description(self) -> Path:
        """The file that says how to build the model, and its classes."""
        return self.folder / "model.json"


class Run:
    """One run folder. Reading raises RunError if the folder is incomplete."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def best(self) -> Checkpoint:
        """The paths of the best model; they may not exist yet."""
        return Checkpoint(self.path / "checkpoints" / "best")

    @property
    def last(self) -> Path:
        """The folder of the state from which training resumes; `training` knows its content."""
        return self.path / "checkpoints" / "last"

    @property
    def teacher(self) -> Path:
        """The file of the teacher's head for this run; missing if the teacher's own head fits."""
        return self.path / "checkpoints" / "teacher.safetensors"

    @property
    def tensorboard(self) -> Path:
        """The folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    # -- the user's note and archive mark --------------------------------------------------

    def read_note(self) -> str:
        """The user's note, "" without one."""
        try:
            return (self.path / _NOTE).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def write_note(self, text: str) -> None:
        """Replace the note; an empty one removes it. Raises: RunError."""
        with self._as_run_error():
            if text.strip():
                atomic_files.write_text(self.path / _NOTE, f"{text.strip()}\n")
            else:
                (self.path / _NOTE).unlink(missing_ok=True)

    @property
    def is_archived(self) -> bool:
        """Whether the user has archived the run."""
        return (self.path / _ARCHIVED).exists()

    def set_archived(self, is_archived: bool) -> None:
        """Archive the run, or undo that; the folder is not moved. Raises: RunError."""
        with self._as_run_error():
            if is_archived:
                (self.path / _ARCHIVED).touch()
            else:
                (self.path / _ARCHIVED).unlink(missing_ok=True)

    @contextmanager
    def _as_run_error(self) -> Iterator[None]:
        """Turns an OSError of the block into a RunError."""
        try:
            yield
        except OSError as error:
            raise RunError(
                f"The run {self.path.name} cannot be changed: {error.strerror or error}.",
                "Nothing was changed. Make its folder writable.",
            ) from error

    # -- writing, by `training` ----------------------------------------------------------

    def write_classes(self, classes: tuple[str, ...]) -> None:
        """Write the shown names of the classes. Raises: OSError, as all methods that write."""
        atomic_files.write_json(self.path / _CLASSES, list(classes))

    def write_dataset(self, document: Mapping[str, Any]) -> None:
        """Write dataset.json; `document` is that of `dataset_record.to_document`."""
        atomic_files.write_json(self.path / _DATASET, document)

    def write_environment(self, resolved: Mapping[str, Any]) -> None:
        """Write versions, machine, process and the `resolved` device, precision, threads …"""
        atomic_files.write_json(
            self.path / _ENV,
            {
                "python": platform.python_version(),
                "platform": platform.platform(),
                "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
                "process": {"pid": os.getpid(), "started": psutil.Process().create_time()},
                "resolved": dict(resolved),
            },
        )

    def write_report(self, report: Report) -> None:
        """Write report.json."""
        atomic_files.write_json(self.path / _REPORT, report.to_dict())

    def write_predictions(self, predictions: Sequence[Prediction]) -> None:
        """Write predictions.json, as columns."""
        columns = {
            field.name: [getattr(prediction, field.name) for prediction in predictions]
            for field in dataclasses.fields(Prediction)
        }
        atomic_files.write_json(self.path / _PREDICTIONS, columns)

    def append_event(self, event: Event) -> None:
        """Add a line to events.jsonl and, for an epoch, to metrics.csv.

        `RunResumed` removes the later epochs from metrics.csv: they will be repeated.
        """
        with (self.path / _EVENTS).open("ab+") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # an incomplete line of a killed process
                    file.write(b"\n")
            file.write(f"{events.to_json(event)}\n".encode())
        if isinstance(event, EpochDone):
            self._append_metrics(event)
        elif isinstance(event, RunResumed):
            self._remove_metrics(after=event.epoch)

    def _append_metrics(self, event: EpochDone) -> None:
        row = events.to_row(event)
        path = self.path / _METRICS
        is_new = not path.exists()
        with path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            if is_new:
                writer.writeheader()
            writer.writerow(row)

    def _remove_metrics(self, *, after: int) -> None:
        """Remove the epochs after `after` from metrics.csv: the resumed run repeats them."""
        path = self.path / _METRICS
        if not path.exists():
            return
        header, *rows = path.read_text(encoding="utf-8").splitlines()
        kept = [row for row in rows if row.partition(",")[0] in map(str, range(after + 1))]
        atomic_files.write_text(path, "".join(f"{line}\r\n" for line in (header, *kept)))

    def delete_report(self) -> None:
        """Delete report and predictions, because another model is the best now."""
        for name in (_REPORT, _PREDICTIONS):
            (self.path / name).unlink(missing_ok=True)

    def delete_state(self) -> None:
        """Delete the saved state: the run cannot be resumed any more."""
        shutil.rmtree(self.last, ignore_errors=True)
        self.teacher.unlink(missing_ok=True)

    def make_checkpoint_folder(self) -> Checkpoint:
        """Create the folder of the best model and return its paths."""
        self.best.folder.mkdir(parents=True, exist_ok=True)
        return self.best

    # -- reading -------------------------------------------------------------------------

    def read_recipe(self) -> Recipe:
        """The recipe of the run. Raises: AppError."""
        # Imported here: it brings pydantic, and the window calls `is_run` in its first seconds.
        from core.recipe.recipe import read_recipe

        return read_recipe(self.path / _RECIPE)

    def read_classes(self) -> tuple[str, ...]:
        """The shown names of the classes. Raises: RunError."""
        return tuple(self._read_json(_CLASSES))

    def read_dataset(self) -> dict[str, Any]:
        """The content of dataset.json, see `dataset_record`. Raises: RunError."""
        document: dict[str, Any] = self._read_json(_DATASET)
        return document

    def read_environment(self) -> dict[str, Any]:
        """The content of env.json, see `write_environment`. Raises: RunError."""
        document: dict[str, Any] = self._read_json(_ENV)
        return document

    def read_report(self) -> Report | None:
        """The report; None if the run was never evaluated. Raises: RunError if it is damaged."""
        if not (self.path / _REPORT).exists():
            return None
        try:
            return Report.from_dict(self._read_json(_REPORT))
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"The report of the run {self.path.name} is damaged: {error}.",
                "Evaluate the run again.",
            ) from error

    def read_predictions(self) -> tuple[Prediction, ...]:
        """The prediction for each image of the report; empty if the run has stored none.

        Raises: RunError if they are damaged.
        """
        if not (self.path / _PREDICTIONS).exists():
            return ()
        columns = self._read_json(_PREDICTIONS)
        try:
            names = [field.name for field in dataclasses.fields(Prediction)]
            rows = zip(*(columns[name] for name in names), strict=True)
            return tuple(Prediction(*row) for row in rows)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"The predictions of the run {self.path.name} are damaged: {error}.",
                "Evaluate the run again.",
            ) from error

    def events_bytes(self) -> int:
        """Current size of events.jsonl in bytes; 0 if it is missing."""
        try:
            return (self.path / _EVENTS).stat().st_size
        except OSError:
            return 0

    def read_events_from(self, start: int) -> bytes:
        """The content of events.jsonl from the byte `start` on; b"" if the file is missing."""
        try:
            with (self.path / _EVENTS).open("rb") as file:
                file.seek(start)
                return file.read()
        except OSError:
            return b""

    def read_events(self) -> list[Event]:
        """All events in order; lines that are incomplete or unknown are left out."""
        return list(self._iterate_events())

    def _iterate_events(self) -> Iterator[Event]:
        try:
            lines = (self.path / _EVENTS).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                yield events.from_json(line)
            except (KeyError, TypeError, ValueError):
                continue

    def _read_json(self, name: str) -> Any:
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(
                f"The run {self.path.name} has no readable {name}.",
                "It may have been stopped before it could save the file.",
            ) from error

    def read_status(self) -> RunStatus:
        """How the run ended or, if it has not, whether its process still runs."""
        ended = self.read_end()
        if ended is not None:
            return ended.status
        try:
            process = self.read_environment()["process"]
            alive = psutil.Process(process["pid"]).create_time() == process["started"]
        except (RunError, KeyError, psutil.Error):
            alive = False
        return "running" if alive else "interrupted"

    def _has_last(self) -> bool:
        """Whether a complete state is saved; files that are being written have hidden names."""
        return self.last.is_dir() and any(p.name[0] != "." for p in self.last.iterdir())

    def read_end(self) -> RunEnded | None:
        """The event of the run's end; None if it has not ended or was resumed later.

        Reads only the last bytes of the file, so that hundreds of runs with many thousand steps
        each are listed at once.
        """
        try:
            with (self.path / _EVENTS).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
                lines = file.read().splitlines()
        except OSError:
            return None
        for line in reversed(lines):
            with suppress(KeyError, TypeError, ValueError):  # incomplete, or of another version
                event = events.from_json(line.decode("utf-8"))
                if isinstance(event, RunEnded | RunResumed):
                    return event if isinstance(event, RunEnded) else None
        return None

    def summary(self) -> RunSummary:
        """The run as a row of the runs table. Raises: AppError if the folder is not a run."""
        recipe = self.read_recipe()
        ended = self.read_end()
        # A run that failed at its start has no classes yet, but must be listed with its reason.
        has_failed = ended is not None and ended.status == "failed"
        has_classes = not has_failed or (self.path / _CLASSES).is_file()
        classes = self.read_classes() if has_classes else ()
        report = self.read_report()
        name, started = _split_name(self.path)
        status = self.read_status()
        return RunSummary(
            path=self.path,
            name=self.path.name,
            started=started,
            model=recipe.model,
            strategy=recipe.strategy,
            dataset=name,
            status=status,
            report_accuracy=report.top1 if report else None,
            classes=len(classes),
            best_selection_accuracy=ended.best_selection_accuracy if ended else None,
            best_epoch=ended.best_epoch if ended else None,
            can_resume=status in ("stopped", "interrupted", "failed") and self._has_last(),
            note=self.read_note(),
            is_archived=self.is_archived,
        )


def create_run(path: Path, recipe: Recipe, *, like: str = "") -> Run:
    """Create the folder of a new run at `path`.

    `like`: the text of the recipe's file, whose comments are kept.

    Raises: FileExistsError if the path exists already; AppError if it cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=False)
        (path / "checkpoints").mkdir()
        atomic_files.write_text(path / _RECIPE, recipe.to_toml(like))
    except FileExistsError:
        raise
    except OSError as error:
        raise RunError(
            f"The run folder {path} cannot be written: {error.strerror or error}.",
            "Free some space or choose another folder for runs.",
        ) from error
    run = Run(path)
    run.write_environment({})  # its process: the run counts as running from here on
    return run


def is_run(path: Path) -> bool:
    """Whether the folder looks like a run; False if it cannot be read."""
    try:
        return (path / _RECIPE).is_file() and (path / _CLASSES).is_file()
    except OSError:
        return False


def _split_name(path: Path) -> tuple[str, datetime]:
    """(dataset, start) of a run by its folder's name; else (name, time of change)."""
    match = re.fullmatch(r"(.+)-(\d{8}-\d{6})(?:-\d+)?", path.name)
    if match:
        with suppress(ValueError):  # digits that are no date
            return match[1], datetime.strptime(match[2], "%Y%m%d-%H%M%S")
    return path.name, datetime.fromtimestamp(path.stat().st_mtime)
