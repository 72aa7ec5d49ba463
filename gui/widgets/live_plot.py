"""A plot of a run: a few named lines over the epochs, markers, and a text twin below.

The only file that knows pyqtgraph. Points are thinned before they come here (gui.curves).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg
import pyqtgraph.exporters
from PySide6.QtCore import QPoint, QPointF, QSize, Qt
from PySide6.QtGui import QColor, QMouseEvent, QPainter
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QMenu,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui import theme
from gui.theme import Theme
from gui.widgets.basics import ElidedLabel, label

Values = Sequence[float] | npt.NDArray[np.float64]

_LEAST = QSize(120, 118)
_LEFT_AXIS_PX, _BOTTOM_AXIS_PX = 44, 22
_LEGEND_AT_MOST = 4


@dataclass(frozen=True, slots=True)
class Line:
    """How one line is drawn. `token`: its colour in the theme; `blend` (0…1) mixes in `muted`."""

    name: str
    token: str
    style: Literal["line", "thin", "points"] = "line"
    blend: float = 0.0


@dataclass(frozen=True, slots=True)
class Marker:
    """A moment in the run worth a vertical line."""

    epoch: float
    text: str


class _EpochAxis(pg.AxisItem):
    """Whole numbers only, unless somebody looks closely: there is no checkpoint at epoch 1.5."""

    def tickSpacing(self, *span: float) -> list[tuple[float, float]]:
        spacing = super().tickSpacing(*span)
        return [(step, offset) for step, offset in spacing if step >= 1] or spacing


class _Plot(pg.PlotWidget):
    """A graphics view wants to be as large as its scene; this one takes what is left."""

    def sizeHint(self) -> QSize:
        return _LEAST

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.getPlotItem().enableAutoRange()


class LivePlot(QWidget):
    """Lines by name. Wheel zooms, drag pans, double click shows all, hover reads values."""

    def __init__(
        self, look: Theme, *, title: str, is_share: bool = False, is_log: bool = False
    ) -> None:
        """`is_share`: values in 0…1, shown in percent."""
        super().__init__()
        self._theme = look
        self._title = title
        self._is_share = is_share
        self._lines: dict[str, Any] = {}
        self._specs: dict[str, Line] = {}
        self._markers: tuple[Marker, ...] = ()
        self._is_single = False
        self._marks: list[Any] = []
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.XS)
        column.addLayout(self._make_header())
        self._plot = self._make_plot()
        column.addWidget(self._plot, 1)
        self._twin = ElidedLabel("", "muted-small")
        column.addWidget(self._twin)
        self._log_action.setChecked(is_log)
        self._set_log(is_log)
        look.changed.connect(self._colour)
        self._colour()

    # -- building ----------------------------------------------------------------------------

    def _make_header(self) -> QHBoxLayout:
        line = QHBoxLayout()
        line.setSpacing(theme.S)
        line.addWidget(label(self._title, "heading"))
        self._legend = label("", "small")
        self._legend.setTextFormat(Qt.TextFormat.RichText)
        self._legend.setMinimumWidth(0)
        self._legend.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        line.addWidget(self._legend, 1)
        self.menu_button = QToolButton()
        self.menu_button.setProperty("role", "flat")
        self.menu_button.setAccessibleName(f"{self._title}: plot menu")
        self.menu_button.setToolTip("View and export")
        self.menu_button.setIconSize(QSize(theme.ICON_PX, theme.ICON_PX))
        self._theme.give_icon(self.menu_button, "dots-horizontal")
        self.menu = QMenu(self)
        self.menu.addAction("Show &all").triggered.connect(self._show_all)
        self._log_action = self.menu.addAction("&Logarithmic axis")
        self._log_action.setCheckable(True)
        self._log_action.toggled.connect(self._set_log)
        self.menu.addSeparator()
        self.menu.addAction("Save as &picture …").triggered.connect(self._ask_for_picture)
        self.menu.addAction("Save &values …").triggered.connect(self._ask_for_values)
        self.menu_button.clicked.connect(self._open_menu_below)
        line.addWidget(self.menu_button)
        return line

    def _make_plot(self) -> _Plot:
        plot = _Plot(axisItems={"bottom": _EpochAxis("bottom")})
        plot.setAccessibleName(f"{self._title} plot")
        plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        plot.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        plot.setMinimumSize(_LEAST)
        # A graphics view takes drops by itself; here they belong to the window.
        plot.setAcceptDrops(False)
        plot.viewport().setAcceptDrops(False)
        plot.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        plot.customContextMenuRequested.connect(self._open_menu)
        item = plot.getPlotItem()
        # Before plot(): the keywords of plot() change nothing (200,000 points: 90 → 4 ms).
        item.setDownsampling(auto=True, mode="peak")
        item.setClipToView(True)
        item.hideButtons()
        item.setMenuEnabled(False)
        # Fixed: an axis that grows with its numbers has the whole plot laid out and painted twice.
        item.getAxis("left").setWidth(_LEFT_AXIS_PX)
        item.getAxis("bottom").setHeight(_BOTTOM_AXIS_PX)
        item.getAxis("left").enableAutoSIPrefix(False)
        if self._is_share:
            item.getAxis("left").setScale(100)
        plot.scene().sigMouseMoved.connect(self._hover)
        return plot

    # -- showing -----------------------------------------------------------------------------

    def show_lines(
        self,
        lines: Sequence[Line],
        points: Mapping[str, tuple[Values, Values]],
        twin: str,
        markers: Sequence[Marker] = (),
    ) -> None:
        """Draw (x, y) by line; `twin` says the same in words."""
        if tuple(lines) != tuple(self._specs.values()):
            self._rebuild(lines)
        is_empty = True
        for name, line in self._lines.items():
            x, y = points.get(name, ((), ()))
            if self._specs[name].style == "line":  # a line of one point shows nothing
                # Before the data: a symbol that comes later gets none of it.
                line.setSymbol("o" if len(x) == 1 else None)
            line.setData(x, y)
            is_empty = is_empty and not len(x)
        self._give_room(points)
        # Numbers on axes without a curve would be invented ones.
        for side in ("left", "bottom"):
            self._plot.getPlotItem().getAxis(side).setStyle(showValues=not is_empty)
        if tuple(markers) != self._markers:
            self._markers = tuple(markers)
            self._draw_markers()
        if twin != self._twin.text():
            self._twin.setText(twin)
            self._plot.setAccessibleDescription(twin)

    def _give_room(self, points: Mapping[str, tuple[Values, Values]]) -> None:
        """Half an epoch on either side of a single moment, which has no width to be fitted to."""
        moments = {float(x[0]) for x, _y in points.values() if len(x)}
        moments |= {float(x[-1]) for x, _y in points.values() if len(x)}
        item = self._plot.getPlotItem()
        if len(moments) == 1:
            (moment,) = moments
            item.setXRange(moment - 0.5, moment + 0.5, padding=0)
        elif self._is_single and moments:
            item.enableAutoRange(axis="x")
        self._is_single = len(moments) == 1

    @property
    def twin(self) -> str:
        return self._twin.text()

    @property
    def markers(self) -> tuple[Marker, ...]:
        return self._markers

    def points(self, name: str) -> int:
        """How many points a line shows."""
        if name not in self._lines:
            return 0
        x, _y = self._lines[name].getOriginalDataset()
        return 0 if x is None else len(x)

    def _rebuild(self, lines: Sequence[Line]) -> None:
        item = self._plot.getPlotItem()
        for line in self._lines.values():
            item.removeItem(line)
        self._specs = {line.name: line for line in lines}
        self._lines = {line.name: item.plot(connect="finite") for line in lines}
        self._colour()

    def _draw_markers(self) -> None:
        item = self._plot.getPlotItem()
        for mark in self._marks:
            item.removeItem(mark)
        tokens = self._theme.tokens
        self._marks = []
        for marker in self._markers:
            mark = pg.InfiniteLine(
                pos=marker.epoch,
                angle=90,
                pen=pg.mkPen(tokens.muted, style=Qt.PenStyle.DashLine),
                label=marker.text,
                labelOpts={"position": 0.9, "color": tokens.muted, "anchors": [(0, 0.5), (1, 0.5)]},
            )
            mark.label.setFont(self._theme.font("small"))
            item.addItem(mark, ignoreBounds=True)
            self._marks.append(mark)

    def _colour(self) -> None:
        tokens = self._theme.tokens
        self._plot.setBackground(tokens.surface)
        item = self._plot.getPlotItem()
        for side in ("left", "bottom"):
            axis = item.getAxis(side)
            axis.setPen(pg.mkPen(tokens.border))
            axis.setTextPen(pg.mkPen(tokens.muted))
            axis.setStyle(tickFont=self._theme.font("small"), tickLength=-4)
        item.showGrid(x=False, y=True, alpha=0.12)
        for name, line in self._lines.items():
            spec = self._specs[name]
            colour = self._mix(spec)
            pen = pg.mkPen(colour, width=1 if spec.style == "thin" else 2)
            line.setPen(None if spec.style == "points" else pen)
            if spec.style == "points":
                line.setSymbol("o")
            line.setSymbolBrush(colour)
            line.setSymbolPen(None)
            line.setSymbolSize(7)
        # One line is named by the heading, a ramp of many by the twin and the tooltip.
        shown = list(self._specs.values()) if 1 < len(self._specs) <= _LEGEND_AT_MOST else []
        self._legend.setText(
            "&nbsp; ".join(
                f'<span style="color:{self._mix(spec).name()}">●</span> {spec.name}'
                for spec in shown
            )
        )
        self._draw_markers()

    def _mix(self, spec: Line) -> QColor:
        tokens = self._theme.tokens
        pure, other = QColor(getattr(tokens, spec.token)), QColor(tokens.border)
        share = spec.blend
        pairs = (
            (pure.redF(), other.redF()),
            (pure.greenF(), other.greenF()),
            (pure.blueF(), other.blueF()),
        )
        return QColor.fromRgbF(*(a * (1 - share) + b * share for a, b in pairs))

    # -- doing -------------------------------------------------------------------------------

    def _hover(self, at: QPointF) -> None:
        """The values under the cursor, as the tooltip of the plot."""
        view = self._plot.getPlotItem().getViewBox()
        if not view.sceneBoundingRect().contains(at):
            self._plot.setToolTip("")
            return
        epoch = view.mapSceneToView(at).x()
        told = []
        for name, line in self._lines.items():
            x, y = (np.asarray(column, float) for column in line.getOriginalDataset())
            if not x.size or x.ndim == 0:
                continue
            value = float(y[np.abs(x - epoch).argmin()])
            text = f"{value:.1%}" if self._is_share else f"{value:.4g}"
            told.append(f"{name} {text}")
        self._plot.setToolTip(f"epoch {epoch:.1f}: " + ", ".join(told) if told else "")

    def _open_menu_below(self) -> None:
        self.menu.popup(self.menu_button.mapToGlobal(self.menu_button.rect().bottomLeft()))

    def _open_menu(self, at: QPoint) -> None:
        self.menu.popup(self._plot.mapToGlobal(at))

    def _show_all(self) -> None:
        self._plot.getPlotItem().enableAutoRange()

    def _set_log(self, is_log: bool) -> None:
        self._plot.getPlotItem().setLogMode(x=False, y=is_log)

    def _ask_for_picture(self) -> None:
        self._ask("Save the plot as a picture", "PNG (*.png);;SVG (*.svg)", self.save_picture)

    def _ask_for_values(self) -> None:
        self._ask("Save the values of the plot", "CSV (*.csv)", self.save_values)

    def _ask(self, title: str, filters: str, chosen: Any) -> None:
        dialog = QFileDialog(self, title)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setNameFilters(filters.split(";;"))
        dialog.setDefaultSuffix(filters.partition("*.")[2][:3])
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(chosen)
        dialog.open()

    def save_picture(self, path: str) -> None:
        """Write the plot as it is seen, as SVG or PNG by the file's ending."""
        if not path.endswith(".svg"):
            self._plot.grab().save(path)
            return
        # WORKAROUND: pyqtgraph's own SVG exporter fails on curves with gaps (0.14: "not enough
        # values to unpack" in correctCoordinates).
        generator = QSvgGenerator()
        generator.setFileName(path)
        generator.setSize(self._plot.size())
        generator.setViewBox(self._plot.rect())
        painter = QPainter(generator)
        self._plot.render(painter)
        painter.end()

    def save_values(self, path: str) -> None:
        """Write the points of all lines."""
        pg.exporters.CSVExporter(self._plot.getPlotItem()).export(path)
