"""What the model will see: pictures of the dataset varied as the recipe says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QRect, QSize, Signal
from PySide6.QtGui import QHelpEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from gui.kit import theme
from gui.kit.basics import Card, FoldButton, button, label, row
from gui.kit.theme import Theme

if TYPE_CHECKING:
    from gui.train.augmentation_jobs import VariedPicture

_CELL_PX, _LEAST_PX = 84, 48
_ROWS = 2


class _Grid(QWidget):
    """One row a picture: as it is, then its views. As many as the width has room for."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: tuple[VariedPicture, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)

    def show_rows(self, rows: tuple[VariedPicture, ...]) -> None:
        self._rows = rows
        views = sum(len(one.images) - 1 for one in rows)
        self.setAccessibleName(f"{len(rows)} pictures and {views} views of them")
        self.setAccessibleDescription("; ".join(word for one in rows for word in one.words))
        self.update()

    @property
    def rows(self) -> tuple[VariedPicture, ...]:
        return self._rows

    def sizeHint(self) -> QSize:
        return QSize(7 * _CELL_PX, _ROWS * (_CELL_PX + theme.XS) - theme.XS)

    def minimumSizeHint(self) -> QSize:
        return QSize(7 * _LEAST_PX, _ROWS * (_LEAST_PX + theme.XS))

    def _cell(self, line: int, column: int) -> QRect:
        # The picture as it is stands a little apart from what is made of it.
        apart = theme.S if column else 0
        # A low window leaves less room: the pictures shrink before one of them is cut off.
        high = (self.height() + theme.XS) // _ROWS - theme.XS
        side = max(_LEAST_PX, min(_CELL_PX, high))
        return QRect(column * (side + theme.XS) + apart, line * (side + theme.XS), side, side)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        for line, one in enumerate(self._rows):
            for column, image in enumerate(one.images):
                cell = self._cell(line, column)
                if cell.right() < self.width():
                    painter.drawImage(cell, image)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            QToolTip.showText(event.globalPos(), self._words_at(event), self)
            return True
        return super().event(event)

    def _words_at(self, event: QHelpEvent) -> str:
        for line, one in enumerate(self._rows):
            for column, words in enumerate(one.words):
                if self._cell(line, column).contains(event.pos()):
                    return words
        return ""


class AugmentationPreview(Card):
    """A card that opens; `changed` when other views or pictures are wanted or it is opened."""

    changed = Signal()

    def __init__(self, look: Theme) -> None:
        super().__init__(margin=theme.M)
        self.roll, self.pick = 0, 0
        self.toggle = FoldButton(look, "What the model will see", self._open)
        self.roll_button = button("Vary again", self._roll, icon=(look, "refresh", "muted"))
        self.pick_button = button("Other pictures", self._pick)
        line = row(self.toggle)
        line.addWidget(self.roll_button)
        line.addWidget(self.pick_button)
        self.body.addLayout(line)
        self.grid = _Grid()
        self.body.addWidget(self.grid)
        self.error = label("", "small", wraps=True)
        self.body.addWidget(self.error)
        self._open(False)
        self.hide()

    @property
    def is_open(self) -> bool:
        return self.toggle.isChecked()

    def show_rows(self, rows: tuple[VariedPicture, ...]) -> None:
        self.grid.show_rows(rows)
        self._show_error("")

    def show_error(self, text: str) -> None:
        """Show why there is no preview; the pictures before it, of other settings, are hidden."""
        self.grid.show_rows(())
        self._show_error(text)

    def _show_error(self, text: str) -> None:
        self.error.setText(text)
        self.error.setVisible(bool(text) and self.is_open)
        self.grid.setVisible(self.is_open and not text)

    def _open(self, is_open: bool) -> None:
        self.roll_button.setVisible(is_open)
        self.pick_button.setVisible(is_open)
        self._show_error(self.error.text())
        self.changed.emit()

    def _roll(self) -> None:
        self.roll += 1
        self.changed.emit()

    def _pick(self) -> None:
        self.pick += 1
        self.changed.emit()
