"""Paints the lines of the layer tree: tick, kind, bar of the MACs, factor and rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import (
    QAbstractItemModel,
    QEvent,
    QModelIndex,
    QPersistentModelIndex,
    QPointF,
    QRectF,
    QSize,
    Qt,
)
from PySide6.QtGui import QMouseEvent, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import (
    QLineEdit,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from gui.kit import theme
from gui.kit.theme import Theme
from gui.layers.model import (
    FACTOR,
    KIND,
    LINE_ROLE,
    MACS,
    NAME,
    PARAMS,
    RATE,
    SHARE_ROLE,
    STATE_ROLE,
    WAITS_ROLE,
)

if TYPE_CHECKING:
    from core.models.layers.rows import LayerLine
    from core.plan.layer_plan import LayerState

_Index = QModelIndex | QPersistentModelIndex
ROW_PX = 26
_TICK_PX = 14
_MARK_PX = 8
_BAR_PX = 3
_PAD_PX = 8
"""As the header's sections have it."""
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class LayerDelegate(QStyledItemDelegate):
    """What trains is bold in the rate's column, what is frozen muted: not told by colour alone."""

    def __init__(self, look: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = look

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        return QSize(64, ROW_PX)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        column = index.column()
        # The background and the selection are the style's, the content is ours.
        plain = QStyleOptionViewItem(option)
        self.initStyleOption(plain, index)
        plain.text = ""
        plain.features &= ~QStyleOptionViewItem.ViewItemFeature.HasCheckIndicator
        widget = option.widget
        widget.style().drawControl(QStyle.ControlElement.CE_ItemViewItem, plain, painter, widget)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rect = QRectF(option.rect).adjusted(_PAD_PX, 0, -_PAD_PX, 0)
        if column == NAME:
            self._paint_name(painter, QRectF(option.rect), index)
        elif column == KIND:
            self._paint_kind(painter, rect, index.data(LINE_ROLE).kind)
        elif column == MACS:
            self._paint_bar(painter, rect, index.data(SHARE_ROLE), str(index.data()))
        elif column == RATE:
            self._paint_rate(painter, rect, index)
        else:
            text = str(index.data())
            is_quiet = column == FACTOR and text in ("0", "1")
            painter.setPen(self._theme.colour("muted" if is_quiet else "text"))
            painter.drawText(rect, _RIGHT if column in (PARAMS, FACTOR) else _LEFT, text)
        painter.restore()

    # -- the name ----------------------------------------------------------------------------

    def _paint_name(self, painter: QPainter, rect: QRectF, index: _Index) -> None:
        line: LayerLine = index.data(LINE_ROLE)
        state: LayerState | None = index.data(STATE_ROLE)
        box = tick_rect(rect)
        if state is not None and state.params:
            self._paint_tick(painter, box, state, is_now=not index.data(WAITS_ROLE))
        left = box.right() + theme.S
        metrics = painter.fontMetrics()
        name, room = line.name, rect.right() - 2 - left
        painter.setPen(self._theme.colour("text"))
        shown = metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, int(room))
        painter.drawText(QRectF(left, rect.top(), room, rect.height()), _LEFT, shown)
        left += metrics.horizontalAdvance(shown) + theme.S
        room = rect.right() - 2 - left
        if room > 3 * metrics.averageCharWidth():
            painter.setPen(self._theme.colour("muted"))
            title = metrics.elidedText(line.title, Qt.TextElideMode.ElideRight, int(room))
            painter.drawText(QRectF(left, rect.top(), room, rect.height()), _LEFT, title)

    def _paint_tick(
        self, painter: QPainter, box: QRectF, state: LayerState, *, is_now: bool
    ) -> None:
        """Filled with a tick, a dash, or nothing; gray where it waits or is locked."""
        is_on = state.state != "frozen"
        token = "muted" if state.is_head or not is_now else "accent"
        colour = self._theme.colour(token if is_on else "strong_border")
        painter.setPen(QPen(colour, 1.4))
        is_full = state.state == "all"
        painter.setBrush(colour if is_full else self._theme.colour("surface"))
        painter.drawRoundedRect(box.adjusted(0.7, 0.7, -0.7, -0.7), 3, 3)
        if not is_on:
            return
        painter.setPen(
            QPen(
                self._theme.colour("on_accent" if is_full else token), 1.8, Qt.PenStyle.SolidLine,
                Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin,
            )
        )  # fmt: skip
        x, y, side = box.left(), box.top(), box.width()
        if is_full:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            corners = ((0.24, 0.52), (0.43, 0.71), (0.77, 0.32))
            painter.drawPolyline(
                QPolygonF([QPointF(x + a * side, y + b * side) for a, b in corners])
            )
        else:
            middle = y + side / 2
            painter.drawLine(QPointF(x + 0.28 * side, middle), QPointF(x + 0.72 * side, middle))

    # -- the other columns -------------------------------------------------------------------

    def _paint_kind(self, painter: QPainter, rect: QRectF, kind: str) -> None:
        colour = self._theme.colour(f"kind_{kind}")
        painter.setPen(QPen(colour, 1.4))
        painter.setBrush(colour)
        top = rect.top() + (rect.height() - _MARK_PX) / 2
        painter.drawRoundedRect(QRectF(rect.left(), top, _MARK_PX, _MARK_PX), 2, 2)
        painter.setPen(self._theme.colour("text"))
        painter.drawText(rect.adjusted(_MARK_PX + theme.S, 0, _PAD_PX, 0), _LEFT, kind)

    def _paint_bar(self, painter: QPainter, rect: QRectF, share: float, text: str) -> None:
        if not text:
            return
        painter.setPen(self._theme.colour("text"))
        painter.drawText(rect.adjusted(0, 0, 0, -_BAR_PX), _RIGHT, text)
        painter.setPen(Qt.PenStyle.NoPen)
        track = QRectF(rect.left(), rect.bottom() - _BAR_PX - 2, rect.width(), _BAR_PX)
        painter.setBrush(self._theme.colour("sunken"))
        painter.drawRoundedRect(track, 1.5, 1.5)
        track.setWidth(max(2.0, track.width() * min(1.0, share)))
        painter.setBrush(self._theme.colour("series_1"))
        painter.drawRoundedRect(track, 1.5, 1.5)

    def _paint_rate(self, painter: QPainter, rect: QRectF, index: _Index) -> None:
        state: LayerState | None = index.data(STATE_ROLE)
        trains = state is not None and state.trainable_params > 0 and not index.data(WAITS_ROLE)
        painter.setPen(self._theme.colour("text" if trains else "muted"))
        text = painter.fontMetrics().elidedText(
            str(index.data()), Qt.TextElideMode.ElideRight, int(rect.width() + _PAD_PX)
        )
        painter.drawText(rect.adjusted(0, 0, _PAD_PX, 0), _LEFT, text)

    # -- changing ----------------------------------------------------------------------------

    def editorEvent(
        self,
        event: QEvent,
        model: QAbstractItemModel,
        option: QStyleOptionViewItem,
        index: _Index,
    ) -> bool:
        """A click on the tick; the view takes care of the keys."""
        if index.column() != NAME or not isinstance(event, QMouseEvent):
            return False
        reach = tick_rect(QRectF(option.rect)).adjusted(-4, -ROW_PX, 4, ROW_PX)
        if event.button() != Qt.MouseButton.LeftButton or not reach.contains(event.position()):
            return False
        if event.type() == QEvent.Type.MouseButtonRelease:
            toggle(model, index)
        return event.type() in (
            QEvent.Type.MouseButtonRelease, QEvent.Type.MouseButtonDblClick,
        )  # fmt: skip

    def createEditor(
        self, parent: QWidget, option: QStyleOptionViewItem, index: _Index
    ) -> QLineEdit:
        editor = QLineEdit(parent)
        editor.setAcceptDrops(False)  # drops belong to the window
        editor.setAccessibleName(f"Factor on the learning rate of {index.data(LINE_ROLE).path}")
        editor.setAlignment(Qt.AlignmentFlag.AlignRight)
        editor.setPlaceholderText("0.1")
        editor.setMaxLength(24)
        editor.setStyleSheet("padding: 0 4px; min-height: 0; border-radius: 0;")
        return editor


def tick_rect(rect: QRectF) -> QRectF:
    """Where the tick stands in a cell of the first column."""
    top = rect.top() + (rect.height() - _TICK_PX) / 2
    return QRectF(rect.left() + 2, top, _TICK_PX, _TICK_PX)


def toggle(model: QAbstractItemModel, index: _Index) -> bool:
    """Tick what is not all ticked, untick what is; false where nothing can be ticked."""
    if not index.flags() & Qt.ItemFlag.ItemIsUserCheckable:
        return False
    is_on = Qt.CheckState(index.data(Qt.ItemDataRole.CheckStateRole)) == Qt.CheckState.Checked
    wanted = Qt.CheckState.Unchecked if is_on else Qt.CheckState.Checked
    return model.setData(index, wanted, Qt.ItemDataRole.CheckStateRole)
