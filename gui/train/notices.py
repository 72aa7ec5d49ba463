"""The notices of a run: a line that counts them, and under it their text to read and copy."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPlainTextEdit, QWidget

from gui.base.live_run import LiveRun
from gui.kit import theme
from gui.kit.basics import FoldButton, vbox
from gui.kit.theme import Theme

_TEXT_PX = 96


class NoticeList(QWidget):
    """Hidden while a run has no notice; closed at first, because the curves matter more."""

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._live: LiveRun | None = None
        self._shown = 0
        column = vbox(self, spacing=theme.XS)
        self.toggle = FoldButton(look, "Notices", self._open)
        column.addWidget(self.toggle)
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByKeyboard
            | Qt.TextInteractionFlag.TextSelectableByMouse
        )
        self.text.setTabChangesFocus(True)
        self.text.setAcceptDrops(False)  # drops belong to the window
        self.text.viewport().setAcceptDrops(False)
        self.text.setAccessibleName("Notices of the run")
        self.text.setFixedHeight(_TEXT_PX)
        column.addWidget(self.text)
        self._open(False)
        self.hide()

    def show_notices(self, live: LiveRun) -> None:
        if live is not self._live:
            self._live, self._shown = live, 0
            self.text.clear()
            self.toggle.setChecked(False)
        # Only the new ones: a damaged folder sends thousands, one event each.
        for notice in live.notices[self._shown :]:
            self.text.appendPlainText(notice.text)
        if self._shown != len(live.notices):
            self._shown = len(live.notices)
            sentence = live.notice_sentence()
            self.toggle.setText(sentence)
            self.toggle.setAccessibleName(sentence)
            self.text.setAccessibleDescription(sentence)
        self.setVisible(bool(live.notices))

    def _open(self, is_open: bool) -> None:
        self.toggle.setToolTip("Hide the notices" if is_open else "Show the notices")
        self.text.setVisible(is_open)
