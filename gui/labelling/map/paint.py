"""How the points of the map of pictures are painted: sprites stamped in one call, and the card
beside a point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import shiboken6
from PySide6.QtCore import QPointF, QRectF, QSize, QSizeF, Qt
from PySide6.QtGui import QIcon, QPainter, QPen, QPixmap
from PySide6.QtWidgets import QWidget

from gui.kit import theme
from gui.kit.theme import CLASS_COLOURS, Theme
from gui.plots.point_canvas import draw_shape, faded, paint_card

_CELL_PX = 18
_RADIUS_PX = 4.0
_SHAPES = 4
_STYLES = CLASS_COLOURS * _SHAPES
"""So many classes look different; then they come again."""
_BARE = _STYLES  # without a label
_ROWS = {"plain": 0, "selected": 1, "ringed": 2, "ringed and selected": 3, "faint": 4}
_MARGINS = np.array([3, 2, 0, 0, 6])
"""Pixels of each state's cell that are empty on every side: not blending them halves the time."""
_FRAGMENT = 10  # numbers in a QPainter::PixmapFragment


class PointSprites:
    """Every look of a point, side by side in one pixmap: classes across, states down."""

    def __init__(self, look: Theme, ratio: float) -> None:
        """`ratio`: physical pixels to a logical one."""
        self.ratio = ratio
        self._look = look
        self.side = round(_CELL_PX * ratio)
        self.atlas = QPixmap(QSize((_STYLES + 1) * self.side, len(_ROWS) * self.side))
        self.atlas.fill(Qt.GlobalColor.transparent)
        painter = QPainter(self.atlas)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for state, line in _ROWS.items():
            for style in range(_STYLES + 1):
                painter.save()
                painter.translate(style * self.side, line * self.side)
                painter.scale(self.side / _CELL_PX, self.side / _CELL_PX)
                self._draw(painter, style, state)
                painter.restore()
        painter.end()

    def _draw(self, painter: QPainter, style: int, state: str) -> None:
        middle, look = _CELL_PX / 2, self._look
        if state == "faint":
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(faded(look.colour("muted"), 60))
            painter.drawEllipse(QPointF(middle, middle), 2.0, 2.0)
            return
        if "ringed" in state:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(look.colour("bad"), 1.6))
            painter.drawEllipse(QPointF(middle, middle), 7.6, 7.6)
        is_selected = "selected" in state
        if style == _BARE:
            painter.setBrush(look.colour("accent") if is_selected else Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(look.colour("muted"), 1.2))
        else:
            painter.setBrush(look.class_colour(style))
            painter.setPen(QPen(look.colour("text" if is_selected else "surface"), 0.8))
        if is_selected:
            painter.setPen(QPen(look.colour("text"), 2.0))
        radius = _RADIUS_PX + (1 if is_selected else 0)
        draw_shape(painter, style // CLASS_COLOURS, QPointF(middle, middle), radius)

    def icon(self, label: int) -> QIcon:
        """The point of a class, for the legend; -1: of those without a label."""
        style = _BARE if label < 0 else label % _STYLES
        made = self.atlas.copy(style * self.side, 0, self.side, self.side)
        made.setDevicePixelRatio(self.ratio)
        return QIcon(made)

    def looks(
        self,
        labels: npt.NDArray[np.int32],
        *,
        shown: npt.NDArray[np.bool_],
        selected: npt.NDArray[np.bool_],
        ringed: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.float64]:
        """float64 [N, 2]: column and line of each point's sprite."""
        column = np.where(labels < 0, _BARE, labels % _STYLES)
        line = selected.astype(np.int64) + 2 * ringed
        line = np.where(shown, line, _ROWS["faint"])
        return np.stack([column, line], axis=1).astype(np.float64)


def stamp(
    painter: QPainter,
    sprites: PointSprites,
    pixels: npt.NDArray[np.float64],
    looks: npt.NDArray[np.float64],
    room: QRectF,
) -> None:
    """All points in sight in one call: the faint first, what is selected or ringed on top.

    20,000 calls of drawPixmap from Python take five times as long.
    """
    seen = (
        (pixels[:, 0] > -_CELL_PX)
        & (pixels[:, 0] < room.width() + _CELL_PX)
        & (pixels[:, 1] > -_CELL_PX)
        & (pixels[:, 1] < room.height() + _CELL_PX)
    )
    rows = np.flatnonzero(seen)
    order = np.array([1, 2, 3, 4, 0])[looks[rows, 1].astype(np.int64)]
    rows = rows[np.argsort(order, kind="stable")]
    if not len(rows):
        return
    # x, y, source left, top, width, height, scale x, y, rotation, opacity
    fragments = np.zeros((len(rows), _FRAGMENT))
    # On whole pixels a stamp is a copy; elsewhere it would be blurred.
    fragments[:, :2] = np.round(pixels[rows] * sprites.ratio) / sprites.ratio
    margin = np.floor(_MARGINS[looks[rows, 1].astype(np.int64)] * sprites.side / _CELL_PX)
    fragments[:, 2:4] = looks[rows] * sprites.side + margin[:, None]
    fragments[:, 4:6] = (sprites.side - 2 * margin)[:, None]
    fragments[:, 6:8] = 1 / sprites.ratio
    fragments[:, 9] = 1
    # Qt reads them as its own structures: an array of numbers is what they are in memory.
    wrapped = shiboken6.wrapInstance(fragments.ctypes.data, QPainter.PixmapFragment)
    first = cast(QPainter.PixmapFragment, wrapped)
    painter.drawPixmapFragments(first, len(rows), sprites.atlas)


def paint_picture_card(
    painter: QPainter,
    look: Theme,
    canvas: QWidget,
    at: QPointF,
    pixmap: QPixmap | None,
    lines: Sequence[str],
) -> None:
    """A card beside a point: its picture, its name, its class; on the side where there is room."""
    painter.setFont(look.font("small"))
    metrics = painter.fontMetrics()
    side = 112.0
    height = side + metrics.height() * len(lines) + 3 * theme.XS
    width = side + 2 * theme.XS
    box = paint_card(painter, look, canvas, at, 14, QSizeF(width, height))
    square = QRectF(box.left() + theme.XS, box.top() + theme.XS, side, side)
    if pixmap is None:
        painter.fillRect(square, look.colour("sunken"))
    else:
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawPixmap(square, pixmap, QRectF(pixmap.rect()))
    top = square.bottom() + theme.XS
    for number, line in enumerate(lines):
        painter.setPen(look.colour("text" if number < 2 else "bad"))
        elided = metrics.elidedText(line, Qt.TextElideMode.ElideMiddle, int(side))
        painter.drawText(QPointF(square.left(), top + metrics.ascent()), elided)
        top += metrics.height()
