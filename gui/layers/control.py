"""Ties a view of layers to the session: ticks become the recipe, the recipe becomes ticks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from core.errors import AppError
from gui.base.session import Session
from gui.kit import dialogs
from gui.kit.notice_bar import NoticeBar
from gui.layers.commands import LayerCommands
from gui.layers.view import LayerView

if TYPE_CHECKING:
    from core.models.layers.rows import LayerLine
    from core.plan.layer_plan import LayerPlan

_FILTERS = {"md": "Markdown (*.md)", "csv": "Table (*.csv)"}


class LayerControl(QObject):
    """Main thread only. A click is answered at once: nothing here waits for a job."""

    def __init__(
        self, view: LayerView, session: Session, commands: LayerCommands, notices: NoticeBar
    ) -> None:
        super().__init__(view)
        self._view = view
        self._session = session
        self._commands = commands
        self._notices = notices
        view.shown.connect(self._show_plan)
        view.tick_wanted.connect(self._tick)
        view.factor_wanted.connect(self._set_factor)
        view.preset_wanted.connect(self._choose_preset)
        view.epoch_wanted.connect(self._show_plan)
        view.file_wanted.connect(self._ask_where)
        view.bar.follow(self._commands.history.stack)
        session.recipe_changed.connect(self._show_plan)
        session.models_changed.connect(self._show_plan)
        commands.advice_remembered.connect(self._show_plan)

    # -- showing -----------------------------------------------------------------------------

    def _show_plan(self) -> None:
        layers = self._view.layers
        if layers is None:
            return
        try:
            plan = self._commands.plan_for(layers)
            presets = self._commands.presets(layers, plan.recipe)
        except AppError as error:
            self._view.show_error(error)
            return
        self._view.schedule.show_plan(plan)  # it knows whether its epoch is one of this plan's
        epoch = self._view.schedule.epoch
        now: LayerPlan | None = None
        if epoch is not None:
            now = self._commands.plan_for(layers, epoch=epoch)
        hint = ""
        if not self._commands.is_planned(layers):
            hint = "Not the model of the next run: a tick makes it that."
        self._view.show_plan(plan, now=now, presets=presets, hint=hint)

    # -- changing ----------------------------------------------------------------------------

    def _tick(self, line: LayerLine, trains: bool) -> None:
        layers = self._view.layers
        if layers is not None:
            self._do(lambda: self._commands.tick(layers, line, trains=trains))

    def _set_factor(self, line: LayerLine, text: str) -> None:
        layers = self._view.layers
        if layers is not None:
            self._do(lambda: self._commands.set_factor(layers, line, text))

    def _choose_preset(self, preset: str) -> None:
        layers = self._view.layers
        if layers is not None:
            self._do(lambda: self._commands.choose_preset(layers, preset))

    def _do(self, change: Callable[[], None]) -> None:
        """A change, and what there is to say about it."""
        layers = self._view.layers
        if layers is None:
            return
        was_planned = self._commands.is_planned(layers)
        before = self._session.model_id
        self._notices.clear()
        try:
            change()
        except AppError as error:
            self._notices.show_error(error)
            return
        if not was_planned and self._commands.is_planned(layers):
            now = self._session.model_id
            text = f"{now} is now the model of the next run, in place of {before}."
            if not any(card.id == now for card in self._session.models):
                text += " Its weights are fetched when it starts, which needs a network."
            self._notices.show_notice(f"{text} Undo (Ctrl+Z) takes it back.")

    # -- files -------------------------------------------------------------------------------

    def _ask_where(self, suffix: str) -> None:
        if self._view.plan is None:
            return
        name = self._view.shown_model.rpartition("/")[2]
        dialogs.ask_where_to_save(
            self._view,
            "Save the layers as a table",
            (_FILTERS[suffix],),
            self.save,
            name=f"{name}-layers.{suffix}",
        )

    def save(self, path: str) -> None:
        """Write the table to a file, as Markdown where its name ends so, else as CSV."""
        is_markdown = path.endswith(".md")
        text = self._view.as_markdown() if is_markdown else self._view.as_csv()
        if text:
            self._commands.save_table(Path(path), text)
