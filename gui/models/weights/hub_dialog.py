"""A torch.hub repository: what of it would run, the question whether it may, what it offers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QListWidget,
    QPlainTextEdit,
    QStackedWidget,
    QWidget,
)

from core.errors import AppError
from gui.kit import dialogs, theme
from gui.kit.basics import button, delayed, hbox, label, vbox
from gui.kit.inputs import LineEdit
from gui.kit.notice_bar import NoticeBar
from gui.kit.theme import Theme
from gui.kit.words import count

if TYPE_CHECKING:
    from core.models.weights.torch_hub import Entry, Sources
    from gui.models.weights.hub_commands import HubCommands

_HELP_AFTER_MS = 250
_NOT_HERE = (
    "The code is not on this machine yet: it is downloaded from {address} after you say yes. Read "
    "its hubconf.py there first."
)


class HubDialog(QDialog):
    """Three steps: name a repository, read what would run, choose what it offers."""

    add_wanted = Signal(str)
    """The id of an entry: `hub/OWNER/REPO:ENTRY`."""

    def __init__(self, parent: QWidget, look: Theme, commands: HubCommands) -> None:
        super().__init__(parent)
        self._commands = commands
        self._sources: Sources | None = None
        self._entries: tuple[Entry, ...] = ()
        self.setWindowTitle("Add a torch.hub repository")
        self.resize(680, 520)
        column = vbox(self, margins=(theme.XL, theme.L, theme.XL, theme.L), spacing=theme.M)
        self.notices = NoticeBar(look)
        column.addWidget(self.notices)
        column.addLayout(self._make_question())
        self.stack = QStackedWidget()
        self._nothing = label(
            "A repository of torch.hub is code of somebody else. Nothing of it runs before you "
            "have seen where it comes from and said yes.",
            "muted",
            wraps=True,
        )
        self._nothing.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.trust_page = self._make_trust_page()
        self.entries_page = self._make_entries_page()
        for page in (self._nothing, self.trust_page, self.entries_page):
            self.stack.addWidget(page)
        column.addWidget(self.stack, 1)
        self._help_soon = delayed(self, _HELP_AFTER_MS, self._ask_for_help)
        commands.sources_known.connect(self._show_sources)
        commands.entries_known.connect(self._show_entries)
        commands.help_known.connect(self.help.setPlainText)
        commands.failed.connect(self._show_error)
        commands.cancelled.connect(self._show_cancelled)
        self.finished.connect(self._leave)

    # -- building ----------------------------------------------------------------------------

    def _make_question(self) -> QHBoxLayout:
        hint = "OWNER/REPO, OWNER/REPO@BRANCH, or a folder"
        self.repository = LineEdit("Repository", hint)
        self.repository.returnPressed.connect(self.look)
        self.repository.textEdited.connect(self._start_again)
        self.look_button = button("Look at it", self.look)
        line = hbox()
        line.addWidget(self.repository, 1)
        line.addWidget(button("Folder …", self._ask_for_folder))
        line.addWidget(self.look_button)
        return line

    def _make_trust_page(self) -> QWidget:
        page = QWidget()
        column = vbox(page)
        self.address = label("", "heading", wraps=True)
        self.address.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.warning = label("", "body", wraps=True)
        self.code = QPlainTextEdit()
        self.code.setReadOnly(True)
        self.code.setTabChangesFocus(True)
        self.code.setAccessibleName("hubconf.py: what runs first")
        self.code.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        fixed = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont).family()
        self.code.setStyleSheet(f'font-family: "{fixed}";')
        for part in (self.address, self.warning):
            column.addWidget(part)
        column.addWidget(self.code, 1)
        line = QHBoxLayout()
        line.addStretch(1)
        self.trust_button = button("Yes, run its code", self._trust)
        self.cancel_button = button("Cancel", self.reject, role="primary")
        line.addWidget(self.trust_button)
        line.addWidget(self.cancel_button)
        column.addLayout(line)
        return page

    def _make_entries_page(self) -> QWidget:
        page = QWidget()
        column = vbox(page)
        self.offered = label("", "body", wraps=True)
        column.addWidget(self.offered)
        across = hbox(spacing=theme.M)
        self.list = QListWidget()
        self.list.setAccessibleName("Models of the repository")
        self.list.currentRowChanged.connect(self._entry_changed)
        self.list.itemActivated.connect(self._add)
        self.help = QPlainTextEdit()
        self.help.setReadOnly(True)
        self.help.setTabChangesFocus(True)
        self.help.setAccessibleName("What the repository says of the model")
        across.addWidget(self.list, 2)
        across.addWidget(self.help, 3)
        column.addLayout(across, 1)
        line = QHBoxLayout()
        line.addStretch(1)
        self.add_button = button("Add to the models", self._add, role="primary")
        line.addWidget(self.add_button)
        line.addWidget(button("Close", self.reject))
        column.addLayout(line)
        return page

    # -- the three steps ---------------------------------------------------------------------

    def look(self) -> None:
        """Find out what would run."""
        name = self.repository.text().strip()
        self.notices.clear()
        if not name:
            self.notices.show_notice("Name a repository, or choose a folder.", "warning")
            return
        self.look_button.setEnabled(False)
        self._commands.look_at(name)

    def _ask_for_folder(self) -> None:
        dialogs.ask_for_folder(self, "A folder with a hubconf.py", self._folder_chosen)

    def _folder_chosen(self, path: str) -> None:
        self.repository.setText(str(Path(path)))
        self.look()

    def _start_again(self, _text: str) -> None:
        self._sources = None
        self.stack.setCurrentWidget(self._nothing)

    def _show_sources(self, sources: Sources) -> None:
        self._sources = sources
        self.look_button.setEnabled(True)
        if sources.is_trusted:
            self._commands.list_entries(sources)
            return
        self.address.setText(sources.address)
        self.warning.setText(sources.warning)
        self.code.setPlainText(sources.text or _NOT_HERE.format(address=sources.address))
        self.trust_button.setEnabled(True)
        self.stack.setCurrentWidget(self.trust_page)
        self.cancel_button.setDefault(True)
        self.cancel_button.setFocus(Qt.FocusReason.OtherFocusReason)

    def _trust(self) -> None:
        if self._sources is not None:
            self.trust_button.setEnabled(False)
            self.notices.show_notice(f"Asking {self._sources.repo.text} for its models …")
            self._commands.trust(self._sources)

    def _show_entries(self, entries: Sequence[Entry]) -> None:
        assert self._sources is not None
        self.notices.clear()
        self._entries = tuple(entries)
        name = self._sources.repo.text
        self.offered.setText(
            f"{name} offers {count(len(entries), 'model')}."
            if entries
            else f"{name} offers no models."
        )
        self.add_button.setEnabled(bool(entries))
        self.help.clear()
        self.list.clear()
        self.list.addItems([entry.name for entry in entries])
        self.stack.setCurrentWidget(self.entries_page)
        self.list.setCurrentRow(0)
        self.list.setFocus(Qt.FocusReason.OtherFocusReason)

    def _entry_changed(self, row: int) -> None:
        if 0 <= row < len(self._entries):
            self.help.setPlainText(self._entries[row].help)
            self._help_soon.start()

    def _ask_for_help(self) -> None:
        row = self.list.currentRow()
        if self._sources is not None and 0 <= row < len(self._entries) and self.isVisible():
            self._commands.ask_for_help(self._sources, self._entries[row].name)

    def _add(self, _item: object = None) -> None:
        row = self.list.currentRow()
        if self._sources is not None and 0 <= row < len(self._entries):
            self.add_wanted.emit(f"hub/{self._sources.repo.text}:{self._entries[row].name}")
            self.accept()

    def _show_error(self, error: AppError) -> None:
        self.look_button.setEnabled(True)
        self.trust_button.setEnabled(True)
        self.notices.show_error(error)

    def _show_cancelled(self) -> None:
        self.look_button.setEnabled(True)
        self.trust_button.setEnabled(True)
        self.notices.show_notice("The repository was not asked any further.")

    def _leave(self, _result: int) -> None:
        self._help_soon.stop()
        self._commands.stop()
