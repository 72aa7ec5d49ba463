"""Results: how good a run is, and where it errs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QShowEvent
from PySide6.QtWidgets import (
    QSplitter,
    QStackedWidget,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from core.catalog.names import shown_name
from gui.base.page import Page
from gui.base.session import Session
from gui.classify.commands import ClassifyCommands
from gui.edits.commands import DataCommands
from gui.kit import dialogs, theme
from gui.kit.basics import button, label, progress_bar, vbox
from gui.kit.empty_state import BlankState
from gui.kit.inputs import ComboBox
from gui.kit.settings import Settings
from gui.kit.theme import Theme
from gui.kit.words import isolate, strategy_in_words
from gui.kit.workers import JobRunner
from gui.pictures import jobs
from gui.pictures.feed import GalleryFeed
from gui.pictures.inspector import Inspector
from gui.results.commands import ResultsCommands
from gui.results.confusion import ConfusionMatrix, describe_confusion
from gui.results.edits import ResultEdits
from gui.results.jobs import RunResults
from gui.results.predictions import PredictionView
from gui.results.scores import ScoreTable
from gui.results.summary import ResultSummary
from gui.runs.commands import RunsCommands

if TYPE_CHECKING:
    from core.runs.run_folder import Prediction, RunSummary

_PREVIEW_PX = 480


class ResultsPage(Page):
    """Empty, busy, failed and filled; which run is shown stands in the session."""

    def __init__(
        self,
        session: Session,
        settings: Settings,
        look: Theme,
        runner: JobRunner,
        *,
        runs: RunsCommands,
        classify: ClassifyCommands,
        data: DataCommands,
    ) -> None:
        super().__init__("Results", session, settings, look)
        self._runner = runner
        self._runs = runs
        self._classifying = classify
        self._data = data
        self._shown: RunResults | None = None
        self.asked = ResultsCommands(session, runner, self)
        self._make_header()
        self.stack = QStackedWidget()
        self.body.addWidget(self.stack, 1)
        self._empty = BlankState(
            look,
            "chart-box-outline",
            "No run yet",
            "Once a model is trained, this page tells how good it is and where it errs.",
        )
        self._empty.add_button("Go to Train", self._show_train, icon="play")
        self._busy = self._make_busy()
        self._failed = BlankState(look, "alert-circle-outline", "These results cannot be read")
        self._filled = self._make_filled()
        for state in (self._empty, self._busy, self._failed, self._filled):
            self.stack.addWidget(state)
        session.runs_changed.connect(self._show_runs)
        self.asked.changed.connect(self._show_state)
        self._show_runs()
        self._show_state()

    # -- building ----------------------------------------------------------------------------

    def _make_header(self) -> None:
        self.chooser = ComboBox()
        self.chooser.setAccessibleName("Run")
        self.chooser.setMinimumWidth(280)
        self.chooser.activated.connect(self._choose_run)
        self.copy_button = button(
            "Copy", self._copy_report, icon=(self.look, "content-copy", "muted")
        )
        self.copy_button.setAccessibleName("Copy the report as Markdown")
        self.copy_button.setToolTip("Copy the report as Markdown")
        self.export_button = button(
            "CSV …", self._ask_where, icon=(self.look, "table-arrow-down", "muted")
        )
        self.export_button.setAccessibleName("Save the per-class table as CSV")
        self.export_button.setToolTip("Save the per-class table as CSV")
        self.again_button = button(
            "Train again", self._train_again, role="primary", icon=(self.look, "play", "on_accent")
        )
        self.again_button.setToolTip("Train with the settings of this run on the edited dataset")
        self.again_button.hide()
        for widget in (self.chooser, self.copy_button, self.export_button, self.again_button):
            self.header.addWidget(widget)

    def _make_busy(self) -> QWidget:
        busy = QWidget()
        column = QVBoxLayout(busy)
        column.addStretch(1)
        text = label("Reading the results …", "heading")
        column.addWidget(text, 0, Qt.AlignmentFlag.AlignHCenter)
        bar = progress_bar("Reading the results", 320)
        bar.setRange(0, 0)
        column.addWidget(bar, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(1)
        return busy

    def _make_filled(self) -> QWidget:
        filled = QWidget()
        column = vbox(filled)
        self.summary = ResultSummary(self.look)
        column.addWidget(self.summary)
        self._splitter = QSplitter(Qt.Orientation.Horizontal)
        self._splitter.setChildrenCollapsible(False)
        self._splitter.setHandleWidth(theme.M)
        self._splitter.addWidget(self._make_tabs())
        self.pictures = PredictionView(self.look, self.asked)
        self.pictures.opened.connect(self._inspect)
        self.pictures.passed.connect(self._follow)
        self.edits = ResultEdits(self.pictures, self.session, self._data, self.look)
        self.edits.changed.connect(self._offer_training)
        self._feed = GalleryFeed(self.pictures.gallery, self._runner, key="cells of results")
        self._splitter.addWidget(self.pictures)
        self.inspector = Inspector(self.look)
        self.inspector.classify_wanted.connect(self._classify)
        self.inspector.closed.connect(self.pictures.gallery.setFocus)
        self.inspector.add_edits(self.edits.actions)
        self._splitter.addWidget(self.inspector)
        for position, stretch in enumerate((5, 5, 0)):
            self._splitter.setStretchFactor(position, stretch)
        column.addWidget(self._splitter, 1)
        return filled

    def _make_tabs(self) -> QTabWidget:
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setAccessibleName("Confusion matrix and per-class table")
        matrix = QWidget()
        column = vbox(matrix, margins=(0, theme.S, 0, 0), spacing=theme.XS)
        self.matrix = ConfusionMatrix(self.look)
        self.matrix.cell_chosen.connect(self._show_cell)
        self.matrix.cell_moved.connect(self._describe_cell)
        self.twin = label("", "muted-small", wraps=True)
        # Two lines always: the matrix stays where it is while the keyboard walks over it.
        self.twin.setMinimumHeight(2 * self.twin.fontMetrics().height())
        self.twin.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        column.addWidget(self.twin)
        column.addWidget(self.matrix, 1)
        self.tabs.addTab(matrix, "Confusion")
        self.scores = ScoreTable(self.look)
        self.scores.class_selected.connect(self._show_class)
        table = QWidget()
        inside = vbox(table, margins=(0, theme.S, 0, 0), spacing=-1)
        inside.addWidget(self.scores)
        self.tabs.addTab(table, "Classes")
        return self.tabs

    # -- choosing ----------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._show_newest()

    def _show_newest(self) -> None:
        """Where nobody asked for a run yet, the newest one."""
        runs = self.session.usable_runs
        if self.session.shown_run is None and runs and self.isVisible():
            self.session.show_run(runs[0].path)

    def _show_runs(self) -> None:
        self._show_newest()
        shown = self.session.shown_run
        self.chooser.blockSignals(True)
        self.chooser.clear()
        for run in self.session.usable_runs:
            self.chooser.addItem(_say_run(run), str(run.path))
        if shown is not None and self.chooser.findData(str(shown)) < 0:
            self.chooser.insertItem(0, shown.name, str(shown))
        self.chooser.setCurrentIndex(self.chooser.findData(str(shown)) if shown else -1)
        self.chooser.setVisible(self.chooser.count() > 0)
        self.chooser.blockSignals(False)

    def _choose_run(self, position: int) -> None:
        self.session.show_run(Path(self.chooser.itemData(position)))

    def _show_train(self) -> None:
        self.session.show_page("train")

    # -- showing -----------------------------------------------------------------------------

    def _show_state(self) -> None:
        state, results = self.asked.state, self.asked.results
        self._show_runs()
        has_report = results is not None and results.report is not None
        self.copy_button.setVisible(has_report)
        self.export_button.setVisible(has_report)
        if results is not None:
            if results is not self._shown:
                self._fill(results)
            self.stack.setCurrentWidget(self._filled)
            return
        self._shown = None
        self.set_subtitle("")
        if state == "failed":
            self._failed.set_hint(self.asked.failure)
            self.stack.setCurrentWidget(self._failed)
        else:
            self.stack.setCurrentWidget(self._busy if state == "busy" else self._empty)

    def _fill(self, results: RunResults) -> None:
        self._shown = results
        report = results.report
        model = shown_name(results.summary.model)
        strategy = strategy_in_words(results.summary.strategy)
        self.set_subtitle(f"{strategy} · {model} · {isolate(results.dataset)}")
        self.inspector.close_picture()
        self.summary.show_results(results)
        self.tabs.setVisible(report is not None)
        self.scores.show_report(report)
        if report is not None:
            self.matrix.show_report(report)
            self.twin.setText(describe_confusion(report))
        self.edits.show_results(results)
        self.pictures.show_results(results)

    def _show_cell(self, cell: tuple[int, int]) -> None:
        self.pictures.show_cell(cell)

    def _describe_cell(self, cell: tuple[int, int]) -> None:
        self.twin.setText(f"{self.matrix.describe_cell(cell)}.")

    def _show_class(self, position: int) -> None:
        self.pictures.show_class(position)

    # -- looking closely ---------------------------------------------------------------------

    def _follow(self, prediction: Prediction | None) -> None:
        if self.inspector.path is not None:
            self._inspect(prediction)

    def _inspect(self, prediction: Prediction | None) -> None:
        results = self._shown
        if prediction is None or results is None:
            return
        path = results.images.root / prediction.file
        facts = [
            ("True", isolate(results.classes[prediction.label])),
            ("Answered", isolate(results.classes[prediction.predicted])),
            ("Probability", f"{prediction.probability:.1%}"),
            ("Folder", isolate(prediction.file.rpartition("/")[0])),
        ]
        trouble = ""
        if prediction.file in results.images.changed:
            trouble = "The file was changed since the run: the answer is of the picture before."
        was_open = self.inspector.path is not None
        self.inspector.show_path(path, facts, trouble)
        if not was_open:
            side = self.inspector.sizeHint().width()
            rest = self._splitter.width() - side
            self._splitter.setSizes([rest // 2, rest - rest // 2, side])
        self._runner.start(
            jobs.inspect_picture, path, _PREVIEW_PX,
            title="Reading a picture", on_done=self.inspector.show_inspected, quiet=True,
        )  # fmt: skip

    def _classify(self, path: Path) -> None:
        """With the model of the run that is shown."""
        if self._shown is not None and self.session.classifier != str(self._shown.path):
            self._classifying.choose_classifier(str(self._shown.path))
        self._classifying.add_pictures([path])

    def _offer_training(self) -> None:
        """Once pictures of the run were edited, it is worth a new one."""
        self.again_button.setVisible(bool(self.edits.edited))

    def _train_again(self) -> None:
        if self._shown is not None:
            self._runs.use_settings(self._shown.path)

    # -- taking along ------------------------------------------------------------------------

    def _copy_report(self) -> None:
        results = self._shown
        if results is None or results.report is None:
            return
        from core.evaluation.tables import to_markdown

        title = (
            f"{results.dataset}: {shown_name(results.summary.model)}, {results.summary.strategy}"
        )
        QGuiApplication.clipboard().setText(to_markdown(results.report, title=title))
        self.session.notice("results", "The report is in the clipboard, as Markdown.")

    def _ask_where(self) -> None:
        results = self._shown
        if results is None:
            return
        dialogs.ask_where_to_save(
            self,
            "Save the per-class table",
            ("Table (*.csv)",),
            self._save_table,
            name=f"{results.summary.name}-classes.csv",
            folder=self.settings.last_folder,
        )

    def _save_table(self, path: str) -> None:
        results = self._shown
        if results is None or results.report is None:
            return
        from core.evaluation.tables import to_csv

        self.asked.save(Path(path), to_csv(results.report))


def _say_run(run: RunSummary) -> str:
    accuracy = f" · {run.report_accuracy:.1%}" if run.report_accuracy is not None else ""
    return f"{isolate(run.dataset)}{accuracy} · {run.started:%d %b %H:%M}"
