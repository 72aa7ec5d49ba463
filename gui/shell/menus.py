"""Menus, toolbar, shortcuts and their sheet, all made from one table of actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction, QActionGroup, QKeySequence, QUndoGroup, QUndoStack
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QMainWindow,
    QMenu,
    QMessageBox,
    QWidget,
)

from gui.kit import theme
from gui.kit.basics import hbox, label, vbox
from gui.kit.dialogs import message_box
from gui.kit.theme import Theme
from gui.shell.actions import ActionRow

_TOOLBAR = ("open_folder", "open_images", "start_training", "pause_training", "stop_training")
_LEFT_MENUS = ("&File", "&Edit", "&Train")
_GESTURES = (
    ("Drop a folder, table or archive anywhere", "open it as a dataset"),
    ("Drop images anywhere", "classify them"),
    ("Drop a run folder anywhere", "see its results"),
    ("Drop a file of weights anywhere", "classify with it; on Models: add it"),
    ("Ctrl+F on Models", "search the models, or the layers"),
    ("1 to 9 on pictures", "relabel to that class"),
    ("R, Del, Shift+Del", "relabel to …, exclude, restore"),
    ("Shift, Ctrl, Ctrl+A", "select several pictures, all of them"),
    ("Space, Ctrl+G, Ctrl+F", "look closely, go to a picture, find a name"),
    ("F2, M on classes", "rename, merge"),
    ("Space, Enter on a model", "compare it, use it"),
    ("Arrows, + − 0 in the chart", "walk from model to model, zoom"),
    ("Arrows, Home in the rate finder", "move the marker, back to the suggestion"),
    ("Space, Enter in the layers", "train or freeze a layer, set its rate"),
    ("Tab, Shift+Tab", "next and previous control"),
)


def build_menus(window: QMainWindow, look: Theme, rows: Sequence[ActionRow]) -> dict[str, QAction]:
    """Fill the menu bar from the table; returns the actions by name."""
    made: dict[str, QAction] = {}
    menus = {}
    groups: dict[str, QActionGroup] = {}
    for row in rows:
        if row.menu not in menus:
            menus[row.menu] = window.menuBar().addMenu(row.menu)
        menu = menus[row.menu]
        if row.starts_section:
            menu.addSeparator()
        action = QAction(row.text, window)
        if row.shortcut:
            action.setShortcut(QKeySequence(row.shortcut))
            action.setToolTip(f"{_plain(row.text)} ({_native(row.shortcut)})")
        if row.icon:
            look.give_icon(action, row.icon)
        if row.group:
            group = groups.setdefault(row.group, QActionGroup(window))
            action.setCheckable(True)
            group.addAction(action)
        action.triggered.connect(row.callback)
        menu.addAction(action)
        made[row.name] = action
    return made


def toolbar_actions(made: Mapping[str, QAction]) -> list[QAction]:
    """The actions that the toolbar shows, left to right."""
    return [made[name] for name in _TOOLBAR]


class UndoActions(QObject):
    """Undo and redo of the stack in use; the texts of the actions name the step.

    The group is where other stacks join, for pages with changes of their own.
    """

    def __init__(self, made: Mapping[str, QAction], parent: QObject) -> None:
        super().__init__(parent)
        self.group = QUndoGroup(self)
        self._undo, self._redo = made["undo"], made["redo"]
        self.group.canUndoChanged.connect(self._undo.setEnabled)
        self.group.canRedoChanged.connect(self._redo.setEnabled)
        self.group.undoTextChanged.connect(self._name_undo)
        self.group.redoTextChanged.connect(self._name_redo)
        for action in (self._undo, self._redo):
            action.setEnabled(False)

    def follow(self, stack: QUndoStack) -> None:
        """Let the actions undo and redo the steps of this stack."""
        if stack not in self.group.stacks():
            self.group.addStack(stack)
        self.group.setActiveStack(stack)

    def undo(self) -> None:
        self.group.undo()

    def redo(self) -> None:
        self.group.redo()

    def _name_undo(self, text: str) -> None:
        self._undo.setText(f"&Undo {text.replace('&', '&&')}".strip())

    def _name_redo(self, text: str) -> None:
        self._redo.setText(f"&Redo {text.replace('&', '&&')}".strip())


class ShortcutSheet(QDialog):
    """Every shortcut and gesture on one sheet."""

    def __init__(self, actions: Sequence[ActionRow], parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard shortcuts")
        column = vbox(self, margins=(theme.XL, theme.XL, theme.XL, theme.L), spacing=theme.L)
        rows = [
            (
                QKeySequence(row.shortcut).toString(QKeySequence.SequenceFormat.NativeText),
                _plain(row.text),
            )
            for row in actions
            if row.shortcut
        ]
        across = hbox(spacing=2 * theme.XL)
        # The pages and what follows on the right; the gestures level the columns out.
        first = sum(bool(row.shortcut) and row.menu in _LEFT_MENUS for row in actions)
        half = (len(rows) + len(_GESTURES) + 1) // 2 - first
        across.addLayout(_sheet_column(rows[:first], _GESTURES[:half]))
        across.addLayout(_sheet_column(rows[first:], _GESTURES[half:]))
        column.addLayout(across)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        column.addWidget(buttons)


def _sheet_column(
    keys: Sequence[tuple[str, str]], gestures: Sequence[tuple[str, str]] = ()
) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(theme.XL)
    grid.setVerticalSpacing(theme.S)
    for position, (what, meaning) in enumerate([*keys, *gestures]):
        grid.addWidget(label(what, "heading" if position < len(keys) else "body"), position, 0)
        grid.addWidget(label(meaning, "muted"), position, 1)
    grid.setRowStretch(len(keys) + len(gestures), 1)
    return grid


def _plain(text: str) -> str:
    return text.replace("&", "").removesuffix(" …")


def _native(shortcut: str) -> str:
    return QKeySequence(shortcut).toString(QKeySequence.SequenceFormat.NativeText)


class RecentMenu(QMenu):
    """The datasets opened last, newest first; filled whenever it is about to be shown."""

    wanted = Signal(Path)

    def __init__(self, recent: Callable[[], list[Path]], parent: QWidget) -> None:
        super().__init__("&Recent datasets", parent)
        self._recent = recent
        self.setToolTipsVisible(True)
        self.aboutToShow.connect(self.fill)
        self.triggered.connect(self._chosen)
        self.fill()

    def fill(self) -> None:
        self.clear()
        paths = self._recent()
        for path in paths:
            action = self.addAction(path.name.replace("&", "&&"))
            action.setToolTip(str(path))
            action.setData(str(path))
        if not paths:
            self.addAction("None yet").setEnabled(False)

    def _chosen(self, action: QAction) -> None:
        self.wanted.emit(Path(action.data()))


def about_box(parent: QWidget) -> QMessageBox:
    """The box with version and licence, and the versions of the libraries used."""
    used = "\n".join(f"{name} {_version(name)}" for name in ("torch", "torchvision", "timm"))
    box = message_box(
        parent,
        "About Graftwork",
        f"Graftwork {_version('graftwork')}",
        "Transfer learning for image classification.\nLicence: Apache-2.0\n\n"
        f"{used}\nPySide6 {_version('PySide6-Essentials')}",
    )
    box.setStandardButtons(QMessageBox.StandardButton.Close)
    return box


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # e.g. run from a folder that was never installed
        return "(version unknown)"
