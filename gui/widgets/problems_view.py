"""The findings of a dataset: a table to choose from, and below it the pictures of the chosen one"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from gui import theme
from gui.theme import Theme
from gui.widgets.basics import label, row
from gui.widgets.findings import Finding, FindingsTable, list_findings
from gui.widgets.gallery import Gallery
from gui.widgets.gallery_entries import FileEntries, NoEntries
from gui.widgets.inputs import ComboBox
from gui.words import isolate

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex

_STRIP_PX = 128
_MOST_OF_FOLDER = 500  # pictures shown of a finding that is about a folder


class ProblemsView(QWidget):
    """Empty it says that all is well."""

    picture_chosen = Signal(object)
    """The file of a picture, relative to the dataset."""
    picture_moved_to = Signal(object)
    """The same, for one that was merely passed by with the keyboard."""

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._dataset: DatasetIndex | None = None
        self.findings: list[Finding] = []
        column = QVBoxLayout(self)
        column.setContentsMargins(0, theme.S, 0, 0)
        column.setSpacing(theme.S)
        self.kinds = ComboBox()
        self.kinds.setAccessibleName("Kind of problem")
        self.kinds.currentIndexChanged.connect(self._filter)
        self._bar = QWidget()
        self.kinds.setMaximumWidth(220)
        line = row(self.kinds, spacing=theme.M)
        self._bar.setLayout(line)
        column.addWidget(self._bar)
        self.table = FindingsTable(
            "Problems", empty="Nothing is wrong: every file is a picture, and none is there twice."
        )
        self.table.chosen.connect(self._show_finding)
        column.addWidget(self.table, 1)
        self.reason = label("", "body", wraps=True)
        column.addWidget(self.reason)
        self.strip = Gallery(look, name="Pictures of the problem", is_strip=True)
        self.strip.setMinimumHeight(_STRIP_PX * 2 // 3)
        self.strip.setMaximumHeight(_STRIP_PX)
        self.strip.opened.connect(self._open)
        self.strip.current_changed.connect(self._move)
        column.addWidget(self.strip)

    def show_dataset(self, dataset: DatasetIndex) -> None:
        self._dataset = dataset
        self.findings = list_findings(dataset)
        counts = Counter(finding.title for finding in self.findings)
        self.kinds.blockSignals(True)
        self.kinds.clear()
        self.kinds.addItem(f"All ({len(self.findings):,})", "")
        for title, number in counts.items():
            self.kinds.addItem(f"{title} ({number:,})", title)
        self.kinds.blockSignals(False)
        self._bar.setVisible(bool(self.findings))
        self._filter()

    def _filter(self) -> None:
        title = self.kinds.currentData()
        self.table.show_findings([f for f in self.findings if not title or f.title == title])
        self.reason.setText("")
        self.strip.show_entries(NoEntries())
        self.strip.hide()
        self.reason.hide()

    def _show_finding(self, finding: Finding) -> None:
        dataset = self._dataset
        if dataset is None:
            return
        files = finding.files or self._files_of(dataset, finding.place)
        self.reason.setText(f"{finding.title}: {finding.reason}.")
        self.reason.show()
        self.strip.setVisible(bool(files))
        captions = [_say_class(dataset, file) for file in files] if finding.files else ()
        self.strip.show_entries(FileEntries(dataset.root, files, captions))
        if files:
            self.picture_moved_to.emit(files[0])

    def _files_of(self, dataset: DatasetIndex, folder: str) -> tuple[str, ...]:
        inside = folder.rstrip("/") + "/"
        return tuple(file for file in dataset.files if file.startswith(inside))[:_MOST_OF_FOLDER]

    def _open(self, position: int) -> None:
        self.picture_chosen.emit(self._file(position))

    def _move(self, position: int) -> None:
        self.picture_moved_to.emit(self._file(position))

    def _file(self, position: int) -> str:
        entries = self.strip.entries
        return entries.files[position] if isinstance(entries, FileEntries) else ""


def _say_class(dataset: DatasetIndex, file: str) -> str:
    """`train/ant`: the folder tells class and split where both are the user's."""
    folder = file.rpartition("/")[0]
    return isolate(folder) or dataset.name
