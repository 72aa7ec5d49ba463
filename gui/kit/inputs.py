"""Input widgets that behave: the wheel scrolls the page, drops go to the window."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QSize, Qt, Signal
from PySide6.QtGui import (
    QAction,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
    QWheelEvent,
)
from PySide6.QtWidgets import QComboBox, QLineEdit, QSizePolicy, QSpinBox, QToolButton

from gui.kit import theme
from gui.kit.theme import Theme


class ComboBox(QComboBox):
    """A combo box with a drawn chevron: a style sheet's arrow would need an image per theme."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)

        self.view().setAccessibleName("Choices")

    def minimumSizeHint(self) -> QSize:
        return QSize(120, super().minimumSizeHint().height())

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self.palette().placeholderText().color(), 1.6))
        x, y = self.width() - 15.0, self.height() / 2 + 2
        painter.drawPolyline(
            QPolygonF([QPointF(x - 4, y - 4), QPointF(x, y), QPointF(x + 4, y - 4)])
        )


class NumberBox(QSpinBox):
    """A spin box for whole numbers, typed or stepped with the arrow keys."""

    def __init__(self) -> None:
        super().__init__()
        self.setGroupSeparatorShown(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.lineEdit().setAcceptDrops(False)
        # The style sheet's padding stops at the frame of a spin box.
        self.lineEdit().setTextMargins(theme.S - 2, 0, 0, 0)

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()


class SearchField(QLineEdit):
    """One line of words; Down goes on into what was found."""

    down_pressed = Signal()

    def __init__(self, look: Theme, *, name: str, hint: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setPlaceholderText(hint)
        self.setClearButtonEnabled(True)
        self.setAcceptDrops(False)  # drops belong to the window
        icon = QAction(self)
        icon.setEnabled(False)
        look.give_icon(icon, "magnify")
        self.addAction(icon, QLineEdit.ActionPosition.LeadingPosition)
        for made in self.findChildren(QToolButton):
            made.setAccessibleName("Clear the search" if made.isEnabled() else "Search")

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Down:
            self.down_pressed.emit()
        elif event.key() == Qt.Key.Key_Escape and self.text():
            self.clear()
        else:
            super().keyPressEvent(event)


class LineEdit(QLineEdit):
    """A line of text; drops fall through to the window."""

    def __init__(self, name: str, hint: str = "", *, can_clear: bool = False) -> None:
        """`name` is what a screen reader says, `hint` stands in the empty field."""
        super().__init__()
        self.setAcceptDrops(False)
        self.setPlaceholderText(hint)
        self.setAccessibleName(name)
        self.setClearButtonEnabled(can_clear)
