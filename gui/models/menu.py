"""The context menu of a model, in the table and in the chart, and what it copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, Signal
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import QMenu, QWidget

from core.catalog import table_export
from gui.kit import text_tables
from gui.kit.words import count

if TYPE_CHECKING:
    from core.catalog.card import Latency, ModelCard
    from gui.models.rows import ModelRow


class ModelMenu(QMenu):
    """Opened for a card; copies are of the rows it was given."""

    use_wanted = Signal(object)
    compare_wanted = Signal(object)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAccessibleName("What to do with this model")
        self._card: ModelCard | None = None
        self._rows: tuple[ModelRow, ...] = ()
        self._use = self._add("Use this model", self._use_chosen, "Enter")
        self._compare = self._add("Compare", self._compare_chosen, "Space")
        self.addSeparator()
        self._copy_cells = self._add("Copy", self.copy_cells, "Ctrl+C")
        self._add("Copy as Markdown", self.copy_markdown)
        self._add("Copy as CSV", self.copy_csv)
        self._copy_ids = self._add("Copy id", self.copy_ids)

    def _add(self, text: str, done: Callable[[], None], key: str = "") -> QAction:
        action = self.addAction(f"{text}\t{key}" if key else text)
        action.triggered.connect(done)
        return action

    def prepare(
        self, card: ModelCard, selected: Sequence[ModelRow], *, chosen_id: str, is_compared: bool
    ) -> None:
        """Make ready for a card and the rows that are selected."""
        self._card = card
        self.show_rows(selected)
        self._use.setEnabled(card.id != chosen_id)
        self._use.setText("In use" if card.id == chosen_id else "Use this model\tEnter")
        self._compare.setText(
            "Take out of the comparison\tSpace" if is_compared else "Compare\tSpace"
        )
        many = count(len(selected), "row")
        self._copy_cells.setText(f"Copy {many}, tabs between the cells\tCtrl+C")
        self._copy_ids.setText("Copy id" if len(selected) == 1 else f"Copy {len(selected):,} ids")

    def show_rows(self, selected: Sequence[ModelRow]) -> None:
        """Set the rows that copies are made of."""
        self._rows = tuple(selected)

    def _use_chosen(self) -> None:
        self.use_wanted.emit(self._card)

    def _compare_chosen(self) -> None:
        self.compare_wanted.emit(self._card)

    def open_at(self, at: QPoint) -> None:
        """Open the menu at a global point."""
        self.popup(at)

    # -- copies ------------------------------------------------------------------------------

    def copy_cells(self) -> None:
        """Copy the rows with tabs, as spreadsheets paste them."""
        cells = [
            table_export.cells_of(row.card, is_here=row.is_here, latency=row.latency)
            for row in self._rows
        ]
        self._copy(text_tables.tab_separated(table_export.HEADINGS, cells))

    def copy_markdown(self) -> None:
        """Copy the rows as a Markdown table."""
        self._copy(table_export.to_markdown(*self._as_asked()))

    def copy_csv(self) -> None:
        """Copy the rows as CSV."""
        self._copy(table_export.to_csv(*self._as_asked()))

    def copy_ids(self) -> None:
        """Copy the ids of the rows, a line each."""
        self._copy("".join(f"{row.card.id}\n" for row in self._rows).rstrip("\n"))

    def _as_asked(self) -> tuple[list[ModelCard], set[str], dict[str, Latency]]:
        return (
            [row.card for row in self._rows],
            {row.card.id for row in self._rows if row.is_here},
            {row.card.id: row.latency for row in self._rows if row.latency is not None},
        )

    def _copy(self, text: str) -> None:
        if self._rows:
            QGuiApplication.clipboard().setText(text)
