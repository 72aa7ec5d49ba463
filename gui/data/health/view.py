"""The findings of a dataset: a table to choose from; below it the pictures and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QMenu, QWidget

from core.data.journal import Edit
from gui.base.session import Session
from gui.data.health.check import HealthCheck
from gui.data.health.line import HealthLine
from gui.data.health.rows import FindingRow, list_findings, name_action, name_action_for_all
from gui.data.health.table import FindingsTable
from gui.edits.commands import DataCommands
from gui.edits.picture_index import PictureIndex
from gui.kit import theme
from gui.kit.basics import button, hbox, label, menu_button, vbox
from gui.kit.inputs import ComboBox
from gui.kit.theme import Theme
from gui.kit.words import count, isolate
from gui.pictures.actions import PictureActions
from gui.pictures.entries import FileEntries, NoEntries
from gui.pictures.gallery import Gallery

if TYPE_CHECKING:
    from core.data.journal import EditKind

_STRIP_PX = 128
_MOST_OF_FOLDER = 500  # pictures shown of a finding that is about a folder


class ProblemsView(QWidget):
    """Empty it says that all is well. Stays at the same place while findings are answered."""

    picture_chosen = Signal(object)
    """The file of a picture, relative to the dataset."""
    picture_moved_to = Signal(object)
    """The same, for one that was merely passed by with the keyboard."""
    findings_changed = Signal()

    def __init__(
        self, session: Session, data: DataCommands, look: Theme, health: HealthCheck
    ) -> None:
        super().__init__()
        self._data = data
        self._health = health
        self._pictures: PictureIndex | None = None
        self.findings: list[FindingRow] = []
        self._current: FindingRow | None = None
        column = vbox(self, margins=(0, theme.S, 0, 0))
        self.kinds = ComboBox()
        self.kinds.setAccessibleName("Kind of problem")
        self.kinds.currentIndexChanged.connect(self._filter)
        self.kinds.setMaximumWidth(200)
        self.line = HealthLine(look, health)
        top = hbox(spacing=theme.M)
        top.addWidget(self.kinds)
        top.addWidget(self.line, 1)
        column.addLayout(top)
        self.table = FindingsTable("Problems", empty="")
        self.table.chosen.connect(self._show_finding)
        column.addWidget(self.table, 1)
        column.addWidget(self._make_answers())
        self.strip = Gallery(look, name="Pictures of the problem", is_strip=True, can_select=True)
        self.strip.setMinimumHeight(_STRIP_PX * 2 // 3)
        self.strip.setMaximumHeight(_STRIP_PX)
        self.strip.opened.connect(self._open)
        self.strip.current_changed.connect(self._move)
        self.actions_of_pictures = PictureActions(self.strip, session, data, look, self._chosen)
        self.strip.menu_wanted.connect(self.actions_of_pictures.show_menu)
        column.addWidget(self.strip)
        health.found.connect(self._look_again)
        health.changed.connect(self._say_empty)
        self._say_empty()
        data.history_changed.connect(self._look_again)

    def _make_answers(self) -> QWidget:
        self.answers = QWidget()
        line = QHBoxLayout(self.answers)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(theme.S)
        self.reason = label("", "body", wraps=True)
        line.addWidget(self.reason, 1)
        self.action_button = button("Exclude", self._act, role="primary")
        self.keep_button = button("Keep", self._keep)
        self.keep_button.setToolTip("It is right as it is: do not show this finding again")
        self.all_button = menu_button("All of this kind", "Answer all findings of this kind")
        menu = QMenu(self.all_button)
        self.all_action = menu.addAction("", self._act_on_all)
        self.keep_all = menu.addAction("", self._keep_all)
        self.all_button.setMenu(menu)
        for each in (self.action_button, self.keep_button, self.all_button):
            line.addWidget(each)
        return self.answers

    # -- showing -----------------------------------------------------------------------------

    def show_dataset(self, pictures: PictureIndex) -> None:
        """List the findings of a dataset."""
        self._pictures = pictures
        self._list()

    def _look_again(self) -> None:
        """Another report, or findings dismissed."""
        if self._pictures is not None and self._pictures is self._data.pictures:
            self._list()
            self.findings_changed.emit()

    def _list(self) -> None:
        assert self._pictures is not None
        self.findings = list_findings(self._pictures, self._health.report, self._data.dismissed)
        counts = Counter(finding.title for finding in self.findings)
        chosen = self.kinds.currentData()
        self.kinds.blockSignals(True)
        self.kinds.clear()
        self.kinds.addItem(f"All ({len(self.findings):,})", "")
        for title, number in counts.items():
            self.kinds.addItem(f"{title} ({number:,})", title)
        self.kinds.setCurrentIndex(max(0, self.kinds.findData(chosen)))
        self.kinds.blockSignals(False)
        self.kinds.setVisible(bool(self.findings))
        self._show_rows(self._row_to_keep())

    def _say_empty(self) -> None:
        """Nothing found means less before everything was looked at."""
        self.table.set_empty_text(
            "Nothing is wrong: every file is a picture, and none is there twice."
            if self._health.state == "done"
            else "Nothing is known to be wrong so far."
        )

    def _filter(self) -> None:
        self._show_rows(-1)

    def _of_chosen_kind(self) -> list[FindingRow]:
        title = self.kinds.currentData()
        return [f for f in self.findings if not title or f.title == title]

    def _row_to_keep(self) -> int:
        """Where the table stood: at the same finding, or where that was, once it is answered."""
        if self._current is None:
            return -1
        rows = self._of_chosen_kind()
        same = (self._current.kind, self._current.place)
        place = next((i for i, f in enumerate(rows) if (f.kind, f.place) == same), None)
        return min(self.table.current_row, len(rows) - 1) if place is None else place

    def _show_rows(self, row: int) -> None:
        self._current = None
        self.table.show_findings(self._of_chosen_kind())
        self.answers.hide()
        self.strip.hide()
        self.strip.show_entries(NoEntries())
        if row >= 0:
            self.table.choose(row)

    def _show_finding(self, finding: FindingRow) -> None:
        pictures = self._pictures
        if pictures is None:
            return
        self._current = finding
        dataset = pictures.dataset
        files = finding.files or self._files_of(pictures, finding.place)
        self.reason.setText(f"{finding.title.removesuffix('?')}: {finding.reason}.")
        shown = dict(zip(dataset.keys, dataset.classes, strict=True))
        self.action_button.setVisible(finding.edit is not None)
        if finding.edit is not None:
            self.action_button.setText(name_action(finding, finding.edit, shown))
            self.action_button.setAccessibleName(self.action_button.text())
        self.keep_button.setText("Keep" if finding.edit else "Dismiss")
        self.keep_button.setAccessibleName(self.keep_button.text())
        self._show_all_of_kind(finding)
        self.answers.show()
        self.strip.setVisible(bool(files))
        captions = [_say_class(pictures, file) for file in files] if finding.files else ()
        self.strip.show_entries(FileEntries(dataset.root, files, captions))
        if files:
            self.picture_moved_to.emit(files[0])

    def _show_all_of_kind(self, finding: FindingRow) -> None:
        alike = self._alike(finding)
        self.all_button.setVisible(len(alike) > 1)
        doable = [each for each in alike if each.edit]
        self.all_action.setVisible(bool(doable))
        if doable:
            self.all_action.setText(name_action_for_all(doable))
        self.keep_all.setText(f"Dismiss all {count(len(alike), 'finding')}")

    def _alike(self, finding: FindingRow) -> list[FindingRow]:
        return [each for each in self.findings if each.kind == finding.kind]

    def _files_of(self, pictures: PictureIndex, folder: str) -> tuple[str, ...]:
        inside = folder.rstrip("/") + "/"
        files = pictures.dataset.files
        return tuple(file for file in files if file.startswith(inside))[:_MOST_OF_FOLDER]

    @property
    def near_groups(self) -> list[tuple[str, ...]]:
        """Files that show nearly the same, as far as the look for problems went."""
        report = self._health.report
        kinds = ("near duplicates", "leak", "two labels")
        return [f.files for f in report.findings if f.kind in kinds] if report is not None else []

    # -- answering ---------------------------------------------------------------------------

    def _act(self) -> None:
        if self._current is not None and self._current.edit is not None:
            self._data.write([self._current.edit])

    def _keep(self) -> None:
        if self._current is not None:
            self._data.write([self._current.dismissal])

    def _act_on_all(self) -> None:
        """One step, however many findings it answers."""
        if self._current is not None:
            self._data.write(_joined(f.edit for f in self._alike(self._current) if f.edit))

    def _keep_all(self) -> None:
        if self._current is not None:
            self._data.write(_joined(f.dismissal for f in self._alike(self._current)))

    # -- input -------------------------------------------------------------------------------

    def _chosen(self) -> tuple[str, ...]:
        entries = self.strip.entries
        if not isinstance(entries, FileEntries):
            return ()
        return tuple(entries.files[i] for i in self.strip.acted_on.tolist())

    def _open(self, position: int) -> None:
        self.picture_chosen.emit(self._file(position))

    def _move(self, position: int) -> None:
        self.picture_moved_to.emit(self._file(position))

    def _file(self, position: int) -> str:
        entries = self.strip.entries
        return entries.files[position] if isinstance(entries, FileEntries) else ""


def _joined(edits: Iterable[Edit]) -> Sequence[Edit]:
    """Edits of one kind and value as one, each file once."""
    joined: dict[tuple[EditKind, str], dict[str, None]] = {}
    for edit in edits:
        joined.setdefault((edit.kind, edit.value), {}).update(dict.fromkeys(edit.files))
    return [Edit(kind, tuple(files), value) for (kind, value), files in joined.items()]


def _say_class(pictures: PictureIndex, file: str) -> str:
    """Class and part as they are now; of a file outside the dataset, its folder."""
    i = pictures.position.get(file)
    if i is None:
        return isolate(file.rpartition("/")[0]) or pictures.dataset.name
    split = pictures.dataset.split_of(i)
    return isolate(pictures.dataset.class_of(i)) + (f", {split}" if split else "")
