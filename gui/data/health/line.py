"""How far the look for problems is, with the ways to stop it, to look again and to look deeper."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from gui.data.health.check import HealthCheck
from gui.kit.basics import ElidedLabel, button, hbox, progress_bar
from gui.kit.theme import Theme

_BAR_PX = 120


class HealthLine(QWidget):
    """Follows a `HealthCheck`."""

    labels_wanted = Signal()
    report_wanted = Signal()

    def __init__(self, look: Theme, check: HealthCheck) -> None:
        super().__init__()
        self._check = check
        line = hbox(self)
        self.text = ElidedLabel("", "muted-small")
        line.addWidget(self.text, 1)
        self._bar = progress_bar("Progress of the look for problems", _BAR_PX)
        line.addWidget(self._bar)
        self.cancel_button = button("Cancel", check.cancel)
        self.cancel_button.setAccessibleName("Cancel the look for problems")
        self.start_button = button("Look now", check.start)
        self.start_button.setAccessibleName("Look for problems now")
        self.labels_button = button(
            "Look for label errors …",
            self.labels_wanted.emit,
            icon=(look, "label-off-outline", "muted"),
        )
        self.labels_button.setToolTip(
            "Suspected label errors and pictures unlike their class, by the features of the model"
        )
        self.report_button = button(
            "Report …", self.report_wanted.emit, icon=(look, "file-export-outline", "muted")
        )
        self.report_button.setAccessibleName("Save a report of the problems")
        self.report_button.setToolTip("Save the findings as a page to read (HTML) or a table (CSV)")
        for each in (self.cancel_button, self.start_button, self.labels_button, self.report_button):
            line.addWidget(each)
        check.changed.connect(self._show)
        check.found.connect(self._show)
        self._show()

    def _show(self) -> None:
        check = self._check
        state, (done, total, note) = check.state, check.progress
        is_busy = state == "busy"
        doing = note[:1].upper() + note[1:] if note else "Looking for problems"
        numbers = f"  {done:,} / {total:,}" if total else ""
        self.text.setText(
            {
                "none": "",
                "waiting": "The look for problems waits for the end of the run",
                "busy": f"{doing}{numbers}",
                "done": self._say_report(),
                "cancelled": "Only the files were looked at, not what they show",
                "failed": "The look for problems ended early",
            }[state]
        )
        self._bar.setVisible(is_busy)
        self._bar.setRange(0, total)
        self._bar.setValue(done)
        self.cancel_button.setVisible(state in ("busy", "waiting"))
        self.start_button.setVisible(state in ("cancelled", "failed"))
        self.labels_button.setVisible(state == "done")
        self.report_button.setVisible(check.report is not None and not is_busy)

    def _say_report(self) -> str:
        report = self._check.report
        if report is None:
            return ""
        notes = " ".join(report.notes)
        how = "looked at, labels too" if self._check.has_labels else "looked at"
        return notes or f"All {report.images:,} pictures were {how}"
