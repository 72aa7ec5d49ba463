"""Data: what a scan found, before anything is trained on it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QProgressBar,
    QSplitter,
    QStackedWidget,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from gui import jobs_data, theme
from gui.commands import Commands
from gui.dataset_check import DatasetCheck
from gui.gallery_feed import GalleryFeed
from gui.pages.page import Page
from gui.session import Session
from gui.settings import Settings
from gui.theme import Theme
from gui.widgets.basics import Card, ElidedLabel, Stat, button, label
from gui.widgets.check_line import CheckLine
from gui.widgets.class_table import ClassTable
from gui.widgets.drop_zone import DropZone
from gui.widgets.gallery import Gallery
from gui.widgets.gallery_entries import DatasetEntries, FileEntries, NoEntries
from gui.widgets.inputs import ComboBox
from gui.widgets.inspector import Inspector
from gui.widgets.problems_view import ProblemsView
from gui.widgets.split_view import SplitView, describe_split
from gui.words import count, isolate, quote
from gui.workers import JobRunner, Work

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex

_PREVIEW_PX = 480
_UNEVEN = 3  # times as many images in the largest class as in the smallest: worth a sentence


class DataPage(Page):
    """Empty, busy and filled; a failed scan is a notice over whichever it was before."""

    folder_wanted = Signal()

    def __init__(
        self,
        session: Session,
        commands: Commands,
        settings: Settings,
        look: Theme,
        runner: JobRunner,
    ) -> None:
        super().__init__("Data", session, commands, settings, look)
        self._runner = runner
        self.check = DatasetCheck(session, runner, self)
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
        self._positions: dict[str, int] = {}
        self._troubles: dict[str, list[str]] = {}
        session.dataset_changed.connect(self._show_dataset)
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
        self._busy_bar = QProgressBar()
        self._busy_bar.setTextVisible(False)
        self._busy_bar.setFixedWidth(320)
        self._busy_bar.setAccessibleName("Progress of the scan")
        column.addWidget(self._busy_bar, 0, Qt.AlignmentFlag.AlignHCenter)
        self._busy_count = label("", "muted")
        self._busy_count.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self._busy_count)
        column.addStretch(1)
        return busy

    def _make_filled(self) -> QWidget:
        filled = QWidget()
        column = QVBoxLayout(filled)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.S)
        column.addWidget(self._make_totals())
        self._splitter = QSplitter(Qt.Orientation.Horizontal)
        self._splitter.setChildrenCollapsible(False)
        self._splitter.setHandleWidth(theme.M)
        self._splitter.addWidget(self._make_tabs())
        self.inspector = Inspector(self.look)
        self.inspector.classify_wanted.connect(self._classify)
        self.inspector.closed.connect(self._inspector_closed)
        self._splitter.addWidget(self.inspector)
        self._splitter.setStretchFactor(0, 1)
        self._splitter.setStretchFactor(1, 0)
        column.addWidget(self._splitter, 1)
        return filled

    def _make_totals(self) -> Card:
        card = Card(margin=theme.M)
        card.body.setSpacing(theme.XS)
        line = QHBoxLayout()
        line.setSpacing(0)
        self.stats = {
            name: Stat(name) for name in ("images", "classes", "train", "val", "test", "problems")
        }
        for stat in self.stats.values():
            line.addWidget(stat)
        line.addStretch(1)
        self.check_line = CheckLine(self.check)
        line.addWidget(self.check_line)
        card.body.addLayout(line)
        self.split_line = ElidedLabel("", "muted")
        card.body.addWidget(self.split_line)
        self.balance_line = label("", "muted", wraps=True)
        card.body.addWidget(self.balance_line)
        self.notes_line = label("", "muted", wraps=True)
        self.notes_line.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        card.body.addWidget(self.notes_line)
        return card

    def _make_tabs(self) -> QTabWidget:
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setAccessibleName("Pictures, problems and split")
        self.problems = ProblemsView(self.look)
        self.problems.picture_chosen.connect(self._inspect_file)
        self.problems.picture_moved_to.connect(self._follow_file)
        self._strip_feed = GalleryFeed(self.problems.strip, self._runner, key="cells of problems")
        self.split_view = SplitView(self.look)
        self.tabs.addTab(self._make_pictures(), "Pictures")
        self.tabs.addTab(self.problems, "Problems")
        self.tabs.addTab(self.split_view, "Split")
        return self.tabs

    def _make_pictures(self) -> QWidget:
        pictures = QWidget()
        across = QHBoxLayout(pictures)
        across.setContentsMargins(0, theme.S, 0, 0)
        across.setSpacing(theme.M)
        self.table = ClassTable(self.look)
        self.table.classes_selected.connect(self._show_pictures)
        left = QVBoxLayout()
        left.setSpacing(theme.S)
        left.addWidget(self.table, 1)
        self.all_button = button("All classes", self._choose_all)
        left.addWidget(self.all_button, 0, Qt.AlignmentFlag.AlignLeft)
        across.addLayout(left, 6)
        side = QVBoxLayout()
        side.setSpacing(theme.S)
        side.addLayout(self._make_filters())
        self.grid = Gallery(self.look)
        self.grid.current_changed.connect(self._picture_passed)
        self.grid.opened.connect(self._open_picture)
        self._feed = GalleryFeed(self.grid, self._runner, key="cells of data")
        side.addWidget(self.grid, 1)
        self._caption = ElidedLabel("", "muted-small")
        side.addWidget(self._caption)
        across.addLayout(side, 7)
        return pictures

    def _make_filters(self) -> QHBoxLayout:
        line = QHBoxLayout()
        line.setSpacing(theme.M)
        self.split_choice = ComboBox()
        self.split_choice.setAccessibleName("Part of the split")
        self.split_choice.currentIndexChanged.connect(self._show_pictures)
        self.problems_only = QCheckBox("Only problems")
        self.problems_only.setAccessibleName("Only pictures with a problem")
        self.problems_only.toggled.connect(self._show_pictures)
        line.addWidget(self.split_choice)
        line.addWidget(self.problems_only)
        line.addStretch(1)
        return line

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
        self.set_subtitle(f"{dataset.name or dataset.root.name}  ·  {dataset.root}")
        if dataset is self._shown:
            return
        is_other = self._shown is None or self._shown.root != dataset.root
        self._shown = dataset
        splits = dataset.split_counts()
        self.stats["images"].set_value(f"{len(dataset):,}")
        self.stats["classes"].set_value(f"{len(dataset.classes):,}")
        for split in ("train", "val", "test"):
            self.stats[split].setVisible(split in splits)
            self.stats[split].set_value(f"{splits.get(split, 0):,}")
        self.split_line.setText(describe_split(dataset))
        self.balance_line.setText(describe_balance(dataset))
        self.balance_line.setVisible(bool(self.balance_line.text()))
        self.notes_line.setText(" ".join(dataset.notes))
        self.notes_line.setVisible(bool(dataset.notes))
        self._positions = {file: i for i, file in enumerate(dataset.files)}
        self._fill_problems(dataset)
        self.split_view.show_dataset(dataset)
        self.table.show_dataset(dataset)
        self._fill_split_choice(splits)
        if is_other:
            self.problems_only.setChecked(False)
            self.inspector.close_picture()
        self._show_pictures()

    def _fill_problems(self, dataset: DatasetIndex) -> None:
        self.problems.show_dataset(dataset)
        findings = self.problems.findings
        number = len(findings)
        self.stats["problems"].set_value(f"{number:,}", tone="warning" if number else "")
        self.tabs.setTabText(1, f"Problems ({number:,})" if number else "Problems")
        self._troubles = {}
        for finding in findings:
            for file in finding.files:
                said = f"{finding.title}: {finding.reason}."
                self._troubles.setdefault(file, []).append(said)
        self.problems_only.setEnabled(bool(self._troubles))

    def _fill_split_choice(self, splits: dict[str, int]) -> None:
        self.split_choice.blockSignals(True)
        self.split_choice.clear()
        self.split_choice.addItem("All parts", "")
        for split in splits:
            self.split_choice.addItem(split, split)
        self.split_choice.blockSignals(False)

    def _choose_all(self) -> None:
        self.table.clearSelection()
        self.split_choice.setCurrentIndex(0)
        self.problems_only.setChecked(False)

    def _show_pictures(self, _changed: object = None) -> None:
        """The gallery as the table and the filters above it have it."""
        dataset = self._shown
        if dataset is None:
            self.grid.show_entries(NoEntries())
            return
        chosen = self.table.selected_classes
        split = self.split_choice.currentData() or ""
        name = _say_classes(dataset, chosen)
        if self.problems_only.isChecked():
            files = self._troubled_files(dataset, chosen, split)
            captions = [self._troubles[file][0].partition(":")[0] for file in files]
            self.grid.show_entries(
                FileEntries(dataset.root, files, captions), empty_text=f"No problem in {name}."
            )
        else:
            keep = np.isin(dataset.labels, chosen) if chosen else np.ones(len(dataset), dtype=bool)
            if split:
                keep[np.setdiff1d(np.arange(len(dataset)), dataset.indices(split))] = False
            self.grid.show_entries(
                DatasetEntries(dataset, np.flatnonzero(keep)),
                empty_text=f"No picture of {name} in {split or 'this dataset'}.",
            )
        self.grid.setAccessibleName(f"Pictures: {name}{f', {split}' if split else ''}")
        self.all_button.setEnabled(bool(chosen or split or self.problems_only.isChecked()))
        what = "picture" if not self.problems_only.isChecked() else "picture with a problem"
        many = "pictures with a problem" if self.problems_only.isChecked() else ""
        self._caption.setText(f"{name}: {count(len(self.grid.entries), what, many)}")

    def _troubled_files(
        self, dataset: DatasetIndex, chosen: tuple[int, ...], split: str
    ) -> list[str]:
        names = {dataset.classes[label] for label in chosen}
        files = []
        for file in self._troubles:
            i = self._positions.get(file)
            if i is None:  # unreadable: its folders alone tell where it belongs
                folders = set(file.split("/")[:-1])
                if (not names or names & folders) and (not split or split in folders):
                    files.append(file)
            elif (not chosen or int(dataset.labels[i]) in chosen) and (
                not split or _split_of(dataset, i) == split
            ):
                files.append(file)
        return files

    # -- looking closely ---------------------------------------------------------------------

    def _picture_passed(self, position: int) -> None:
        file = self._file_at(position)
        self._caption.setText(file)
        self._follow_file(file)

    def _open_picture(self, position: int) -> None:
        self._inspect_file(self._file_at(position))

    def _file_at(self, position: int) -> str:
        entries = self.grid.entries
        if isinstance(entries, FileEntries):
            return entries.files[position]
        return entries.path(position).relative_to(self._root()).as_posix()

    def _root(self) -> Path:
        return self._shown.root if self._shown is not None else Path()

    def _follow_file(self, file: str) -> None:
        """An open inspector shows whatever picture is current."""
        if self.inspector.path is not None:
            self._inspect_file(file)

    def _inspect_file(self, file: str) -> None:
        dataset = self._shown
        if dataset is None or not file:
            return
        path = dataset.root / file
        facts = [("Folder", isolate(file.rpartition("/")[0]) or dataset.name)]
        i = self._positions.get(file)
        if i is not None:
            facts.append(("Class", isolate(dataset.classes[dataset.labels[i]])))
            facts.append(("Part", _split_of(dataset, i)))
        was_open = self.inspector.path is not None
        self.inspector.show_path(path, facts, "\n".join(self._troubles.get(file, ())))
        if not was_open:
            width = self._splitter.width()
            side = self.inspector.sizeHint().width()
            self._splitter.setSizes([width - side, side])
        self._runner.submit(
            Work(
                "inspect",
                "Reading a picture",
                partial(jobs_data.inspect_picture, path, _PREVIEW_PX),
                on_success=self.inspector.show_inspected,
                is_quiet=True,
            )
        )

    def _inspector_closed(self) -> None:
        on_problems = self.tabs.currentWidget() is self.problems
        (self.problems.strip if on_problems else self.grid).setFocus()

    def _classify(self, path: Path) -> None:
        self.commands.add_pictures([path])


def _split_of(dataset: DatasetIndex, i: int) -> str:
    from core.data.dataset import SPLITS

    return SPLITS[dataset.splits[i]]


def _say_classes(dataset: DatasetIndex, chosen: tuple[int, ...]) -> str:
    if not chosen:
        return "All classes"
    if len(chosen) == 1:
        return isolate(dataset.classes[chosen[0]])
    return count(len(chosen), "class", "classes")


def describe_balance(dataset: DatasetIndex) -> str:
    """A sentence where the largest class is many times the smallest; else nothing."""
    counts = dataset.class_counts()
    if not counts:
        return ""
    largest = max(counts, key=lambda name: counts[name])
    smallest = min(counts, key=lambda name: counts[name])
    times = counts[largest] / max(1, counts[smallest])
    if times < _UNEVEN:
        return ""
    return (
        f"Uneven: {quote(largest)} has {count(counts[largest], 'image')}, {times:,.0f} times as "
        f"many as {quote(smallest)} ({counts[smallest]:,}). Look at the balanced accuracy and the "
        "F1 of the small classes, not at the accuracy alone."
    )
