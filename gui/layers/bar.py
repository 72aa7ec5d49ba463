"""Presets of what trains, and undo and redo: the line above the layer tree."""

from __future__ import annotations

from collections.abc import Mapping

import shiboken6
from PySide6.QtCore import Signal
from PySide6.QtGui import QUndoStack
from PySide6.QtWidgets import QToolButton, QWidget

from gui.kit import theme
from gui.kit.basics import hbox, icon_button, label
from gui.kit.theme import Theme

_PRESETS = (
    # key, text, what the tooltip says
    (
        "head",
        "Head",
        "Only the new head learns: features are computed once, and it is done in seconds",
    ),
    ("last", "Last group", "The head, and the last layer group with it"),
    ("last two", "Last two", "The head, and the last two layer groups with it"),
    ("all", "All", "Every layer learns"),
    ("advice", "Advice", "What the advice on the Strategy page says"),
)
_FULL_NAMES = {
    "head": "Train the head only",
    "last": "Train the last layer group",
    "last two": "Train the last two layer groups",
    "all": "Train all layers",
    "advice": "Train by the advice",
}


class LayerBar(QWidget):
    """Buttons only; the marked preset is the one that the recipe is now."""

    preset_wanted = Signal(str)

    def __init__(self, look: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        line = hbox(self, spacing=theme.XS)
        line.addWidget(label("Train", "muted-small"))
        line.addSpacing(theme.XS)
        self.presets: dict[str, QToolButton] = {}
        for key, text, tip in _PRESETS:
            made = QToolButton()
            made.setText(text)
            made.setAccessibleName(_FULL_NAMES[key])
            made.setToolTip(tip)
            made.setCheckable(True)
            made.setProperty("role", "toggle")
            made.clicked.connect(self._clicked)
            self.presets[key] = made
            line.addWidget(made)
        line.addStretch(1)
        self.undo_button = icon_button(look, "undo", "Undo")
        self.redo_button = icon_button(look, "redo", "Redo")
        for tool in (self.undo_button, self.redo_button):
            tool.setEnabled(False)
            line.addWidget(tool)
        self._stack: QUndoStack | None = None
        self.show_presets({})

    def follow(self, stack: QUndoStack) -> None:
        """Let the two buttons undo and redo the steps of a stack."""
        self._stack = stack
        self.undo_button.clicked.connect(stack.undo)
        self.redo_button.clicked.connect(stack.redo)
        stack.indexChanged.connect(self._show_steps)
        self._show_steps()

    def show_presets(self, presets: Mapping[str, bool]) -> None:
        """Those there are; true: the recipe is this one now."""
        self._now = dict(presets)
        for key, made in self.presets.items():
            made.setVisible(key in presets or (not presets and key != "advice"))
            made.setEnabled(bool(presets))
            made.setChecked(presets.get(key, False))

    def _clicked(self) -> None:
        for key, made in self.presets.items():
            if made is self.sender():
                made.setChecked(self._now.get(key, False))  # the recipe decides what is marked
                self.preset_wanted.emit(key)
                return

    def _show_steps(self) -> None:
        stack = self._stack
        if stack is None or not shiboken6.isValid(stack):
            return  # a stack tells of its own end once more, when the window closes
        for button, word, is_there, name, keys in (
            (self.undo_button, "Undo", stack.canUndo(), stack.undoText(), "Ctrl+Z"),
            (self.redo_button, "Redo", stack.canRedo(), stack.redoText(), "Ctrl+Shift+Z"),
        ):
            button.setEnabled(is_there)
            tip = f"{word} “{name}”" if is_there else f"Nothing to {word.lower()}"
            button.setToolTip(f"{tip} ({keys})")
            button.setAccessibleName(tip)
