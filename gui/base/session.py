"""What the window holds: the only mutable state of the GUI. Pages meet here and nowhere else.

Plain values and a signal for each that changes; the commands of the features start work.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QImage

from core.errors import AppError
from core.events import Event, StepDone
from core.system.load import Load
from gui.base.live_run import LiveRun, Phase

if TYPE_CHECKING:
    from core.catalog.card import ModelCard
    from core.data.dataset import DatasetIndex
    from core.diagnostics.warmup import Machine
    from core.evaluation.classifier import Classification
    from core.runs.report import RunResult
    from core.runs.run_folder import RunSummary

PageName = Literal["start", "models", "data", "strategy", "train", "results", "classify", "runs"]
ScanState = Literal["none", "busy", "ready"]
IN_TRAINING = "in-training:"
"""The classifier that is the model in training."""


@dataclass
class Picture:
    """One image on the Classify page."""

    path: Path
    preview: QImage
    result: Classification | None = None
    is_waiting: bool = True
    asked: str = ""
    """The classifier that was asked for the result: another may be chosen by now."""
    by: str = ""
    """Which model gave the result, where the classifier alone does not say it."""


@dataclass(frozen=True, slots=True)
class PageNotice:
    """A sentence for one page's notice bar; an empty text clears it. “here”: the page shown."""

    page: PageName | Literal["here"]
    text: str
    level: Literal["info", "warning", "error"]
    action: Literal["", "undo", "redo"] = ""
    """What the notice offers beside its text."""


class Session(QObject):
    """Main thread only."""

    dataset_changed = Signal()
    machine_changed = Signal()
    models_changed = Signal()
    runs_changed = Signal()
    run_changed = Signal()
    recipe_changed = Signal()
    shown_run_changed = Signal()
    classifier_changed = Signal()
    pictures_changed = Signal()
    picture_added = Signal(object)
    picture_answered = Signal(object)
    page_wanted = Signal(str)
    noticed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.dataset: DatasetIndex | None = None
        self.scan_state: ScanState = "none"
        self.scanned_path: Path | None = None
        self.machine: Machine | None = None
        self.models: tuple[ModelCard, ...] = ()
        self.runs: tuple[RunSummary, ...] = ()
        self.live_run: LiveRun | None = None
        self.model_id = ""
        self.recipe_values: dict[str, Any] = {}
        """What the next run is to do, beside the model; keys of the recipe, nothing that is left
        at its default need stand here."""
        self._phase_before_pause: Phase = "training"
        self._step_timer = QTimer(self)
        self._step_timer.setSingleShot(True)
        self._step_timer.timeout.connect(self.run_changed)
        self.shown_run: Path | None = None
        """The run that Results shows."""
        self.classifier = ""
        self.is_classifier_chosen = False
        self.pictures: list[Picture] = []

    @property
    def usable_runs(self) -> tuple[RunSummary, ...]:
        """The runs that can classify, newest first; without failed and archived ones."""
        return tuple(
            run
            for run in self.runs
            if (run.report_accuracy is not None or run.status in ("done", "stopped"))
            and not run.is_archived
        )

    # -- pages and notices -------------------------------------------------------------------

    def show_page(self, page: PageName) -> None:
        self.page_wanted.emit(page)

    def notice(
        self,
        page: PageName | Literal["here"],
        text: str,
        level: Literal["info", "warning", "error"] = "info",
        action: Literal["", "undo", "redo"] = "",
    ) -> None:
        self.noticed.emit(PageNotice(page, text, level, action))

    def notice_error(self, page: PageName, error: AppError) -> None:
        self.notice(page, str(error), "error")

    # -- changing ----------------------------------------------------------------------------

    def begin_scan(self, path: Path | None) -> None:
        self.scan_state = "busy"
        self.scanned_path = path
        self.dataset_changed.emit()

    def end_scan(self, dataset: DatasetIndex | None) -> None:
        """Take the dataset of a scan; None where it failed: the dataset before it stays open."""
        if dataset is not None:
            self.dataset = dataset
        self.scan_state = "none" if self.dataset is None else "ready"
        self.dataset_changed.emit()

    def set_edited(self, dataset: DatasetIndex) -> None:
        """Replace the open dataset by the same one with other edits; a scan under way goes on."""
        self.dataset = dataset
        self.dataset_changed.emit()

    def set_machine(self, machine: Machine) -> None:
        self.machine = machine
        self.machine_changed.emit()

    def set_models(self, cards: tuple[ModelCard, ...]) -> None:
        self.models = cards
        if not self.model_id and cards:
            self.model_id = cards[0].id
        self.models_changed.emit()

    def set_model(self, model_id: str) -> None:
        self.model_id = model_id
        self.models_changed.emit()

    def set_recipe_values(self, values: dict[str, Any]) -> None:
        """Replace what the next run is to do; a `model` among the values is chosen too."""
        values = dict(values)
        model_id = values.pop("model", None)
        self.recipe_values = values
        if model_id is not None and model_id != self.model_id:
            self.set_model(model_id)
        self.recipe_changed.emit()

    def show_run(self, path: Path | None) -> None:
        """Let Results show this run."""
        self.shown_run = path
        self.shown_run_changed.emit()

    def set_runs(self, runs: tuple[RunSummary, ...]) -> None:
        self.runs = runs
        self.runs_changed.emit()

    def begin_run(self, live_run: LiveRun) -> None:
        self.live_run = live_run
        self.run_changed.emit()

    @property
    def is_run_on(self) -> bool:
        """Whether a run of this window trains now."""
        return self.live_run is not None and self.live_run.is_on

    @property
    def can_try(self) -> bool:
        """Whether a run is on whose model can classify pictures between two steps."""
        live = self.live_run
        return live is not None and live.is_fine_tuning and live.is_on and live.phase != "stopping"

    def apply_event(self, event: Event | Load) -> None:
        if self.live_run is not None:
            self.live_run.apply(event)
            if isinstance(event, StepDone | Load):
                # Hundreds come in one go from a fast device: one change for all of them.
                self._step_timer.start()
            else:
                self.run_changed.emit()

    def pause_run(self, *, is_paused: bool) -> None:
        live = self.live_run
        if live is None or not live.is_on or live.phase == "stopping":
            return
        if is_paused:
            self._phase_before_pause = live.phase
            live.phase = "paused"
        elif live.phase == "paused":
            live.phase = self._phase_before_pause
        self.run_changed.emit()

    def stop_run(self) -> None:
        if self.live_run is not None and self.live_run.is_on:
            self.live_run.phase = "stopping"
            self.run_changed.emit()

    def end_run(self, result: RunResult | None, error: str = "") -> None:
        """End the live run; `result` None: it failed (`error` says why) or left nothing to keep."""
        if self.live_run is None:
            return
        self.live_run.result = result
        if result is not None:
            self.live_run.phase = result.status
            self.live_run.path = result.run
        elif error:
            self.live_run.phase = "failed"
            self.live_run.error = error
        else:
            self.live_run = None
        self.run_changed.emit()

    def set_classifier(self, reference: str, *, is_chosen: bool = False) -> None:
        """Classify with a run folder or a model id from now on.

        `is_chosen`: a person chose it, so the end of a run does not replace it.
        """
        self.classifier = reference
        self.is_classifier_chosen = is_chosen
        self.classifier_changed.emit()

    def set_pictures(self, pictures: list[Picture]) -> None:
        self.pictures = pictures
        self.pictures_changed.emit()

    def add_picture(self, added: Picture) -> None:
        """Put a picture first, and remove an earlier one of the same file."""
        self.pictures = [added, *(known for known in self.pictures if known.path != added.path)]
        self.picture_added.emit(added)

    def answer_picture(self, path: Path, result: Classification | None, by: str = "") -> None:
        """Store the classification of a picture; None where it failed."""
        for picture in self.pictures:
            if picture.path == path:
                picture.result = result
                picture.by = by
                picture.is_waiting = False
                self.picture_answered.emit(picture)
