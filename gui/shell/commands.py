"""What a person can ask of the window: each command starts a job and puts its end in the session.

Pages and menus call these; none of them blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject
from PySide6.QtGui import QImage

from core.errors import AppError
from core.system import paths as app_paths
from gui.base.live_run import LiveRun
from gui.base.session import IN_TRAINING, PageName, Picture, Session
from gui.classify.live_commands import TrialCommands
from gui.edits.commands import DataCommands
from gui.kit.settings import Settings
from gui.kit.words import count, quote
from gui.kit.workers import Job, JobContext, JobRunner, JobSpec
from gui.labelling.commands import FeatureCommands, LabellingCommands, MapCommands
from gui.layers.commands import LayerCommands
from gui.models.commands import ModelCommands
from gui.runs.commands import RunsCommands
from gui.shell import jobs
from gui.shell.drops import find_destination
from gui.start.ready_made_commands import ReadyMadeCommands
from gui.strategy.commands import AdviceCommands
from gui.train.augmentation_commands import PreviewCommands
from gui.train.lr_commands import RateCommands
from gui.train.plan_commands import PlanCommands
from gui.train.queue_commands import QueueCommands

if TYPE_CHECKING:
    from core.catalog.card import ModelCard
    from core.data.dataset import DatasetIndex
    from core.runs.run_folder import RunResult, RunSummary

FALLBACK_CLASSIFIER = "bundled/tf_efficientnet_lite0"


class Commands(QObject):
    """Main thread only."""

    def __init__(
        self, session: Session, runner: JobRunner, settings: Settings, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._runner = runner
        self._settings = settings
        self._queued_pictures: list[Path] = []
        self._broken: dict[Path, str] = {}
        self._left_out = ""
        self.advice = AdviceCommands(session, runner, self)
        self.data = DataCommands(session, runner, self)
        self.features = FeatureCommands(session, runner, self)
        self.maps = MapCommands(self.features, runner, self)
        self.labelling = LabellingCommands(session, self.features, runner, self)
        self.runs = RunsCommands(session, runner, self.refresh_runs, self)
        self.models = ModelCommands(session, runner, self)
        self.models.file_recognised.connect(self.choose_classifier)
        self.layers = LayerCommands(session, runner, self)
        self.plans = PlanCommands(session, runner, self)
        self.previews = PreviewCommands(session, runner, self)
        self.rates = RateCommands(session, runner, self.layers.history, self)
        self.trial = TrialCommands(session, runner, self._answered, self._classify, self)
        self.queue = QueueCommands(session, runner, self._submit_training, self)
        self.ready_made = ReadyMadeCommands(runner, self.open_dataset, self.open_sample, self)

    # -- start-up ----------------------------------------------------------------------------

    def look_around(self) -> None:
        """What every session needs: libraries, models, runs. Called after the first paint.

        One after the other: three threads that import at once keep the window from its turn.
        """
        self._runner.submit(
            JobSpec(
                "models",
                "Reading the catalog",
                jobs.list_models,
                on_success=self._models_listed,
                on_failure=self._listing_failed,
                is_quiet=True,
            )
        )

    def _models_listed(self, cards: tuple[ModelCard, ...]) -> None:
        self._session.set_models(cards)
        self.refresh_runs()

    def refresh_runs(self) -> None:
        self._runner.submit(
            JobSpec(
                "runs",
                "Reading the runs",
                jobs.list_runs,
                on_success=self._runs_listed,
                on_failure=self._listing_failed,
                is_quiet=True,
            )
        )

    def _listing_failed(self, error: AppError) -> None:
        self._session.notice_error("start", error)
        self._warm_up()

    def _warm_up(self) -> None:
        if self._session.machine is None and self._runner.find("warm-up") is None:
            self._runner.submit(
                JobSpec(
                    "warm-up",
                    "Loading libraries",
                    jobs.warm_up,
                    on_success=self._session.set_machine,
                    on_failure=self._warm_up_failed,
                    needs_compute=True,
                )
            )

    def _warm_up_failed(self, error: AppError) -> None:
        self._session.notice_error("start", error)

    def _runs_listed(self, runs: tuple[RunSummary, ...]) -> None:
        self._session.set_runs(runs)
        self.queue.refresh()
        self._warm_up()

    # -- opening -----------------------------------------------------------------------------

    def open_paths(self, paths: Sequence[Path], page: PageName) -> None:
        """Whatever was dropped or chosen; `page` is where a refusal is shown."""
        self._session.notice(page, "")
        try:
            destination = find_destination(paths)
        except AppError as error:
            self._session.notice_error(page, error)
            return
        if destination.kind == "dataset":
            self.open_dataset(*destination.paths)
            shown: PageName = "data"
        elif destination.kind == "run":
            self.open_run(destination.paths[0])
            shown = "results"
        elif destination.kind == "model" and page == "models":
            self.models.weights.add_file(destination.paths[0])
            shown = "models"
        elif destination.kind == "model":
            self.models.open_file(destination.paths[0])
            shown = "classify"
        else:
            self.add_pictures(destination.paths)
            self._left_out = destination.rest
            shown = "classify"
        if destination.rest:
            self._session.notice(shown, destination.rest, "warning")

    def open_dataset(self, path: Path, *more: Path) -> None:
        """A folder, table or archive, or several of these as one dataset."""
        title = f"Scanning “{path.name}”" + (f" and {len(more)} more" if more else "")
        self._scan(partial(jobs.scan_folder, (path, *more) if more else path), path, title)

    def open_sample(self) -> None:
        # Writing it imports scikit-learn: not beside the libraries that are being loaded.
        is_written = app_paths.sample_dir("digits").is_dir()
        self._scan(jobs.scan_sample, None, "Opening the sample", needs_compute=not is_written)

    def _scan(
        self, function: Any, path: Path | None, title: str, *, needs_compute: bool = False
    ) -> None:
        # Submitted first: it replaces an earlier scan, whose end must not be taken for this one's.
        self._runner.submit(
            JobSpec(
                "scan",
                title,
                function,
                on_success=self._scanned,
                on_failure=self._scan_failed,
                on_cancel=self._scan_cancelled,
                needs_compute=needs_compute,
            )
        )
        for page in ("start", "data"):
            self._session.notice(page, "")
        self._session.begin_scan(path)
        self._session.show_page("data")

    def _scanned(self, dataset: DatasetIndex) -> None:
        if len(dataset.opened) == 1:
            self._settings.remember_dataset(dataset.opened[0])
        self._settings.last_folder = dataset.opened[0].parent
        if self._session.dataset is None:
            self._session.notice("train", "")  # it may have said that there is none
        self._session.end_scan(dataset)

    def _scan_failed(self, error: AppError) -> None:
        self._session.end_scan(None)
        kept = self._session.dataset
        text = f"{error} “{kept.name or kept.root.name}” stays open." if kept else str(error)
        self._session.notice("data", text, "error")

    def _scan_cancelled(self) -> None:
        self._session.end_scan(None)
        self._session.notice("data", "The scan was cancelled; nothing was changed.")

    def open_run(self, path: Path) -> None:
        """Show a run's results; from there it can classify."""
        self._session.show_run(path)
        self._session.show_page("results")

    # -- training ----------------------------------------------------------------------------

    def start_training(self, values: dict[str, Any]) -> None:
        """Train on the session's dataset; `values` are the recipe's."""
        if not self._can_train():
            return
        dataset = self._session.dataset
        if dataset is None:
            self._session.notice(
                "train", "There is nothing to train on yet. Open a folder of images first."
            )
            return
        name = dataset.name or dataset.root.name
        self._session.begin_run(LiveRun(name))
        self._submit_training(name, partial(jobs.train, values, dataset))

    def resume_run(self, path: Path) -> None:
        """Go on with a fine-tuning that was stopped or cut off."""
        if not self._can_train():
            return
        known = next((run for run in self._session.runs if run.path == path), None)
        name = known.dataset if known is not None else path.name
        self._session.begin_run(LiveRun(name, path=path))
        self._submit_training(name, partial(jobs.resume_run, path))

    def _can_train(self) -> bool:
        """Show the Train page; false, and said, where a run is on already."""
        self._session.show_page("train")
        self._session.notice("train", "")
        if self._runner.find("train") is None:
            return True
        self._session.notice(
            "train",
            "A run is on already. Stop it first (Shift+F5), or wait for its end.",
            "warning",
        )
        return False

    def _submit_training(self, name: str, function: Callable[[JobContext], RunResult]) -> None:
        self._runner.submit(
            JobSpec(
                "train",
                f"Training on {quote(name)}",
                function,
                on_success=self._trained,
                on_failure=self._training_failed,
                on_cancel=self._training_cancelled,
                on_item=self.trial.hear,
                needs_compute=True,
            )
        )

    def pause_training(self) -> None:
        """Hold the run at its next step, or let it go on."""
        job = self._runner.find("train")
        if job is None or job.is_stopping:
            return
        if job.is_paused:
            job.go_on()
        else:
            job.pause()
        self._session.pause_run(is_paused=job.is_paused)

    def stop_training(self) -> None:
        job = self._runner.find("train")
        if job is not None:
            self.cancel(job)

    def cancel(self, job: Job) -> None:
        """Stop a job the way its kind is stopped."""
        if job.work.key == "train":
            self._session.stop_run()
        self._runner.cancel(job)

    def _trained(self, result: RunResult) -> None:
        self._session.end_run(result)
        self.trial.end(str(result.run))
        if result.report is not None:
            self._session.show_run(result.run)
        # Answers on the page keep their model, and a person's choice stands.
        if not self._session.is_classifier_chosen and not self._session.pictures:
            self._session.set_classifier(str(result.run))
        if result.status == "stopped":
            self._session.notice(
                "train",
                f"The run was stopped after {count(result.epochs, 'epoch')}; what it learned "
                "is saved and can be used." + _about_resuming(result) + self.queue.held,
            )
        self.refresh_runs()

    def _training_failed(self, error: AppError) -> None:
        self._session.end_run(None, str(error))
        self.trial.end("")
        self._session.notice_error("train", error)

    def _training_cancelled(self) -> None:
        self._session.end_run(None)
        self.trial.end("")
        self._session.notice(
            "train",
            "The run was stopped before anything was trained; there is nothing to keep."
            + self.queue.held,
        )

    # -- classifying -------------------------------------------------------------------------

    def choose_classifier(self, reference: str) -> None:
        """Use another model; the pictures on the page are classified again."""
        self._begin_classify_action()
        self._session.set_classifier(reference, is_chosen=True)
        self._runner.supersede("classify")
        self.trial.withdraw()
        for picture in self._session.pictures:
            picture.result = None
            picture.is_waiting = True
        self._session.pictures_changed.emit()
        self._classify([picture.path for picture in self._session.pictures])

    def add_pictures(self, paths: Sequence[Path]) -> None:
        """Show pictures at once and classify them as soon as the compute slot is free."""
        self._begin_classify_action()
        self._session.show_page("classify")
        self._runner.submit(
            JobSpec(
                "previews",
                "Reading pictures",
                partial(jobs.read_thumbnails, tuple(paths), jobs.PREVIEW_PX),
                on_item=self._preview_read,
                on_success=self._previews_read,
                on_failure=self._classify_failed,
                is_quiet=True,
                queues_up=True,
            )
        )

    def paste_picture(self, image: QImage) -> None:
        self._begin_classify_action()
        self._session.show_page("classify")
        self._runner.submit(
            JobSpec(
                "paste",
                "Reading the clipboard",
                partial(jobs.save_pasted, image),
                on_success=self._pasted,
                on_failure=self._classify_failed,
                is_quiet=True,
                queues_up=True,
            )
        )

    def _pasted(self, path: Path) -> None:
        self.add_pictures([path])

    def clear_pictures(self) -> None:
        self._runner.supersede("previews")
        self._runner.supersede("classify")
        self.trial.withdraw()
        self._queued_pictures.clear()
        self._begin_classify_action()
        self._session.set_pictures([])

    def _preview_read(self, preview: jobs.Thumbnail) -> None:
        if preview.error:
            self._notice_broken(preview.path, preview.error)
            return
        self._session.add_picture(Picture(preview.path, preview.image))
        self._queued_pictures.append(preview.path)

    def _previews_read(self, _result: None) -> None:
        paths, self._queued_pictures = self._queued_pictures, []
        self._classify(paths)

    def _classify(self, paths: Sequence[Path]) -> None:
        if not paths:
            return
        if not self._session.classifier:
            runs = self._session.usable_runs
            self._session.set_classifier(str(runs[0].path) if runs else FALLBACK_CLASSIFIER)
        asked = set(paths)
        for picture in self._session.pictures:
            if picture.path in asked:
                picture.asked = self._session.classifier
        if self._session.classifier == IN_TRAINING and self.trial.ask(paths):
            return
        what = "a picture" if len(paths) == 1 else count(len(paths), "picture")
        self._runner.submit(
            JobSpec(
                "classify",
                f"Classifying {what}",
                partial(jobs.classify, self._session.classifier, tuple(paths)),
                on_item=self._answered,
                on_failure=self._classify_failed,
                on_cancel=self._classify_cancelled,
                needs_compute=True,
                queues_up=True,
            )
        )

    def _answered(self, answer: jobs.Answer) -> None:
        error = answer.classification.error
        found = None if error else answer.classification
        self._session.answer_picture(answer.path, found, answer.by)
        if error:
            self._notice_broken(answer.path, error)

    def _begin_classify_action(self) -> None:
        self._broken.clear()
        self._left_out = ""
        self._session.notice("classify", "")

    def _notice_broken(self, path: Path, reason: str) -> None:
        """One notice for all broken files of a drop; a second one would replace the first."""
        self._broken[path] = reason
        count = len(self._broken)
        if count == 1:
            said = reason
        else:
            names = ", ".join(f"“{known.name}”" for known in list(self._broken)[:3])
            more = f" and {count - 3} more" if count > 3 else ""
            said = f"{count} pictures cannot be read: {names}{more}."
        if self._session.pictures:
            said += " The other results are kept."
        self._session.notice("classify", f"{said} {self._left_out}".strip(), "error")

    def _classify_failed(self, error: AppError) -> None:
        self._give_up_waiting()
        if isinstance(error, jobs.RunGoneError):
            self._session.set_classifier("")
            self.refresh_runs()
        self._session.notice_error("classify", error)

    def _classify_cancelled(self) -> None:
        self._give_up_waiting()
        self._session.notice("classify", "Classifying was cancelled; earlier results are kept.")

    def _give_up_waiting(self) -> None:
        for picture in self._session.pictures:
            picture.is_waiting = False
        self._session.pictures_changed.emit()


def _about_resuming(result: RunResult) -> str:
    if result.strategy == "feature-extraction":
        return ""
    if result.report is None:
        return " It can be resumed; there is no report before that."
    return " It can be resumed."
