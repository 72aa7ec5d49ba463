"""The classes while labelling: their keys and counts, a field for a new one, and the progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import (
    QInputDialog,
    QListWidget,
    QListWidgetItem,
    QWidget,
)

from gui.kit import theme
from gui.kit.basics import button, label, progress_bar, row, vbox
from gui.kit.inputs import LineEdit
from gui.kit.words import count, isolate, quote

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex

_WIDTH_PX = 220
_ROW_PX = 28
_KEY_ROLE = Qt.ItemDataRole.UserRole


class ClassNaming(QWidget):
    """A class that is named here and has no picture yet is kept until it gets one."""

    chosen = Signal(str)
    """The key of a class: the selected pictures are to be labelled so."""
    renamed = Signal(str, str)
    """(key, new name): of a class that has pictures."""
    refused = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._dataset: DatasetIndex | None = None
        self._named: list[str] = []
        self.setFixedWidth(_WIDTH_PX)
        column = vbox(self)
        self.progress_text = label("", "heading", wraps=True)
        column.addWidget(self.progress_text)
        self.bar = progress_bar("Pictures with a label")
        column.addWidget(self.bar)
        self.list = QListWidget()
        self.list.setAccessibleName("Classes with the keys that label")
        self.list.setToolTip("Double click or Enter labels the selected pictures; F2 renames")
        self.list.itemActivated.connect(self._choose)
        self.list.setMinimumHeight(_ROW_PX)  # what the text below needs comes first
        column.addWidget(self.list, 1)
        self.field = LineEdit("Name of a new class", "Name of a class")
        self.field.returnPressed.connect(self.add)
        self.add_button = button("Add", self.add)
        self.add_button.setAccessibleName("Add the class")
        line = row(spacing=theme.S, stretch=False)
        line.addWidget(self.field, 1)
        line.addWidget(self.add_button)
        column.addLayout(line)
        self.rename_action = QAction("Rename …", self.list)
        self.rename_action.setShortcut(QKeySequence("F2"))
        self.rename_action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        self.rename_action.triggered.connect(self.ask_rename)
        self.list.addAction(self.rename_action)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)

    # -- asking ------------------------------------------------------------------------------

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the dataset's classes and of those named here, sorted as the dataset will be."""
        there = set() if self._dataset is None else set(self._dataset.keys)
        return tuple(sorted(there | set(self._named)))

    @property
    def names(self) -> tuple[str, ...]:
        """What the classes of `keys` are called."""
        if self._dataset is None:
            return self.keys
        shown = dict(zip(self._dataset.keys, self._dataset.classes, strict=True))
        return tuple(shown.get(key, key) for key in self.keys)

    # -- showing -----------------------------------------------------------------------------

    def forget(self) -> None:
        """Drop the classes that were named here: another dataset is open."""
        self._named = []

    def show_dataset(self, dataset: DatasetIndex) -> None:
        """List the classes of a dataset with their counts."""
        self._dataset = dataset
        self._fill()

    def show_progress(self, labelled: int, total: int) -> None:
        """Show how many pictures have a label."""
        self.progress_text.setText(f"{labelled:,} of {total:,} labelled")
        self.bar.setRange(0, max(1, total))
        self.bar.setValue(labelled)

    def _fill(self) -> None:
        dataset = self._dataset
        counts = {} if dataset is None else dataset.class_counts()
        current = self.list.currentRow()
        self.list.clear()
        for number, (key, name) in enumerate(zip(self.keys, self.names, strict=True), start=1):
            digit = f"{number}   " if number <= 9 else "     "
            item = QListWidgetItem(f"{digit}{isolate(name)}   ({counts.get(name, 0):,})")
            item.setData(_KEY_ROLE, key)
            item.setSizeHint(QSize(0, _ROW_PX))
            pressed = f", key {number}" if number <= 9 else ""
            item.setData(
                Qt.ItemDataRole.AccessibleTextRole,
                f"{name}{pressed}, {count(counts.get(name, 0), 'picture')}",
            )
            self.list.addItem(item)
        self.list.setCurrentRow(min(current, self.list.count() - 1))

    # -- doing -------------------------------------------------------------------------------

    def add(self) -> None:
        """Name a new class after the text in the field."""
        name = self.field.text().strip()
        if not name:
            self.field.setFocus()
            return
        if name in self.keys or name in self.names:
            self.refused.emit(f"There is a class {quote(name)} already.")
            return
        self._named.append(name)
        self.field.clear()
        self._fill()

    def ask_rename(self) -> None:
        """Ask for another name of the current class."""
        item = self.list.currentItem() or self.list.item(0)
        if item is None:
            return
        key = str(item.data(_KEY_ROLE))
        before = dict(zip(self.keys, self.names, strict=True))[key]
        name, is_given = QInputDialog.getText(
            self, "Rename", f"New name of the class {quote(before)}", text=before
        )
        if is_given:
            self.rename(key, name)

    def rename(self, key: str, name: str) -> None:
        """Rename a class; one without pictures is renamed here only, without an edit."""
        name = name.strip()
        if not name or name == dict(zip(self.keys, self.names, strict=True)).get(key):
            return
        if name in self.names:
            self.refused.emit(f"There is a class {quote(name)} already.")
        elif self._dataset is not None and key in self._dataset.keys:
            self.renamed.emit(key, name)
        else:
            self._named[self._named.index(key)] = name
            self._fill()

    def _choose(self, item: QListWidgetItem) -> None:
        self.chosen.emit(item.data(_KEY_ROLE))
