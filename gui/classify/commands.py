"""Classifying pictures: which model answers, which pictures are shown, what it answered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtGui import QImage

from core.errors import AppError
from gui.base.commands import CommandSet
from gui.base.session import IN_TRAINING, Picture, Session
from gui.classify import jobs
from gui.classify.jobs import Answer
from gui.kit.words import count, quote_some
from gui.kit.workers import JobRunner
from gui.pictures import jobs as picture_jobs
from gui.pictures.jobs import Thumbnail
from gui.runs.commands import RunsCommands

FALLBACK_CLASSIFIER = "bundled/tf_efficientnet_lite0"


class ClassifyCommands(CommandSet):
    """Shows pictures at once, and answers as they come.

    While a run is on, its own thread answers for the model in training, between two steps: it has
    the compute slot and the weights. What is still open when the run ends goes to what it left.
    """

    def __init__(
        self,
        session: Session,
        runner: JobRunner,
        runs: RunsCommands,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(session, runner, parent)
        self._runs = runs
        self._queued_pictures: list[Path] = []
        self._broken: dict[Path, str] = {}
        self._left_out = ""

    def choose_classifier(self, reference: str) -> None:
        """Use another model; the pictures on the page are classified again."""
        self._begin_action()
        self._session.set_classifier(reference, is_chosen=True)
        self._runner.supersede("classify")
        self._withdraw_questions()
        for picture in self._session.pictures:
            picture.result = None
            picture.is_waiting = True
        self._session.pictures_changed.emit()
        self._classify([picture.path for picture in self._session.pictures])

    def classify_with_run(self, path: Path) -> None:
        """Choose the model of a run, and show the page."""
        self.choose_classifier(str(path))
        self._session.show_page("classify")

    def add_pictures(self, paths: Sequence[Path], *, left_out: str = "") -> None:
        """Show pictures at once and classify them as soon as the compute slot is free.

        `left_out` says which files that came with them are not shown.
        """
        self._begin_action(left_out)
        self._session.show_page("classify")
        self._runner.start(
            picture_jobs.read_thumbnails, tuple(paths), picture_jobs.PREVIEW_PX,
            title="Reading pictures", key="previews", on_item=self._preview_read,
            on_done=self._previews_read, on_failed=self._failed, quiet=True, queue_up=True,
        )  # fmt: skip

    def paste_picture(self, image: QImage) -> None:
        """Keep a picture of the clipboard as a file and classify it."""
        self._begin_action()
        self._session.show_page("classify")
        self._runner.start(
            jobs.save_pasted, image,
            title="Reading the clipboard", on_done=self._pasted, on_failed=self._failed, quiet=True,
            queue_up=True,
        )  # fmt: skip

    def _pasted(self, path: Path) -> None:
        self.add_pictures([path])

    def clear_pictures(self) -> None:
        """Show no picture, and stop classifying."""
        self._runner.supersede("previews")
        self._runner.supersede("classify")
        self._withdraw_questions()
        self._queued_pictures.clear()
        self._begin_action()
        self._session.set_pictures([])

    def _preview_read(self, preview: Thumbnail) -> None:
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
        if self._session.classifier == IN_TRAINING and self._ask_model_in_training(paths):
            return
        what = "a picture" if len(paths) == 1 else count(len(paths), "picture")
        self._runner.start(
            jobs.classify, self._session.classifier, tuple(paths),
            title=f"Classifying {what}", key="classify", on_item=self._answered,
            on_failed=self._failed, on_cancel=self._cancelled, needs_compute=True, queue_up=True,
        )  # fmt: skip

    def _answered(self, answer: Answer) -> None:
        error = answer.classification.error
        found = None if error else answer.classification
        self._session.answer_picture(answer.path, found, answer.by)
        if error:
            self._notice_broken(answer.path, error)

    # -- the model in training ---------------------------------------------------------------

    def _ask_model_in_training(self, paths: Sequence[Path]) -> bool:
        """Let the run's thread classify these pictures; false where there is no such run."""
        job = self._runner.find("train")
        if job is None or not self._session.can_try:
            return False
        job.ask_about(paths)
        return True

    def _withdraw_questions(self) -> None:
        """Drop what the model in training was asked and has not answered yet."""
        job = self._runner.find("train")
        if job is not None:
            job.withdraw()

    def show_live_answer(self, answer: Answer) -> None:
        """Show an answer of the model in training, where the picture still waits for it."""
        if any(p.path == answer.path and p.asked == IN_TRAINING for p in self._session.pictures):
            self._answered(answer)

    def replace_model_in_training(self, reference: str) -> None:
        """The run is over: from now on `reference` answers (empty: whatever there is)."""
        session = self._session
        if session.classifier == IN_TRAINING:
            session.set_classifier(reference)
        self._classify(
            [p.path for p in session.pictures if p.is_waiting and p.asked == IN_TRAINING]
        )

    # -- notices -----------------------------------------------------------------------------

    def _begin_action(self, left_out: str = "") -> None:
        self._broken.clear()
        self._left_out = left_out
        self._session.notice("classify", "")

    def _notice_broken(self, path: Path, reason: str) -> None:
        """One notice for all broken files of a drop; a second one would replace the first."""
        self._broken[path] = reason
        count = len(self._broken)
        if count == 1:
            text = reason
        else:
            names = quote_some([known.name for known in self._broken])
            text = f"{count} pictures cannot be read: {names}."
        if self._session.pictures:
            text += " The other results are kept."
        self._session.notice("classify", f"{text} {self._left_out}".strip(), "error")

    def _failed(self, error: AppError) -> None:
        self._give_up_waiting()
        if isinstance(error, jobs.RunGoneError):
            self._session.set_classifier("")
            self._runs.refresh()
        self._session.notice_error("classify", error)

    def _cancelled(self) -> None:
        self._give_up_waiting()
        self._session.notice("classify", "Classifying was cancelled; earlier results are kept.")

    def _give_up_waiting(self) -> None:
        for picture in self._session.pictures:
            picture.is_waiting = False
        self._session.pictures_changed.emit()
