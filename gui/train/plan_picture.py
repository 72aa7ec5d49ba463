"""The plan as a picture: image → stem → stages → head, what stays frozen and what trains.

Frozen groups are hatched and locked, training ones filled and open: told apart without colour.
Where there are more groups than the width has room for, neighbours of one look share a box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import (
    QFocusEvent,
    QFont,
    QFontMetrics,
    QHelpEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QPolygonF,
    QResizeEvent,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from gui.kit import theme
from gui.kit.theme import Theme
from gui.kit.words import count, short_number

if TYPE_CHECKING:
    from core.recipe.plan import Plan, PlanGroup

_BOX_PX = 88
_IMAGE_PX = 64
_ARROW_PX = 14
_LEGEND_ICON_PX = 14


@dataclass(frozen=True, slots=True)
class PlanBox:
    """One or more neighbouring layer groups that share a box."""

    groups: tuple[PlanGroup, ...]

    @property
    def is_trained(self) -> bool:
        return self.groups[0].is_trained

    @property
    def name(self) -> str:
        if len(self.groups) == 1:
            return self.groups[0].name
        return _span(self.groups[0].name, self.groups[-1].name)

    @property
    def params(self) -> int:
        return sum(group.params for group in self.groups)

    @property
    def opens(self) -> tuple[int, int]:
        """The first and the last epoch at which a group of the box opens; zeros where frozen."""
        epochs = [group.opens_at for group in self.groups if group.opens_at is not None]
        return (min(epochs), max(epochs)) if epochs else (0, 0)

    def is_open_in(self, epoch: int | None) -> bool:
        """Whether all of it trains; `epoch` None: once everything that opens is open."""
        return self.is_trained and (epoch is None or self.opens[1] <= epoch)

    @property
    def rate_text(self) -> str:
        rates = [group.learning_rate for group in self.groups]
        if not self.is_trained:
            return ""
        if max(rates) <= 0:
            return "fitted directly"
        low, high = _rate(min(rates)), _rate(max(rates))
        return f"rate {high}" if low == high else f"{low}–{high}"

    @property
    def opens_text(self) -> str:
        first, last = self.opens
        if not self.is_trained:
            return "stays as it is"
        return f"from epoch {first}" if first == last else f"epochs {first}–{last}"

    def describe(self) -> str:
        """A sentence: what it is, how large, what becomes of it."""
        what = f"{self.name} ({count(self.params, 'parameter')})"
        if len(self.groups) > 1:
            what = f"{count(len(self.groups), 'layer group')} {what}"
        if not self.is_trained:
            return f"{what}: frozen"
        return f"{what}: trains, {self.opens_text}, {self.rate_text}"


class PlanPicture(QWidget):
    """Paints a plan over its whole width; its text twin is the accessible description."""

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._theme = look
        self._plan: Plan | None = None
        self._model = ""
        self._image_px: int | None = None
        self._epoch: int | None = None
        self._boxes: tuple[PlanBox, ...] = ()
        self._rects: list[QRectF] = []
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAccessibleName("Plan")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        look.changed.connect(self.update)
        self._tell()

    # -- asking ------------------------------------------------------------------------------

    @property
    def plan(self) -> Plan | None:
        return self._plan

    @property
    def boxes(self) -> tuple[PlanBox, ...]:
        """What is drawn between the image and the right edge at the present width."""
        return self._boxes

    @property
    def text(self) -> str:
        """The picture in words, group by group."""
        return self.accessibleDescription()

    @property
    def summary(self) -> str:
        """What trains of how much, in one line."""
        if self._plan is None:
            return ""
        trained, total = self._plan.trainable_params, self._plan.params
        share = trained / total if total else 0.0
        digits = 1 if share >= 0.01 else 2
        return f"{trained:,} of {total:,} parameters train ({share:.{digits}%})"

    def sizeHint(self) -> QSize:
        return QSize(640, self._height())

    def minimumSizeHint(self) -> QSize:
        return QSize(280, self._height())

    def show_plan(
        self, plan: Plan | None, *, model: str, image_px: int | None, epoch: int | None = None
    ) -> None:
        """Draw `plan`; with an `epoch` (from 1) what is open by then, else the whole of it.

        `plan` None: the picture says that there is none yet.
        """
        if (plan, model, image_px, epoch) == (
            self._plan,
            self._model,
            self._image_px,
            self._epoch,
        ):
            return
        self._plan, self._model = plan, model
        self._image_px, self._epoch = image_px, epoch
        self._lay_out()
        self._tell()
        self.update()

    # -- laying out --------------------------------------------------------------------------

    def _height(self) -> int:
        small = self._theme.font("small")
        line = _line_height(small)
        return self._box_height() + theme.S + line + 2

    def _box_height(self) -> int:
        body, small = (
            _line_height(self._theme.font("body")),
            _line_height(self._theme.font("small")),
        )
        return theme.S + theme.ICON_PX + theme.XS + body + 3 * small + theme.S

    def _lay_out(self) -> None:
        if self._plan is None:
            self._boxes, self._rects = (), []
            return
        room = self.width() - _IMAGE_PX - 2
        most = max(3, int(room // (_BOX_PX + _ARROW_PX)))
        self._boxes = fold_groups(self._plan.groups, most)
        each = room / max(1, len(self._boxes)) - _ARROW_PX
        height = self._box_height()
        self._rects = [QRectF(1, 1, _IMAGE_PX, height - 2)]
        x = 1.0 + _IMAGE_PX
        for _box in self._boxes:
            self._rects.append(QRectF(x + _ARROW_PX, 1, each, height - 2))
            x += _ARROW_PX + each

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._lay_out()

    def _tell(self) -> None:
        if self._plan is None:
            self.setAccessibleDescription("There is no plan yet.")
            return
        size = f" of {self._image_px} pixels" if self._image_px else ""
        parts = "; ".join(box.describe() for box in (PlanBox((g,)) for g in self._plan.groups))
        self.setAccessibleDescription(
            f"{self._model}: an image{size}, then {parts}. {self.summary}."
        )

    # -- painting ----------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._plan is None:
            self._paint_nothing(painter)
            return
        self._paint_image(painter, self._rects[0])
        for before, rect, box in zip(self._rects, self._rects[1:], self._boxes, strict=False):
            self._paint_arrow(painter, before, rect)
            self._paint_box(painter, rect, box)
        self._paint_legend(painter)
        if self.hasFocus():
            painter.setPen(QPen(self._theme.colour("accent"), 1, Qt.PenStyle.DotLine))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))

    def _paint_nothing(self, painter: QPainter) -> None:
        pen = QPen(self._theme.colour("strong_border"), 1)
        pen.setDashPattern([4, 3])
        painter.setPen(pen)
        frame = QRectF(1, 1, self.width() - 2, self._box_height() - 2)
        painter.drawRoundedRect(frame, theme.RADIUS, theme.RADIUS)
        painter.setPen(self._theme.colour("muted"))
        painter.setFont(self._theme.font("body"))
        painter.drawText(frame, Qt.AlignmentFlag.AlignCenter, "No plan yet")

    def _paint_image(self, painter: QPainter, rect: QRectF) -> None:
        side = 40
        at = QRect(int(rect.center().x() - side / 2), int(rect.center().y() - side), side, side)
        self._theme.icon("image-outline", "muted").paint(painter, at)
        painter.setPen(self._theme.colour("text"))
        painter.setFont(self._theme.font("body"))
        below = QRectF(rect.x(), at.bottom() + 2, rect.width(), painter.fontMetrics().height())
        painter.drawText(below, Qt.AlignmentFlag.AlignCenter, "image")
        if self._image_px:
            painter.setPen(self._theme.colour("muted"))
            painter.setFont(self._theme.font("small"))
            below.translate(0, below.height())
            painter.drawText(below, Qt.AlignmentFlag.AlignCenter, f"{self._image_px} px")

    def _paint_arrow(self, painter: QPainter, before: QRectF, after: QRectF) -> None:
        y = before.center().y()
        start, end = before.right() + 2, after.left() - 2
        painter.setPen(QPen(self._theme.colour("muted"), 1.2))
        painter.drawLine(QPointF(start, y), QPointF(end - 3, y))
        painter.setBrush(self._theme.colour("muted"))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.drawPolygon(
            QPolygonF([QPointF(end, y), QPointF(end - 5, y - 3.5), QPointF(end - 5, y + 3.5)])
        )

    def _paint_box(self, painter: QPainter, rect: QRectF, box: PlanBox) -> None:
        is_open = box.is_open_in(self._epoch)
        self._paint_surface(painter, rect, is_trained=box.is_trained, is_open=is_open)
        inner = rect.adjusted(theme.XS, theme.S, -theme.XS, -theme.S)
        icon = "lock-open-variant-outline" if is_open else "lock-outline"
        if box.is_trained and not is_open:
            icon = "lock-clock"
        size = theme.ICON_PX
        self._theme.icon(icon, "accent" if box.is_trained else "muted").paint(
            painter, int(inner.center().x() - size / 2), int(inner.y()), size, size
        )
        top = inner.y() + size + theme.XS
        name_font = self._theme.font("body", bold=box.is_trained)
        name = _fitting(box.name, QFontMetrics(name_font), inner.width())
        top = self._line(painter, inner, top, name, name_font, "text")
        small = self._theme.font("small")
        top = self._line(painter, inner, top, short_number(box.params), small, "muted")
        if not box.is_trained:
            self._line(painter, inner, top, "frozen", small, "muted")
            return
        room = QFontMetrics(small), inner.width()
        top = self._line(painter, inner, top, _shortened(box.opens_text, *room), small, "text")
        self._line(painter, inner, top, _shortened(box.rate_text, *room), small, "text")

    def _line(
        self, painter: QPainter, inner: QRectF, top: float, text: str, font: QFont, token: str
    ) -> float:
        """One centred line; gives the top of the next."""
        painter.setFont(font)
        painter.setPen(self._theme.colour(token))
        metrics = painter.fontMetrics()
        shown = metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, int(inner.width()))
        where = QRectF(inner.x(), top, inner.width(), metrics.height())
        painter.drawText(where, Qt.AlignmentFlag.AlignCenter, shown)
        return top + metrics.height()

    def _paint_surface(
        self, painter: QPainter, rect: QRectF, *, is_trained: bool, is_open: bool
    ) -> None:
        path = QPainterPath()
        path.addRoundedRect(rect, theme.RADIUS, theme.RADIUS)
        painter.fillPath(path, self._theme.colour("tint" if is_open else "sunken"))
        if not is_open:
            self._hatch(painter, rect, path)
        if is_open:
            pen = QPen(self._theme.colour("accent"), 2)
        elif is_trained:
            pen = QPen(self._theme.colour("accent"), 1.5)
            pen.setDashPattern([4, 3])
        else:
            pen = QPen(self._theme.colour("strong_border"), 1)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPath(path)

    def _hatch(self, painter: QPainter, rect: QRectF, path: QPainterPath) -> None:
        """Diagonal lines, drawn by hand: a brush pattern is not scaled with the screen."""
        painter.save()
        painter.setClipPath(path)
        painter.setPen(QPen(self._theme.colour("border"), 1))
        x = rect.left() - rect.height()
        while x < rect.right():
            painter.drawLine(QPointF(x, rect.bottom()), QPointF(x + rect.height(), rect.top()))
            x += 8
        painter.restore()

    def _paint_legend(self, painter: QPainter) -> None:
        painter.setFont(self._theme.font("small"))
        metrics = painter.fontMetrics()
        top = self._box_height() + theme.S
        y = top + metrics.height() / 2
        x = 2.0
        assert self._plan is not None
        entries = [("trains", True, True)]
        if self._epoch is not None and not all(box.is_open_in(self._epoch) for box in self._boxes):
            entries.append(("opens later", True, False))
        if any(not group.is_trained for group in self._plan.groups):
            entries.append(("frozen", False, False))
        for text, is_trained, is_open in entries:
            swatch = QRectF(x, y - 5, _LEGEND_ICON_PX, 10)
            self._paint_surface(painter, swatch, is_trained=is_trained, is_open=is_open)
            painter.setPen(self._theme.colour("muted"))
            width = metrics.horizontalAdvance(text) + 2
            painter.drawText(
                QRectF(x + _LEGEND_ICON_PX + theme.XS, top, width, metrics.height()),
                Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter,
                text,
            )
            x += _LEGEND_ICON_PX + theme.XS + width + theme.L
        painter.setPen(self._theme.colour("text"))
        rest = QRectF(x, top, self.width() - x - 2, metrics.height())
        shown = metrics.elidedText(
            self.summary, Qt.TextElideMode.ElideRight, max(0, int(rest.width()))
        )
        painter.drawText(rest, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, shown)

    # -- pointing ----------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            for rect, box in zip(self._rects[1:], self._boxes, strict=True):
                if rect.contains(QPointF(event.pos())):
                    QToolTip.showText(event.globalPos(), box.describe(), self, rect.toRect())
                    return True
            QToolTip.hideText()
            return True
        return super().event(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.update()


def _span(first: str, last: str) -> str:
    """`blocks.0–4` of `blocks.0` and `blocks.4`; other names stand side by side."""
    stem = first.rstrip("0123456789")
    number = last.removeprefix(stem)
    if first != stem and last.startswith(stem) and number.isdigit():
        return f"{first}–{number}"
    return f"{first} … {last.rpartition('.')[2]}"


def _fitting(name: str, metrics: QFontMetrics, width: float) -> str:
    """`denseblock4` of `features.denseblock4` where the whole has no room."""
    while metrics.horizontalAdvance(name) > width and name.partition(".")[2][:1].isalpha():
        name = name.partition(".")[2]
    return name


def _shortened(text: str, metrics: QFontMetrics, width: float) -> str:
    """`epoch 8` of `from epoch 8`, `1e-4` of `rate 1e-4` where the whole has no room."""
    for long, short in (("from epoch", "epoch"), ("epochs", "ep."), ("rate ", "")):
        if metrics.horizontalAdvance(text) > width:
            text = text.replace(long, short)
    return text


def _rate(rate: float) -> str:
    """`3e-4`, `1.7e-4`"""
    return f"{rate:.1e}".replace(".0e", "e").replace("e-0", "e-")


def _line_height(font: QFont) -> int:
    return QFontMetrics(font).height()


def fold_groups(groups: Sequence[PlanGroup], most: int) -> tuple[PlanBox, ...]:
    """At most so many boxes: frozen neighbours are joined first, then such as open together.

    What is frozen never shares a box with what trains, so that there may be more boxes where the
    two take turns. The stem and the head keep a box of their own as long as there is room.
    """
    boxes = [PlanBox((group,)) for group in groups]
    while len(boxes) > max(1, most):
        costs = [
            (_cost(boxes, at), len(boxes[at].groups) + len(boxes[at + 1].groups), at)
            for at in range(len(boxes) - 1)
            if boxes[at].is_trained == boxes[at + 1].is_trained
        ]
        if not costs:
            break
        at = min(costs)[2]
        boxes[at : at + 2] = [PlanBox(boxes[at].groups + boxes[at + 1].groups)]
    return tuple(boxes)


def _cost(boxes: Sequence[PlanBox], at: int) -> int:
    """The cost of joining a box with its right neighbour: how much detail is lost."""
    left, right = boxes[at], boxes[at + 1]
    is_edge = at == 0 or at + 1 == len(boxes) - 1
    if not left.is_trained:
        return int(is_edge)
    return 2 + (left.opens != right.opens) + 2 * is_edge
