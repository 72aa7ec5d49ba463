"""How the chart of models is painted: axes, bubbles, the front with its names, the legend."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPen, QPixmap, QPolygonF

from core.catalog.network_types import NETWORK_TYPES
from gui.kit import theme
from gui.kit.theme import Theme
from gui.models.chart.points import COLOUR_TITLES, ChartPoints, height_of, log_ticks, top1_ticks
from gui.plots.point_canvas import draw_shape, faded

LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 44, 12, 30, 40
_TRIANGLE = ((0.0, -1.3), (1.235, 0.78), (-1.235, 0.78))
_FILL_ALPHA, _EDGE_ALPHA = 105, 210


@dataclass(frozen=True, slots=True)
class ChartRange:
    """What part of the plane is shown: costs as logarithms to base 10, `height_of` top-1."""

    left: float
    right: float
    low: float
    high: float

    def zoomed(self, factor: float, x: float, y: float) -> ChartRange:
        """Smaller by `factor` around a point of the plane."""
        return ChartRange(
            x - (x - self.left) / factor,
            x + (self.right - x) / factor,
            y - (y - self.low) / factor,
            y + (self.high - y) / factor,
        )

    def moved(self, dx: float, dy: float) -> ChartRange:
        """The range shifted by so much of the plane."""
        return ChartRange(self.left + dx, self.right + dx, self.low + dy, self.high + dy)


class Sprites:
    """Every bubble drawn once: to stamp it costs a tenth of drawing it a thousand times."""

    def __init__(self, look: Theme, ratio: float) -> None:
        """`ratio`: physical pixels to a logical one."""
        self.ratio = ratio
        self._colours = [look.colour(f"chart_{n + 1}") for n in range(len(NETWORK_TYPES))]
        self._made: dict[tuple[int, int], tuple[QPixmap, float]] = {}

    def of(self, colour: int, radius: float) -> tuple[QPixmap, float]:
        """The bubble, and how far its middle is from its corner."""
        key = (colour, round(4 * radius))
        if key not in self._made:
            self._made[key] = self._make(colour, key[1] / 4)
        return self._made[key]

    def _make(self, colour: int, radius: float) -> tuple[QPixmap, float]:
        half = math.ceil(1.3 * radius) + 2.0
        made = QPixmap(QSize(int(2 * half), int(2 * half)) * self.ratio)
        made.setDevicePixelRatio(self.ratio)
        made.fill(Qt.GlobalColor.transparent)
        painter = QPainter(made)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(faded(self._colours[colour], _FILL_ALPHA))
        painter.setPen(QPen(faded(self._colours[colour], _EDGE_ALPHA), 1))
        draw_shape(painter, colour, QPointF(half, half), radius, triangle=_TRIANGLE)
        painter.end()
        return made, half


@dataclass(frozen=True, slots=True)
class Scene:
    """What is painted where: `xy` [N, 2] in the plane, `radii` [N] in pixels."""

    look: Theme
    sprites: Sprites
    shown: ChartPoints
    xy: npt.NDArray[np.float64]
    radii: npt.NDArray[np.float64]
    view: ChartRange
    plot: QRectF
    frame: QRectF

    def pixels(self) -> npt.NDArray[np.float64]:
        """Where the points are on the widget: [N, 2]."""
        plot, view = self.plot, self.view
        x = plot.left() + (self.xy[:, 0] - view.left) / (view.right - view.left) * plot.width()
        y = plot.bottom() - (self.xy[:, 1] - view.low) / (view.high - view.low) * plot.height()
        return np.stack([x, y], axis=1)


def paint_scene(painter: QPainter, scene: Scene) -> None:
    """Paint frame, axes, bubbles, front and legend."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setFont(scene.look.font("small"))
    painter.setPen(scene.look.colour("border"))
    painter.setBrush(scene.look.colour("surface"))
    painter.drawRoundedRect(scene.frame, theme.RADIUS, theme.RADIUS)
    if scene.shown.points:
        _paint_axes(painter, scene)
        _paint_points(painter, scene)
        _paint_legend(painter, scene)


def _paint_axes(painter: QPainter, scene: Scene) -> None:
    plot, view, metrics = scene.plot, scene.view, painter.fontMetrics()
    grid, text = scene.look.colour("border"), scene.look.colour("muted")
    low, high = 10**view.left, 10**view.right
    for tick in log_ticks(low, high, most=max(2, int(plot.width() / 56))):
        share = (math.log10(tick) - view.left) / (view.right - view.left)
        x = plot.left() + share * plot.width()
        painter.setPen(grid)
        painter.drawLine(QPointF(x, plot.top()), QPointF(x, plot.bottom()))
        painter.setPen(text)
        box = QRectF(x - 40, plot.bottom() + 3, 80, metrics.height())
        painter.drawText(box, Qt.AlignmentFlag.AlignHCenter, f"{tick:,g}")
    for tick in top1_ticks(view.low, view.high, height_px=plot.height()):
        share = (height_of(tick) - view.low) / (view.high - view.low)
        y = plot.bottom() - share * plot.height()
        painter.setPen(grid)
        painter.drawLine(QPointF(plot.left(), y), QPointF(plot.right(), y))
        painter.setPen(text)
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(QRectF(0, y - 10, LEFT_PX - 6, 20), right, f"{tick:g}")
    painter.setPen(text)
    below = QRectF(plot.left(), plot.bottom() + 20, plot.width(), metrics.height())
    name = f"{scene.shown.axis.name}, {scene.shown.axis.unit}"
    painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, f"{name}; upwards: top-1, %")


def _paint_points(painter: QPainter, scene: Scene) -> None:
    plot, pixels = scene.plot, scene.pixels()
    painter.save()
    painter.setClipRect(plot.adjusted(-1, -1, 1, 1))
    # The large ones first, so that none hides a smaller one.
    for position in np.argsort(-scene.radii, kind="stable"):
        sprite, half = scene.sprites.of(
            scene.shown.points[position].colour, float(scene.radii[position])
        )
        x, y = pixels[position]
        painter.drawPixmap(QPointF(x - half, y - half), sprite)
    if len(scene.shown.front) > 1:
        line = QPolygonF([QPointF(*pixels[position]) for position in scene.shown.front])
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(scene.look.colour("text"), 1.5))
        painter.drawPolyline(line)
    painter.restore()
    _paint_names(painter, scene, pixels)


def _paint_names(painter: QPainter, scene: Scene, pixels: npt.NDArray[np.float64]) -> None:
    """The names of the front, from its best end downwards, where there is room."""
    plot, metrics = scene.plot, painter.fontMetrics()
    taken: list[QRectF] = []
    backing = faded(scene.look.colour("surface"), 215)
    for position in reversed(scene.shown.front):
        at = QPointF(*pixels[position])
        if not plot.contains(at):
            continue
        name = scene.shown.points[position].card.shown_name.partition(".")[0]
        width, height = metrics.horizontalAdvance(name) + 6.0, float(metrics.height())
        lift = float(scene.radii[position]) + 3
        for left, top in (
            (at.x() - width + 4, at.y() - lift - height),
            (at.x() - width - lift, at.y() - height / 2),
            (at.x() - 4, at.y() - lift - height),
        ):
            box = QRectF(left, top, width, height)
            if plot.contains(box) and not any(box.intersects(other) for other in taken):
                taken.append(box.adjusted(-4, -3, 4, 3))
                painter.fillRect(box, backing)
                painter.setPen(scene.look.colour("text"))
                painter.drawText(box, Qt.AlignmentFlag.AlignCenter, name)
                break


def _paint_legend(painter: QPainter, scene: Scene) -> None:
    x, middle = float(theme.S), TOP_PX / 2
    present = sorted({point.colour for point in scene.shown.points})
    for colour in present:
        token = scene.look.colour(f"chart_{colour + 1}")
        painter.setBrush(faded(token, _FILL_ALPHA))
        painter.setPen(QPen(token, 1))
        draw_shape(painter, colour, QPointF(x + 5, middle), 5, triangle=_TRIANGLE)
        x = _legend_text(painter, scene, x + 14, COLOUR_TITLES[NETWORK_TYPES[colour]])
    painter.setPen(QPen(scene.look.colour("text"), 1.5))
    painter.drawLine(QPointF(x, middle), QPointF(x + 16, middle))
    _legend_text(painter, scene, x + 20, "Front")


def _legend_text(painter: QPainter, scene: Scene, x: float, text: str) -> float:
    """Write a word of the legend; gives the x after it."""
    width = painter.fontMetrics().horizontalAdvance(text)
    painter.setPen(scene.look.colour("muted"))
    left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
    painter.drawText(QRectF(x, 0, width + 2, TOP_PX), left, text)
    return x + width + theme.M
