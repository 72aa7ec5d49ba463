"""Start: drop something, take the sample, or go on with what was open before."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from gui.base.page import Page
from gui.base.session import Session
from gui.kit import theme
from gui.kit.basics import Card, button, hbox, label, row, scroll_area, vbox
from gui.kit.drop_zone import DropZone
from gui.kit.links import LinkList
from gui.kit.settings import Settings
from gui.kit.theme import Theme
from gui.start.ready_made_commands import ReadyMadeCommands
from gui.start.ready_made_dialog import ReadyMadeDialog
from gui.start.recover_card import RecoverCard

_SIDE_PX = 300
_SHOWN_RUNS = 5


class StartPage(Page):
    """The first thing a person sees; must be built without anything heavy."""

    folder_wanted = Signal()
    sample_wanted = Signal()
    dataset_wanted = Signal(Path)
    run_wanted = Signal(Path)
    resume_wanted = Signal(Path)

    def __init__(
        self, session: Session, settings: Settings, look: Theme, *, ready_made: ReadyMadeCommands
    ) -> None:
        super().__init__("Start", session, settings, look)
        self._ready_made = ready_made
        self.set_subtitle("Train an image classifier from a folder of labelled pictures.")
        columns = hbox(spacing=theme.L)
        self.body.addLayout(columns, 1)
        columns.addLayout(self._make_main(), 1)
        columns.addWidget(self._make_side())
        session.runs_changed.connect(self._show_runs)
        session.dataset_changed.connect(self._show_datasets)
        session.machine_changed.connect(self._show_machine)
        self._show_datasets()
        self._show_runs()
        self._show_machine()

    def _make_main(self) -> QVBoxLayout:
        column = vbox(spacing=theme.M)
        self.recover = RecoverCard(self.look)
        self.recover.recover_wanted.connect(self.resume_wanted)
        column.addWidget(self.recover)
        self.drop_zone = DropZone(
            self.look,
            icon="folder-open-outline",
            text="Drop a folder of images here",
            hint="One folder per class, with or without train and val above them. "
            "Or click to choose one. An image dropped anywhere is classified.",
        )
        self.drop_zone.activated.connect(self.folder_wanted)
        column.addWidget(self.drop_zone, 1)
        sample = Card()
        self.sample_button = button(
            "Try it with the sample",
            self.sample_wanted.emit,
            icon=(self.look, "numeric", "accent"),
        )
        words = vbox(spacing=0)
        words.addWidget(label("No pictures at hand?", "heading"))
        words.addWidget(
            label(
                "1,797 handwritten digits come along, without a network; more can be downloaded.",
                "muted",
                wraps=True,
            )
        )
        self.ready_made_button = button("Ready-made datasets …", self._ask_for_ready_made)
        sample.body.addLayout(words)
        # Below the words: side by side the three do not fit a small window.
        sample.body.addLayout(row(self.sample_button, self.ready_made_button))
        column.addWidget(sample)
        return column

    def _ask_for_ready_made(self) -> None:
        self.open_ready_made()

    def open_ready_made(self) -> ReadyMadeDialog:
        """Open the dialog of published datasets; does not block."""
        dialog = ReadyMadeDialog(self.window(), self.look, self._ready_made)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()
        return dialog

    def _make_side(self) -> QWidget:
        side = QWidget()
        column = vbox(side, margins=(0, 0, theme.S, 0), spacing=theme.M)
        datasets = Card("Recent datasets", margin=theme.M)
        self.datasets = LinkList(self.look, empty="Datasets you open are listed here.")
        datasets.body.addWidget(self.datasets)
        column.addWidget(datasets)
        runs = Card("Recent runs", margin=theme.M)
        self.runs = LinkList(self.look, empty="Your trained classifiers are listed here.")
        runs.body.addWidget(self.runs)
        column.addWidget(runs)
        machine = Card("This machine", margin=theme.M)
        self.machine = label("", "muted", wraps=True)
        machine.body.addWidget(self.machine)
        column.addWidget(machine)
        column.addStretch(1)
        # A low window with a notice and all recent runs has no room for every row.
        area = scroll_area(side)
        area.setFixedWidth(_SIDE_PX + theme.S)
        return area

    def _show_datasets(self) -> None:
        open_dataset = self.dataset_wanted.emit
        self.datasets.show_links(
            [
                (
                    path.name,
                    str(path.parent),
                    "folder-image",
                    partial(open_dataset, path),
                )
                for path in self.settings.recent_datasets[:4]
            ]
        )

    def _show_runs(self) -> None:
        self.recover.show_runs(self.session.runs)
        links = []
        for run in self.session.usable_runs[:_SHOWN_RUNS]:
            accuracy = "" if run.report_accuracy is None else f"{run.report_accuracy:.1%} · "
            detail = f"{accuracy}{run.classes} classes · {run.started:%d %b %H:%M}"
            links.append(
                (run.dataset, detail, "chart-line", partial(self.run_wanted.emit, run.path))
            )
        self.runs.show_links(links)

    def _show_machine(self) -> None:
        machine = self.session.machine
        if machine is None:
            self.machine.setText("Looking at this machine …")
            return
        accelerator = machine.accelerator or "no GPU: training runs on the processor"
        self.machine.setText(
            f"{machine.cpu}\n{machine.cores} cores · {machine.memory_gb:.0f} GB memory\n"
            f"{accelerator[:1].upper()}{accelerator[1:]}\n"
            f"Computes in {machine.precision}"
        )
