"""Models as bubbles: what they reach against what they cost, the front drawn through the best.

Painted here and kept as a picture: fewer than two thousand bubbles need no plot library. What the
points are, `gui.models.chart.points` says.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPoint, QPointF, QRectF, QSize, QSizeF, Qt, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
)

from gui.kit import theme
from gui.kit.theme import Theme
from gui.models.chart.paint import (
    BOTTOM_PX,
    LEFT_PX,
    RIGHT_PX,
    TOP_PX,
    ChartRange,
    Scene,
    Sprites,
    paint_scene,
)
from gui.models.chart.points import ChartPoint, ChartPoints, cost_text, height_of, short_figure
from gui.plots.point_canvas import ZOOM_STEP, PointCanvas, nearest_point, paint_card, paint_ring

_LEAST_RADIUS_PX, _MORE_RADIUS_PX = 3.0, 11.0
_REACH_PX = 7.0
"""How far from a bubble's edge the mouse still means it."""
_MOST_ZOOM = 60.0


class ModelChart(PointCanvas):
    """The chart. Left and Right walk from point to point, Up and Down along the front."""

    background = "window"
    point_chosen = Signal(object)
    """The card of the point that became current."""
    point_wanted = Signal(object)
    """Enter or a double click."""
    compare_wanted = Signal(object)
    """Space."""
    menu_wanted = Signal(object, QPoint)
    """A card, and where on the screen."""
    zoom_changed = Signal()

    def __init__(self, look: Theme) -> None:
        super().__init__(look, "Models as a chart")
        self._shown: ChartPoints | None = None
        self._xy: npt.NDArray[np.float64] = np.empty((0, 2))
        self._radii: npt.NDArray[np.float64] = np.empty(0)
        self._whole = ChartRange(0.0, 1.0, -2.0, -1.0)
        self._view = self._whole
        self._current_id = ""
        self._compared: tuple[str, ...] = ()

    def sizeHint(self) -> QSize:
        return QSize(560, 420)

    def minimumSizeHint(self) -> QSize:
        return QSize(240, 200)

    # -- what is shown -----------------------------------------------------------------------

    def show_points(self, shown: ChartPoints) -> None:
        """Replace the points; the view is kept where only the filter changed them."""
        is_other_axis = self._shown is None or self._shown.axis != shown.axis
        self._shown = shown
        self._hovered = -1
        costs = [math.log10(point.cost) for point in shown.points]
        self._xy = np.array(
            [(cost, height_of(point.top1)) for cost, point in zip(costs, shown.points, strict=True)]
        ).reshape(-1, 2)
        self._radii = np.array(
            [_LEAST_RADIUS_PX + _MORE_RADIUS_PX * point.size for point in shown.points]
        )
        whole = self._fit()
        if is_other_axis or self._view == self._whole:
            self._view = whole
        self._whole = whole
        self.setAccessibleDescription(shown.twin())
        self.redraw()
        self.zoom_changed.emit()

    def _fit(self) -> ChartRange:
        if not len(self._xy):
            return ChartRange(0.0, 1.0, -2.0, -1.0)
        (left, low), (right, high) = self._xy.min(axis=0), self._xy.max(axis=0)
        x_pad = max(0.05 * (right - left), 0.2 if len(self._xy) < 3 else 0.05)
        y_pad = max(0.07 * (high - low), 0.02)
        return ChartRange(left - x_pad, right + x_pad, low - y_pad, high + y_pad)

    def choose(self, card_id: str) -> None:
        """Mark the point of a model; without a point nothing is marked."""
        self._current_id = card_id
        self.update()

    def mark_compared(self, ids: Sequence[str]) -> None:
        """Number the points of these models, in this order."""
        self._compared = tuple(ids)
        self.update()

    @property
    def points(self) -> tuple[ChartPoint, ...]:
        """The points shown, in order of their cost."""
        return () if self._shown is None else self._shown.points

    @property
    def current(self) -> int:
        """The position of the chosen model's point; -1 where it has none."""
        return next(
            (n for n, point in enumerate(self.points) if point.card.id == self._current_id), -1
        )

    @property
    def is_zoomed(self) -> bool:
        """Whether less than the whole is shown."""
        return self._view != self._whole

    def reset_view(self) -> None:
        """Show the whole chart."""
        self._set_view(self._whole)

    def _set_view(self, view: ChartRange) -> None:
        whole = self._whole
        if view.right - view.left > 1.02 * (whole.right - whole.left):
            view = whole
        if (whole.right - whole.left) / max(view.right - view.left, 1e-9) > _MOST_ZOOM:
            return
        if view != self._view:
            self._view = view
            self.redraw()
            self.zoom_changed.emit()

    def make_sprites(self, ratio: float) -> None:
        self._sprites = Sprites(self._look, ratio)

    # -- geometry ----------------------------------------------------------------------------

    def _plot(self) -> QRectF:
        return QRectF(
            LEFT_PX, TOP_PX,
            max(1, self.width() - LEFT_PX - RIGHT_PX),
            max(1, self.height() - TOP_PX - BOTTOM_PX),
        )  # fmt: skip

    def _scene(self) -> Scene:
        assert self._shown is not None
        return Scene(
            self._look,
            self._sprites,
            self._shown,
            self._xy,
            self._radii,
            self._view,
            self._plot(),
            self.frame(),
        )

    def pixels(self) -> npt.NDArray[np.float64]:
        return self._scene().pixels()

    def pixel_of(self, position: int) -> QPointF:
        x, y = self.pixels()[position]
        return QPointF(float(x), float(y))

    def _plane(self, at: QPointF) -> tuple[float, float]:
        plot, view = self._plot(), self._view
        return (
            view.left + (at.x() - plot.left()) / plot.width() * (view.right - view.left),
            view.low + (plot.bottom() - at.y()) / plot.height() * (view.high - view.low),
        )

    def point_at(self, at: QPointF) -> int:
        if not len(self._xy) or not self._plot().adjusted(-4, -4, 4, 4).contains(at):
            return -1
        nearest, away = nearest_point(self.pixels(), at)
        return nearest if away <= self._radii[nearest] + _REACH_PX else -1

    def zoom_at(self, factor: float, at: QPointF) -> None:
        if len(self._xy):
            self._set_view(self._view.zoomed(factor, *self._plane(at)))

    # -- by mouse ----------------------------------------------------------------------------

    def dragged(self, moved: QPointF) -> None:
        plot, view = self._plot(), self._view
        self._set_view(
            view.moved(
                -moved.x() / plot.width() * (view.right - view.left),
                moved.y() / plot.height() * (view.high - view.low),
            )
        )

    def hover_changed(self) -> None:
        is_over = self._hovered >= 0
        shape = Qt.CursorShape.PointingHandCursor if is_over else Qt.CursorShape.ArrowCursor
        self.setCursor(shape)

    def clicked(self, at: QPointF) -> None:
        self._choose_point(self.point_at(at))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        position = self.point_at(event.position())
        if position >= 0:
            self.point_wanted.emit(self.points[position].card)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        by_mouse = event.reason() == QContextMenuEvent.Reason.Mouse
        position = self.point_at(QPointF(event.pos())) if by_mouse else self.current
        if position >= 0:
            self._choose_point(position)
            at = event.globalPos() if by_mouse else self._screen_place(position)
            self.menu_wanted.emit(self.points[position].card, at)

    def _screen_place(self, position: int) -> QPoint:
        return self.mapToGlobal(self.pixel_of(position).toPoint())

    def _choose_point(self, position: int) -> None:
        if position < 0:
            return
        card = self.points[position].card
        if card.id != self._current_id:
            self._current_id = card.id
            self.point_chosen.emit(card)
        self._say_current()
        self.update()

    # -- by keyboard -------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, shown, current = event.key(), self._shown, self.current
        if shown is None or not shown.points:
            super().keyPressEvent(event)
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            step = 1 if key == Qt.Key.Key_Right else -1
            last = len(shown.points) - 1
            start = shown.front[0] if shown.front else 0
            self._walk_to(start if current < 0 else min(max(current + step, 0), last))
        elif key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self._walk_to(self._along_front(shown.front, current, up=key == Qt.Key.Key_Up))
        elif key in (Qt.Key.Key_Home, Qt.Key.Key_End):
            self._walk_to(0 if key == Qt.Key.Key_Home else len(shown.points) - 1)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and current >= 0:
            self.point_wanted.emit(shown.points[current].card)
        elif key == Qt.Key.Key_Space and current >= 0:
            self.compare_wanted.emit(shown.points[current].card)
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal, Qt.Key.Key_Minus):
            factor = 1 / ZOOM_STEP if key == Qt.Key.Key_Minus else ZOOM_STEP
            view = self._view
            centre = ((view.left + view.right) / 2, (view.low + view.high) / 2)
            self._set_view(view.zoomed(factor, *(self._xy[current] if current >= 0 else centre)))
        elif key == Qt.Key.Key_0:
            self.reset_view()
        else:
            super().keyPressEvent(event)

    @staticmethod
    def _along_front(front: Collection[int], current: int, *, up: bool) -> int:
        """The next point of the front; from beside it, the one that comes at this cost."""
        ordered = sorted(front)
        if current < 0 or not ordered:
            return ordered[0] if ordered else -1
        if up:
            return next((n for n in ordered if n > current), ordered[-1])
        return next((n for n in reversed(ordered) if n < current), ordered[0])

    def _walk_to(self, position: int) -> None:
        if position < 0:
            return
        self._choose_point(position)
        at, plot = self.pixel_of(position), self._plot()
        if not plot.contains(at):  # zoomed in: take the view along
            x, y = (float(value) for value in self._xy[position])
            view = self._view
            self._set_view(
                view.moved(x - (view.left + view.right) / 2, y - (view.low + view.high) / 2)
            )

    def _say_current(self) -> None:
        shown, current = self._shown, self.current
        if shown is not None and current >= 0:
            self.setAccessibleDescription(f"{self._describe(current)}. {shown.twin()}")

    def _describe(self, position: int) -> str:
        assert self._shown is not None
        point = self._shown.points[position]
        name = point.card.full_name
        text = f"{name}: {point.top1:.1f} % at {cost_text(point.cost, self._shown.axis)}"
        return text + (", on the front" if position in self._shown.front else "")

    # -- painting ----------------------------------------------------------------------------

    def paint_over(self, painter: QPainter) -> None:
        if self.hasFocus():
            painter.setPen(self._look.colour("accent"))
            painter.drawRoundedRect(self.frame(), theme.RADIUS, theme.RADIUS)
        if self._shown is None or not self._shown.points:
            return
        painter.save()
        painter.setClipRect(self._plot().adjusted(-6, -6, 6, 6))
        pixels = self.pixels()
        for number, card_id in enumerate(self._compared, start=1):
            for position, point in enumerate(self._shown.points):
                if point.card.id == card_id:
                    self._paint_compared(painter, pixels[position], position, number)
        current = self.current
        if current >= 0:
            self._paint_ring(painter, pixels[current], current, "accent", 2.5)
        if self._hovered >= 0:
            self._paint_ring(painter, pixels[self._hovered], self._hovered, "text", 1.5)
        painter.restore()
        named = self._hovered if self._hovered >= 0 else (current if self.hasFocus() else -1)
        if named >= 0 and self._plot().contains(QPointF(*pixels[named])):
            self._paint_name(painter, named, QPointF(*pixels[named]))

    def _paint_ring(
        self, painter: QPainter, at: npt.NDArray[np.float64], position: int, token: str, px: float
    ) -> None:
        radius = float(self._radii[position]) + 2.5
        paint_ring(painter, QPointF(*at), radius, self._look.colour(token), px)

    def _paint_compared(
        self, painter: QPainter, at: npt.NDArray[np.float64], position: int, number: int
    ) -> None:
        self._paint_ring(painter, at, position, "text", 1.5)
        radius = float(self._radii[position])
        badge = QRectF(at[0] + 0.7 * radius, at[1] - 0.7 * radius - 14, 14, 14)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._look.colour("text"))
        painter.drawEllipse(badge)
        painter.setPen(self._look.colour("surface"))
        painter.setFont(self._look.font("small", bold=True))
        painter.drawText(badge, Qt.AlignmentFlag.AlignCenter, str(number))

    def _paint_name(self, painter: QPainter, position: int, at: QPointF) -> None:
        """Name and figures beside a point, on the side where there is room."""
        assert self._shown is not None
        point, axis = self._shown.points[position], self._shown.axis
        size = point.card.macs if axis.key == "params" else point.card.params
        lines = [
            point.card.full_name,
            f"{point.top1:.2f} % top-1 · {cost_text(point.cost, axis)}",
        ]
        if size is not None:
            unit, scale = ("GMACs", 1e9) if axis.key == "params" else ("M parameters", 1e6)
            lines[1] += f" · {short_figure(size / scale)} {unit}"
        if position in self._shown.front:
            lines.append("On the front: none is better for less")
        painter.setFont(self._look.font("small"))
        metrics = painter.fontMetrics()
        width = max(metrics.horizontalAdvance(line) for line in lines) + 2 * theme.S
        height = metrics.height() * len(lines) + 2 * theme.XS + 2
        gap = float(self._radii[position]) + 8
        box = paint_card(painter, self._look, self, at, gap, QSizeF(width, height))
        painter.setPen(self._look.colour("text"))
        painter.drawText(
            box.adjusted(theme.S, theme.XS, -theme.S, 0), int(Qt.AlignmentFlag.AlignLeft),
            "\n".join(lines),
        )  # fmt: skip

    def paint_points(self, painter: QPainter) -> None:
        if self._shown is not None:
            paint_scene(painter, self._scene())
