"""A gallery of pictures, painted in fixed cells: a hundred thousand cost what ten cost.

Where a picture stands is arithmetic on its position; only visible cells are painted, and only
their pictures are asked for. Who reads them is told by `gallery_feed`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QFocusEvent,
    QFontMetrics,
    QHelpEvent,
    QIcon,
    QImage,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QShowEvent,
)
from PySide6.QtWidgets import QToolTip

from gui.kit import theme
from gui.kit.basics import delayed
from gui.kit.theme import Theme
from gui.pictures.cache import PictureCache
from gui.pictures.cells import CELL_PX, GAP_PX, CellArea
from gui.pictures.entries import Entries, NoEntries
from gui.pictures.selection import Positions, Selection, place_after

_KNOWN_PATHS = 4096
_ASK_MS = 30  # while the wheel turns, what flew by is not worth a file's decoding


class Gallery(CellArea):
    """Shows one cell per entry at once and fills it when its picture arrives."""

    current_changed = Signal(object)
    """The position of the picture chosen by key or mouse."""
    opened = Signal(object)
    """The position of the picture to look at closely: Enter, Space, a click (see `can_select`)."""
    wanted = Signal(object, int)
    """(paths, side in device pixels): what is visible and not there yet, the topmost first."""
    selection_changed = Signal()
    menu_wanted = Signal(object)
    """A global point: where a menu about the selected pictures is to open."""

    def __init__(
        self,
        look: Theme,
        *,
        name: str = "Pictures",
        is_strip: bool = False,
        can_select: bool = False,
    ) -> None:
        """`is_strip`: one row, scrolled sideways. `can_select`: several at once, as in a file
        manager; a click then selects, and a double click opens."""
        super().__init__(is_strip=is_strip)
        self.setObjectName("thumbnails")
        self._theme = look
        self._entries: Entries = NoEntries()
        self._paths: dict[int, Path] = {}
        self._cache = PictureCache()
        self._can_select = can_select
        self._selection = Selection()
        self._is_current_seen = False
        self._broken: tuple[bool, QIcon] | None = None
        self._empty_text = ""
        self._ask_timer = delayed(self, _ASK_MS, self._ask)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(name)
        look.changed.connect(self._theme_changed)

    # -- what is shown -----------------------------------------------------------------------

    @property
    def entries(self) -> Entries:
        """What is shown."""
        return self._entries

    @property
    def count(self) -> int:
        """How many pictures are shown."""
        return len(self._entries)

    @property
    def current(self) -> int:
        """The position the keyboard is at; without meaning while nothing is shown."""
        return self._current

    @property
    def paths(self) -> tuple[Path, ...]:
        """The paths of all entries; not for large galleries, as it visits each."""
        return tuple(self._entries.path(i) for i in range(len(self._entries)))

    @property
    def filled_count(self) -> int:
        """How many visible cells show their picture."""
        return sum(self._cache.get(self._path(i)) is not None for i in self._visible_range())

    @property
    def selected(self) -> Positions:
        """int64, ascending: the positions of the selected pictures."""
        return self._selection.positions

    @property
    def acted_on(self) -> Positions:
        """Positions a command applies to: the selected pictures, else the current one."""
        if len(self._selection) or not len(self._entries):
            return self._selection.positions
        return np.array([self._current], np.int64)

    def select(self, positions: Positions) -> None:
        """Select these pictures only, make the first one current and emit `selection_changed`."""
        self._selection.choose(positions)
        if len(positions):
            self.choose(int(positions[0]))
        self._selection_told()

    def clear_selection(self) -> None:
        """Select nothing."""
        if len(self._selection):
            self._selection.clear()
            self._selection_told()

    def show_entries(self, entries: Entries, *, empty_text: str = "") -> None:
        """Replace what is shown; pictures already read are kept."""
        had_selection = len(self._selection) > 0
        self._take(entries, empty_text)
        self._current = 0
        self._selection = Selection(len(entries))
        self._bar().setValue(0)
        self._fit_scroll_bar()
        self._describe_current()
        self._changed()
        if had_selection:
            self.selection_changed.emit()

    def replace_entries(self, entries: Entries, places: Positions, *, empty_text: str = "") -> None:
        """The same pictures in another order, or some more or less, without losing one's place.

        `places`: int64, for each picture shown so far its position among the new ones, -1: gone.
        """
        anchor = self._current if self._is_current_seen else self._visible_range().start
        above = self._extent(anchor)[0] - self._bar().value() if len(places) else 0
        had_selection = len(self._selection) > 0
        self._take(entries, empty_text)
        self._selection = self._selection.moved(places, len(entries))
        if len(places):
            shown = place_after(places, min(anchor, len(places) - 1))
            self._current = place_after(places, min(self._current, len(places) - 1))
        else:
            shown = self._current = 0
        self._fit_scroll_bar()
        self._bar().setValue(self._extent(shown)[0] - above)
        self._describe_current()
        self._changed()
        if had_selection:
            self.selection_changed.emit()

    def _take(self, entries: Entries, empty_text: str) -> None:
        self._entries = entries
        self._paths = {}
        self._empty_text = empty_text
        lines = entries.caption_lines
        self._caption_px = lines * self._line_px() + theme.XS if lines else 0

    def fill(self, path: Path, image: QImage, error: str = "") -> None:
        """Put a picture into its cell; a null image marks a file that could not be read."""
        self._cache.put(path, image, error)
        self.viewport().update()

    def choose(self, position: int) -> None:
        """Make a picture the current one and scroll to it; no signal is emitted."""
        if not 0 <= position < len(self._entries):
            return
        self._current = position
        self._bring_into_view(position)
        self._describe_current()
        self.viewport().update()

    def _describe_current(self) -> None:
        total = len(self._entries)
        if total:
            text = self._entries.describe(self._current)
            chosen = len(self._selection)
            more = f", {chosen:,} selected" if chosen else ""
            self.setAccessibleDescription(f"{self._current + 1:,} of {total:,}: {text}{more}")
        else:
            self.setAccessibleDescription(self._empty_text)

    def _line_px(self) -> int:
        return QFontMetrics(self._theme.font("small")).height()

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
        """Emit which pictures are missing: the visible ones, then those of the next screen."""
        if not self.isVisible():
            return
        side_px = self._side_px()
        visible = self._visible_range()
        ahead = range(visible.stop, min(len(self._entries), visible.stop + len(visible)))
        paths = []
        for position in (*visible, *ahead):
            path = self._path(position)
            if path in self._cache:
                pixmap = self._cache.get(path)
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
        if position is not None:
            self._choose(position, event.modifiers())
        elif self._can_select and event.matches(QKeySequence.StandardKey.SelectAll):
            self._selection.choose_all()
            self._selection_told()
        elif self._can_select and key == Qt.Key.Key_Escape and len(self._selection):
            self.clear_selection()
        else:
            super().keyPressEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        position = self.position_at(event.position().toPoint())
        if event.button() != Qt.MouseButton.LeftButton:
            return
        if position is None:
            self.clear_selection()
            return
        self._choose(position, event.modifiers())
        if not self._can_select:
            self.opened.emit(position)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        position = self.position_at(event.position().toPoint())
        if position is not None and event.button() == Qt.MouseButton.LeftButton:
            self.opened.emit(position)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if event.reason() == QContextMenuEvent.Reason.Mouse:
            position = self.position_at(event.pos())
            if position is None:
                return
            if position not in self._selection:
                self._choose(position, Qt.KeyboardModifier.NoModifier)
            at = event.globalPos()
        else:
            at = self.viewport().mapToGlobal(self._cell(self._current).center())
        if len(self._entries):
            self.menu_wanted.emit(at)

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
        error = self._cache.error(self._entries.path(position))
        text = self._entries.describe(position)
        return f"{text}\n{error}" if error else text

    def _choose(self, position: int, keys: Qt.KeyboardModifier) -> None:
        """By key or mouse: Shift selects up to here, Ctrl adds or takes away."""
        before = self._current
        if self._can_select:
            is_added = bool(keys & Qt.KeyboardModifier.ControlModifier)
            if keys & Qt.KeyboardModifier.ShiftModifier:
                if not len(self._selection):
                    self._selection.choose(before)
                self._selection.extend(position, keeps=is_added)
            elif is_added:
                self._selection.toggle(position)
            else:
                self._selection.choose(position)
        self.choose(position)
        self.current_changed.emit(position)
        if self._can_select:
            self._selection_told()

    def _selection_told(self) -> None:
        self._describe_current()
        self.viewport().update()
        self.selection_changed.emit()

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
        frames, chosen = [], []
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
            if position in self._selection:
                chosen.append(cell)
            if self._caption_px:
                self._paint_caption(painter, position, cell)
        painter.setPen(self._theme.colour("border"))
        painter.drawRects(frames)
        self._paint_selected(painter, chosen)
        if self._is_current_seen:
            token = "accent" if self.hasFocus() else "strong_border"
            painter.setPen(QPen(self._theme.colour(token), 3))
            painter.drawRect(self._cell(self._current).adjusted(1, 1, -2, -2))

    def _paint_selected(self, painter: QPainter, cells: list[QRect]) -> None:
        """Paint a veil, a frame and a tick, so that the selection does not depend on colour."""
        if not cells:
            return
        accent, ink = self._theme.colour("accent"), self._theme.colour("on_accent")
        veil = QColor(accent)
        veil.setAlpha(70)
        for cell in cells:
            painter.fillRect(cell, veil)
            painter.setPen(QPen(accent, 2))
            painter.drawRect(cell.adjusted(1, 1, -1, -1))
            mark = QRectF(cell.right() - 20, cell.top() + 4, 16, 16)
            painter.save()
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(accent)
            painter.drawEllipse(mark)
            painter.setPen(QPen(ink, 2))
            x, y = mark.left(), mark.top()
            painter.drawPolyline(
                [QPointF(x + 4, y + 8), QPointF(x + 7, y + 11), QPointF(x + 12, y + 5)]
            )
            painter.restore()

    def _paint_picture(self, painter: QPainter, position: int, cell: QRect) -> bool:
        """Whether the picture is there."""
        path = self._path(position)
        pixmap = self._cache.get(path)
        if pixmap is not None:
            self._cache.touch(path)
            painter.drawPixmap(cell, pixmap)
            return True
        painter.fillRect(cell, self._theme.colour("sunken"))
        if path in self._cache:
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
