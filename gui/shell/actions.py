"""The table of the window's actions: one row holds all there is to say about one action."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from gui.base.session import PageName
from gui.kit.settings import ThemeChoice
from gui.shell.commands import Commands

_FILE, _EDIT, _TRAIN, _VIEW, _HELP = "&File", "&Edit", "&Train", "&View", "&Help"


@dataclass(frozen=True, slots=True)
class ActionRow:
    """One action: what it is called, what it does, and where it stands."""

    name: str
    text: str
    callback: Callable[[], object]
    menu: str
    shortcut: str = ""
    icon: str = ""
    group: str = ""
    """Actions of one group exclude each other and can be ticked."""
    starts_section: bool = False


class ActionWindow(Protocol):
    """What the rows call of the main window."""

    commands: Commands

    def ask_for_folder(self) -> None: ...
    def ask_for_file(self) -> None: ...
    def ask_for_images(self) -> None: ...
    def paste(self) -> None: ...
    def show_settings(self) -> None: ...
    def close(self) -> bool: ...
    def undo_step(self) -> None: ...
    def redo_step(self) -> None: ...
    def start_training(self) -> None: ...
    def show_page(self, name: PageName) -> None: ...
    def choose_theme(self, choice: ThemeChoice) -> None: ...
    def show_shortcuts(self) -> None: ...
    def open_log(self) -> None: ...
    def show_about(self) -> None: ...


def action_rows(window: ActionWindow) -> tuple[ActionRow, ...]:
    """The menus from left to right, each from top to bottom."""
    train, sample = window.commands.train, window.commands.opening.open_sample
    page, look = window.show_page, window.choose_theme
    return (
        ActionRow("open_folder", "&Open folder …", window.ask_for_folder, _FILE, "Ctrl+O",
                  "folder-open-outline"),
        ActionRow("open_file", "Open table or archi&ve …", window.ask_for_file, _FILE,
                  "Ctrl+Shift+O", "table-large"),
        ActionRow("open_sample", "Open the &sample", sample, _FILE, "", "numeric"),
        ActionRow("open_images", "&Classify images …", window.ask_for_images, _FILE, "Ctrl+I",
                  "image-search-outline"),
        ActionRow("paste", "&Paste an image", window.paste, _FILE, "Ctrl+V", "content-paste"),
        ActionRow("settings", "S&ettings …", window.show_settings, _FILE, "Ctrl+,", "cog-outline",
                  starts_section=True),
        ActionRow("quit", "&Quit", window.close, _FILE, "Ctrl+Q", "exit-to-app",
                  starts_section=True),
        ActionRow("undo", "&Undo", window.undo_step, _EDIT, "Ctrl+Z", "undo"),
        ActionRow("redo", "&Redo", window.redo_step, _EDIT, "Ctrl+Shift+Z", "redo"),
        ActionRow("start_training", "&Start training", window.start_training, _TRAIN, "F5", "play"),
        ActionRow("pause_training", "&Pause or go on", train.pause, _TRAIN, "Ctrl+F5", "pause"),
        ActionRow("stop_training", "S&top and save", train.stop, _TRAIN, "Shift+F5", "stop"),
        ActionRow("page_start", "&Start", partial(page, "start"), _VIEW, "Ctrl+1", "home-outline"),
        ActionRow("page_models", "&Models", partial(page, "models"), _VIEW, "Ctrl+2",
                  "vector-polyline"),
        ActionRow("page_data", "&Data", partial(page, "data"), _VIEW, "Ctrl+3", "folder-image"),
        ActionRow("page_strategy", "Strate&gy", partial(page, "strategy"), _VIEW, "Ctrl+4",
                  "compass-outline"),
        ActionRow("page_train", "&Train", partial(page, "train"), _VIEW, "Ctrl+5", "chart-line"),
        ActionRow("page_results", "&Results", partial(page, "results"), _VIEW, "Ctrl+6",
                  "chart-box-outline"),
        ActionRow("page_classify", "&Classify", partial(page, "classify"), _VIEW, "Ctrl+7",
                  "image-search-outline"),
        ActionRow("page_runs", "R&uns", partial(page, "runs"), _VIEW, "Ctrl+8", "history"),
        ActionRow("theme_system", "Theme of the s&ystem", partial(look, "system"), _VIEW,
                  group="theme", starts_section=True),
        ActionRow("theme_light", "&Light theme", partial(look, "light"), _VIEW, group="theme"),
        ActionRow("theme_dark", "Dar&k theme", partial(look, "dark"), _VIEW, group="theme"),
        ActionRow("shortcuts", "&Keyboard shortcuts", window.show_shortcuts, _HELP, "F1",
                  "keyboard-outline"),
        ActionRow("open_log", "Open the &log folder", window.open_log, _HELP, "",
                  "text-box-outline"),
        ActionRow("about", "&About Graftwork", window.show_about, _HELP, "",
                  "information-outline", starts_section=True),
    )  # fmt: skip
