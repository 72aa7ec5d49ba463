"""Which models are compared: the list, its view, the marks of it elsewhere, and the timing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from gui.kit.notice_bar import NoticeBar
from gui.kit.view_switch import ViewSwitch
from gui.models.chart.view import ModelChartView
from gui.models.commands import ModelCommands
from gui.models.compare import CompareList, CompareView
from gui.models.facts import compared_facts
from gui.models.rows import WEIGHTS_COLUMN
from gui.models.table import ModelTable

if TYPE_CHECKING:
    from core.catalog.card import ModelCard
    from core.catalog.catalog import Catalog
    from gui.models.rows import ModelRow


class CompareControl(QObject):
    """Owned by the page; `row_of` gives the table's row of a card, None where it has none."""

    def __init__(
        self,
        view: CompareView,
        table: ModelTable,
        chart: ModelChartView,
        switch: ViewSwitch,
        commands: ModelCommands,
        notices: NoticeBar,
        row_of: Callable[[ModelCard], ModelRow | None],
    ) -> None:
        super().__init__(view)
        self.list = CompareList(self)
        self._view, self._table, self._chart = view, table, chart
        self._switch, self._notices, self._row_of = switch, notices, row_of
        self._commands = commands
        self._catalog: Catalog | None = None
        self.list.changed.connect(self._show)
        for made in (table, chart):
            made.compare_wanted.connect(self.toggle)
        view.remove_wanted.connect(self.list.remove)
        view.clear_wanted.connect(self.list.clear)
        view.measure_wanted.connect(self._commands.measure)
        view.cancel_wanted.connect(self._commands.cancel_measuring)
        self._commands.measuring_changed.connect(self._show_measuring)
        self._commands.measure_failed.connect(notices.show_error)

    def toggle(self, card: ModelCard) -> None:
        """Mark a model or unmark it; a notice where no more can be compared."""
        refusal = self.list.toggle(card)
        if refusal:
            self._notices.show_notice(refusal, "warning")
        else:
            self._notices.clear()

    def show_catalog(self, catalog: Catalog) -> None:
        """The catalog was read again: figures may be known that were not."""
        self._catalog = catalog
        self.list.keep(catalog.by_id)
        self._show()

    def _show(self) -> None:
        ids = self.list.ids
        self._switch.set_text("compare", f"Compare ({len(ids)})" if ids else "Compare")
        self._table.table_model.mark_compared(ids)
        self._chart.chart.mark_compared(ids)
        if self._catalog is None:
            return
        rows = [row for row in map(self._row_of, self.list.cards) if row is not None]
        self._view.show_cards(
            [row.card for row in rows],
            [compared_facts(row, self._catalog, row.texts[WEIGHTS_COLUMN]) for row in rows],
        )
        self._show_measuring()

    def _show_measuring(self) -> None:
        self._view.show_measuring(self._commands.measured_now)
