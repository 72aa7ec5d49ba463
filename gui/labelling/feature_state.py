"""What a tab shows until the features of the pictures are there: what they cost, and a button."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QWidget

from core.catalog.names import shown_name
from gui.kit import theme
from gui.kit.basics import Card, button, label, progress_bar, row, vbox
from gui.kit.theme import Theme
from gui.kit.words import count, duration
from gui.labelling.commands import FeatureCommands

_REFRESH_MS = 200
_WIDTH_PX = 440


class FeatureStateView(Card):
    """Asks before anything long begins; shows how far it is, and lets it be cancelled."""

    def __init__(
        self, look: Theme, features: FeatureCommands, *, heading: str, action: str, purpose: str
    ) -> None:
        super().__init__(margin=theme.XL)
        self._features = features
        self._trouble = ""
        self.setAccessibleName(heading)
        centre = Qt.AlignmentFlag.AlignHCenter
        self.text = label(purpose, "muted", wraps=True)
        self.cost = label("", "body", wraps=True)
        texts = QWidget()
        texts.setFixedWidth(_WIDTH_PX)
        lines = vbox(texts, spacing=-1)
        for each in (label(heading, "heading"), self.text, self.cost):
            each.setAlignment(centre)
            lines.addWidget(each)
        self.bar = progress_bar("Progress of the features", 320)
        self.start_button = button(
            action, features.read, role="primary", icon=(look, "play", "on_accent")
        )
        self.cancel_button = button("Cancel", features.cancel)
        self.body.addStretch(1)
        # Not by an alignment: a label that wraps then gets the height of one line.
        across = row(texts)
        across.insertStretch(0, 1)
        self.body.addLayout(across)
        self.body.addWidget(self.bar, 0, centre)
        line = row(self.start_button, self.cancel_button)
        line.insertStretch(0, 1)
        self.body.addLayout(line)
        self.body.addStretch(1)
        self._timer = QTimer(self)
        self._timer.setInterval(_REFRESH_MS)
        self._timer.timeout.connect(self._show)
        features.changed.connect(self._changed)
        self._show()

    def say(self, trouble: str) -> None:
        """Show why the features could not be computed."""
        self._trouble = trouble
        self._show()

    def _changed(self) -> None:
        self._trouble = ""
        self._show()

    def _show(self) -> None:
        features = self._features
        is_reading = features.state in ("reading", "ready") and not self._trouble
        self.cost.setText(self._trouble or describe_features(features))
        self.start_button.setVisible(not is_reading)
        self.cancel_button.setVisible(features.state == "reading")
        self.bar.setVisible(is_reading)
        done, total, _ = features.progress
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        is_moving = features.state in ("asking", "reading", "ready") and self.isVisible()
        if is_moving and not self._trouble:
            self._timer.start()
        else:
            self._timer.stop()

    def showEvent(self, event: object) -> None:
        self._show()

    def hideEvent(self, event: object) -> None:
        self._timer.stop()


def describe_features(features: FeatureCommands) -> str:
    """Where the features stand, in a sentence."""
    model = shown_name(features.model_id)
    if features.trouble:
        return features.trouble
    if features.is_waiting:
        return "Waiting for the work that is on; it goes on by itself."
    if features.state == "asking":
        return f"Counting what {model} has seen already …"
    if features.state == "reading":
        done, total, note = features.progress
        return (
            f"{model}: {note} · {done:,} / {total:,}" if total else f"{model}: {note or 'starting'}"
        )
    if features.state == "ready":
        return "Finding the main directions …"
    cost = features.cost
    if cost is None:
        return f"{model} has to see every picture once."
    if not cost.missing:
        return f"{model} has seen all of them."
    takes = duration(cost.seconds)
    about = takes if takes.startswith("under") else f"about {takes}"
    return (
        f"{model} has still to see {cost.missing:,} of {count(cost.total, 'picture')}, once: "
        f"{about} on this machine."
    )
