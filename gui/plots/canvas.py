"""The canvas of a plot of a run: axes, crosshair, markers; mouse and keyboard to look closer.

With `live_plot` the only file that knows pyqtgraph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPixmap
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QSizePolicy

from gui.kit.theme import Theme

_LEAST = QSize(120, 118)
_LEFT_AXIS_PX, _BOTTOM_AXIS_PX = 44, 22
_ZOOM = 1.5
_STEPS_ACROSS = 50
"""Arrow keys from one edge to the other."""
_NEAR_PX = 6
_APART_PX = 64

MarkerKind = Literal["opened", "dropped", "best", "resumed"]
_STYLES = {
    "opened": ("muted", Qt.PenStyle.DashLine),
    "dropped": ("muted", Qt.PenStyle.DotLine),
    "best": ("good", Qt.PenStyle.SolidLine),
    "resumed": ("warning", Qt.PenStyle.DashDotLine),
}


@dataclass(frozen=True, slots=True)
class Marker:
    """A moment in the run worth a vertical line. `detail`: what the crosshair says beside it."""

    epoch: float
    text: str
    kind: MarkerKind = "opened"
    detail: str = ""


class _Axis(pg.AxisItem):
    """Painted once for a range and then copied: pyqtgraph plays its recording, text and grid,
    with every frame of the curve, which cost more than the curve."""

    picture: QPixmap | None

    def paint(self, painter: QPainter, option: object, widget: object) -> None:
        device = painter.device()
        if isinstance(device, QSvgGenerator):
            self._draw_on(painter)
            return
        box = self.boundingRect()
        ratio = device.devicePixelRatioF()
        # pyqtgraph forgets its picture whenever something about the axis changes.
        if self.picture is None or self.picture.devicePixelRatioF() != ratio:
            picture = QPixmap((box.size() * ratio).toSize() + QSize(1, 1))
            picture.setDevicePixelRatio(ratio)
            picture.fill(Qt.GlobalColor.transparent)
            with QPainter(picture) as inner:
                inner.translate(-box.topLeft())
                self._draw_on(inner)
            self.picture = picture
        painter.drawPixmap(box.topLeft(), self.picture)

    def _draw_on(self, painter: QPainter) -> None:
        painter.save()
        painter.setFont(self.style["tickFont"] or painter.font())
        specs = self.generateDrawSpecs(painter)
        if specs is not None:
            self.drawPicture(painter, *specs)
        painter.restore()


class _EpochAxis(_Axis):
    """Whole numbers only, unless somebody looks closely: there is no checkpoint at epoch 1.5."""

    def tickSpacing(self, *span: float) -> list[tuple[float, float]]:
        spacing = super().tickSpacing(*span)
        return [(step, offset) for step, offset in spacing if step >= 1] or spacing


class PlotCanvas(pg.PlotWidget):
    """Wheel zooms, drag pans, double click shows all; with the focus, keys do the same."""

    crosshair_moved = Signal()
    range_chosen = Signal()
    """Somebody looks at another part: it can be drawn in more detail."""
    log_wanted = Signal()

    def __init__(self, look: Theme, title: str) -> None:
        super().__init__(axisItems={"bottom": _EpochAxis("bottom"), "left": _Axis("left")})
        self._theme = look
        self._markers: tuple[Marker, ...] = ()
        self._marks: list[Any] = []
        self.crosshair: float | None = None
        """The epoch it stands at; None while nobody points."""
        self.setAccessibleName(f"{title} plot")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(_LEAST)
        self.setToolTip(
            "Arrow keys move the crosshair, + and − zoom, Shift with arrows pans, Home shows all, "
            "L turns the axis logarithmic."
        )
        # A graphics view takes drops by itself; here they belong to the window.
        self.setAcceptDrops(False)
        self.viewport().setAcceptDrops(False)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        item = self.getPlotItem()
        item.hideButtons()
        item.setMenuEnabled(False)
        # Fixed: an axis that grows with its numbers has the whole plot laid out and painted twice.
        item.getAxis("left").setWidth(_LEFT_AXIS_PX)
        item.getAxis("bottom").setHeight(_BOTTOM_AXIS_PX)
        item.getAxis("left").enableAutoSIPrefix(False)
        self._cross = pg.InfiniteLine(angle=90)
        self._cross.hide()
        item.addItem(self._cross, ignoreBounds=True)
        self.scene().sigMouseMoved.connect(self._hover)
        item.getViewBox().sigRangeChangedManually.connect(self._range_chosen)

    def sizeHint(self) -> QSize:
        """A graphics view wants to be as large as its scene; this one takes what is left."""
        return _LEAST

    @property
    def is_whole(self) -> bool:
        """Whether the whole run is shown, however long it gets."""
        return bool(self.getPlotItem().getViewBox().state["autoRange"][0])

    @property
    def shown(self) -> tuple[float, float]:
        """First and last epoch in view."""
        low, high = self.getPlotItem().getViewBox().viewRange()[0]
        return float(low), float(high)

    # -- looking closer ----------------------------------------------------------------------

    def show_all(self) -> None:
        """Show the whole run, and follow it as it grows."""
        self.getPlotItem().enableAutoRange()
        self.range_chosen.emit()

    def zoom(self, factor: float) -> None:
        """Zoom around the crosshair, or the middle; the value axis fits what is then visible."""
        low, high = self.shown
        centre = self.crosshair if self.crosshair is not None else (low + high) / 2
        self._set_range(centre - (centre - low) / factor, centre + (high - centre) / factor)

    def pan(self, share: float) -> None:
        """Move what is shown by a share of its width."""
        low, high = self.shown
        move = share * (high - low)
        self._set_range(low + move, high + move)

    def _set_range(self, low: float, high: float) -> None:
        self.getPlotItem().setXRange(low, high, padding=0)
        self.range_chosen.emit()

    def _range_chosen(self, _axes: object) -> None:
        self.range_chosen.emit()

    def move_crosshair(self, epoch: float | None) -> None:
        """Put the crosshair at an epoch; None hides it."""
        self.crosshair = epoch
        self._cross.setVisible(epoch is not None)
        if epoch is not None:
            self._cross.setValue(epoch)
        self.crosshair_moved.emit()

    def near_crosshair(self) -> list[Marker]:
        """The markers under the crosshair."""
        if self.crosshair is None:
            return []
        low, high = self.shown
        width = _NEAR_PX * (high - low) / max(1.0, self.getPlotItem().getViewBox().width())
        return [m for m in self._markers if abs(m.epoch - self.crosshair) <= width]

    # -- markers -----------------------------------------------------------------------------

    @property
    def markers(self) -> tuple[Marker, ...]:
        """The markers shown."""
        return self._markers

    def show_markers(self, markers: Sequence[Marker]) -> None:
        """Replace the markers."""
        if tuple(markers) != self._markers:
            self._markers = tuple(markers)
            self._draw_markers()

    def _draw_markers(self) -> None:
        """A line each; a name at the last of each kind, where there is room beside the others."""
        item, tokens = self.getPlotItem(), self._theme.tokens
        for mark in self._marks:
            item.removeItem(mark)
        self._marks = []
        low, high = self.shown
        apart = _APART_PX * max(high - low, 1e-9) / max(1.0, item.getViewBox().width())
        named: list[float] = []
        last_of = {marker.kind: marker for marker in self._markers}
        for marker in self._markers:
            token, style = _STYLES[marker.kind]
            colour = getattr(tokens, token)
            is_named = last_of[marker.kind] is marker and all(
                abs(marker.epoch - other) > apart for other in named
            )
            mark = pg.InfiniteLine(
                pos=marker.epoch,
                angle=90,
                pen=pg.mkPen(colour, style=style),
                label=marker.text if is_named else None,
                labelOpts={
                    "position": 0.9,
                    "color": tokens.muted,
                    "anchors": [(0, 0.5), (1, 0.5)],
                },
            )
            if is_named:
                named.append(marker.epoch)
                mark.label.setFont(self._theme.font("small"))
            mark.setZValue(-10)  # with its name behind the curves: it hides no value
            item.addItem(mark, ignoreBounds=True)
            self._marks.append(mark)

    # -- look --------------------------------------------------------------------------------

    def colour(self) -> None:
        """Apply the colours of the theme."""
        tokens = self._theme.tokens
        self.setBackground(tokens.surface)
        item = self.getPlotItem()
        for side in ("left", "bottom"):
            axis = item.getAxis(side)
            axis.setPen(pg.mkPen(tokens.border))
            axis.setTextPen(pg.mkPen(tokens.muted))
            axis.setStyle(tickFont=self._theme.font("small"), tickLength=-4, maxTickLevel=1)
        item.showGrid(x=False, y=True, alpha=0.12)
        self._cross.setPen(pg.mkPen(tokens.muted))
        self._show_focus(self.hasFocus())
        self._draw_markers()

    def _show_focus(self, has_focus: bool) -> None:
        pen = pg.mkPen(self._theme.tokens.accent, width=1) if has_focus else None
        self.getPlotItem().getViewBox().setBorder(pen)

    # -- events ------------------------------------------------------------------------------

    def _hover(self, at: QPointF) -> None:
        view = self.getPlotItem().getViewBox()
        if view.sceneBoundingRect().contains(at):
            self.move_crosshair(float(view.mapSceneToView(at).x()))

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        if not self.hasFocus():
            self.move_crosshair(None)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.show_all()

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self._show_focus(True)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._show_focus(False)
        self.move_crosshair(None)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = event.key()
        is_shifted = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            way = 1 if key == Qt.Key.Key_Right else -1
            if is_shifted:
                self.pan(0.2 * way)
            else:
                low, high = self.shown
                start = (low + high) / 2 if self.crosshair is None else self.crosshair
                moved = start + way * (high - low) / _STEPS_ACROSS
                self.move_crosshair(min(max(moved, low), high))
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.zoom(_ZOOM)
        elif key == Qt.Key.Key_Minus:
            self.zoom(1 / _ZOOM)
        elif key in (Qt.Key.Key_Home, Qt.Key.Key_0):
            self.show_all()
        elif key == Qt.Key.Key_L:
            self.log_wanted.emit()
        elif key == Qt.Key.Key_Escape and self.crosshair is not None:
            self.move_crosshair(None)
        else:
            event.ignore()  # up and down scroll the page
            return
        event.accept()
