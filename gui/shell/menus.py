"""One table of what the menus offer: menus, toolbar, shortcuts and their sheet come from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QAction, QActionGroup, QKeySequence, QUndoGroup, QUndoStack
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QHBoxLayout,
    QMainWindow,
    QMenu,
    QMessageBox,
    QVBoxLayout,
    QWidget,
)

from gui.kit import theme
from gui.kit.basics import label
from gui.kit.theme import Theme


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """One row: `name` is what the window's handlers are keyed by."""

    name: str
    menu: str
    text: str
    shortcut: str = ""
    icon: str = ""
    group: str = ""
    """Actions of one group exclude each other and can be ticked."""
    starts_section: bool = False


TABLE: tuple[ActionSpec, ...] = (
    ActionSpec("open_folder", "&File", "&Open folder …", "Ctrl+O", "folder-open-outline"),
    ActionSpec("open_file", "&File", "Open table or archi&ve …", "Ctrl+Shift+O", "table-large"),
    ActionSpec("open_sample", "&File", "Open the &sample", "", "numeric"),
    ActionSpec("open_images", "&File", "&Classify images …", "Ctrl+I", "image-search-outline"),
    ActionSpec("paste", "&File", "&Paste an image", "Ctrl+V", "content-paste"),
    ActionSpec("settings", "&File", "S&ettings …", "Ctrl+,", "cog-outline", starts_section=True),
    ActionSpec("quit", "&File", "&Quit", "Ctrl+Q", "exit-to-app", starts_section=True),
    ActionSpec("undo", "&Edit", "&Undo", "Ctrl+Z", "undo"),
    ActionSpec("redo", "&Edit", "&Redo", "Ctrl+Shift+Z", "redo"),
    ActionSpec("start_training", "&Train", "&Start training", "F5", "play"),
    ActionSpec("pause_training", "&Train", "&Pause or go on", "Ctrl+F5", "pause"),
    ActionSpec("stop_training", "&Train", "S&top and save", "Shift+F5", "stop"),
    ActionSpec("page_start", "&View", "&Start", "Ctrl+1", "home-outline"),
    ActionSpec("page_models", "&View", "&Models", "Ctrl+2", "vector-polyline"),
    ActionSpec("page_data", "&View", "&Data", "Ctrl+3", "folder-image"),
    ActionSpec("page_strategy", "&View", "Strate&gy", "Ctrl+4", "compass-outline"),
    ActionSpec("page_train", "&View", "&Train", "Ctrl+5", "chart-line"),
    ActionSpec("page_results", "&View", "&Results", "Ctrl+6", "chart-box-outline"),
    ActionSpec("page_classify", "&View", "&Classify", "Ctrl+7", "image-search-outline"),
    ActionSpec("page_runs", "&View", "R&uns", "Ctrl+8", "history"),
    ActionSpec("theme_system", "&View", "Theme of the s&ystem", group="theme", starts_section=True),
    ActionSpec("theme_light", "&View", "&Light theme", group="theme"),
    ActionSpec("theme_dark", "&View", "Dar&k theme", group="theme"),
    ActionSpec("shortcuts", "&Help", "&Keyboard shortcuts", "F1", "keyboard-outline"),
    ActionSpec("open_log", "&Help", "Open the &log folder", "", "text-box-outline"),
    ActionSpec(
        "about", "&Help", "&About Graftwork", "", "information-outline", starts_section=True
    ),
)

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


def build_menus(
    window: QMainWindow, look: Theme, handlers: Mapping[str, Callable[[], None]]
) -> dict[str, QAction]:
    """Fill the menu bar from the table. Every row needs a handler of its name."""
    made: dict[str, QAction] = {}
    menus = {}
    groups: dict[str, QActionGroup] = {}
    for spec in TABLE:
        if spec.menu not in menus:
            menus[spec.menu] = window.menuBar().addMenu(spec.menu)
        menu = menus[spec.menu]
        if spec.starts_section:
            menu.addSeparator()
        action = QAction(spec.text, window)
        if spec.shortcut:
            action.setShortcut(QKeySequence(spec.shortcut))
            action.setToolTip(f"{_plain(spec.text)} ({_native(spec.shortcut)})")
        if spec.icon:
            look.give_icon(action, spec.icon)
        if spec.group:
            group = groups.setdefault(spec.group, QActionGroup(window))
            action.setCheckable(True)
            group.addAction(action)
        action.triggered.connect(handlers[spec.name])
        menu.addAction(action)
        made[spec.name] = action
    return made


def toolbar_actions(made: Mapping[str, QAction]) -> list[QAction]:
    """Those of the built actions that the toolbar shows, left to right."""
    return [made[name] for name in _TOOLBAR]


class UndoActions(QObject):
    """Undo and redo of the stack at hand: the actions tell what they would do.

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

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard shortcuts")
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.XL, theme.XL, theme.XL, theme.L)
        column.setSpacing(theme.L)
        rows = [
            (
                QKeySequence(spec.shortcut).toString(QKeySequence.SequenceFormat.NativeText),
                _plain(spec.text),
            )
            for spec in TABLE
            if spec.shortcut
        ]
        across = QHBoxLayout()
        across.setSpacing(2 * theme.XL)
        # The pages and what follows on the right; the gestures level the columns out.
        first = sum(bool(spec.shortcut) and spec.menu in _LEFT_MENUS for spec in TABLE)
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
    """Version and licence, and the versions of what computes and draws."""
    box = QMessageBox(
        QMessageBox.Icon.NoIcon, "About Graftwork", f"Graftwork {_version('graftwork')}",
        QMessageBox.StandardButton.Close, parent,
    )  # fmt: skip
    used = "\n".join(f"{name} {_version(name)}" for name in ("torch", "torchvision", "timm"))
    box.setInformativeText(
        "Transfer learning for image classification.\nLicence: Apache-2.0\n\n"
        f"{used}\nPySide6 {_version('PySide6-Essentials')}"
    )
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    return box


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # e.g. run from a folder that was never installed
        return "(version unknown)"
