"""A gallery of pictures, painted in fixed cells: a hundred thousand cost what ten cost.

Where a picture stands is arithmetic on its position; only visible cells are painted, and only
their pictures are asked for. Who reads them is told by `gallery_feed`.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from PySide6.QtCore import QEvent, QPoint, QRect, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QFocusEvent,
    QFontMetrics,
    QHelpEvent,
    QIcon,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QResizeEvent,
    QShowEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea, QScrollBar, QToolTip

from gui import theme
from gui.theme import Theme
from gui.widgets.gallery_entries import Entries, NoEntries

CELL_PX = 104
"""About; cells grow and shrink a little so that a row is full."""
GAP_PX = theme.S
_CACHE_BYTES = 96 * 2**20
_KNOWN_PATHS = 4096
_ASK_MS = 30  # while the wheel turns, what flew by is not worth a file's decoding


class Gallery(QAbstractScrollArea):
    """Shows one cell per entry at once and fills it when its picture arrives."""

    current_changed = Signal(object)
    """The position of the picture chosen by key or mouse."""
    opened = Signal(object)
    """The position of the picture to look at closely: Enter, Space, a click."""
    wanted = Signal(object, int)
    """(paths, side in device pixels): what is visible and not there yet, the topmost first."""

    def __init__(self, look: Theme, *, name: str = "Pictures", is_strip: bool = False) -> None:
        """`is_strip`: one row, scrolled sideways."""
        super().__init__()
        self.setObjectName("thumbnails")
        self._theme = look
        self._is_strip = is_strip
        self._entries: Entries = NoEntries()
        self._paths: dict[int, Path] = {}
        self._pixmaps: OrderedDict[Path, QPixmap | None] = OrderedDict()
        self._errors: dict[Path, str] = {}
        self._bytes = 0
        self._current = 0
        self._is_current_seen = False
        self._caption_px = 0
        self._broken: tuple[bool, QIcon] | None = None
        self._empty_text = ""
        self._ask_timer = QTimer(self)
        self._ask_timer.setSingleShot(True)
        self._ask_timer.setInterval(_ASK_MS)
        self._ask_timer.timeout.connect(self._ask)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(name)
        off = Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        if is_strip:
            self.setVerticalScrollBarPolicy(off)
        else:
            self.setHorizontalScrollBarPolicy(off)
        look.changed.connect(self._theme_changed)

    # -- what is shown -----------------------------------------------------------------------

    @property
    def entries(self) -> Entries:
        return self._entries

    @property
    def current(self) -> int:
        """The position the keyboard is at; meaningless while nothing is shown."""
        return self._current

    @property
    def paths(self) -> tuple[Path, ...]:
        """Of all entries: walks them, so not for large galleries."""
        return tuple(self._entries.path(i) for i in range(len(self._entries)))

    @property
    def filled_count(self) -> int:
        """How many visible cells show their picture."""
        return sum(self._pixmaps.get(self._path(i)) is not None for i in self._visible_range())

    def show_entries(self, entries: Entries, *, empty_text: str = "") -> None:
        """Replace what is shown; pictures read before stay for when they come back."""
        self._entries = entries
        self._paths = {}
        self._current = 0
        self._empty_text = empty_text
        lines = entries.caption_lines
        self._caption_px = lines * self._line_px() + theme.XS if lines else 0
        self._bar().setValue(0)
        self._fit_scroll_bar()
        self._describe_current()
        self._changed()

    def fill(self, path: Path, image: QImage, error: str = "") -> None:
        """A null image marks a file that could not be read."""
        self._forget(path)
        if image.isNull():
            self._pixmaps[path] = None
            self._errors[path] = error
        else:
            pixmap = QPixmap.fromImage(image)
            self._pixmaps[path] = pixmap
            self._bytes += _size(pixmap)
        while self._bytes > _CACHE_BYTES and len(self._pixmaps) > 1:
            self._forget(next(iter(self._pixmaps)))
        self.viewport().update()

    def _forget(self, path: Path) -> None:
        known = self._pixmaps.pop(path, None)
        self._errors.pop(path, None)
        if known is not None:
            self._bytes -= _size(known)

    def choose(self, position: int) -> None:
        """Make a picture the current one and bring it into view, without telling."""
        if not 0 <= position < len(self._entries):
            return
        self._current = position
        self._bring_into_view(position)
        self._describe_current()
        self.viewport().update()

    def _bring_into_view(self, position: int) -> None:
        start, end = self._extent(position)
        bar, room = self._bar(), self._room()
        if start - GAP_PX < bar.value():
            bar.setValue(start - GAP_PX)
        elif end + GAP_PX > bar.value() + room:
            bar.setValue(end + GAP_PX - room)

    def _describe_current(self) -> None:
        total = len(self._entries)
        if total:
            said = self._entries.describe(self._current)
            self.setAccessibleDescription(f"{self._current + 1:,} of {total:,}: {said}")
        else:
            self.setAccessibleDescription(self._empty_text)

    # -- layout ------------------------------------------------------------------------------

    def _line_px(self) -> int:
        return QFontMetrics(self._theme.font("small")).height()

    def _bar(self) -> QScrollBar:
        return self.horizontalScrollBar() if self._is_strip else self.verticalScrollBar()

    def _room(self) -> int:
        """Pixels of the viewport along which it scrolls."""
        return self.viewport().width() if self._is_strip else self.viewport().height()

    def _columns(self) -> int:
        if self._is_strip:
            return max(1, len(self._entries))
        return max(1, round((self.viewport().width() - GAP_PX) / (CELL_PX + GAP_PX)))

    def _side(self) -> int:
        if self._is_strip:
            return max(32, self.viewport().height() - 2 * GAP_PX - self._caption_px)
        return max(16, (self.viewport().width() - GAP_PX) // self._columns() - GAP_PX)

    def _step(self) -> int:
        """From one row (of a strip: column) to the next."""
        return self._side() + GAP_PX + (0 if self._is_strip else self._caption_px)

    def _cell(self, position: int) -> QRect:
        """The square of a picture in the viewport; its caption stands below."""
        row, column = divmod(position, self._columns())
        side, offset = self._side(), self._bar().value()
        if self._is_strip:
            return QRect(GAP_PX + column * self._step() - offset, GAP_PX, side, side)
        left = GAP_PX + column * (side + GAP_PX)
        return QRect(left, GAP_PX + row * self._step() - offset, side, side)

    def _extent(self, position: int) -> tuple[int, int]:
        """Where a cell begins and ends along the scroll, from the first one's edge."""
        line = position if self._is_strip else position // self._columns()
        start = GAP_PX + line * self._step()
        return start, start + self._step() - GAP_PX

    def _visible_range(self) -> range:
        """Positions of the cells in the viewport."""
        step, offset = self._step(), self._bar().value()
        first = max(0, (offset - GAP_PX) // step)
        last = (offset + self._room()) // step + 1
        per_line = 1 if self._is_strip else self._columns()
        return range(
            min(len(self._entries), first * per_line), min(len(self._entries), last * per_line)
        )

    def _fit_scroll_bar(self) -> None:
        lines = len(self._entries) if self._is_strip else -(-len(self._entries) // self._columns())
        length = GAP_PX + lines * self._step()
        bar = self._bar()
        bar.setRange(0, max(0, length - self._room()))
        bar.setPageStep(self._room())
        bar.setSingleStep(max(1, self._step() // 3))

    def sizeHint(self) -> QSize:
        if self._is_strip:
            return QSize(3 * CELL_PX, CELL_PX + 3 * GAP_PX + self._caption_px)
        return QSize(4 * (CELL_PX + GAP_PX) + 24, 3 * (CELL_PX + GAP_PX))

    def minimumSizeHint(self) -> QSize:
        return QSize(CELL_PX + 2 * GAP_PX, CELL_PX)

    def resizeEvent(self, event: QResizeEvent) -> None:
        # The picture at the top stays at the top, however many fit into a row now.
        old = event.oldSize().width()
        top = 0
        if old > 0 and not self._is_strip and len(self._entries):
            columns = max(1, round((old - GAP_PX) / (CELL_PX + GAP_PX)))
            side = max(16, (old - GAP_PX) // columns - GAP_PX)
            top = (self._bar().value() // (side + GAP_PX + self._caption_px)) * columns
        is_current_seen = self._is_current_seen
        self._fit_scroll_bar()
        if top:
            self._bar().setValue(self._extent(top)[0] - GAP_PX)
        if is_current_seen:
            self._bring_into_view(self._current)
        self._changed()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._changed()

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        # What stays in sight is moved, not painted again.
        self.viewport().scroll(dx, dy)
        self._plan_to_ask()

    def _changed(self) -> None:
        self.viewport().update()
        self._plan_to_ask()

    def _plan_to_ask(self) -> None:
        if not self._ask_timer.isActive():
            self._ask_timer.start()

    def _theme_changed(self) -> None:
        self._broken = None
        self.viewport().update()

    # -- asking ------------------------------------------------------------------------------

    def _side_px(self) -> int:
        return round(self._side() * self.devicePixelRatioF())

    def _ask(self) -> None:
        """Tell which pictures are missing: the visible ones, then those of the next screen."""
        if not self.isVisible():
            return
        side_px = self._side_px()
        visible = self._visible_range()
        ahead = range(visible.stop, min(len(self._entries), visible.stop + len(visible)))
        paths = []
        for position in (*visible, *ahead):
            path = self._path(position)
            if path in self._pixmaps:
                pixmap = self._pixmaps[path]
                if pixmap is None or abs(pixmap.width() - side_px) <= side_px // 6:
                    continue
            paths.append(path)
        if paths:
            self.wanted.emit(tuple(dict.fromkeys(paths)), side_px)

    # -- input -------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key(event.key())
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            if len(self._entries):
                self.opened.emit(self._current)
            return
        position = self._position_after(key)
        if position is None:
            super().keyPressEvent(event)
        else:
            self._choose(position)

    def _position_after(self, key: Qt.Key) -> int | None:
        """Where a key leads; None for a key that leads nowhere."""
        last = len(self._entries) - 1
        columns = 1 if self._is_strip else self._columns()
        page = columns * max(1, self._room() // self._step())
        steps = {
            Qt.Key.Key_Left: -1,
            Qt.Key.Key_Right: 1,
            Qt.Key.Key_Up: -columns,
            Qt.Key.Key_Down: columns,
            Qt.Key.Key_PageUp: -page,
            Qt.Key.Key_PageDown: page,
        }
        if last < 0:
            return None
        if key == Qt.Key.Key_Home:
            return 0
        if key == Qt.Key.Key_End:
            return last
        if key not in steps:
            return None
        wanted = self._current + steps[key]
        if key in (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown):
            return min(last, max(0, wanted))
        if wanted > last and key == Qt.Key.Key_Down and last // columns > self._current // columns:
            return last  # the last row is shorter
        return wanted if 0 <= wanted <= last else self._current

    def mousePressEvent(self, event: QMouseEvent) -> None:
        position = self.position_at(event.position().toPoint())
        if position is not None and event.button() == Qt.MouseButton.LeftButton:
            self._choose(position)
            self.opened.emit(position)

    def viewportEvent(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            position = self.position_at(event.pos())
            if position is None:
                QToolTip.hideText()
            else:
                QToolTip.showText(event.globalPos(), self._tip(position), self.viewport())
            return True
        return super().viewportEvent(event)

    def _tip(self, position: int) -> str:
        error = self._errors.get(self._entries.path(position), "")
        said = self._entries.describe(position)
        return f"{said}\n{error}" if error else said

    def position_at(self, point: QPoint) -> int | None:
        """The picture under a point of the viewport."""
        columns, step = self._columns(), self._step()
        along = (point.x() if self._is_strip else point.y()) - GAP_PX + self._bar().value()
        line = along // step
        if self._is_strip:
            position = line
        else:
            column = (point.x() - GAP_PX) // (self._side() + GAP_PX)
            if not 0 <= column < columns:
                return None
            position = line * columns + column
        if not 0 <= position < len(self._entries):
            return None
        cell = self._cell(position).adjusted(0, 0, 0, self._caption_px)
        return position if cell.contains(point) else None

    def _choose(self, position: int) -> None:
        self.choose(position)
        self.current_changed.emit(position)

    def focusInEvent(self, event: QFocusEvent) -> None:
        self.viewport().update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.viewport().update()

    # -- painting ----------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        if not len(self._entries):
            painter.setPen(self._theme.colour("muted"))
            room = self.viewport().rect().adjusted(theme.L, theme.L, -theme.L, -theme.L)
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(room, flags, self._empty_text)
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.setFont(self._theme.font("small"))
        visible = self._visible_range()
        self._is_current_seen = self._current in visible
        # Worked out once for all cells: a full screen holds two hundred of them.
        side, step, columns = self._side(), self._step(), self._columns()
        offset, dirty = self._bar().value(), event.rect()
        frames = []
        for position in visible:
            line, column = divmod(position, columns)
            if self._is_strip:
                cell = QRect(GAP_PX + column * step - offset, GAP_PX, side, side)
            else:
                left = GAP_PX + column * (side + GAP_PX)
                cell = QRect(left, GAP_PX + line * step - offset, side, side)
            if not dirty.intersects(cell.adjusted(-1, -1, 1, self._caption_px + 1)):
                continue
            if self._paint_picture(painter, position, cell):
                frames.append(QRectF(cell).adjusted(0.5, 0.5, -0.5, -0.5))
            if self._caption_px:
                self._paint_caption(painter, position, cell)
        painter.setPen(self._theme.colour("border"))
        painter.drawRects(frames)
        if self._is_current_seen:
            token = "accent" if self.hasFocus() else "strong_border"
            painter.setPen(QPen(self._theme.colour(token), 3))
            painter.drawRect(self._cell(self._current).adjusted(1, 1, -2, -2))

    def _paint_picture(self, painter: QPainter, position: int, cell: QRect) -> bool:
        """Whether the picture is there."""
        path = self._path(position)
        pixmap = self._pixmaps.get(path)
        if pixmap is not None:
            self._pixmaps.move_to_end(path)
            painter.drawPixmap(cell, pixmap)
            return True
        painter.fillRect(cell, self._theme.colour("sunken"))
        if path in self._pixmaps:
            inset = cell.width() // 3
            self._broken_icon().paint(painter, cell.adjusted(inset, inset, -inset, -inset))
        return False

    def _paint_caption(self, painter: QPainter, position: int, cell: QRect) -> None:
        text, token = self._entries.caption(position)
        metrics, middle = painter.fontMetrics(), Qt.TextElideMode.ElideMiddle
        painter.setPen(self._theme.colour(token or "muted"))
        baseline = cell.bottom() + 1 + metrics.ascent()
        for line in text.splitlines():
            painter.drawText(cell.left(), baseline, metrics.elidedText(line, middle, cell.width()))
            baseline += metrics.height()

    def _path(self, position: int) -> Path:
        """The entry's path; the same object each time, which makes it quick to look up."""
        path = self._paths.get(position)
        if path is None:
            if len(self._paths) > _KNOWN_PATHS:
                self._paths.clear()
            path = self._paths[position] = self._entries.path(position)
        return path

    def _broken_icon(self) -> QIcon:
        if self._broken is None or self._broken[0] != self._theme.is_dark:
            icon = self._theme.icon("image-broken-variant", "muted")
            self._broken = (self._theme.is_dark, icon)
        return self._broken[1]


def _size(pixmap: QPixmap) -> int:
    return pixmap.width() * pixmap.height() * 4
