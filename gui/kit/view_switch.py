"""A few ways to look at the same things, of which one is on: buttons side by side."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QButtonGroup, QToolButton, QWidget

from gui.kit import theme
from gui.kit.basics import hbox
from gui.kit.theme import Theme


class ViewSwitch(QWidget):
    """Buttons side by side of which one is on; `chosen` carries its key, Left and Right move."""

    chosen = Signal(str)

    def __init__(self, look: Theme, views: Sequence[tuple[str, str, str]]) -> None:
        """`views`: key, text and icon of each; the first one is on."""
        super().__init__()
        line = hbox(self, spacing=theme.XS)
        self._group = QButtonGroup(self)
        self.buttons: dict[str, QToolButton] = {}
        for key, text, icon in views:
            made = QToolButton()
            made.setProperty("role", "toggle")
            made.setCheckable(True)
            made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            look.give_icon(made, icon)
            self.buttons[key] = made
            self._group.addButton(made)
            line.addWidget(made)
            self.set_text(key, text)
        self._current = views[0][0]
        self.buttons[self._current].setChecked(True)
        self._group.buttonClicked.connect(self._clicked)

    @property
    def current(self) -> str:
        """The key of the view that is on."""
        return self._current

    def set_text(self, key: str, text: str) -> None:
        """Rename the button of a view."""
        self.buttons[key].setText(f" {text}")
        self.buttons[key].setAccessibleName(f"Show as: {text}")

    def choose(self, key: str) -> None:
        """Turn a view on; `chosen` is emitted where it was off."""
        self.buttons[key].setChecked(True)
        if key != self._current:
            self._current = key
            self.chosen.emit(key)

    def _clicked(self, pressed: QToolButton) -> None:
        self.choose(next(key for key, made in self.buttons.items() if made is pressed))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        keys = list(self.buttons)
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()), 0)
        if step:
            self.choose(keys[(keys.index(self._current) + step) % len(keys)])
            self.buttons[self._current].setFocus(Qt.FocusReason.TabFocusReason)
        else:
            super().keyPressEvent(event)
