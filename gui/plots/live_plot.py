"""A plot of a run: a few named lines over the epochs, markers, and a text twin below.

A line is given as its points, or as a curve that gives the points of whatever part is shown, at
most as many as can be told apart: a frame costs the same at any length of run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg
import pyqtgraph.exporters
from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QColor, QPainter
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import (
    QHBoxLayout,
    QMenu,
    QSizePolicy,
    QWidget,
)

from gui.base.curves import MOST_POINTS, Curve
from gui.kit import dialogs, theme
from gui.kit.basics import ElidedLabel, icon_button, label, vbox
from gui.kit.theme import Theme
from gui.plots.canvas import Marker as Marker
from gui.plots.canvas import PlotCanvas

Values = Sequence[float] | npt.NDArray[np.float64]
Points = tuple[Values, Values] | Curve
"""(x, y), or what gives them."""

_LEGEND_AT_MOST = 4
_POINTS_PER_PX = 2
_FEWEST_POINTS = 400


@dataclass(frozen=True, slots=True)
class Line:
    """How one line is drawn. `token`: its colour in the theme; `blend` (0…1) mixes in `muted`."""

    name: str
    token: str
    style: Literal["line", "thin", "points"] = "line"
    blend: float = 0.0


class LivePlot(QWidget):
    """Lines by name. Wheel zooms, drag pans, double click shows all; the crosshair reads values."""

    redraw_wanted = Signal()
    """Another part is looked at: whoever has the timer calls `draw`."""

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
        self._points: dict[str, Points] = {}
        self._twin_text = self._described = ""
        self._is_single = False
        column = vbox(self, spacing=theme.XS)
        column.addLayout(self._make_header())
        self.canvas = self._make_canvas()
        column.addWidget(self.canvas, 1)
        self._twin = ElidedLabel("", "muted-small")
        column.addWidget(self._twin)
        self._log_action.setChecked(is_log)
        self._set_log(is_log)
        look.changed.connect(self._colour)
        self._colour()

    # -- building ----------------------------------------------------------------------------

    def _make_header(self) -> QHBoxLayout:
        line = self._header = QHBoxLayout()
        line.setSpacing(theme.S)
        line.addWidget(label(self._title, "heading"))
        self._legend = label("", "small")
        self._legend.setTextFormat(Qt.TextFormat.RichText)
        self._legend.setMinimumWidth(0)
        self._legend.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        line.addWidget(self._legend, 1)
        name = f"{self._title}: plot menu"
        self.menu_button = icon_button(self._theme, "dots-horizontal", name, px=theme.ICON_PX)
        self.menu_button.setToolTip("View and export")
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

    def _make_canvas(self) -> PlotCanvas:
        canvas = PlotCanvas(self._theme, self._title)
        canvas.customContextMenuRequested.connect(self._open_menu)
        canvas.crosshair_moved.connect(self._show_readout)
        canvas.range_chosen.connect(self.redraw_wanted)
        canvas.log_wanted.connect(self._log_action.toggle)
        if self._is_share:
            canvas.getPlotItem().getAxis("left").setScale(100)
        return canvas

    def add_control(self, control: QWidget) -> None:
        """A control of this plot's own, beside its menu."""
        self._header.insertWidget(self._header.count() - 1, control)

    # -- showing -----------------------------------------------------------------------------

    def show_lines(
        self,
        lines: Sequence[Line],
        points: Mapping[str, Points],
        twin: str,
        markers: Sequence[Marker] = (),
    ) -> None:
        """Draw the points by line; `twin` says the same in words, the markers too."""
        if tuple(lines) != tuple(self._specs.values()):
            self._rebuild(lines)
        self._points = dict(points)
        self.draw()
        self.canvas.show_markers(markers)
        moments = "; ".join(f"{m.detail or m.text} at epoch {m.epoch:.3g}" for m in markers)
        described = f"{twin} {moments[:1].upper()}{moments[1:]}.".strip() if moments else twin
        self._twin_text, self._described = twin, described
        self._show_readout()

    def draw(self) -> None:
        """Draw the part that is shown, as finely as the screen can tell."""
        is_empty = True
        drawn: dict[str, tuple[Values, Values]] = {}
        for name, line in self._lines.items():
            x, y = drawn[name] = self._part(name)
            if self._specs[name].style == "line":  # a line of one point shows nothing
                # Before the data: a symbol that comes later gets none of it.
                line.setSymbol("o" if len(x) == 1 else None)
            line.setData(x, y)
            is_empty = is_empty and not len(x)
        self._give_room(drawn)
        # Numbers on axes without a curve would be invented ones.
        for side in ("left", "bottom"):
            self.canvas.getPlotItem().getAxis(side).setStyle(showValues=not is_empty)

    def _part(self, name: str) -> tuple[Values, Values]:
        points = self._points.get(name, ((), ()))
        if not isinstance(points, Curve):
            return points
        span = points.span
        if span is None:
            return (), ()
        low, high = span if self.canvas.is_whole else self.canvas.shown
        most = max(_FEWEST_POINTS, _POINTS_PER_PX * self.canvas.width())
        return points.between(low, high, min(MOST_POINTS, most))

    def _give_room(self, points: Mapping[str, tuple[Values, Values]]) -> None:
        """Half an epoch on either side of a single moment, which has no width to be fitted to."""
        moments = {float(x[0]) for x, _y in points.values() if len(x)}
        moments |= {float(x[-1]) for x, _y in points.values() if len(x)}
        item = self.canvas.getPlotItem()
        if len(moments) == 1 and (self.canvas.is_whole or self._is_single):
            (moment,) = moments
            item.setXRange(moment - 0.5, moment + 0.5, padding=0)
            self._is_single = True
        elif self._is_single and moments:
            item.enableAutoRange(axis="x")
            self._is_single = False

    @property
    def twin(self) -> str:
        """The plot in words."""
        return self._twin_text

    @property
    def readout(self) -> str:
        """The values at the crosshair in words; empty without one."""
        epoch = self.canvas.crosshair
        if epoch is None:
            return ""
        readings = [f"epoch {epoch:.2f}"]
        readings += [f"{name} {self._in_words(value)}" for name, value in self._values_at(epoch)]
        readings += [marker.detail or marker.text for marker in self.canvas.near_crosshair()]
        return " · ".join(readings)

    @property
    def markers(self) -> tuple[Marker, ...]:
        """The markers shown."""
        return self.canvas.markers

    def points(self, name: str) -> int:
        """How many points a line shows."""
        if name not in self._lines:
            return 0
        x, _y = self._lines[name].getOriginalDataset()
        return 0 if x is None else len(x)

    def _values_at(self, epoch: float) -> list[tuple[str, float]]:
        values = []
        for name in self._lines:
            points = self._points.get(name, ((), ()))
            if isinstance(points, Curve):
                value = points.at(epoch)
                if value is not None:
                    values.append((name, value))
            elif len(points[0]):
                x, y = (np.asarray(column, float) for column in points)
                values.append((name, float(y[np.abs(x - epoch).argmin()])))
        return values

    def _in_words(self, value: float) -> str:
        return f"{value:.1%}" if self._is_share else f"{value:.3g}"

    def _rebuild(self, lines: Sequence[Line]) -> None:
        item = self.canvas.getPlotItem()
        for line in self._lines.values():
            item.removeItem(line)
        self._specs = {line.name: line for line in lines}
        self._lines = {line.name: item.plot(connect="finite") for line in lines}
        self._colour()

    def _colour(self) -> None:
        self.canvas.colour()
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
        self._show_legend()

    def _show_legend(self) -> None:
        # One line is named by the heading, a ramp of many by the twin and the crosshair.
        shown = self._specs if 1 < len(self._specs) <= _LEGEND_AT_MOST else {}
        self._legend.setText("&nbsp; ".join(self._swatch(name) for name in shown))

    def _show_readout(self) -> None:
        """The values at the crosshair in place of the twin, as long as there is one."""
        readout = self.readout
        text = readout or self._twin_text
        if text != self._twin.text():
            self._twin.setText(text)
            self._twin.setToolTip(readout or self._described)
        self.canvas.setAccessibleDescription(readout or self._described)

    def _swatch(self, name: str) -> str:
        spec = self._specs[name]
        return f'<span style="color:{self._mix(spec).name()}">●</span> {escape(spec.name)}'

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

    def _open_menu_below(self) -> None:
        self.menu.popup(self.menu_button.mapToGlobal(self.menu_button.rect().bottomLeft()))

    def _open_menu(self, at: QPoint) -> None:
        self.menu.popup(self.canvas.mapToGlobal(at))

    def _show_all(self) -> None:
        self.canvas.show_all()

    def _set_log(self, is_log: bool) -> None:
        self.canvas.getPlotItem().setLogMode(x=False, y=is_log)

    def _ask_for_picture(self) -> None:
        filters = ("PNG (*.png)", "SVG (*.svg)")
        dialogs.ask_where_to_save(self, "Save the plot as a picture", filters, self.save_picture)

    def _ask_for_values(self) -> None:
        title = "Save the values of the plot"
        dialogs.ask_where_to_save(self, title, ("CSV (*.csv)",), self.save_values)

    def save_picture(self, path: str) -> None:
        """Write the plot as it is seen, as SVG or PNG by the file's ending."""
        if not path.endswith(".svg"):
            self.canvas.grab().save(path)
            return
        # WORKAROUND: pyqtgraph's own SVG exporter fails on curves with gaps (0.14: "not enough
        # values to unpack" in correctCoordinates).
        generator = QSvgGenerator()
        generator.setFileName(path)
        generator.setSize(self.canvas.size())
        generator.setViewBox(self.canvas.rect())
        painter = QPainter(generator)
        self.canvas.render(painter)
        painter.end()

    def save_values(self, path: str) -> None:
        """Write the points of all lines."""
        pg.exporters.CSVExporter(self.canvas.getPlotItem()).export(path)
