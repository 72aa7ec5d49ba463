"""The settings: appearance, folders, computing. What is chosen is saved at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QWidget,
)

from core.errors import AppError
from core.system import paths, preferences
from gui.base.session import Session
from gui.kit import dialogs, theme
from gui.kit.basics import Card, ElidedLabel, button, label, row, vbox
from gui.kit.inputs import ComboBox, LineEdit
from gui.kit.notice_bar import NoticeBar
from gui.kit.settings import ThemeChoice
from gui.kit.theme import Theme
from gui.kit.workers import JobRunner
from gui.shell import settings_jobs

_WIDTH_PX = 620
_THEMES: tuple[tuple[str, ThemeChoice], ...] = (
    ("As the system", "system"),
    ("Light", "light"),
    ("Dark", "dark"),
)
_NAMES = {
    "auto": "Automatic",
    "cpu": "Processor (CPU)",
    "cuda": "NVIDIA or AMD GPU (CUDA, ROCm)",
    "mps": "Apple GPU (MPS)",
    "xpu": "Intel GPU (XPU)",
}
_PRIVACY = (
    "Your pictures, runs and settings are sent nowhere. Graftwork goes online only to fetch "
    "the weights or the description of a model, or a ready-made dataset, that you ask for; proxy "
    "settings are those of the system."
)


class SettingsDialog(QDialog):
    """`choose_theme` is the window's, so that its menu follows."""

    def __init__(
        self,
        parent: QWidget,
        session: Session,
        runner: JobRunner,
        look: Theme,
        choose_theme: Callable[[ThemeChoice], None],
        refresh_runs: Callable[[], None],
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._runner = runner
        self._look = look
        self._choose_theme = choose_theme
        self._refresh_runs = refresh_runs
        self._preferences = preferences.Preferences()
        self.setWindowTitle("Settings")
        self.setMinimumWidth(_WIDTH_PX)
        column = vbox(self, margins=(theme.XL, theme.L, theme.XL, theme.L), spacing=theme.M)
        self.notices = NoticeBar(look)
        column.addWidget(self.notices)
        column.addWidget(self._make_choices())
        column.addWidget(self._make_folders())
        column.addWidget(label(_PRIVACY, "muted", wraps=True))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.button(QDialogButtonBox.StandardButton.Close).setAccessibleName("Close")
        buttons.rejected.connect(self.reject)
        column.addWidget(buttons)
        look.changed.connect(self._show_theme)

    def show_now(self) -> None:
        """Read what is saved and open; does not block."""
        self._preferences, sentence = paths.read_preferences()
        self.notices.clear()
        if sentence:
            self.notices.show_notice(sentence, "warning")
        self._show_theme()
        for box, value in (
            (self.device, self._preferences.device),
            (self.precision, self._preferences.precision),
        ):
            box.setCurrentIndex(max(box.findData(value), 0))
        self._show_runs_dir()
        self._measure()
        self.open()

    # -- building ----------------------------------------------------------------------------

    def _make_choices(self) -> Card:
        card = Card("Appearance and new runs")
        grid = QGridLayout()
        grid.setHorizontalSpacing(theme.L)
        grid.setVerticalSpacing(theme.S)
        grid.setColumnStretch(1, 1)
        self.theme_box = _combo("Theme", _THEMES)
        self.device = _combo("Device", [(_NAMES[name], name) for name in preferences.DEVICES])
        self.precision = _combo(
            "Precision", [(_NAMES.get(name, name), name) for name in preferences.PRECISIONS]
        )
        for position, box in enumerate((self.theme_box, self.device, self.precision)):
            grid.addWidget(label(box.accessibleName()), position, 0)
            grid.addWidget(box, position, 1)
        self.theme_box.activated.connect(self._theme_chosen)
        self.device.activated.connect(self._compute_chosen)
        self.precision.activated.connect(self._compute_chosen)
        card.body.addLayout(grid)
        card.body.addWidget(
            label(
                "Automatic takes a GPU where torch finds one, else the processor, and the number "
                "format that suits it. A recipe that names its own is not changed.",
                "muted-small",
                wraps=True,
            )
        )
        return card

    def _make_folders(self) -> Card:
        card = Card("Folders")
        self.runs_dir = LineEdit("Folder of runs")
        self.runs_dir.setReadOnly(True)
        self.default_button = button("Use the default", self._use_default)
        line = row(label("Runs"), spacing=theme.S, stretch=False)
        line.addWidget(self.runs_dir, 1)
        line.addWidget(button("Choose …", self._ask_for_folder))
        line.addWidget(self.default_button)
        card.body.addLayout(line)
        self.cache_size = label("")
        self._cache_dir = ElidedLabel("", "muted-small")
        self.clear_button = button("Clear the cache …", self.ask_to_clear)
        words = vbox(spacing=0)
        words.addWidget(self.cache_size)
        words.addWidget(self._cache_dir)
        below = row(stretch=False)
        below.addLayout(words, 1)
        below.addWidget(self.clear_button)
        card.body.addLayout(below)
        return card

    # -- choices -----------------------------------------------------------------------------

    def _show_theme(self) -> None:
        self.theme_box.setCurrentIndex(self.theme_box.findData(self._look.choice))

    def _theme_chosen(self, _position: int) -> None:
        self._choose_theme(self.theme_box.currentData())

    def _compute_chosen(self, _position: int) -> None:
        self._save(
            replace(
                self._preferences,
                device=self.device.currentData(),
                precision=self.precision.currentData(),
            )
        )

    def _save(self, changed: preferences.Preferences) -> None:
        try:
            preferences.write(paths.preferences_file(), changed)
        except OSError as error:
            reason = error.strerror or error
            self.notices.show_notice(f"The settings cannot be saved: {reason}.", "error")
            return
        self.notices.clear()
        self._preferences = changed

    # -- the folder of runs ------------------------------------------------------------------

    def _show_runs_dir(self) -> None:
        chosen = self._preferences.runs_dir
        self.runs_dir.setText(chosen or str(paths.default_runs_dir()))
        self.runs_dir.setToolTip(self.runs_dir.text())
        self.runs_dir.setCursorPosition(0)
        self.default_button.setEnabled(bool(chosen))

    def _ask_for_folder(self) -> None:
        dialogs.ask_for_folder(
            self, "Choose a folder for runs", self.keep_runs_in, start=self.runs_dir.text()
        )

    def _use_default(self) -> None:
        self.keep_runs_in("")

    def keep_runs_in(self, folder: str) -> None:
        """Keep new runs in this folder, and list its runs; empty: the default folder."""
        value = str(Path(folder)) if folder else ""
        if value != self._preferences.runs_dir:
            self._save(replace(self._preferences, runs_dir=value))
            self._show_runs_dir()
            self._refresh_runs()

    # -- the cache ---------------------------------------------------------------------------

    def _measure(self) -> None:
        self._cache_dir.setText(str(paths.cache_dir()))
        self.cache_size.setText("Cache: measuring …")
        self._runner.start(
            settings_jobs.measure_cache,
            title="Measuring the cache", on_done=self._measured, on_failed=self._failed, quiet=True,
        )  # fmt: skip

    def _measured(self, size: int) -> None:
        self.cache_size.setText(f"Cache: {_megabytes(size)}")

    def ask_to_clear(self) -> None:
        dialogs.ask(
            self,
            "Clear the cache",
            "Clear the cache?",
            "Runs and models stay. Features and timings are computed again when they are needed, "
            "so the next training on known pictures takes longer.",
            yes="Clear",
            no="Keep",
            accepted=self._clear,
        )

    def _clear(self) -> None:
        kept = tuple(picture.path for picture in self._session.pictures)
        job = self._runner.start(
            settings_jobs.clear_cache, kept,
            title="Clearing the cache", on_done=self._cleared, on_failed=self._failed,
            on_cancel=self._measure, needs_compute=True,
        )  # fmt: skip
        if self._runner.is_waiting(job):
            self.notices.show_notice("The cache is cleared when what runs now has ended.")

    def _cleared(self, freed: int) -> None:
        self.notices.show_notice(f"{_megabytes(freed)} freed.")
        self._measure()

    def _failed(self, error: AppError) -> None:
        self.notices.show_error(error)


def _combo(name: str, choices: Sequence[tuple[str, str]]) -> ComboBox:
    made = ComboBox()
    made.setAccessibleName(name)
    for text, value in choices:
        made.addItem(text, value)
    return made


def _megabytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MB"
