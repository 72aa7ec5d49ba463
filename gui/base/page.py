"""What every page is: a title, one notice bar, a body."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from gui.base.session import Session
from gui.kit import theme
from gui.kit.basics import ElidedLabel, label, row, vbox
from gui.kit.notice_bar import NoticeBar
from gui.kit.settings import Settings
from gui.kit.theme import Theme


class Page(QWidget):
    """A page knows the session and the commands it was given, never another page."""

    def __init__(self, title: str, session: Session, settings: Settings, look: Theme) -> None:
        super().__init__()
        self.session = session
        self.settings = settings
        self.look = look
        self.setAccessibleName(title)
        self.body = vbox(self, margins=(theme.XL, theme.L, theme.XL, theme.L), spacing=theme.M)
        self._title = label(title, "title")
        self._subtitle = ElidedLabel("", "muted")
        self.header = row(self._title, spacing=theme.M, stretch=False)
        self.header.addWidget(self._subtitle, 1)
        self.body.addLayout(self.header)
        self.notices = NoticeBar(look)
        self.body.addWidget(self.notices)

    def set_subtitle(self, text: str) -> None:
        self._subtitle.setText(text)

    @property
    def subtitle(self) -> str:
        return self._subtitle.text()
