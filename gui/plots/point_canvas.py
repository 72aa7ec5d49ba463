"""A canvas of points under the chart of models and the map of pictures.

The points are painted once and kept as a picture; what moves with the mouse is painted over it.
What a point is, where it stands and what a click means is said by the classes built on it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QEvent, QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QPolygonF,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from gui.kit import theme
from gui.kit.theme import Theme

ZOOM_STEP = 1.25
_DRAG_PX = 4
_TRIANGLE = ((0.0, -1.25), (1.25, 0.875), (-1.25, 0.875))
_DIAMOND = ((0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0))


class PointCanvas(QWidget):
    """Hover, click, drag and zoom over points, and the picture they are kept in."""

    background = "surface"
    """The colour token behind the points."""

    def __init__(self, look: Theme, name: str) -> None:
        """`name` is what a screen reader says."""
        super().__init__()
        self._look = look
        self._picture: QPixmap | None = None
        self._shift = QPointF(0, 0)
        self._hovered = -1
        self._drag: list[QPointF] = []
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        look.changed.connect(self._colours_changed)
        self._sprite_ratio = self.devicePixelRatioF()
        self.make_sprites(self._sprite_ratio)

    # -- what a canvas of its own says -------------------------------------------------------

    def make_sprites(self, ratio: float) -> None:
        """Draw the looks of a point; `ratio`: physical pixels to a logical one."""
        raise NotImplementedError

    def pixels(self) -> npt.NDArray[np.float64]:
        """float64 [N, 2]: where the points are on the widget."""
        raise NotImplementedError

    def point_at(self, at: QPointF) -> int:
        """The point under the mouse, the nearest of several; -1 for none."""
        raise NotImplementedError

    def zoom_at(self, factor: float, at: QPointF) -> None:
        """Enlarge by a factor; what is at a pixel stays there."""
        raise NotImplementedError

    def paint_points(self, painter: QPainter) -> None:
        """Paint the picture that is kept."""
        raise NotImplementedError

    def paint_over(self, painter: QPainter) -> None:
        """Paint what changes with the mouse and the keyboard, at every repaint."""
        raise NotImplementedError

    def clicked(self, at: QPointF) -> None:
        """The left button went down and up at a place."""
        raise NotImplementedError

    def dragged(self, moved: QPointF) -> None:
        """The mouse moved on by so many pixels with the left button held."""
        raise NotImplementedError

    def drag_ended(self, drag: list[QPointF]) -> None:
        """The button was let go after a drag through these places."""

    def hover_changed(self) -> None:
        """Another point is under the mouse, or none."""

    # -- the picture -------------------------------------------------------------------------

    def redraw(self) -> None:
        """Paint the points anew at the next repaint."""
        self._picture = None
        self.update()

    def shift_picture(self, moved: QPointF) -> None:
        """Move the picture by so many pixels instead of painting it anew."""
        self._shift += moved
        self.update()

    def _colours_changed(self) -> None:
        self._sprite_ratio = self.devicePixelRatioF()
        self.make_sprites(self._sprite_ratio)
        self.redraw()

    def frame(self) -> QRectF:
        """The border of the canvas."""
        return QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.redraw()

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._picture is None or self._picture.devicePixelRatio() != self.devicePixelRatioF():
            self._picture = self._paint_picture()
            self._shift = QPointF(0, 0)
        painter = QPainter(self)
        if not self._shift.isNull():
            painter.fillRect(self.rect(), self._look.colour(self.background))
        painter.drawPixmap(self._shift, self._picture)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.paint_over(painter)

    def _paint_picture(self) -> QPixmap:
        ratio = self.devicePixelRatioF()
        if ratio != self._sprite_ratio:  # the window went to another screen
            self._sprite_ratio = ratio
            self.make_sprites(ratio)
        picture = QPixmap(self.size() * ratio)
        picture.setDevicePixelRatio(ratio)
        picture.fill(self._look.colour(self.background))
        painter = QPainter(picture)
        self.paint_points(painter)
        painter.end()
        return picture

    # -- by mouse ----------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._drag = [event.position()]

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        at = event.position()
        if not self._drag:
            self._hover(self.point_at(at))
            return
        if len(self._drag) == 1 and (at - self._drag[0]).manhattanLength() < _DRAG_PX:
            return
        moved = at - self._drag[-1]
        self._drag.append(at)
        self.dragged(moved)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        drag, self._drag = self._drag, []
        if event.button() != Qt.MouseButton.LeftButton or not drag:
            return
        if len(drag) > 1:
            self.drag_ended(drag)
        else:
            self.clicked(event.position())

    def _hover(self, row: int) -> None:
        if row != self._hovered:
            self._hovered = row
            self.hover_changed()
            self.update()

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self._hover(-1)

    def wheelEvent(self, event: QWheelEvent) -> None:
        steps = event.angleDelta().y() / 120
        if steps:
            self.zoom_at(ZOOM_STEP**steps, event.position())
        event.accept()


def nearest_point(pixels: npt.NDArray[np.float64], at: QPointF) -> tuple[int, float]:
    """The row nearest to a place, and how many pixels away it is; at least one row is needed."""
    distances = np.hypot(*(pixels - (at.x(), at.y())).T)
    nearest = int(np.argmin(distances))
    return nearest, float(distances[nearest])


def paint_ring(painter: QPainter, at: QPointF, radius: float, colour: QColor, px: float) -> None:
    """A ring around a point."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(colour, px))
    painter.drawEllipse(at, radius, radius)


def paint_card(
    painter: QPainter,
    look: Theme,
    canvas: QWidget,
    at: QPointF,
    gap: float,
    size: QSizeF,
) -> QRectF:
    """An empty card beside a point, on the side where there is room; gives its rectangle."""
    width, height = size.width(), size.height()
    x = at.x() + gap if at.x() + gap + width < canvas.width() else at.x() - gap - width
    y = min(max(at.y() - height / 2, 2), max(2, canvas.height() - height - 2))
    card = QRectF(max(2.0, x), y, width, height)
    painter.setPen(look.colour("strong_border"))
    painter.setBrush(look.colour("surface"))
    painter.drawRoundedRect(card, theme.RADIUS, theme.RADIUS)
    return card


def draw_shape(
    painter: QPainter,
    number: int,
    at: QPointF,
    radius: float,
    *,
    triangle: tuple[tuple[float, float], ...] = _TRIANGLE,
) -> None:
    """Square (1), diamond (2), triangle (3) or circle, of about one area.

    Who sees no colours reads the shapes.
    `triangle`: its corners in units of the radius.
    """
    if number == 1:
        side = 0.89 * radius
        painter.drawRect(QRectF(at.x() - side, at.y() - side, 2 * side, 2 * side))
    elif number in (2, 3):
        corners = _DIAMOND if number == 2 else triangle
        painter.drawPolygon(QPolygonF([at + QPointF(x, y) * radius for x, y in corners]))
    else:
        painter.drawEllipse(at, radius, radius)


def faded(colour: QColor, alpha: int) -> QColor:
    """The colour with an opacity of 0…255."""
    made = QColor(colour)
    made.setAlpha(alpha)
    return made
