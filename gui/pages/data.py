"""Data: what a scan found, before anything is trained on it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QHBoxLayout,
    QProgressBar,
    QSplitter,
    QStackedWidget,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from gui import jobs, theme
from gui.commands import Commands
from gui.pages.page import Page
from gui.session import Session
from gui.settings import Settings
from gui.theme import Theme
from gui.widgets.basics import Card, ElidedLabel, Stat, button, label
from gui.widgets.class_table import ClassTable
from gui.widgets.drop_zone import DropZone
from gui.widgets.findings import FindingsTable, list_duplicates, list_problems
from gui.widgets.thumbnails import ThumbnailGrid
from gui.words import count
from gui.workers import JobRunner, Work

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex

_SHOWN_PICTURES = 60


class DataPage(Page):
    """Empty, busy and filled; a failed scan is a notice over whichever it was before."""

    folder_wanted = Signal()
    train_wanted = Signal()

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
        self.train_button = button(
            "Train", self.train_wanted.emit, role="primary", icon=(look, "play", "on_accent")
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
        session.dataset_changed.connect(self._show_dataset)
        runner.progressed.connect(self._show_progress)
        self._shown: DatasetIndex | None = None
        self._show_dataset()

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
        column.setSpacing(theme.M)
        column.addWidget(self._make_totals())
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setChildrenCollapsible(False)
        splitter.setHandleWidth(theme.M)
        self.table = ClassTable(self.look)
        self.table.class_selected.connect(self._show_class)
        splitter.addWidget(self.table)
        splitter.addWidget(self._make_tabs())
        splitter.setStretchFactor(0, 1)
        splitter.setStretchFactor(1, 1)
        splitter.setSizes([420, 420])
        column.addWidget(splitter, 1)
        return filled

    def _make_totals(self) -> Card:
        card = Card(margin=theme.M)
        line = QHBoxLayout()
        line.setSpacing(0)
        self.stats = {
            name: Stat(name) for name in ("images", "classes", "train", "val", "test", "problems")
        }
        for stat in self.stats.values():
            line.addWidget(stat)
        line.addStretch(1)
        card.body.addLayout(line)
        self.split_line = label("", "muted", wraps=True)
        card.body.addWidget(self.split_line)
        self.notes_line = label("", "muted", wraps=True)
        self.notes_line.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        card.body.addWidget(self.notes_line)
        return card

    def _make_tabs(self) -> QTabWidget:
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setAccessibleName("Pictures, problems and copies")
        pictures = QWidget()
        column = QVBoxLayout(pictures)
        column.setContentsMargins(0, theme.S, 0, 0)
        column.setSpacing(theme.XS)
        self.grid = ThumbnailGrid(self.look)
        self.grid.current_changed.connect(self._show_path)
        column.addWidget(self.grid, 1)
        self._caption = ElidedLabel("", "muted-small")
        column.addWidget(self._caption)
        self.problems = FindingsTable("Problems", empty="Every file could be read.")
        self.copies = FindingsTable("Copies", empty="No picture is there twice.")
        self.tabs.addTab(pictures, "Pictures")
        self.tabs.addTab(self.problems, "Problems")
        self.tabs.addTab(self.copies, "Copies")
        return self.tabs

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
            "Opening the sample …" if path is None else f"Scanning “{path.name}” …"
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
        self._shown = dataset
        splits = dataset.split_counts()
        self.stats["images"].set_value(f"{len(dataset):,}")
        self.stats["classes"].set_value(f"{len(dataset.classes):,}")
        for split in ("train", "val", "test"):
            self.stats[split].setVisible(split in splits)
            self.stats[split].set_value(f"{splits.get(split, 0):,}")
        problems = list_problems(dataset)
        self.stats["problems"].set_value(f"{len(problems):,}", tone="warning" if problems else "")
        self.split_line.setText(describe_split(dataset))
        self.notes_line.setText(" ".join(dataset.notes))
        self.notes_line.setVisible(bool(dataset.notes))
        self.problems.show_rows(("File", "Reason"), problems)
        copies = list_duplicates(dataset)
        self.copies.show_rows(("Files with the same content", "Where"), copies)
        self.tabs.setTabText(1, f"Problems ({len(problems):,})" if problems else "Problems")
        self.tabs.setTabText(2, f"Copies ({len(copies):,})" if copies else "Copies")
        self.table.show_dataset(dataset)

    def _show_class(self, row: int) -> None:
        dataset = self.session.dataset
        if dataset is None or row >= len(dataset.classes):
            return
        positions = np.flatnonzero(dataset.labels == row)
        # Spread over the class: neighbours in a folder often come from one series.
        step = max(1, len(positions) // _SHOWN_PICTURES)
        paths = [dataset.path(int(i)) for i in positions[::step][:_SHOWN_PICTURES]]
        self.grid.show_paths(paths)
        name = dataset.classes[row]
        self.grid.setAccessibleName(f"Pictures of the class {name}")
        self._caption.setText(f"{name}: {len(paths):,} of {count(len(positions), 'picture')}")
        self._runner.submit(
            Work(
                "thumbnails",
                "Reading thumbnails",
                partial(jobs.read_thumbnails, tuple(paths), jobs.THUMBNAIL_PX),
                on_item=self._fill_thumbnail,
                is_quiet=True,
            )
        )

    def _fill_thumbnail(self, thumbnail: jobs.Thumbnail) -> None:
        self.grid.fill(thumbnail.path, thumbnail.image)

    def _show_path(self, path: Path) -> None:
        dataset = self.session.dataset
        root = dataset.root if dataset is not None else path.parent
        self._caption.setText(str(path.relative_to(root)))


def describe_split(dataset: DatasetIndex) -> str:
    """Who made the split and how large its parts are, in one line."""
    splits = dataset.split_counts()
    sizes = " / ".join(f"{images:,} {split}" for split, images in splits.items())
    if dataset.split_origin == "folders":
        return f"Split: your own folders: {sizes}."
    return (
        f"Split: a fifth (or one per class) drawn by Graftwork: {sizes}, stratified, "
        "grouped by copies, seed 0."
    )
