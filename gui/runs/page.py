"""Runs: all runs on this machine, how they differ, and what can be done with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QShowEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QSplitter,
    QStackedWidget,
    QWidget,
)

from gui.base.page import Page
from gui.base.session import Session
from gui.kit import dialogs, theme
from gui.kit.basics import delayed, label, vbox
from gui.kit.drop_zone import DropZone
from gui.kit.inputs import LineEdit
from gui.kit.settings import Settings
from gui.kit.theme import Theme
from gui.kit.words import count
from gui.runs.commands import RunsCommands
from gui.runs.details import RunDetailsPanel
from gui.runs.jobs import RunCurves, RunDetails
from gui.runs.table import RunTable

if TYPE_CHECKING:
    from core.runs.run_folder import RunSummary
    from gui.runs.overlay import RunOverlay

_SETTLE_MS = 80  # while the arrow keys run down the table no run is read
_NAMED = 5
_CURVES_PX = 190
MOST_CURVES = 6
"""Runs whose curves are drawn over each other: as many as can be told apart."""


class RunsPage(Page):
    """The table on the left, what is chosen on the right; empty, an invitation to train."""

    classify_wanted = Signal(Path)
    """A run to classify with."""
    resume_wanted = Signal(Path)

    def __init__(
        self, session: Session, settings: Settings, look: Theme, *, commands: RunsCommands
    ) -> None:
        super().__init__("Runs", session, settings, look)
        self._commands = commands
        self._pair: tuple[RunSummary, RunSummary | None] | None = None
        self._timer = delayed(self, _SETTLE_MS, self._read_details)
        self.search = LineEdit("Search runs", "Search runs", can_clear=True)
        self.search.setFixedWidth(240)
        self.search.textChanged.connect(self._search)
        self.archived = QCheckBox("Archived")
        self.archived.setAccessibleName("Show the archived runs, too")
        self.archived.toggled.connect(self._show_runs)
        self.header.addWidget(self.archived)
        self.header.addWidget(self.search)
        self.stack = QStackedWidget()
        self.body.addWidget(self.stack, 1)
        self._empty = DropZone(
            look,
            icon="history",
            text="No runs yet",
            hint="Every training leaves a run here, with its settings, its curves and its model. "
            "Click to go to Train.",
        )
        self._empty.activated.connect(self._show_train)
        self.stack.addWidget(self._empty)
        self.stack.addWidget(self._make_filled())
        session.runs_changed.connect(self._show_runs)
        commands.details_read.connect(self._show_details)
        commands.curves_read.connect(self._show_curves)
        self._show_runs()

    def _make_filled(self) -> QWidget:
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setChildrenCollapsible(False)
        splitter.setHandleWidth(theme.M)
        left = QWidget()
        column = vbox(left)
        self.table = RunTable(self.look)
        self.table.selection_changed.connect(self._show_selection)
        self.table.opened.connect(self._open_results)
        self.table.trash_wanted.connect(self._ask_to_trash)
        column.addWidget(self.table, 3)
        self.found = label("", "muted-small")
        column.addWidget(self.found)
        self._curves_place = column
        # Built with the first curves: pyqtgraph would delay the page otherwise.
        self.overlay: RunOverlay | None = None
        splitter.addWidget(left)
        self.details = RunDetailsPanel(self.look)
        self.details.setMinimumWidth(240)
        self.details.results_wanted.connect(self._open_results)
        self.details.classify_wanted.connect(self._classify)
        self.details.resume_wanted.connect(self._resume)
        self.details.settings_wanted.connect(self._use_settings)
        self.details.folder_wanted.connect(self._open_folder)
        self.details.trash_wanted.connect(self._ask_to_trash)
        self.details.archive_wanted.connect(self._archive)
        self.details.note_changed.connect(self._commands.write_note)
        splitter.addWidget(self.details)
        splitter.setStretchFactor(0, 1)
        splitter.setStretchFactor(1, 0)
        splitter.setSizes([600, 240])
        return splitter

    # -- showing -----------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not event.spontaneous() and self.session.machine is not None:
            self._commands.refresh()  # runs of the command line and of other windows too

    def _show_runs(self, _changed: object = None) -> None:
        every = self.session.runs
        aside = sum(run.is_archived for run in every)
        runs = [run for run in every if self.archived.isChecked() or not run.is_archived]
        self.stack.setCurrentIndex(1 if every else 0)
        self.search.setVisible(bool(every))
        self.archived.setVisible(bool(aside))
        archived = f", {aside:,} archived" if aside else ""
        self.set_subtitle(f"{count(len(every), 'run')}{archived}" if every else "")
        self.table.show_runs(runs)
        if runs and not self.table.selected and not self.search.text():
            self.table.selectRow(0)
        self._show_found()

    def _search(self, text: str) -> None:
        self.table.search(text)
        self._show_found()

    def _show_found(self) -> None:
        shown, all_runs = self.table.shown, self.table.runs_model.rowCount()
        self.found.setVisible(shown < all_runs)
        self.found.setText(
            f"{shown:,} of {count(all_runs, 'run')}" if shown else "No run has all these words."
        )

    def _show_selection(self) -> None:
        chosen = self.table.selected
        self._pair = None
        if not chosen:
            self.details.show_none("Choose a run to see what it is.")
        elif len(chosen) == 1:
            (run,) = chosen
            self._pair = (run, self._run_before(run))
            self.details.show_one(run, is_usable=run in self.session.usable_runs)
        elif len(chosen) == 2:
            older, newer = sorted(chosen, key=_started)
            self._pair = (newer, older)
            self.details.show_pair(newer, older)
        else:
            self.details.show_many(chosen)
        self._timer.start()

    def _run_before(self, run: RunSummary) -> RunSummary | None:
        """The newest earlier run, of the same dataset where there is one."""
        earlier = [other for other in self.session.runs if other.started < run.started]
        same = [other for other in earlier if other.dataset == run.dataset]
        return max(same, key=_started, default=None)

    def _read_details(self) -> None:
        if self._pair is not None:
            run, other = self._pair
            self._commands.read_details(run.path, other.path if other is not None else None)
        chosen = self.table.selected
        if chosen:
            self._commands.read_curves([run.path for run in chosen[:MOST_CURVES]])
        elif self.overlay is not None:
            self.overlay.hide()

    def _show_curves(self, curves: tuple[RunCurves, ...]) -> None:
        chosen = self.table.selected
        if [run.path for run in chosen[:MOST_CURVES]] != [run.path for run in curves]:
            return  # of an earlier choice
        if not any(run.epochs for run in curves):
            if self.overlay is not None:
                self.overlay.hide()
            return
        if self.overlay is None:
            from gui.runs.overlay import RunOverlay

            self.overlay = RunOverlay(self.look)
            self.overlay.setMinimumHeight(_CURVES_PX)
            self._curves_place.addWidget(self.overlay, 2)
        names = _short_names(chosen)
        named = [replace(run, name=names[run.path]) for run in curves]
        self.overlay.show_curves(named, chosen=len(chosen))
        self.overlay.show()

    def _show_details(self, details: RunDetails) -> None:
        if self._pair is None or self._pair[0].path != details.path:
            return
        run, other = self._pair
        if (other.path if other is not None else None) != details.other:
            return
        names = [f"{r.started:%H:%M:%S, %d %b}" for r in (run, other) if r is not None]
        older = names[-1] if len(self.table.selected) == 2 else f"the run before ({names[-1]})"
        newer = names[0] if len(self.table.selected) == 2 else "this one"
        self.details.show_details(details, newer=newer, older=older)

    # -- doing -------------------------------------------------------------------------------

    def _one(self) -> RunSummary | None:
        chosen = self.table.selected
        return chosen[0] if len(chosen) == 1 else None

    def _show_train(self) -> None:
        self.session.show_page("train")

    def _open_results(self) -> None:
        run = self._one()
        if run is None:
            return
        if run.report_accuracy is None:
            self.session.notice("runs", "This run has no report to show.")
            return
        self.session.show_run(run.path)
        self.session.show_page("results")

    def _classify(self) -> None:
        run = self._one()
        if run is not None:
            self.classify_wanted.emit(run.path)

    def _resume(self) -> None:
        run = self._one()
        if run is not None and run.can_resume:
            self.resume_wanted.emit(run.path)

    def _use_settings(self) -> None:
        run = self._one()
        if run is not None:
            self._commands.use_settings(run.path)

    def _open_folder(self) -> None:
        run = self._one()
        if run is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(run.path)))

    def _archive(self) -> None:
        chosen = self.table.selected
        if chosen:
            is_archived = not all(run.is_archived for run in chosen)
            paths = [run.path for run in chosen]
            self._commands.set_archived(paths, is_archived=is_archived)

    # -- the trash ---------------------------------------------------------------------------

    def _ask_to_trash(self) -> None:
        on_now = [run for run in self.table.selected if self._is_on(run)]
        chosen = [run for run in self.table.selected if not self._is_on(run)]
        if on_now:
            self.session.notice(
                "runs", "The run that is on stays. Stop it first (Shift+F5).", "warning"
            )
        if not chosen:
            return
        what = "this run" if len(chosen) == 1 else f"these {len(chosen):,} runs"
        names = "\n".join(run.name for run in chosen[:_NAMED])
        more = f"\nand {len(chosen) - _NAMED:,} more" if len(chosen) > _NAMED else ""
        dialogs.ask(
            self,
            "Move to trash",
            f"Move {what} to the trash?",
            f"{names}{more}\n\nTheir models go with them.",
            yes="Move to trash",
            no="Keep",
            accepted=lambda: self._commands.move_to_trash([run.path for run in chosen]),
        )

    def _is_on(self, run: RunSummary) -> bool:
        live = self.session.live_run
        is_live = live is not None and live.is_on and live.path == run.path
        return is_live or run.status == "running"


def _short_names(runs: Sequence[RunSummary]) -> dict[Path, str]:
    """Names by the time of the start, where these differ: a legend has little room."""
    when = {run.path: f"{run.started:%d %b %H:%M}" for run in runs}
    often = Counter(when.values())
    return {run.path: when[run.path] if often[when[run.path]] == 1 else run.name for run in runs}


def _started(run: RunSummary) -> tuple[object, str]:
    return run.started, run.name
