"""One table of everything the menus offer: menus, shortcuts and the shortcut sheet come from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QMainWindow,
    QVBoxLayout,
    QWidget,
)

from gui import theme
from gui.theme import Theme
from gui.widgets.basics import label


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
    ActionSpec("open_sample", "&File", "Open the &sample", "", "numeric"),
    ActionSpec("open_images", "&File", "&Classify images …", "Ctrl+I", "image-search-outline"),
    ActionSpec("paste", "&File", "&Paste an image", "Ctrl+V", "content-paste"),
    ActionSpec("quit", "&File", "&Quit", "Ctrl+Q", "exit-to-app", starts_section=True),
    ActionSpec("start_training", "&Train", "&Start training", "F5", "play"),
    ActionSpec("stop_training", "&Train", "S&top and save", "Shift+F5", "stop"),
    ActionSpec("page_start", "&View", "&Start", "Ctrl+1", "home-outline"),
    ActionSpec("page_data", "&View", "&Data", "Ctrl+2", "folder-image"),
    ActionSpec("page_train", "&View", "&Train", "Ctrl+3", "chart-line"),
    ActionSpec("page_classify", "&View", "&Classify", "Ctrl+4", "image-search-outline"),
    ActionSpec("theme_system", "&View", "Theme of the s&ystem", group="theme", starts_section=True),
    ActionSpec("theme_light", "&View", "&Light theme", group="theme"),
    ActionSpec("theme_dark", "&View", "Dar&k theme", group="theme"),
    ActionSpec("shortcuts", "&Help", "&Keyboard shortcuts", "F1", "keyboard-outline"),
    ActionSpec("open_log", "&Help", "Open the &log folder", "", "text-box-outline"),
)

_GESTURES = (
    ("Drop a folder anywhere", "open it as a dataset"),
    ("Drop images anywhere", "classify them"),
    ("Drop a run folder anywhere", "classify with its model"),
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


class ShortcutSheet(QDialog):
    """Every shortcut and gesture on one sheet."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard shortcuts")
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.XL, theme.XL, theme.XL, theme.L)
        column.setSpacing(theme.L)
        grid = QGridLayout()
        grid.setHorizontalSpacing(theme.XL)
        grid.setVerticalSpacing(theme.S)
        rows = [
            (
                QKeySequence(spec.shortcut).toString(QKeySequence.SequenceFormat.NativeText),
                _plain(spec.text),
            )
            for spec in TABLE
            if spec.shortcut
        ]
        for position, (keys, meaning) in enumerate([*rows, *_GESTURES]):
            grid.addWidget(label(keys, "heading" if position < len(rows) else "body"), position, 0)
            grid.addWidget(label(meaning, "muted"), position, 1)
        column.addLayout(grid)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        column.addWidget(buttons)


def _plain(text: str) -> str:
    return text.replace("&", "").removesuffix(" …")


def _native(shortcut: str) -> str:
    return QKeySequence(shortcut).toString(QKeySequence.SequenceFormat.NativeText)
