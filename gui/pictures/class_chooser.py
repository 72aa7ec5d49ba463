"""Choosing a class by typing a part of its name; a name that is new makes a new class."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QListWidget,
    QListWidgetItem,
    QWidget,
)

from gui.kit import theme
from gui.kit.basics import label, vbox
from gui.kit.inputs import LineEdit
from gui.kit.table import ROW_PX
from gui.kit.words import isolate, quote

_KEY_ROLE = Qt.ItemDataRole.UserRole
_WALK = (Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown)


class ClassChooser(QDialog):
    """A dialog that lists classes: typing narrows the list, arrows move, Enter chooses."""

    chosen = Signal(str)
    """The key of the class."""

    def __init__(self, parent: QWidget, heading: str, classes: Sequence[tuple[str, str]]) -> None:
        """`classes`: (key, name shown)."""
        super().__init__(parent)
        self._classes = classes
        self.setWindowTitle("Relabel")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        column = vbox(self, margins=(theme.L, theme.L, theme.L, theme.L))
        column.addWidget(label(heading, "heading"))
        name = "Search the classes, or type a new name"
        self.search = LineEdit(name, "Class, or a new name")
        self.search.textChanged.connect(self._fill)
        self.search.installEventFilter(self)
        column.addWidget(self.search)
        self.list = QListWidget()
        self.list.setAccessibleName("Classes")
        self.list.itemActivated.connect(self._take_item)
        self.list.itemClicked.connect(self._take_item)
        column.addWidget(self.list, 1)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        self._ok = buttons.button(QDialogButtonBox.StandardButton.Ok)
        self._ok.setText("Relabel")
        buttons.accepted.connect(self._take)
        buttons.rejected.connect(self.reject)
        column.addWidget(buttons)
        self.resize(360, 420)
        self._fill("")

    def _fill(self, text: str) -> None:
        wanted = text.strip()
        folded = wanted.casefold()
        self.list.clear()
        found = [
            (key, shown)
            for key, shown in self._classes
            if folded in shown.casefold() or folded in key.casefold()
        ]
        # What begins so comes first: “an” means “ant” before “tarantula”.
        found.sort(key=lambda pair: not pair[1].casefold().startswith(folded))
        for key, shown in found:
            self._add(isolate(shown), key)
        if wanted and not any(wanted in pair for pair in self._classes):
            self._add(f"New class {quote(wanted)}", wanted)
        self.list.setCurrentRow(0)
        self._ok.setEnabled(self.list.count() > 0)

    def _add(self, text: str, key: str) -> None:
        item = QListWidgetItem(text)
        item.setData(_KEY_ROLE, key)
        item.setSizeHint(QSize(0, ROW_PX))
        self.list.addItem(item)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if (
            watched is self.search
            and isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.KeyPress
        ):
            if event.key() in _WALK:
                self.list.event(event)
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self._take()
                return True
        return super().eventFilter(watched, event)

    def _take_item(self, item: QListWidgetItem) -> None:
        self.list.setCurrentItem(item)
        self._take()

    def _take(self) -> None:
        item = self.list.currentItem()
        if item is not None:
            self.chosen.emit(item.data(_KEY_ROLE))
            self.accept()
