"""Data: what a scan found, before anything is trained on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QSplitter,
    QStackedWidget,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from core.catalog.names import shown_name
from core.errors import AppError
from gui.base.page import Page
from gui.base.session import Session
from gui.classify.commands import ClassifyCommands
from gui.data import jobs
from gui.data.check import DatasetCheck
from gui.data.check_line import CheckLine
from gui.data.health import jobs as health_jobs
from gui.data.health.check import HealthCheck
from gui.data.health.view import ProblemsView
from gui.data.pictures_view import PicturesView
from gui.data.split.view import SplitView
from gui.data.totals import DatasetTotals
from gui.edits.commands import DataCommands
from gui.kit import dialogs, theme
from gui.kit.basics import button, label, progress_bar, vbox
from gui.kit.drop_zone import DropZone
from gui.kit.settings import Settings
from gui.kit.theme import Theme
from gui.kit.words import count, duration, isolate, quote
from gui.kit.workers import JobRunner
from gui.labelling.commands import FeatureCommands, LabellingCommands, MapCommands
from gui.labelling.map.view import MapView
from gui.labelling.view import LabellingView
from gui.pictures import jobs as picture_jobs
from gui.pictures.actions import PictureActions
from gui.pictures.entries import FileEntries
from gui.pictures.feed import GalleryFeed
from gui.pictures.inspector import Inspector
from gui.pictures.neighbours import NeighbourFinder

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex
    from core.features.dataset_features import FeatureCost
    from gui.pictures.neighbours_jobs import Neighbours

_PREVIEW_PX = 480


class DataPage(Page):
    """Empty, busy and filled; a failed scan is a notice over whichever it was before."""

    folder_wanted = Signal()

    def __init__(
        self,
        session: Session,
        settings: Settings,
        look: Theme,
        runner: JobRunner,
        *,
        data: DataCommands,
        features: FeatureCommands,
        maps: MapCommands,
        labelling: LabellingCommands,
        classify: ClassifyCommands,
    ) -> None:
        super().__init__("Data", session, settings, look)
        self._runner = runner
        self._data = data
        self._features, self._maps, self._labelling = features, maps, labelling
        self._classifying = classify
        self.check = DatasetCheck(session, runner, self)
        self.health = HealthCheck(session, runner, self.check, self)
        self.train_button = button(
            "Train", self._show_train, role="primary", icon=(look, "play", "on_accent")
        )
        self.header.addWidget(self.train_button)
        self.stack = QStackedWidget()
        self.body.addWidget(self.stack, 1)
        self._empty = DropZone(
            look,
            icon="folder-open-outline",
            text="No dataset is open",
            hint="Drop a folder with one folder of images per class, or click to choose one.",
        )
        self._empty.activated.connect(self.folder_wanted)
        self._busy = self._make_busy()
        self._filled = self._make_filled()
        for state in (self._empty, self._busy, self._filled):
            self.stack.addWidget(state)
        self._shown: DatasetIndex | None = None
        self._inspected = ""
        self._troubles: dict[str, list[tuple[str, str]]] = {}
        session.dataset_changed.connect(self._show_dataset)
        self._data.history_changed.connect(self._history_read)
        runner.progressed.connect(self._show_progress)
        self._show_dataset()

    def _show_train(self) -> None:
        self.session.show_page("train")

    # -- building ----------------------------------------------------------------------------

    def _make_busy(self) -> QWidget:
        busy = QWidget()
        column = QVBoxLayout(busy)
        column.addStretch(1)
        self._busy_text = label("Scanning …", "heading")
        self._busy_text.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self._busy_text)
        self._busy_bar = progress_bar("Progress of the scan", 320)
        column.addWidget(self._busy_bar, 0, Qt.AlignmentFlag.AlignHCenter)
        self._busy_count = label("", "muted")
        self._busy_count.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self._busy_count)
        column.addStretch(1)
        return busy

    def _make_filled(self) -> QWidget:
        filled = QWidget()
        column = vbox(filled)
        self.check_line = CheckLine(self.check)
        self.totals = DatasetTotals(self.check_line)
        column.addWidget(self.totals)
        self._splitter = QSplitter(Qt.Orientation.Horizontal)
        self._splitter.setChildrenCollapsible(False)
        self._splitter.setHandleWidth(theme.M)
        self._splitter.addWidget(self._make_tabs())
        self.inspector = Inspector(self.look)
        self.inspector.classify_wanted.connect(self._classify)
        self.inspector.closed.connect(self._inspector_closed)
        self.inspector.add_edits(
            PictureActions(
                self.inspector, self.session, self._data, self.look, self._inspected_files
            )
        )
        self.inspector.neighbour_chosen.connect(self._inspect_path)
        self._strip_of_neighbours = GalleryFeed(
            self.inspector.neighbours, self._runner, key="cells of neighbours"
        )
        self.neighbours = NeighbourFinder(self.session, self._runner, self)
        self.neighbours.found.connect(self._show_neighbours)
        self.health.found.connect(self.neighbours.forget)
        self._splitter.addWidget(self.inspector)
        self._splitter.setStretchFactor(0, 1)
        self._splitter.setStretchFactor(1, 0)
        column.addWidget(self._splitter, 1)
        return filled

    def _make_tabs(self) -> QTabWidget:
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setAccessibleName("Pictures, problems and split")
        self.problems = ProblemsView(self.session, self._data, self.look, self.health)
        self.problems.picture_chosen.connect(self._inspect_file)
        self.problems.picture_moved_to.connect(self._follow_file)
        self.problems.findings_changed.connect(self._show_findings)
        self.problems.line.labels_wanted.connect(self._ask_for_label_errors)
        self.problems.line.report_wanted.connect(self._ask_where)
        self.health.cost_measured.connect(self._confirm_label_errors)
        self._strip_feed = GalleryFeed(self.problems.strip, self._runner, key="cells of problems")
        self.split_view = SplitView(self.look, self._data, self._runner)
        self.pictures = PicturesView(self.session, self._data, self.look)
        self.pictures.passed.connect(self._follow_file)
        self.pictures.opened.connect(self._inspect_file)
        self.pictures.wrong_wanted.connect(self._ask_for_wrong)
        self._feed = GalleryFeed(self.pictures.grid, self._runner, key="cells of data")
        self.tabs.addTab(self.pictures, "Pictures")
        self.tabs.addTab(self.problems, "Problems")
        self.tabs.addTab(self.split_view, "Split")
        self._add_features_tabs()
        self.tabs.currentChanged.connect(self._fit_inspector)
        return self.tabs

    def _add_features_tabs(self) -> None:
        """What the features of the pictures give: their map, and suggested labels."""
        self.map_view = MapView(self.session, self._data, self._features, self._maps, self.look)
        self.map_view.passed.connect(self._follow_file)
        self.map_view.opened.connect(self._inspect_file)
        self._map_feed = GalleryFeed(self.map_view.map, self._runner, key="cell of map")
        self._chosen_feed = GalleryFeed(self.map_view.strip, self._runner, key="cells of map")
        self.pictures.found_changed.connect(self._filter_map)
        self.labelling = LabellingView(
            self.session, self._data, self._features, self._labelling, self.look
        )
        self.labelling.passed.connect(self._follow_file)
        self.labelling.opened.connect(self._inspect_file)
        self._label_feed = GalleryFeed(self.labelling.grid, self._runner, key="cells to label")
        self.tabs.addTab(self.map_view, "Map")
        self.tabs.addTab(self.labelling, "Label")

    def _filter_map(self) -> None:
        self.map_view.show_only(*self.pictures.shown_files())

    # -- showing -----------------------------------------------------------------------------

    def _show_dataset(self) -> None:
        state = self.session.scan_state
        self.train_button.setEnabled(state == "ready")
        self.train_button.setVisible(state != "none")
        if state == "busy":
            self._show_busy()
        elif state == "none" or self.session.dataset is None:
            self.set_subtitle("")
            self.stack.setCurrentWidget(self._empty)
        else:
            self._fill(self.session.dataset)
            self.stack.setCurrentWidget(self._filled)

    def _show_busy(self) -> None:
        path = self.session.scanned_path
        self.set_subtitle("" if path is None else str(path))
        self._busy_text.setText(
            "Opening the sample …" if path is None else f"Scanning {quote(path.name)} …"
        )
        self._busy_bar.setRange(0, 0)
        self._busy_count.setText("")
        self.stack.setCurrentWidget(self._busy)

    def _show_progress(self, job: object) -> None:
        scan = self._runner.find("scan")
        if scan is None or job is not scan:
            return
        done, total, note = scan.progress
        self._busy_bar.setRange(0, total)
        self._busy_bar.setValue(done)
        self._busy_count.setText(f"{note} · {done:,} / {total:,}" if total else note)

    def _fill(self, dataset: DatasetIndex) -> None:
        self.set_subtitle(f"{dataset.name or dataset.root.name}  ·  {dataset.location}")
        if dataset is self._shown:
            return
        # The same folder opened again, checked or edited, is no other dataset.
        is_other = self._shown is None or self._shown.opened != dataset.opened
        self._shown = dataset
        self.totals.show_dataset(dataset, self._data.plan)
        self.split_view.show_dataset(dataset)
        pictures = self._data.pictures
        assert pictures is not None
        self.problems.show_dataset(pictures)
        self._list_troubles()
        self.pictures.show_dataset(pictures, self._titles, is_other=is_other)
        is_bare = bool(len(dataset.scanned.unlabelled))
        self.tabs.setTabVisible(self.tabs.indexOf(self.labelling), is_bare)
        if is_other:
            self.inspector.close_picture()
            if len(dataset.unlabelled):
                self.tabs.setCurrentWidget(self.labelling)
        elif self._inspected:
            self._inspect_file(self._inspected)

    def _history_read(self) -> None:
        """Who drew the split and which findings are dismissed stand in the journal alone."""
        if self._shown is not None and self._shown is self.session.dataset:
            self.totals.show_dataset(self._shown, self._data.plan)

    def _list_troubles(self) -> None:
        findings = self.problems.findings
        number = len(findings)
        self.totals.show_problems(number)
        self.tabs.setTabText(1, f"Problems ({number:,})" if number else "Problems")
        self._troubles = {}
        for finding in findings:
            for file in finding.files:
                sentence = f"{finding.title}: {finding.reason}."
                self._troubles.setdefault(file, []).append((finding.title, sentence))

    @property
    def _titles(self) -> dict[str, list[str]]:
        return {file: [title for title, _ in found] for file, found in self._troubles.items()}

    def _show_findings(self) -> None:
        """There are other findings, of the same dataset."""
        self._list_troubles()
        self.pictures.show_troubles(self._titles)
        self.split_view.show_near(self.problems.near_groups)

    def _fit_inspector(self, _tab: int = 0) -> None:
        """The split is about no single picture, and its table needs the inspector's room."""
        is_about_pictures = self.tabs.currentWidget() is not self.split_view
        self.inspector.setVisible(is_about_pictures and self.inspector.path is not None)

    # -- label errors and report -------------------------------------------------------------

    def _ask_for_label_errors(self) -> None:
        """First how long it takes: on a laptop that may be minutes."""
        values = dict(self.session.recipe_values)
        if self.session.model_id:
            values["model"] = self.session.model_id
        self.health.ask_for_cost(values)
        self.session.notice("data", "A few pictures are timed, to say how long it takes …")

    def _confirm_label_errors(self, cost: FeatureCost) -> None:
        self.session.notice("data", "")
        if not cost.missing:
            self.health.look_for_label_errors()
            return
        model = shown_name(self.session.model_id)
        dialogs.ask(
            self.window(),
            "Look for label errors",
            f"This takes about {duration(cost.seconds)}.",
            f"{model} has to look at {count(cost.missing, 'picture')} first. What it sees is kept: "
            "a training with the model begins with it.",
            yes="Look for label errors",
            accepted=self.health.look_for_label_errors,
        )

    def _ask_where(self) -> None:
        dataset = self._shown
        if dataset is None or self.health.report is None:
            return
        dialogs.ask_where_to_save(
            self,
            "Save a report",
            ("Page to read (*.html)", "Table (*.csv)"),
            self._save_report,
            name=f"{dataset.name or dataset.root.name}-health.html",
            folder=self.settings.last_folder,
        )

    def _save_report(self, path: str) -> None:
        dataset, report = self._shown, self.health.report
        if dataset is None or report is None:
            return
        self._runner.start(
            health_jobs.save_report, dataset, report, Path(path),
            title="Saving a report", on_done=self._report_saved, page="data", quiet=True,
        )  # fmt: skip

    def _report_saved(self, path: Path) -> None:
        self.session.notice("data", f"The report is saved as {path}.")

    # -- wrong predictions -------------------------------------------------------------------

    def _ask_for_wrong(self) -> None:
        """Of the run that Results shows, else of the newest run on this dataset."""
        dataset = self._shown
        if dataset is None:
            return
        shown = self.session.shown_run
        newest = tuple(run.path for run in self.session.usable_runs)
        runs = newest if shown is None else (shown, *newest)
        self._runner.start(
            jobs.read_wrong, dataset, runs,
            title="Reading predictions", on_done=self._show_wrong, on_failed=self._wrong_failed,
            quiet=True,
        )  # fmt: skip

    def _show_wrong(self, found: jobs.WrongPredictions) -> None:
        source = f"the run {found.run}" if found.run else "No run on this dataset tells of any."
        self.pictures.show_wrong(found.predicted, source)

    def _wrong_failed(self, error: AppError) -> None:
        self.pictures.show_wrong({}, str(error))

    # -- looking closely ---------------------------------------------------------------------

    def _follow_file(self, file: str) -> None:
        """An open inspector shows whatever picture is current."""
        if self.inspector.path is not None:
            self._inspect_file(file)

    def _inspect_file(self, file: str) -> None:
        dataset = self._shown
        if dataset is None or not file:
            return
        self._inspected = file
        path = dataset.root / file
        facts = [("Folder", isolate(file.rpartition("/")[0]) or dataset.name)]
        pictures = self._data.pictures
        i = None if pictures is None else pictures.position.get(file)
        if i is not None:
            facts.append(("Class", isolate(dataset.class_of(i)) or "no label yet"))
            facts.append(("Split", dataset.split_of(i) or "none, it has no label"))
            if dataset.groups is not None and dataset.groups[i] >= 0:
                facts.append(("Group", f"{int(dataset.groups[i]):,}"))
        elif pictures is not None and file in pictures.excluded:
            facts.append(("Excluded", "by you; your file is untouched"))
        self.inspector.show_edits(
            is_inside=i is not None,
            is_excluded=pictures is not None and file in pictures.excluded,
        )
        was_open = self.inspector.path is not None
        is_other = path != self.inspector.path
        self.inspector.show_path(
            path, facts, "\n".join(sentence for _, sentence in self._troubles.get(file, ()))
        )
        self._fit_inspector()
        if not was_open:
            width = self._splitter.width()
            side = self.inspector.sizeHint().width()
            self._splitter.setSizes([width - side, side])
        self._runner.start(
            picture_jobs.inspect_picture, path, _PREVIEW_PX,
            title="Reading a picture", on_done=self.inspector.show_inspected, quiet=True,
        )  # fmt: skip
        if is_other:
            self.neighbours.ask(dataset, file)

    def _inspected_files(self) -> tuple[str, ...]:
        return (self._inspected,) if self._inspected else ()

    def _inspect_path(self, path: Path) -> None:
        if self._shown is not None:
            self._inspect_file(path.relative_to(self._shown.root).as_posix())

    def _show_neighbours(self, neighbours: Neighbours) -> None:
        pictures = self._data.pictures
        if pictures is None or neighbours.file != self._inspected:
            return
        files = [file for file in neighbours.files if file in pictures.position]
        captions = [isolate(pictures.dataset.class_of(pictures.position[f])) for f in files]
        self.inspector.show_neighbours(
            FileEntries(pictures.dataset.root, files, captions),
            f"Like this one, {neighbours.likeness.by}",
        )

    def _inspector_closed(self) -> None:
        self._inspected = ""
        galleries = {
            self.problems: self.problems.strip,
            self.map_view: self.map_view.map,
            self.labelling: self.labelling.grid,
        }
        galleries.get(self.tabs.currentWidget(), self.pictures.grid).setFocus()

    def _classify(self, path: Path) -> None:
        self._classifying.add_pictures([path])
