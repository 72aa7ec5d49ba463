"""Train: a short form, Start and Stop, live curves, and what came out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QStackedWidget, QVBoxLayout, QWidget

from gui import theme
from gui.commands import Commands
from gui.live_run import LiveRun
from gui.pages.page import Page
from gui.session import Session
from gui.settings import Settings
from gui.theme import Theme
from gui.widgets.basics import Card, button, label, row
from gui.widgets.recipe_form import RecipeForm
from gui.widgets.run_view import RunView
from gui.words import count

_FORM_PX = 248


class TrainPage(Page):
    """Left the recipe, right the run."""

    classify_wanted = Signal()
    data_wanted = Signal()

    def __init__(
        self, session: Session, commands: Commands, settings: Settings, look: Theme
    ) -> None:
        super().__init__("Train", session, commands, settings, look)
        columns = QHBoxLayout()
        columns.setSpacing(theme.L)
        self.body.addLayout(columns, 1)
        columns.addWidget(self._make_form())
        self.stack = QStackedWidget()
        columns.addWidget(self.stack, 1)
        self._empty = self._make_empty()
        self.stack.addWidget(self._empty)
        # The plots are built later: pyqtgraph would delay the page otherwise.
        self.run_view: RunView | None = None
        self._run_of: tuple[LiveRun, Path | None] | None = None
        session.models_changed.connect(self._show_models)
        session.dataset_changed.connect(self._show_state)
        session.run_changed.connect(self._show_state)
        self._show_models()
        self._show_state()

    # -- building ----------------------------------------------------------------------------

    def _make_form(self) -> QWidget:
        side = QWidget()
        side.setFixedWidth(_FORM_PX)
        column = QVBoxLayout(side)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.M)
        card = Card()
        self.form = RecipeForm(self.look)
        self.form.model_chosen.connect(self.session.set_model)
        card.body.addWidget(self.form)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidget(card)
        column.addWidget(area, 1)
        self.start_button = button(
            "Start training", self.start, role="primary", icon=(self.look, "play", "on_accent")
        )
        self.stop_button = button(
            "Stop and save", self.commands.stop_training, icon=(self.look, "stop", "bad")
        )
        column.addWidget(self.start_button)
        column.addWidget(self.stop_button)
        return side

    def _make_empty(self) -> QWidget:
        empty = Card(margin=theme.XL)
        empty.body.setSpacing(theme.M)
        self._empty_heading = label("", "heading", wraps=True)
        empty.body.addWidget(self._empty_heading)
        for number, text in enumerate(
            (
                "Every picture is read once and turned into features by the pretrained backbone, "
                "which stays as it is.",
                "A new head learns your classes from the features. How strongly it is regularised "
                "and when it stops is chosen on selection images, held out of the training part.",
                "The accuracy shown at the end comes from pictures that took part in none of it, "
                "with its 95% interval.",
            ),
            start=1,
        ):
            line = row(spacing=theme.M, stretch=False)
            line.addWidget(label(f"{number}", "number"), 0, Qt.AlignmentFlag.AlignTop)
            line.addWidget(label(text, "muted", wraps=True), 1, Qt.AlignmentFlag.AlignTop)
            empty.body.addLayout(line)
        self._open_data = button("Open a dataset", self.data_wanted.emit)
        empty.body.addLayout(row(self._open_data))
        empty.body.addStretch(1)
        return empty

    # -- doing -------------------------------------------------------------------------------

    def start(self) -> None:
        self.commands.start_training(self.values())

    def values(self) -> dict[str, Any]:
        return self.form.values()

    def _open_run_folder(self) -> None:
        live = self.session.live_run
        if live is not None and live.path is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(live.path)))

    # -- showing -----------------------------------------------------------------------------

    def _show_models(self) -> None:
        self.form.show_models(self.session.models, self.session.model_id)

    def _show_state(self) -> None:
        live = self.session.live_run
        dataset = self.session.dataset
        is_on = live is not None and live.is_on
        self.start_button.setEnabled(dataset is not None and not is_on)
        self.stop_button.setVisible(is_on)
        self.stop_button.setEnabled(live is not None and is_on and live.phase != "stopping")
        self.form.setEnabled(not is_on)
        self._open_data.setVisible(dataset is None)
        if dataset is None:
            self._empty_heading.setText("Open a dataset first. Then this happens in seconds:")
            self.set_subtitle("")
        else:
            name = dataset.name or dataset.root.name
            self._empty_heading.setText(f"Ready to train on “{name}”. This is what happens:")
            self.set_subtitle(
                f"{name} · {count(len(dataset), 'image')} · "
                f"{count(len(dataset.classes), 'class', 'classes')}"
            )
        if live is None:
            self.stack.setCurrentWidget(self._empty)
            return
        view = self.prepare_plots()
        view.show_run(live, is_of_another=self._is_of_another(live))
        self.stack.setCurrentWidget(view)

    def _is_of_another(self, live: LiveRun) -> bool:
        """Whether the window holds another dataset than `live` learned from."""
        dataset = self.session.dataset
        root = dataset.root if dataset is not None else None
        # A run begins on the session's dataset; names may repeat, folders do not.
        if self._run_of is None or self._run_of[0] is not live:
            self._run_of = (live, root)
        return root != self._run_of[1]

    def prepare_plots(self) -> RunView:
        """Build the run's view, where it is not there yet; takes a moment because of the plots."""
        if self.run_view is None:
            self.run_view = RunView(self.look)
            self.run_view.classify_wanted.connect(self.classify_wanted)
            self.run_view.folder_wanted.connect(self._open_run_folder)
            self.stack.addWidget(self.run_view)
        return self.run_view
