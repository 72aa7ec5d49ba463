"""What the window has done in its worker threads: each function calls core and hands back values.

Core is imported inside the functions, because what stands behind it (torch and its company) takes
seconds and must not be loaded before the first paint. No function here touches a widget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtGui import QImage

from core.errors import AppError
from core.events import (
    EpochDone,
    Event,
    Progress,
    RunEnded,
    RunStarted,
    StepDone,
    check_stop,
)
from core.system import paths as app_paths
from core.system.load import LoadSampler
from gui.kit.workers import JobContext

if TYPE_CHECKING:
    from PIL import Image

    from core.catalog.card import ModelCard
    from core.data.dataset import DatasetIndex
    from core.diagnostics.warmup import Machine
    from core.evaluation.classifier import Classification, Classifier
    from core.runs.run_folder import RunResult, RunSummary
    from core.training.live_model import CurrentModel

PREVIEW_PX = 640
THUMBNAIL_PX = 128
_CLASSIFY_BATCH = 16


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A decoded small picture; `image` is null where the file could not be read."""

    path: Path
    image: QImage
    error: str = ""


def warm_up(link: JobContext) -> Machine:
    """Import everything heavy once, the plots' library first: a page may want it any moment."""
    import pyqtgraph  # noqa: F401 - loaded here so that the Train page finds it loaded

    from core.diagnostics import warmup

    return warmup.warm_up(on_progress=link.on_progress, should_stop=link.should_stop)


def list_models(link: JobContext) -> tuple[ModelCard, ...]:
    """The models whose weights are on this machine, those that come with the application first."""
    from core.models.resolve import with_added
    from core.models.weights import weights

    cards = with_added().cards
    here = weights.cards_here(cards)
    return tuple(card for card in cards if card.id in here)


def list_runs(link: JobContext) -> tuple[RunSummary, ...]:
    """All runs but those stopped before there was a model: a summary does not tell these apart."""
    from core.runs.run_folder import Run
    from core.runs.store import RunStore

    return tuple(
        run
        for run in RunStore().runs()
        if run.status != "stopped" or Run(run.path).best.weights.is_file()
    )


def scan_folder(path: Path | tuple[Path, ...], link: JobContext) -> DatasetIndex:
    """Pictures that nobody has labelled are there as well: they can be labelled in the window."""
    from core.data.open_dataset import open_dataset

    return open_dataset(
        path, allow_unlabelled=True, on_progress=link.on_progress, should_stop=link.should_stop
    )


def scan_sample(link: JobContext) -> DatasetIndex:
    """Write the handwritten digits where they are missing, and scan them."""
    from core.data.sources import samples

    link.on_progress(0, 0, "writing the sample")
    return scan_folder(samples.digits(), link)


def read_thumbnails(paths: Sequence[Path], short_side: int, link: JobContext) -> None:
    """Send one `Thumbnail` per file; a broken file sends its reason."""
    for path in paths:
        check_stop(link.should_stop)
        link.sink(_read_thumbnail(path, short_side, link))


def read_interruptible(path: Path, short_side: int, link: JobContext) -> Image.Image:
    """The picture of a file; a drive that does not answer keeps no job from being cancelled.

    Raises: DecodeError, Cancelled.
    """
    from core.images.decode import read_image
    from core.system.threads import run_interruptible

    return run_interruptible(
        lambda _stopping: read_image(path, short_side=short_side),
        note="Reading pictures",
        name=path.name,
        on_progress=link.on_progress,
        should_stop=link.should_stop,
    )


def _read_thumbnail(path: Path, short_side: int, link: JobContext) -> Thumbnail:
    try:
        return Thumbnail(path, _to_qimage(read_interruptible(path, short_side, link)))
    except AppError as error:
        return Thumbnail(path, QImage(), str(error))


def _to_qimage(picture: Image.Image) -> QImage:
    width, height = picture.size
    buffer = picture.tobytes()
    # copy(): a QImage made from a buffer does not keep it alive.
    return QImage(buffer, width, height, 3 * width, QImage.Format.Format_RGB888).copy()


def save_pasted(image: QImage, link: JobContext) -> Path:
    """Keep a pasted picture as a file, so that it goes the way of every other picture."""
    folder = app_paths.cache_dir() / "pasted"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"pasted-{sum(1 for _ in folder.iterdir()) + 1}.png"
    if not image.save(str(path)):
        raise AppError("The pasted picture could not be kept.", f"Is there space left in {folder}?")
    return path


def train(values: dict[str, Any], dataset: DatasetIndex, link: JobContext) -> RunResult:
    """One run from the form's values. Raises: AppError for a value the recipe refuses."""
    from core.recipe.recipe import new_recipe
    from core.runs.store import RunStore
    from core.training.fit import fit
    from core.training.torchrun import fit_together, processes_of

    recipe = new_recipe(values)
    if processes_of(recipe) > 1:
        hear = ProgressFromEvents(link).hear
        return fit_together(recipe, dataset, sink=hear, should_stop=link.should_stop)
    run = RunStore().create(dataset.name or dataset.root.name, recipe)
    listener = ProgressFromEvents(link)
    return fit(
        recipe, dataset, run, sink=listener.hear, should_stop=link.should_stop,
        between_steps=listener.answer,
    )  # fmt: skip


def resume_run(path: Path, link: JobContext) -> RunResult:
    """Go on with a stopped run; what it told before is told again first, for the curves."""
    from core.runs.store import RunStore
    from core.training.fit import resume
    from core.training.torchrun import processes_of, resume_together

    run = RunStore().open(path)  # a run that failed is known by its name alone
    listener = ProgressFromEvents(link)
    for event in run.read_events():
        if not isinstance(event, RunEnded):
            listener.hear(event)
    if processes_of(run.read_recipe()) > 1:
        return resume_together(run, sink=listener.hear, should_stop=link.should_stop)
    return resume(
        run, sink=listener.hear, should_stop=link.should_stop, between_steps=listener.answer
    )


class ProgressFromEvents:
    """Passes a run's events on, makes the status line's progress of them, samples the load, and
    answers what is asked of the model meanwhile."""

    def __init__(self, link: JobContext) -> None:
        self._link = link
        self._load: LoadSampler | None = None
        self._device = "cpu"
        self._epochs = 0
        self._steps = 0  # in an epoch; 0 where a head is fitted to cached features

    def hear(self, event: Event) -> None:
        self._link.sink(event)
        if isinstance(event, RunStarted):
            self._epochs, self._steps = event.epochs, event.steps_per_epoch
            self._device = event.device
        elif isinstance(event, StepDone):
            most = self._epochs * self._steps
            self._link.on_progress(event.step, most, "training")
        elif isinstance(event, Progress):
            self._link.on_progress(event.done, event.total, event.note)
        elif isinstance(event, EpochDone) and not self._steps:
            self._link.on_progress(event.epoch, self._epochs, "training the head")

    def answer(self, model: CurrentModel) -> None:
        """Answer what the window asks of the model, between two steps and while it is paused."""
        if self._load is None:
            self._load = LoadSampler(self._device)
        if load := self._load.sample():
            self._link.sink(load)
        while (paths := self._link.take_questions()) or self._link.is_held():
            if not paths:
                continue
            classifier = model.classifier()
            by = f"the model in training, step {model.step:,} (epoch {model.epoch:,})"
            for path, answer in zip(paths, classifier.classify(paths, top=5), strict=True):
                self._link.sink(Answer(path, answer, by))
            if not self._link.is_held():
                return  # the next ones after the next step


class _ClassifierCache:
    """The classifier used last. Only jobs that hold the compute slot come here."""

    def __init__(self) -> None:
        self._reference = ""
        self._classifier: Classifier | None = None

    def open(self, reference: str) -> Classifier:
        from core.evaluation.classifier import Classifier

        if self._classifier is None or self._reference != reference:
            self._classifier = Classifier.open(reference)
            self._reference = reference
        return self._classifier


_classifiers = _ClassifierCache()


class RunGoneError(AppError):
    """A run whose folder was moved or deleted while it was on offer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The classification of one file."""

    path: Path
    classification: Classification
    by: str = ""


def classify(reference: str, paths: Sequence[Path], link: JobContext) -> None:
    """Send one `Answer` per file, a few at a time."""
    # A model's id is no path; a run is given by its folder.
    if Path(reference).is_absolute() and not Path(reference).is_dir():
        raise RunGoneError(
            f"The run {Path(reference).name} is no longer there.", "Choose another model."
        )
    link.on_progress(0, len(paths), "opening the model")
    classifier = _classifiers.open(reference)
    for start in range(0, len(paths), _CLASSIFY_BATCH):
        check_stop(link.should_stop)
        link.on_progress(start, len(paths), "classifying")
        batch = list(paths[start : start + _CLASSIFY_BATCH])
        for path, classification in zip(batch, classifier.classify(batch, top=5), strict=True):
            link.sink(Answer(path, classification))
