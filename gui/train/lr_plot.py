"""The curve of a learning-rate range test: losses over rates, the suggestion, and a marker.

Knows pyqtgraph, as `live_plot` does; both axes are logarithmic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyqtgraph as pg
from PySide6.QtCore import QPointF, QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QSizePolicy

from gui.kit.theme import Theme

if TYPE_CHECKING:
    from core.training.lr_finder.curve import RatePoint

_LEAST = QSize(320, 180)
_LEFT_AXIS_PX, _BOTTOM_AXIS_PX = 56, 40
_LOWEST_LOSS = 1e-4
"""Nats: a loss of nothing has no place on a logarithmic axis."""
_STRIDE = 5
_CLICK_PX = 4


class _PowerAxis(pg.AxisItem):
    """`1e-4` in place of raised digits, which a small font makes unreadable."""

    def logTickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        return [_power(value) for value in values]


class RatePlot(pg.PlotWidget):
    """A click takes the rate under it; so do the arrow keys, from one tested rate to the next."""

    rate_chosen = Signal(float)

    def __init__(self, look: Theme) -> None:
        super().__init__(axisItems={"bottom": _PowerAxis("bottom"), "left": _PowerAxis("left")})
        self._theme = look
        self._points: tuple[RatePoint, ...] = ()
        self._pressed_at: QPointF | None = None
        self.rate: float | None = None
        self.suggestion: float | None = None
        self.setAccessibleName("Loss over learning rates")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(_LEAST)
        self.setToolTip(
            "Click, or move with the arrow keys, to choose a rate; Home goes to the suggestion."
        )
        self.setAcceptDrops(False)
        self.viewport().setAcceptDrops(False)
        item = self.getPlotItem()
        item.hideButtons()
        item.setMenuEnabled(False)
        item.getAxis("left").setWidth(_LEFT_AXIS_PX)
        item.getAxis("bottom").setHeight(_BOTTOM_AXIS_PX)
        for side in ("left", "bottom"):
            item.getAxis(side).enableAutoSIPrefix(False)
        item.setLogMode(x=True, y=True)
        self._raw = item.plot()
        self._smooth = item.plot()
        self._suggested = pg.InfiniteLine(
            angle=90,
            label="suggested",
            labelOpts={"position": 0.92, "anchors": [(0, 0.5), (1, 0.5)]},
        )
        self._marker = pg.InfiniteLine(angle=90)
        for line in (self._suggested, self._marker):
            line.hide()
            item.addItem(line, ignoreBounds=True)
        look.changed.connect(self._colour)
        self._colour()

    def sizeHint(self) -> QSize:
        """A graphics view wants to be as large as its scene; this one takes what is left."""
        return _LEAST

    # -- showing -----------------------------------------------------------------------------

    def show_range(self, lowest: float, highest: float) -> None:
        """An empty plot of these rates: nothing moves sideways while the curve grows."""
        self.show_points(())
        self.show_suggestion(None)
        self.move_marker(None)
        self.getPlotItem().setXRange(math.log10(lowest), math.log10(highest), padding=0.02)

    def show_points(self, points: Sequence[RatePoint]) -> None:
        self._points = tuple(points)
        rates = [point.rate for point in points]
        self._raw.setData(rates, [max(point.loss, _LOWEST_LOSS) for point in points])
        self._smooth.setData(rates, [max(point.smooth, _LOWEST_LOSS) for point in points])
        # Numbers on axes without a curve would be invented ones.
        self.getPlotItem().getAxis("left").setStyle(showValues=bool(points))

    def show_suggestion(self, rate: float | None) -> None:
        self.suggestion = rate
        self._suggested.setVisible(rate is not None)
        if rate is not None:
            self._suggested.setValue(math.log10(rate))

    def move_marker(self, rate: float | None) -> None:
        self.rate = rate
        self._marker.setVisible(rate is not None)
        if rate is not None:
            self._marker.setValue(math.log10(rate))

    @property
    def points(self) -> tuple[RatePoint, ...]:
        return self._points

    def _colour(self) -> None:
        tokens = self._theme.tokens
        self.setBackground(tokens.surface)
        item = self.getPlotItem()
        for side, text in (("left", "loss (nats)"), ("bottom", "learning rate of the head")):
            axis = item.getAxis(side)
            axis.setPen(pg.mkPen(tokens.border))
            axis.setTextPen(pg.mkPen(tokens.muted))
            axis.setStyle(tickFont=self._theme.font("small"), tickLength=-4)
            axis.setLabel(text, color=tokens.muted)
            axis.label.setFont(self._theme.font("small"))
        item.showGrid(x=True, y=True, alpha=0.12)
        raw = self._theme.colour("series_1")
        raw.setAlphaF(0.45)
        self._raw.setPen(pg.mkPen(raw, width=1))
        self._smooth.setPen(pg.mkPen(tokens.series_1, width=2.5))
        self._suggested.setPen(pg.mkPen(tokens.good, width=1.5, style=Qt.PenStyle.DashLine))
        self._suggested.label.setColor(tokens.good)
        self._suggested.label.setFont(self._theme.font("small"))
        self._marker.setPen(pg.mkPen(tokens.accent, width=1.5))
        self._show_focus(self.hasFocus())

    def _show_focus(self, has_focus: bool) -> None:
        pen = pg.mkPen(self._theme.tokens.accent, width=1) if has_focus else None
        self.getPlotItem().getViewBox().setBorder(pen)

    # -- choosing ----------------------------------------------------------------------------

    def _choose(self, rate: float) -> None:
        if self._points:
            rate = min(max(rate, self._points[0].rate), self._points[-1].rate)
            self.move_marker(rate)
            self.rate_chosen.emit(rate)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._pressed_at = event.position()
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        super().mouseReleaseEvent(event)
        pressed, self._pressed_at = self._pressed_at, None
        if event.button() != Qt.MouseButton.LeftButton or pressed is None:
            return
        if (event.position() - pressed).manhattanLength() > _CLICK_PX:
            return  # the plot was moved
        view = self.getPlotItem().getViewBox()
        at = self.mapToScene(event.position().toPoint())
        if view.sceneBoundingRect().contains(at):
            self._choose(10 ** float(view.mapSceneToView(at).x()))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.getPlotItem().enableAutoRange()

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self._show_focus(True)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._show_focus(False)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = event.key()
        if key in (Qt.Key.Key_Left, Qt.Key.Key_Right) and self._points:
            stride = _STRIDE if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1
            self._walk(stride if key == Qt.Key.Key_Right else -stride)
        elif key == Qt.Key.Key_Home and self.suggestion is not None:
            self._choose(self.suggestion)
        else:
            event.ignore()
            return
        event.accept()

    def _walk(self, points: int) -> None:
        start = self.rate or self._points[len(self._points) // 2].rate
        at = min(
            range(len(self._points)), key=lambda i: abs(math.log(self._points[i].rate / start))
        )
        self._choose(self._points[min(max(at + points, 0), len(self._points) - 1)].rate)


def _power(value: float) -> str:
    if abs(value - round(value)) > 1e-6:
        mantissa = round(10 ** (value % 1))
        return f"{10**value:.1g}" if mantissa in (2, 5) else ""  # all nine would overlap
    exponent = round(value)
    return f"{10.0**exponent:g}" if -2 <= exponent <= 2 else f"1e{exponent}"
