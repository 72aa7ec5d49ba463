"""How far the full check of the pictures is, with a way to stop it and to take it up again."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from gui.data.check import DatasetCheck
from gui.kit import theme
from gui.kit.basics import button, hbox, label, progress_bar, vbox

_BAR_PX = 180


class CheckLine(QWidget):
    """Follows a `DatasetCheck`."""

    def __init__(self, check: DatasetCheck) -> None:
        super().__init__()
        self._check = check
        line = hbox(self, spacing=theme.M)
        words = vbox(spacing=theme.XS)
        self.text = label("", "muted-small")
        self.text.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        words.addStretch(1)
        words.addWidget(self.text)
        self._bar = progress_bar("Progress of the full check", _BAR_PX)
        words.addWidget(self._bar, 0, Qt.AlignmentFlag.AlignRight)
        words.addStretch(1)
        line.addLayout(words)
        self.cancel_button = button("Cancel", check.cancel)
        self.cancel_button.setAccessibleName("Cancel the full check")
        self.start_button = button("Check now", check.start)
        self.start_button.setAccessibleName("Check every picture now")
        line.addWidget(self.cancel_button)
        line.addWidget(self.start_button)
        check.changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        state = self._check.state
        done, total = self._check.progress
        self.setVisible(state != "none")
        self.text.setText(
            {
                "none": "",
                "waiting": "The full check waits for the end of the run",
                "busy": f"Reading every picture to its end  {done:,} / {total:,}",
                "done": "Every picture was read to its end",
                "cancelled": "Only the headers of the pictures were read",
                "failed": "The full check of the pictures ended early",
            }[state]
        )
        self._bar.setVisible(state == "busy")
        self._bar.setRange(0, total)
        self._bar.setValue(done)
        self.cancel_button.setVisible(state in ("busy", "waiting"))
        self.start_button.setVisible(state in ("cancelled", "failed"))
