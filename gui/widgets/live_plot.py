"""A plot of a run: a few named series against the epoch, with a text twin below.

The only file that knows pyqtgraph.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyqtgraph as pg
from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from gui import theme
from gui.theme import Theme
from gui.widgets.basics import label

_LEAST = QSize(160, 168)
_LEFT_AXIS_PX, _BOTTOM_AXIS_PX = 40, 24


class _EpochAxis(pg.AxisItem):
    """Whole numbers only: there is no epoch 1.5."""

    def tickSpacing(self, *span: float) -> list[tuple[float, float]]:
        spacing = super().tickSpacing(*span)
        return [(step, offset) for step, offset in spacing if step >= 1] or [(1, 0)]


class _Plot(pg.PlotWidget):
    """A graphics view wants to be as large as its scene; this one takes what is left."""

    def sizeHint(self) -> QSize:
        return _LEAST


class LivePlot(QWidget):
    """Lines by name. `series` maps each name to the colour token of its line."""

    def __init__(self, look: Theme, *, title: str, series: dict[str, str], is_share: bool) -> None:
        super().__init__()
        self._theme = look
        self._series = series
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.XS)
        self._heading = label(title, "heading")
        column.addWidget(self._heading)
        self._legend = label("", "small")
        self._legend.setTextFormat(Qt.TextFormat.RichText)
        column.addWidget(self._legend)
        self._plot = _Plot(axisItems={"bottom": _EpochAxis("bottom")})
        self._plot.setAccessibleName(f"{title} plot")
        self._plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._plot.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._plot.setMinimumSize(_LEAST)
        # A graphics view takes drops by itself; here they belong to the window.
        self._plot.setAcceptDrops(False)
        self._plot.viewport().setAcceptDrops(False)
        item = self._plot.getPlotItem()
        # Before plot(): the keywords of plot() change nothing (200,000 points: 90 → 4 ms).
        item.setDownsampling(auto=True, mode="peak")
        item.setClipToView(True)
        item.hideButtons()
        item.setMenuEnabled(False)
        # Fixed: an axis that grows with its numbers has the whole plot laid out and painted twice.
        item.getAxis("left").setWidth(_LEFT_AXIS_PX)
        item.getAxis("bottom").setHeight(_BOTTOM_AXIS_PX)
        item.getAxis("left").enableAutoSIPrefix(False)
        if is_share:
            item.getAxis("left").setScale(100)
        self._lines = {name: item.plot() for name in series}
        column.addWidget(self._plot, 1)
        self._twin = label("", "muted-small", wraps=True)
        column.addWidget(self._twin)
        look.changed.connect(self._colour)
        self._colour()

    def show_series(self, epochs: Sequence[int], values: dict[str, list[float]], twin: str) -> None:
        """Draw the points; `twin` says the same in words."""
        for name, line in self._lines.items():
            line.setData(list(epochs), list(values[name]))
            # A line of one point shows nothing.
            line.setSymbol("o" if len(epochs) == 1 else None)
        # Numbers on axes without a curve would be invented ones.
        for side in ("left", "bottom"):
            self._plot.getPlotItem().getAxis(side).setStyle(showValues=bool(epochs))
        self._twin.setText(twin)
        self._plot.setAccessibleDescription(twin)

    @property
    def twin(self) -> str:
        return self._twin.text()

    def points(self, name: str) -> int:
        """How many points a line shows."""
        x, _y = self._lines[name].getOriginalDataset()
        return 0 if x is None else len(x)

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
            colour = getattr(tokens, self._series[name])
            line.setPen(pg.mkPen(colour, width=2))
            line.setSymbolBrush(colour)
            line.setSymbolPen(None)
            line.setSymbolSize(6)
        self._legend.setText(
            "&nbsp;&nbsp;&nbsp;".join(
                f'<span style="color:{getattr(tokens, token)}">●</span> {name}'
                for name, token in self._series.items()
            )
        )
