"""The pictures of a dataset: classes at the left, the gallery with its filters at the right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from gui.base.session import Session
from gui.data.picture_filters import PictureFilters
from gui.edits.commands import DataCommands
from gui.edits.picture_index import Found, PictureIndex, Positions, find, places_of
from gui.kit import dialogs, theme
from gui.kit.basics import ElidedLabel, button, hbox, menu_button, vbox
from gui.kit.theme import Theme
from gui.kit.words import count, isolate
from gui.pictures.actions import PictureActions
from gui.pictures.class_table import ClassTable
from gui.pictures.entries import DatasetEntries, NoEntries
from gui.pictures.gallery import Gallery


class PicturesView(QWidget):
    """Keeps its filters, selection and place while the dataset is edited."""

    passed = Signal(object)
    """The file of the picture that is current now."""
    opened = Signal(object)
    """The file of a picture to look at closely."""
    found_changed = Signal()
    """Other pictures are shown: `shown_files` names them."""
    wrong_wanted = Signal()
    """The wrong predictions are to be shown: `show_wrong` brings them."""

    def __init__(self, session: Session, data: DataCommands, look: Theme) -> None:
        super().__init__()
        self._session = session
        self._data = data
        self._pictures: PictureIndex | None = None
        self._found: Found | None = None
        self._troubles: Mapping[str, Sequence[str]] = {}
        self._wrong: Mapping[str, str] = {}
        self._wrong_source = ""
        across = hbox(self, margins=(0, theme.S, 0, 0), spacing=theme.M)
        across.addLayout(self._make_classes(look), 6)
        across.addLayout(self._make_gallery(look), 7)

    def _make_classes(self, look: Theme) -> QVBoxLayout:
        self.table = ClassTable(look, self._data)
        self.table.classes_selected.connect(self._filter_changed)
        column = vbox()
        column.addWidget(self.table, 1)
        self.all_button = button("All classes", self.choose_all)
        self.rename_button = button("Rename …", self.table.ask_rename)
        self.rename_button.setToolTip("Show the selected class under another name (F2)")
        self.merge_button = button("Merge …", self.table.ask_merge)
        self.merge_button.setToolTip("Make one class of two or more selected ones (M)")
        line = hbox()
        for each in (self.all_button, self.rename_button, self.merge_button):
            line.addWidget(each)
        line.addStretch(1)
        column.addLayout(line)
        return column

    def _make_gallery(self, look: Theme) -> QVBoxLayout:
        side = vbox()
        self.filters = PictureFilters(look)
        self.filters.changed.connect(self._filter_changed)
        side.addWidget(self.filters)
        self.grid = Gallery(look, can_select=True)
        self.grid.current_changed.connect(self._pass)
        self.grid.opened.connect(self._open)
        self.grid.selection_changed.connect(self._show_caption)
        side.addWidget(self.grid, 1)
        self.actions_of_pictures = PictureActions(
            self.grid, self._session, self._data, look, self.chosen_files
        )
        self.grid.menu_wanted.connect(self.actions_of_pictures.show_menu)
        go_to = QShortcut(QKeySequence("Ctrl+G"), self)
        go_to.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        go_to.activated.connect(self.ask_where)
        search = QShortcut(QKeySequence.StandardKey.Find, self)
        search.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        search.activated.connect(self.filters.search.setFocus)
        self.caption = ElidedLabel("", "muted-small")
        side.addWidget(self.caption)
        side.addLayout(self._make_buttons())
        return side

    def _make_buttons(self) -> QHBoxLayout:
        actions = self.actions_of_pictures
        self.relabel_button = button("Relabel …", actions.choose_class)
        self.relabel_button.setToolTip("Give the selected pictures another class (R, or 1 to 9)")
        self.move_button = menu_button("Move", "Move to another part of the split")
        self.move_button.addActions(actions.moves)
        self.exclude_button = button("Exclude", actions.exclude_or_restore)
        self.exclude_button.setToolTip("Leave the selected pictures out of the dataset (Del)")
        line = hbox()
        line.addStretch(1)
        for each in (self.relabel_button, self.move_button, self.exclude_button):
            line.addWidget(each)
        return line

    # -- showing -----------------------------------------------------------------------------

    def show_dataset(
        self, pictures: PictureIndex, troubles: Mapping[str, Sequence[str]], *, is_other: bool
    ) -> None:
        """`troubles`: the titles of the findings of each file. `is_other`: another dataset than
        the one shown, not the same with other edits."""
        dataset = pictures.dataset
        self._pictures, self._troubles = pictures, troubles
        self.table.show_dataset(dataset)
        if is_other:
            self._wrong = {}
            self.filters.clear()
        self._count()
        self._show(keeps_place=not is_other)

    def show_troubles(self, troubles: Mapping[str, Sequence[str]]) -> None:
        """Take over other findings of the same dataset."""
        self._troubles = troubles
        self._count()
        if self.filters.value.show == "problems":
            self._show(keeps_place=True)

    def _count(self) -> None:
        if self._pictures is None:
            return
        dataset = self._pictures.dataset
        titles = self._troubles.values()
        kinds = Counter(title for each in titles for title in set(each))
        self.filters.show_counts(
            dataset.split_counts(),
            kinds,
            excluded=len(dataset.excluded),
            unlabelled=len(dataset.unlabelled),
        )

    def show_nothing(self) -> None:
        """Show no picture."""
        self._pictures = self._found = None
        self.grid.show_entries(NoEntries())

    def show_wrong(self, wrong: Mapping[str, str], source: str) -> None:
        """The pictures that a run took for another class, that class by file; `source` names the
        run, or says why there is none."""
        self._wrong, self._wrong_source = wrong, source
        if self.filters.value.show == "wrong":
            self._show(keeps_place=True)

    def choose_all(self) -> None:
        """Select no class and clear all filters."""
        self.table.clear_choice()
        self.filters.clear()

    def choose_files(self, files: Sequence[str]) -> None:
        """Select these pictures; all filters are cleared where one hides some of them."""
        wanted = set(files)
        entries = self.grid.entries
        if not isinstance(entries, DatasetEntries) or self._pictures is None:
            return
        hidden = wanted.difference(entries.file(i) for i in range(len(entries)))
        if hidden:
            self.choose_all()
            entries = self.grid.entries
        assert isinstance(entries, DatasetEntries)
        at = [i for i in range(len(entries)) if entries.file(i) in wanted]
        self.grid.select(np.array(at, dtype=np.int64))

    def _filter_changed(self, _changed: object = None) -> None:
        if self.filters.value.show == "wrong":
            self.wrong_wanted.emit()
        self._show(keeps_place=False)

    def _show(self, *, keeps_place: bool) -> None:
        pictures = self._pictures
        if pictures is None:
            return
        wanted = replace(self.filters.value, classes=self.table.selected_classes)
        before, found = (
            self._found,
            find(pictures, wanted, troubles=self._troubles, wrong=self._wrong),
        )
        self._found = found
        entries = DatasetEntries(
            found.dataset, found.positions, captions=found.captions, loose=found.loose
        )
        empty = self._say_empty()
        if keeps_place and before is not None and len(before.ids) + len(before.loose):
            self.grid.replace_entries(entries, self._places(before, found), empty_text=empty)
        else:
            self.grid.show_entries(entries, empty_text=empty)
        self.grid.setAccessibleName(f"Pictures: {self._say_filter()}")
        self.all_button.setEnabled(bool(wanted.classes) or not self.filters.is_open)
        self.rename_button.setEnabled(len(wanted.classes) == 1)
        self.merge_button.setEnabled(len(wanted.classes) > 1)
        self._show_caption()
        self.found_changed.emit()

    def shown_files(self) -> tuple[frozenset[str] | None, str]:
        """The files that the filters let through and the filters in words; None: all of them."""
        entries = self.grid.entries
        is_all = self.filters.is_open and not self.table.selected_classes
        if is_all or not isinstance(entries, DatasetEntries):
            return None, ""
        return frozenset(entries.file(i) for i in range(len(entries))), self._say_filter()

    def _places(self, before: Found, found: Found) -> Positions:
        """Where the pictures of `before` stand now."""
        scanned = found.dataset.scanned
        if before.dataset.scanned is scanned:
            places = places_of(before.ids, found.ids, len(scanned))
        else:  # scanned anew, with files more or less
            place = {found.dataset.files[i]: k for k, i in enumerate(found.positions.tolist())}
            files = before.dataset.files
            places = np.array([place.get(files[i], -1) for i in before.positions.tolist()], int)
        return np.append(places, np.full(len(before.loose), -1))

    def _say_filter(self) -> str:
        if self._pictures is None:
            return ""
        dataset, chosen = self._pictures.dataset, self.table.selected_classes
        if not chosen:
            name = "All classes"
        elif len(chosen) == 1:
            name = isolate(dataset.classes[chosen[0]])
        else:
            name = count(len(chosen), "class", "classes")
        split = self.filters.value.split
        return f"{name}, {split}" if split else name

    def _say_empty(self) -> str:
        show = self.filters.value.show
        if self.filters.value.text:
            return f"No file name holds “{self.filters.value.text}”."
        if show == "wrong":
            return self._wrong_source or "No picture was taken for another class."
        if show == "excluded":
            return "No picture is excluded. Del excludes the selected ones; your files stay."
        if show == "problems":
            return f"No problem in {self._say_filter()}."
        return f"No picture of {self._say_filter()} in this dataset."

    def _show_caption(self) -> None:
        show, shown = self.filters.value.show, len(self.grid.entries)
        what, many = {
            "problems": ("picture with a problem", "pictures with a problem"),
            "wrong": ("wrong prediction", ""),
            "excluded": ("excluded picture", ""),
            "unlabelled": ("picture without a label", "pictures without a label"),
        }.get(show, ("picture", ""))
        text = f"{self._say_filter()}: {count(shown, what, many)}"
        if show == "wrong" and shown and self._wrong_source:
            text = f"{text} of {self._wrong_source}"
        if self.filters.value.split == "test":
            text += ", not touched until you ask"
        selected = len(self.grid.selected)
        if selected == 1:
            text = self.file_at(int(self.grid.selected[0]))
        elif selected:
            text = f"{selected:,} of {text} selected"
        self.caption.setText(text)
        is_out = show == "excluded"
        for each in (self.relabel_button, self.move_button):
            each.setVisible(not is_out)
            each.setEnabled(selected > 0)
        self.exclude_button.setEnabled(selected > 0)
        self.exclude_button.setText("Restore" if is_out else "Exclude")
        self.exclude_button.setAccessibleName(self.exclude_button.text())

    # -- input -------------------------------------------------------------------------------

    def chosen_files(self) -> tuple[str, ...]:
        """The selected pictures, or the current one where none is selected."""
        entries = self.grid.entries
        return entries.files(self.grid.acted_on) if isinstance(entries, DatasetEntries) else ()

    def file_at(self, position: int) -> str:
        entries = self.grid.entries
        return entries.file(position) if isinstance(entries, DatasetEntries) else ""

    def _pass(self, position: int) -> None:
        self.passed.emit(self.file_at(position))

    def _open(self, position: int) -> None:
        self.opened.emit(self.file_at(position))

    def ask_where(self) -> None:
        """Ask for a number among the pictures shown, or a part of a name, and go there."""
        text = f"Number (1 to {len(self.grid.entries):,}) or part of the name:"
        dialogs.ask_for_text(self, "Go to a picture", text, self.go_to)

    def go_to(self, text: str) -> None:
        """Go to the picture with a number, else to the next one whose name holds the text."""
        wanted, total = text.strip().casefold(), len(self.grid.entries)
        if not wanted or not total:
            return
        if wanted.isdecimal() and 1 <= int(wanted) <= total:
            self._go(int(wanted) - 1)
            return
        after = (*range(self.grid.current + 1, total), *range(self.grid.current + 1))
        for position in after:
            if wanted in self.file_at(position).casefold():
                self._go(position)
                return
        self._session.notice(
            "here", f"No picture shown here has the number or name “{text.strip()}”.", "warning"
        )

    def _go(self, position: int) -> None:
        self.grid.select(np.array([position], dtype=np.int64))
        self._pass(position)
        self.grid.setFocus()
