"""Pictures as points in the plane, one picture of twenty thousand sprites: hover, click, lasso.

Points are stamped in one call and kept as a pixmap; what moves with the mouse is painted over it.
What the points are, `gui.labelling.map.points` says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QImage,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPen,
    QPolygonF,
)

from gui.kit import theme
from gui.kit.basics import delayed
from gui.kit.theme import Theme
from gui.labelling.map.paint import PointSprites, paint_picture_card, stamp
from gui.labelling.map.points import Flags, MapPoints
from gui.pictures.cache import PictureCache
from gui.plots.point_canvas import ZOOM_STEP, PointCanvas, faded, nearest_point, paint_ring

Tool = Literal["move", "lasso", "box"]

THUMBNAIL_PX = 112
_MARGIN_PX = 16
_REACH_PX = 9.0
_MOST_ZOOM = 200.0
_HOVER_MS = 40
_MANY, _REST_MS = 4000, 60
_ARROWS = {
    Qt.Key.Key_Left: (-1.0, 0.0),
    Qt.Key.Key_Right: (1.0, 0.0),
    Qt.Key.Key_Up: (0.0, -1.0),
    Qt.Key.Key_Down: (0.0, 1.0),
}


class EmbeddingMap(PointCanvas):
    """Drag moves, or with a tool or Shift selects; wheel zooms; arrows walk, Enter opens."""

    passed = Signal(int)
    """The row of the point that became current."""
    opened = Signal(int)
    selection_changed = Signal()
    wanted = Signal(object, int)
    """(paths, side in device pixels): the thumbnail to be read for `fill`."""
    menu_wanted = Signal(object)
    """A global point."""

    def __init__(self, look: Theme) -> None:
        super().__init__(look, "Map of the pictures")
        self._points: MapPoints | None = None
        self._root = Path()
        self._shown: Flags = np.zeros(0, dtype=np.bool_)
        self._selected: Flags = np.zeros(0, dtype=np.bool_)
        self._reach = np.ones(2)
        self._rings = True
        self._middle = QPointF(0, 0)
        self._zoom = 1.0
        self._rest_timer = delayed(self, _REST_MS, self.redraw)
        self._thumbnails = PictureCache()
        self._current = -1
        self._by_keyboard = False
        self._tool: Tool = "move"
        self._drags: Tool | Literal[""] = ""
        self._adds = False
        self._hover_timer = delayed(self, _HOVER_MS, self._ask_for_thumbnail)

    def sizeHint(self) -> QSize:
        return QSize(520, 380)

    def minimumSizeHint(self) -> QSize:
        return QSize(200, 150)

    # -- what is shown -----------------------------------------------------------------------

    def show_points(self, points: MapPoints, root: Path) -> None:
        """Replace the points; selection and current point are kept by file."""
        before = self._points
        selected = set(self.selected_files)
        current = before.files[self._current] if before is not None and self._current >= 0 else ""
        self._points, self._root = points, root
        self._reach = np.abs(points.xy).max(axis=0) if len(points) else np.ones(2)
        self._shown = np.ones(len(points), dtype=np.bool_)
        if before is None or before.files != points.files:
            row_of = {file: row for row, file in enumerate(points.files)}
            self._current = row_of.get(current, -1)
            self._selected = np.zeros(len(points), dtype=np.bool_)
            self._selected[[row_of[file] for file in selected if file in row_of]] = True
            if int(self._selected.sum()) != len(selected):
                self.selection_changed.emit()
        self._hovered = -1
        self._describe()
        self.redraw()

    def show_only(self, shown: Flags) -> None:
        """Show these points only, bool [N]; the others become faint and cannot be pointed at."""
        self._shown = shown
        self.redraw()

    def show_rings(self, is_on: bool) -> None:
        """Draw a ring around pictures that lie among another class, or none."""
        self._rings = is_on
        self.redraw()

    def choose_tool(self, tool: Tool) -> None:
        """Choose what dragging does."""
        self._tool = tool
        shape = Qt.CursorShape.ArrowCursor if tool == "move" else Qt.CursorShape.CrossCursor
        self.setCursor(shape)

    @property
    def points(self) -> MapPoints | None:
        """The points shown; None at first."""
        return self._points

    @property
    def current(self) -> int:
        """The row of the point the keyboard is at; -1 for none."""
        return self._current

    @property
    def selected(self) -> npt.NDArray[np.int64]:
        """int64, ascending: rows of the selected points."""
        return np.flatnonzero(self._selected)

    @property
    def selected_files(self) -> tuple[str, ...]:
        """Files of the selected points."""
        if self._points is None:
            return ()
        return tuple(self._points.files[row] for row in self.selected.tolist())

    @property
    def acted_on(self) -> tuple[str, ...]:
        """The files of the selected points, or of the current one where none is selected."""
        chosen = self.selected_files
        if chosen or self._points is None or self._current < 0:
            return chosen
        return (self._points.files[self._current],)

    def select(self, rows: npt.NDArray[np.int64], *, adds: bool = False) -> None:
        """Select these points; `adds`: beside those that are selected."""
        if not adds:
            self._selected[:] = False
        self._selected[rows] = True
        self._describe()
        self.redraw()
        self.selection_changed.emit()

    def choose(self, row: int) -> None:
        """Make a point the current one and emit `passed`."""
        self._current = row
        self._describe()
        self.passed.emit(row)
        self._hover_timer.start()
        self.update()

    def fill(self, path: Path, image: QImage, error: str = "") -> None:
        """Keep a thumbnail that was read."""
        self._thumbnails.put(path, image, error)
        self.update()

    def reset_view(self) -> None:
        """Show the whole map."""
        self._middle, self._zoom = QPointF(0, 0), 1.0
        self.redraw()

    def _describe(self) -> None:
        points = self._points
        if points is None:
            self.setAccessibleDescription("")
            return
        sentences = [points.twin()]
        if self._current >= 0:
            sentences.insert(0, f"{points.files[self._current]}, {points.class_of(self._current)}.")
        if self._selected.any():
            sentences.append(f"{int(self._selected.sum()):,} selected.")
        self.setAccessibleDescription(" ".join(sentences))

    def make_sprites(self, ratio: float) -> None:
        self._sprites = PointSprites(self._look, ratio)

    def _move_picture(self, moved: QPointF) -> None:
        """Shift the picture of many points while they are dragged; redraw when the mouse rests."""
        if self._points is None or len(self._points) < _MANY or self._picture is None:
            self.redraw()
            return
        self._rest_timer.start()
        self.shift_picture(moved)

    # -- geometry ----------------------------------------------------------------------------

    def _scale(self) -> float:
        """Pixels to a unit of the map."""
        across, up = (max(float(reach), 0.05) for reach in self._reach)
        return self._zoom * min(
            max(20, self.width() / 2 - _MARGIN_PX) / across,
            max(20, self.height() / 2 - _MARGIN_PX) / up,
        )

    def pixels(self) -> npt.NDArray[np.float64]:
        if self._points is None:
            return np.empty((0, 2))
        scale = self._scale()
        x = self.width() / 2 + (self._points.xy[:, 0] - self._middle.x()) * scale
        y = self.height() / 2 - (self._points.xy[:, 1] - self._middle.y()) * scale
        return np.stack([x, y], axis=1).astype(np.float64)

    def point_at(self, at: QPointF) -> int:
        if self._points is None or not len(self._points):
            return -1
        pixels = np.where(self._shown[:, None], self.pixels(), np.inf)
        nearest, away = nearest_point(pixels, at)
        return nearest if away <= _REACH_PX else -1

    def zoom_at(self, factor: float, at: QPointF) -> None:
        zoom = min(max(self._zoom * factor, 1.0), _MOST_ZOOM)
        if zoom == self._zoom:
            return
        # What is under the mouse stays under it.
        away = QPointF(at.x() - self.width() / 2, self.height() / 2 - at.y())
        fixed = self._middle + away / self._scale()
        self._zoom = zoom
        self._middle = fixed - away / self._scale() if zoom > 1 else QPointF(0, 0)
        self.redraw()

    # -- by mouse ----------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        super().mousePressEvent(event)
        if event.button() == Qt.MouseButton.LeftButton:
            is_shifted = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self._adds = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
            self._drags = "lasso" if is_shifted and self._tool == "move" else self._tool

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._by_keyboard = False
        super().mouseMoveEvent(event)

    def dragged(self, moved: QPointF) -> None:
        if self._drags == "move":
            self._middle -= QPointF(moved.x(), -moved.y()) / self._scale()
            self._move_picture(moved)
        self.update()

    def drag_ended(self, drag: list[QPointF]) -> None:
        if self._drags != "move":
            self.select(self._rows_in(self._outline(drag)), adds=self._adds)
        self.update()

    def clicked(self, at: QPointF) -> None:
        row = self.point_at(at)
        if row < 0:
            if self._selected.any() and not self._adds:
                self.select(np.zeros(0, dtype=np.int64))
        elif self._adds:
            self._toggle(row)
        else:
            self.choose(row)
            self.opened.emit(row)

    def _toggle(self, row: int) -> None:
        self._selected[row] = not self._selected[row]
        self._describe()
        self.redraw()
        self.selection_changed.emit()

    def _outline(self, drag: list[QPointF]) -> QPolygonF:
        if self._drags == "box":
            return QPolygonF(QRectF(drag[0], drag[-1]).normalized())
        return QPolygonF(drag)

    def _rows_in(self, outline: QPolygonF) -> npt.NDArray[np.int64]:
        """Rows of the shown points inside, by the even-odd rule."""
        corners = np.array([(p.x(), p.y()) for p in outline.toList()])
        pixels = self.pixels()
        low, high = corners.min(axis=0), corners.max(axis=0)
        near = self._shown & ((pixels >= low) & (pixels <= high)).all(axis=1)
        rows = np.flatnonzero(near)
        x, y = pixels[rows].T
        inside = np.zeros(len(rows), dtype=np.bool_)
        for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            if y1 != y2:
                crosses = (y1 > y) != (y2 > y)
                inside ^= crosses & (x < x1 + (y - y1) * (x2 - x1) / (y2 - y1))
        return rows[inside]

    def hover_changed(self) -> None:
        self._hover_timer.start()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if event.reason() == QContextMenuEvent.Reason.Mouse:
            row = self.point_at(QPointF(event.pos()))
            if row >= 0 and not self._selected[row]:
                self.select(np.zeros(0, dtype=np.int64))
                self.choose(row)
        if self.acted_on:
            self.menu_wanted.emit(event.globalPos())

    def _ask_for_thumbnail(self) -> None:
        row = self._named_row()
        if self._points is None or row < 0:
            return
        path = self._root / self._points.files[row]
        if path not in self._thumbnails:
            self.wanted.emit((path,), round(THUMBNAIL_PX * self.devicePixelRatioF()))

    # -- by keyboard -------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key(event.key())
        is_here = self._points is not None and self._current >= 0
        self._by_keyboard = key in _ARROWS or (self._by_keyboard and key != Qt.Key.Key_Escape)
        if key in _ARROWS:
            self._walk(*_ARROWS[key])
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and is_here:
            self.opened.emit(self._current)
        elif key == Qt.Key.Key_Space and is_here:
            self._toggle(self._current)
        elif key == Qt.Key.Key_Escape and self._selected.any():
            self.select(np.zeros(0, dtype=np.int64))
        elif key == Qt.Key.Key_Escape and is_here:
            self.update()  # the card beside the current point goes
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal, Qt.Key.Key_Minus):
            factor = 1 / ZOOM_STEP if key == Qt.Key.Key_Minus else ZOOM_STEP
            middle = QPointF(self.width() / 2, self.height() / 2)
            self.zoom_at(factor, QPointF(*self.pixels()[self._current]) if is_here else middle)
        elif key == Qt.Key.Key_0 and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.reset_view()
        elif event.matches(QKeySequence.StandardKey.SelectAll):
            self.select(np.flatnonzero(self._shown))
        else:
            super().keyPressEvent(event)

    def _walk(self, dx: float, dy: float) -> None:
        """To the nearest point that lies in a direction, within 45°."""
        if self._points is None or not self._shown.any():
            return
        pixels = self.pixels()
        if self._current < 0:
            middle = QPointF(self.width() / 2, self.height() / 2)
            shown = np.where(self._shown[:, None], pixels, np.inf)
            self.choose(nearest_point(shown, middle)[0])
            return
        step = pixels - pixels[self._current]
        along = step[:, 0] * dx + step[:, 1] * dy
        aside = np.abs(step[:, 0] * dy + step[:, 1] * dx)
        away = np.where((along > 0) & (aside <= along) & self._shown, along + aside, np.inf)
        row = int(np.argmin(away))
        if np.isfinite(away[row]):
            self._bring_into_view(pixels[row])
            self.choose(row)

    def _bring_into_view(self, pixel: npt.NDArray[np.float64]) -> None:
        at = QPointF(float(pixel[0]), float(pixel[1]))
        if not QRectF(self.rect()).adjusted(8, 8, -8, -8).contains(at):
            away = QPointF(at.x() - self.width() / 2, self.height() / 2 - at.y())
            self._middle += away / self._scale()
            self.redraw()

    # -- painting ----------------------------------------------------------------------------

    def _named_row(self) -> int:
        """The point whose picture is shown: under the mouse, else the current one."""
        if self._hovered >= 0:
            return self._hovered
        return self._current if self._by_keyboard and self.hasFocus() else -1

    def paint_over(self, painter: QPainter) -> None:
        painter.setPen(self._look.colour("accent" if self.hasFocus() else "border"))
        painter.drawRoundedRect(self.frame(), theme.RADIUS, theme.RADIUS)
        points = self._points
        if points is None:
            return
        pixels = self.pixels() if self._current >= 0 or self._hovered >= 0 else np.empty((0, 2))
        for row, ink, width in ((self._current, "accent", 2.5), (self._hovered, "text", 1.5)):
            if row >= 0:
                paint_ring(painter, QPointF(*pixels[row]), 7.5, self._look.colour(ink), width)
        if len(self._drag) > 1 and self._drags in ("lasso", "box"):
            painter.setPen(QPen(self._look.colour("accent"), 1.5, Qt.PenStyle.DashLine))
            painter.setBrush(faded(self._look.colour("accent"), 40))
            painter.drawPolygon(self._outline(self._drag))
        named = self._named_row()
        if named >= 0 and not self._drag:
            pixmap = self._thumbnails.get(self._root / points.files[named])
            lines = [points.files[named].rpartition("/")[2], points.class_of(named)]
            if points.suspects[named]:
                lines.append("Lies among another class")
            paint_picture_card(painter, self._look, self, QPointF(*pixels[named]), pixmap, lines)

    def paint_points(self, painter: QPainter) -> None:
        points = self._points
        if points is None or not len(points):
            return
        looks = self._sprites.looks(
            points.labels, shown=self._shown, selected=self._selected,
            ringed=points.suspects if self._rings else np.zeros(len(points), np.bool_),
        )  # fmt: skip
        stamp(painter, self._sprites, self.pixels(), looks, QRectF(self.rect()))
