"""The chart of models with what belongs to it: the choice of cost, the note, its table."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QGuiApplication, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QStackedWidget,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from gui.kit import text_tables, theme
from gui.kit.basics import button, delayed, hbox, label, vbox
from gui.kit.inputs import ComboBox
from gui.kit.theme import Theme
from gui.models.chart.chart import ModelChart
from gui.models.chart.points import AXES, AllPoints, ChartPoints, axis_of, short_figure

if TYPE_CHECKING:
    from gui.models.rows import ModelRow

_SOON_MS = 60
"""After the last key: between two keys of a person who types there is more."""
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class ModelChartView(QWidget):
    """Shows the rows it is given; draws nothing while it is hidden."""

    point_chosen = Signal(object)
    point_wanted = Signal(object)
    compare_wanted = Signal(object)
    menu_wanted = Signal(object, QPoint)

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._rows: tuple[ModelRow, ...] = ()
        self._fitting: frozenset[int] = frozenset()
        self._all: dict[str, AllPoints] = {}
        self._is_stale = False
        self._soon = delayed(self, _SOON_MS, self._draw)
        self.shown: ChartPoints | None = None
        column = vbox(self)
        self.axis = ComboBox()
        self.axis.setAccessibleName("What the models cost")
        for axis in AXES:
            self.axis.addItem(f"Top-1 against {axis.name.lower()}", axis.key)
        self.axis.currentIndexChanged.connect(self._axis_changed)
        self.whole_button = button("Whole", self._show_whole)
        self.whole_button.setToolTip("Show the whole chart again (0); the wheel and + − zoom")
        self.table_button = button("As a table …", self.show_table)
        self.table_button.setToolTip("The chart's figures as a table, to read and to copy")
        line = hbox()
        line.addWidget(self.axis, 1)
        line.addWidget(self.whole_button)
        line.addWidget(self.table_button)
        column.addLayout(line)
        self.chart = ModelChart(look)
        self.empty = label("", "muted", wraps=True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.chart)
        self.stack.addWidget(self.empty)
        column.addWidget(self.stack, 1)
        self.note = label("", "muted-small", wraps=True)
        column.addWidget(self.note)
        for name in ("point_chosen", "point_wanted", "compare_wanted", "menu_wanted"):
            getattr(self.chart, name).connect(getattr(self, name))
        self.chart.zoom_changed.connect(self._show_zoom)
        self._show_zoom()

    def show_rows(self, rows: Sequence[ModelRow], fitting: Collection[int]) -> None:
        """Replace all rows; `fitting` are the positions of those that fit the filter."""
        self._rows = tuple(rows)
        self._all.clear()
        self.filter(fitting)

    def filter(self, fitting: Collection[int]) -> None:
        """Draw only the rows at these positions, after a short wait for further keys."""
        self._fitting = frozenset(fitting)
        self._is_stale = True
        if self.isVisible():
            self._soon.start()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._is_stale:
            self._draw()

    def choose_axis(self, key: str) -> None:
        """Choose what the models cost by the key of the axis."""
        self.axis.setCurrentIndex(self.axis.findData(key))

    def _axis_changed(self, _position: int) -> None:
        self._is_stale = True
        if self.isVisible():
            self._draw()

    def _draw(self) -> None:
        self._is_stale = False
        self._soon.stop()
        axis = axis_of(self.axis.currentData())
        if axis.key not in self._all:
            self._all[axis.key] = AllPoints(self._rows, axis)
        self.shown = self._all[axis.key].fitting(self._fitting)
        self.chart.show_points(self.shown)
        self.note.setText(self.shown.note())
        has_points = bool(self.shown.points)
        self.note.setVisible(has_points)
        self.table_button.setEnabled(has_points)
        if not has_points:
            self.empty.setText(self._why_empty())
        self.stack.setCurrentWidget(self.chart if has_points else self.empty)

    def _why_empty(self) -> str:
        if not self._fitting:
            return "No model fits the filter."
        if self.axis.currentData() == "latency":
            return (
                "None of these models was timed on this machine yet. Mark some with Space, then "
                "press “Measure here” under Compare."
            )
        return (
            "No accuracy was published for any of these models, so there is nothing to draw them "
            "at. The table shows them."
        )

    def _show_zoom(self) -> None:
        self.whole_button.setEnabled(self.chart.is_zoomed)

    def _show_whole(self) -> None:
        self.chart.reset_view()
        self.chart.setFocus()

    def show_table(self) -> None:
        """Open the chart's figures as a table in a dialog."""
        if self.shown is not None and self.shown.points:
            dialog = ChartTable(self.shown, self)
            dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            dialog.open()


class ChartTable(QDialog):
    """The same points as a table that can be read aloud and copied."""

    def __init__(self, shown: ChartPoints, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("The chart as a table")
        self.resize(620, 480)
        self.headings, self.rows = as_table(shown)
        column = vbox(self, margins=(theme.L, theme.L, theme.L, theme.L), spacing=theme.M)
        column.addWidget(label(shown.note(), "muted", wraps=True))
        self.table = self._make_table()
        column.addWidget(self.table, 1)
        line = QHBoxLayout()
        line.addWidget(button("Copy as Markdown", self.copy_markdown))
        line.addWidget(button("Copy as CSV", self.copy_csv))
        line.addStretch(1)
        line.addWidget(button("Close", self.reject))
        column.addLayout(line)

    def _make_table(self) -> QTableWidget:
        table = QTableWidget(len(self.rows), len(self.headings))
        table.setAccessibleName("Models of the chart")
        table.setHorizontalHeaderLabels(self.headings)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setTabKeyNavigation(False)
        table.setShowGrid(False)
        table.verticalHeader().hide()
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for row, cells in enumerate(self.rows):
            for place, text in enumerate(cells):
                item = QTableWidgetItem(text)
                if place in (1, 2):
                    item.setTextAlignment(_RIGHT)
                table.setItem(row, place, item)
        return table

    def copy_markdown(self) -> None:
        """Copy the table to the clipboard as Markdown."""
        QGuiApplication.clipboard().setText(text_tables.markdown(self.headings, self.rows))

    def copy_csv(self) -> None:
        """Copy the table to the clipboard as CSV."""
        QGuiApplication.clipboard().setText(text_tables.comma_separated(self.headings, self.rows))


def as_table(shown: ChartPoints) -> tuple[list[str], list[list[str]]]:
    """Headings and cells, in order of the cost."""
    front = set(shown.front)
    headings = ["Model", f"{shown.axis.name}, {shown.axis.unit}", "Top-1, %", "Front"]
    return headings, [
        [
            point.card.id,
            short_figure(point.cost),
            f"{point.top1:.2f}",
            "yes" if position in front else "",
        ]
        for position, point in enumerate(shown.points)
    ]
