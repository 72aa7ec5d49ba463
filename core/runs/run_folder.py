"""The run folder: the only file that knows its layout. No torch.

    <runs>/<name>-YYYYMMDD-HHMMSS/
        recipe.toml  dataset.json  env.json  classes.json  events.jsonl  metrics.csv
        checkpoints/best/   model.safetensors  reference.safetensors  model.json (tasks)
        checkpoints/last/   fine-tuning's state, to go on from
        checkpoints/teacher.safetensors   a teacher's head, until the end
        report.json  predictions.json  tensorboard/
        note.txt  archived  (both only where a person wanted them)

Every file is written whole or not at all (events.jsonl and metrics.csv grow by whole lines), and
a folder is never reused.
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
class RunResult:
    """What `fit` hands back. `report` is None where there was nothing to evaluate."""

    run: Path
    status: Literal["done", "stopped"]
    model: str
    strategy: str
    epochs: int
    best_selection_accuracy: float
    report: Report | None
    seconds: float
    best_epoch: int = -1
    probe_selection_accuracy: float | None = None
    """Fine-tuning: of the head on frozen features it began with, on the selection images."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model said of one image of the report set; `file` is relative to the dataset."""

    file: str
    label: int
    predicted: int
    probability: float
    """Of the predicted class."""


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
    """It was stopped, cut off or failed in fine-tuning, and its state is there."""
    note: str = ""
    """What a person wrote about it."""
    is_archived: bool = False
    """Put aside: listed only where archived runs are asked for."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Paths of one saved model."""

    folder: Path

    @property
    def weights(self) -> Path:
        """The whole model's state dict."""
        return self.folder / "model.safetensors"

    @property
    def reference(self) -> Path:
        """Features of training images, to tell pictures unlike them."""
        return self.folder / "reference.safetensors"

    @property
    def tasks(self) -> Path:
        """The heads of the tasks; only where some were learned beside the label."""
        return self.folder / "tasks.safetensors"

    @property
    def description(self) -> Path:
        """How to build the model again and what it answers."""
        return self.folder / "model.json"


class Run:
    """One run folder. Reading raises RunError where the folder is incomplete."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def best(self) -> Checkpoint:
        return Checkpoint(self.path / "checkpoints" / "best")

    @property
    def last(self) -> Path:
        """The folder of the state to go on from; its content is the trainer's business."""
        return self.path / "checkpoints" / "last"

    @property
    def teacher(self) -> Path:
        """The head that a teacher got for this run; only where its own knows other classes."""
        return self.path / "checkpoints" / "teacher.safetensors"

    @property
    def tensorboard(self) -> Path:
        """The folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    # -- what a person says of it ----------------------------------------------------------

    def read_note(self) -> str:
        try:
            return (self.path / _NOTE).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def write_note(self, text: str) -> None:
        """Replace the note; an empty one takes it away. Raises: RunError."""
        with self._changing():
            if text.strip():
                atomic_files.write_text(self.path / _NOTE, f"{text.strip()}\n")
            else:
                (self.path / _NOTE).unlink(missing_ok=True)

    @property
    def is_archived(self) -> bool:
        return (self.path / _ARCHIVED).exists()

    def set_archived(self, is_archived: bool) -> None:
        """Put aside, or back among the others; the folder stays where it is. Raises: RunError."""
        with self._changing():
            if is_archived:
                (self.path / _ARCHIVED).touch()
            else:
                (self.path / _ARCHIVED).unlink(missing_ok=True)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(
                f"The run {self.path.name} cannot be changed: {error.strerror or error}.",
                "It was left as it is; make its folder writable.",
            ) from error

    # -- writing, by the trainer ---------------------------------------------------------

    def write_classes(self, classes: tuple[str, ...]) -> None:
        atomic_files.write_json(self.path / _CLASSES, list(classes))

    def write_dataset(self, document: Mapping[str, Any]) -> None:
        atomic_files.write_json(self.path / _DATASET, document)

    def write_environment(self, resolved: Mapping[str, Any]) -> None:
        """Versions, machine and what was resolved (device, precision, threads …)."""
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
        atomic_files.write_json(self.path / _REPORT, report.to_dict())

    def write_predictions(self, predictions: Sequence[Prediction]) -> None:
        columns = {
            field.name: [getattr(prediction, field.name) for prediction in predictions]
            for field in dataclasses.fields(Prediction)
        }
        atomic_files.write_json(self.path / _PREDICTIONS, columns)

    def append_event(self, event: Event) -> None:
        with (self.path / _EVENTS).open("ab+") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # half a line of a process that was killed
                    file.write(b"\n")
            file.write(f"{events.to_json(event)}\n".encode())
        if isinstance(event, EpochDone):
            self._append_metrics(event)
        elif isinstance(event, RunResumed):
            self._forget_metrics(since=event.epoch)

    def _append_metrics(self, event: EpochDone) -> None:
        row = events.to_row(event)
        path = self.path / _METRICS
        is_new = not path.exists()
        with path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            if is_new:
                writer.writeheader()
            writer.writerow(row)

    def _forget_metrics(self, *, since: int) -> None:
        """Leave out the epochs after `since`: the resumed run does them again."""
        path = self.path / _METRICS
        if not path.exists():
            return
        header, *rows = path.read_text(encoding="utf-8").splitlines()
        kept = [row for row in rows if row.partition(",")[0] in map(str, range(since + 1))]
        atomic_files.write_text(path, "".join(f"{line}\r\n" for line in (header, *kept)))

    def forget_report(self) -> None:
        """A report on a model that is no longer the best says nothing of the one that is."""
        for name in (_REPORT, _PREDICTIONS):
            (self.path / name).unlink(missing_ok=True)

    def forget_state(self) -> None:
        """Nothing is left to go on with."""
        shutil.rmtree(self.last, ignore_errors=True)
        self.teacher.unlink(missing_ok=True)

    def make_checkpoint_folder(self) -> Checkpoint:
        self.best.folder.mkdir(parents=True, exist_ok=True)
        return self.best

    # -- reading -------------------------------------------------------------------------

    def read_recipe(self) -> Recipe:
        # Here, not above: the schema brings pydantic along, and the window asks `is_run` of what
        # is dropped on it in its first seconds.
        from core.recipe.recipe import read_recipe

        return read_recipe(self.path / _RECIPE)

    def read_classes(self) -> tuple[str, ...]:
        return tuple(self._read_json(_CLASSES))

    def read_dataset(self) -> dict[str, Any]:
        document: dict[str, Any] = self._read_json(_DATASET)
        return document

    def read_environment(self) -> dict[str, Any]:
        document: dict[str, Any] = self._read_json(_ENV)
        return document

    def read_report(self) -> Report | None:
        """None where the run was never evaluated."""
        if not (self.path / _REPORT).exists():
            return None
        try:
            return Report.from_dict(self._read_json(_REPORT))
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"The report of the run {self.path.name} is damaged: {error}."
            ) from error

    def read_predictions(self) -> tuple[Prediction, ...]:
        """What the report counts, image by image; nothing where the run keeps none."""
        if not (self.path / _PREDICTIONS).exists():
            return ()
        columns = self._read_json(_PREDICTIONS)
        try:
            names = [field.name for field in dataclasses.fields(Prediction)]
            rows = zip(*(columns[name] for name in names), strict=True)
            return tuple(Prediction(*row) for row in rows)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"The predictions of the run {self.path.name} are damaged: {error}."
            ) from error

    def events_bytes(self) -> int:
        """How long the record of events is by now."""
        try:
            return (self.path / _EVENTS).stat().st_size
        except OSError:
            return 0

    def read_events_from(self, start: int) -> bytes:
        """What the record of events holds from a byte on; nothing where it is not there yet."""
        try:
            with (self.path / _EVENTS).open("rb") as file:
                file.seek(start)
                return file.read()
        except OSError:
            return b""

    def read_events(self) -> list[Event]:
        """All events in order; a half-written last line is left out."""
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
                "It may have been stopped before it had anything to save.",
            ) from error

    def read_status(self) -> RunStatus:
        """How the run ended, or whether its process still lives."""
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
        """Whether a whole state is there; what is being written has a hidden name."""
        return self.last.is_dir() and any(p.name[0] != "." for p in self.last.iterdir())

    def read_end(self) -> RunEnded | None:
        """The end of the run, unless it was resumed since.

        Only the tail of the file is read: the end is its last word, or it has not ended. A listing
        of hundreds of runs with many thousand steps each stays a matter of a moment.
        """
        try:
            with (self.path / _EVENTS).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
                lines = file.read().splitlines()
        except OSError:
            return None
        for line in reversed(lines):
            with suppress(KeyError, TypeError, ValueError):  # half a line, or of another version
                event = events.from_json(line.decode("utf-8"))
                if isinstance(event, RunEnded | RunResumed):
                    return event if isinstance(event, RunEnded) else None
        return None

    def summary(self) -> RunSummary:
        """Raises: AppError where the folder is not a run."""
        recipe = self.read_recipe()
        ended = self.read_end()
        # What fails before it begins has no classes yet, and is to be seen with its reason.
        is_stillborn = ended is not None and ended.status == "failed"
        has_classes = not is_stillborn or (self.path / _CLASSES).is_file()
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
    """Make the folder of a new run at `path`. `like`: the text of the recipe's file, whose comments
    are kept.

    Raises: FileExistsError where something is there already, AppError where it cannot be written.
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
    run.write_environment({})  # whose process it is, before the model is fetched and built
    return run


def is_run(path: Path) -> bool:
    """Whether the folder looks like a run; no where it may not be looked into."""
    try:
        return (path / _RECIPE).is_file() and (path / _CLASSES).is_file()
    except OSError:
        return False


def _split_name(path: Path) -> tuple[str, datetime]:
    """Dataset and start of a run, from its folder's name; else the folder's own time."""
    match = re.fullmatch(r"(.+)-(\d{8}-\d{6})(?:-\d+)?", path.name)
    if match:
        with suppress(ValueError):  # digits that are no date
            return match[1], datetime.strptime(match[2], "%Y%m%d-%H%M%S")
    return path.name, datetime.fromtimestamp(path.stat().st_mtime)
