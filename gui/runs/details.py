"""The panel beside the table of runs: what the chosen run is, how it differs, what can be done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QScrollArea, QVBoxLayout, QWidget

from core.catalog.names import shown_name
from gui.kit import theme
from gui.kit.basics import Card, ElidedLabel, button, label, separator, vbox
from gui.kit.theme import Theme, set_role
from gui.kit.words import count, duration, isolate, strategy_in_words
from gui.runs.note_edit import NoteEdit

if TYPE_CHECKING:
    from core.runs.run_folder import RunSummary
    from gui.runs.jobs import RunDetails

_STATUS_WORDS = {
    "done": "Done",
    "stopped": "Stopped; what it learned is saved",
    "failed": "Failed",
    "running": "On now",
    "interrupted": "Cut off: the program ended before it did",
}
_TONES = {"done": "good", "failed": "bad", "interrupted": "warning"}
_KEY_WORDS = {"l2": "L2 penalty"}


class RunDetailsPanel(Card):
    """Shows none, one or several runs; the actions fit what is chosen."""

    results_wanted = Signal()
    classify_wanted = Signal()
    resume_wanted = Signal()
    settings_wanted = Signal()
    folder_wanted = Signal()
    trash_wanted = Signal()
    archive_wanted = Signal()
    note_changed = Signal(object, str)
    """The path of a run and what was written about it."""

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._facts: list[str] = []
        self.title = ElidedLabel("", "heading")
        self.body.addWidget(self.title)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        inside = QWidget()
        self._column = vbox(inside, margins=(0, 0, theme.XS, 0))
        self.status = label("", wraps=True)
        self._column.addWidget(self.status)
        self.error = label("", wraps=True)
        set_role(self.error, tone="bad")
        self.error.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._column.addWidget(self.error)
        self.facts = label("", "muted", wraps=True)
        self._column.addWidget(self.facts)
        self.note = NoteEdit()
        self.note.changed.connect(self.note_changed)
        self._column.addWidget(self.note)
        self._line = separator()
        self._column.addWidget(self._line)
        self.compared = label("", "muted-small", wraps=True)
        self._column.addWidget(self.compared)
        self._grid_place = QVBoxLayout()
        self._column.addLayout(self._grid_place)
        self._grid: QWidget | None = None
        self._column.addStretch(1)
        area.setWidget(inside)
        for part in (inside, area.viewport()):  # the card shows through
            part.setAutoFillBackground(False)
        self.body.addWidget(area, 1)
        self._add_buttons(look)
        self.show_none("")

    def _add_buttons(self, look: Theme) -> None:
        self.results = button(
            "Open results",
            self.results_wanted.emit,
            role="primary",
            icon=(look, "chart-box-outline", "on_accent"),
        )
        self.classify = button(
            "Classify with it",
            self.classify_wanted.emit,
            icon=(look, "image-search-outline", "muted"),
        )
        self.resume = button("Resume", self.resume_wanted.emit, icon=(look, "play", "muted"))
        self.settings = button(
            "Use its settings", self.settings_wanted.emit, icon=(look, "tune-variant", "muted")
        )
        self.folder = button(
            "Open folder", self.folder_wanted.emit, icon=(look, "folder-open-outline", "muted")
        )
        self.archive = button(
            "Archive", self.archive_wanted.emit, icon=(look, "archive-outline", "muted")
        )
        self.archive.setToolTip("Put it aside; it stays on the disk")
        self.trash = button(
            "Move to trash", self.trash_wanted.emit, icon=(look, "trash-can-outline", "bad")
        )
        self.trash.setToolTip("Asks first (Delete)")
        for made in self.buttons:
            self.body.addWidget(made)

    @property
    def buttons(self) -> tuple[QWidget, ...]:
        return (
            self.results, self.classify, self.resume, self.settings, self.folder, self.archive,
            self.trash,
        )  # fmt: skip

    # -- showing -----------------------------------------------------------------------------

    def show_none(self, text: str) -> None:
        self.title.setText("")
        self._show_texts(status=text)
        for made in self.buttons:
            made.hide()

    def show_one(self, run: RunSummary, *, is_usable: bool) -> None:
        """At once what the table knows; `show_details` adds the rest."""
        self.title.setText(isolate(run.name))
        facts = [
            strategy_in_words(run.strategy),
            shown_name(run.model),
            count(run.classes, "class", "classes"),
            f"started {run.started:%Y-%m-%d %H:%M}",
        ]
        if run.report_accuracy is not None:
            facts.insert(0, f"{run.report_accuracy:.1%} on the report set")
        if run.best_epoch is not None and run.best_epoch >= 0:
            facts.append(f"best epoch {run.best_epoch}")
        self._show_texts(
            status=_STATUS_WORDS.get(run.status, run.status),
            tone=_TONES.get(run.status, ""),
            facts=" · ".join(facts),
        )
        for made in self.buttons:
            made.show()
        self.results.setEnabled(run.report_accuracy is not None)
        self.classify.setEnabled(is_usable)
        self.resume.setVisible(run.can_resume)
        self.trash.setEnabled(run.status != "running")
        self._name_archive([run])
        self.note.show_run(run.path, run.note)
        self._facts = facts

    def show_pair(self, newer: RunSummary, older: RunSummary) -> None:
        self.title.setText("Two runs")
        self._show_texts(status="")
        self._show_several([newer, older])

    def show_many(self, runs: Sequence[RunSummary]) -> None:
        self.title.setText(count(len(runs), "run"))
        self._show_texts(status="Choose one to see what it is, or two to compare their settings.")
        self._show_several(runs)

    def _show_several(self, runs: Sequence[RunSummary]) -> None:
        for made in self.buttons:
            made.setVisible(made in (self.trash, self.archive))
        self._name_archive(runs)
        self.trash.setEnabled(any(run.status != "running" for run in runs))

    def _name_archive(self, runs: Sequence[RunSummary]) -> None:
        text = "Bring back" if all(run.is_archived for run in runs) else "Archive"
        self.archive.setText(f" {text}")
        self.archive.setAccessibleName(text)

    def show_details(self, details: RunDetails, *, newer: str, older: str) -> None:
        """`newer`, `older`: names of the runs whose settings are compared."""
        if self.title.text() != "Two runs":
            self.error.setText(details.error)
            self.error.setVisible(bool(details.error))
            facts = list(self._facts)
            if details.epochs:
                facts.append(f"{count(details.epochs, 'epoch')} in {duration(details.seconds)}")
            facts.append(f"{details.size_bytes / 2**20:,.1f} MB on disk")
            self.facts.setText(" · ".join(facts))
        self._line.setVisible(details.other is not None)
        self.compared.setVisible(details.other is not None)
        if details.other is None:
            return
        if not details.differences:
            self.compared.setText(f"The same settings as {older}.")
            return
        self.compared.setText(f"Settings of {older} → {newer}")
        self._replace_grid()
        grid_widget = QWidget()
        grid = QGridLayout(grid_widget)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(theme.M)
        grid.setVerticalSpacing(theme.XS)
        grid.setColumnStretch(1, 1)
        for row, difference in enumerate(details.differences):
            key = _KEY_WORDS.get(difference.key, difference.key.replace("_", " "))
            grid.addWidget(label(key, "muted"), row, 0, Qt.AlignmentFlag.AlignTop)
            before, after = (
                shown_name(value) if difference.key == "model" else value
                for value in difference.values
            )
            grid.addWidget(label(f"{before} → {after}", wraps=True), row, 1)
        self._grid = grid_widget
        self._grid_place.addWidget(grid_widget)

    def _show_texts(self, *, status: str, tone: str = "", facts: str = "") -> None:
        self.status.setText(status)
        set_role(self.status, tone=tone)
        self.status.setVisible(bool(status))
        self.facts.setText(facts)
        self.facts.setVisible(bool(facts))
        self.note.hide()
        self.error.hide()
        self._line.hide()
        self.compared.hide()
        self._replace_grid()
        self._facts = []

    def _replace_grid(self) -> None:
        if self._grid is not None:
            self._grid_place.removeWidget(self._grid)
            self._grid.hide()
            self._grid.deleteLater()
            self._grid = None
