"""The parts of a split as one bar, and every class in numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QRectF, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from gui.kit import theme
from gui.kit.theme import Theme
from gui.kit.words import isolate

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex

_Index = QModelIndex | QPersistentModelIndex
_TOKENS = {"train": "accent", "val": "series_1", "test": "warning"}
_PURPOSES = {
    "train": "Learned from",
    "val": "Judged by at the end",
    "test": "Not touched until you ask",
}
_BAR_PX = 18
_DOT_PX = 14


class SplitBar(QWidget):
    """The parts side by side, as wide as their share; names and numbers below."""

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._theme = look
        self._counts: dict[str, int] = {}
        self.setAccessibleName("Split")
        self._fit()
        look.changed.connect(self.update)

    def show_counts(self, counts: dict[str, int]) -> None:
        self._counts = counts
        self.setAccessibleDescription(self.text())
        self._fit()
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._fit()

    def _fit(self) -> None:
        """As high as the legend needs: a long one goes on in the next line."""
        lines = 1 + max((line for _x, line, _text in self._legend().values()), default=0)
        self.setFixedHeight(_BAR_PX + theme.S + lines * self.fontMetrics().height())

    def _legend(self) -> dict[str, tuple[int, int, str]]:
        """Of each part its x, its line from 0, and its text."""
        metrics, total = self.fontMetrics(), max(1, sum(self._counts.values()))
        placed, x, line = {}, 0, 0
        for name, images in self._counts.items():
            text = f"{name}  {images:,}  ({images / total:.0%})"
            width = _DOT_PX + metrics.horizontalAdvance(text)
            if x and x + width > self.width():
                x, line = 0, line + 1
            placed[name] = (x, line, text)
            x += width + theme.XL
        return placed

    def text(self) -> str:
        total = max(1, sum(self._counts.values()))
        return ", ".join(f"{name} {n:,} ({n / total:.0%})" for name, n in self._counts.items())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        total = max(1, sum(self._counts.values()))
        clip = QPainterPath()
        clip.addRoundedRect(QRectF(0, 0, self.width(), _BAR_PX), 4, 4)
        painter.setClipPath(clip)
        left = 0.0
        for name, images in self._counts.items():
            width = self.width() * images / total
            part = QRectF(left, 0, max(2.0, width - 2), _BAR_PX)
            painter.fillRect(part, self._theme.colour(_TOKENS[name]))
            left += width
        painter.setClipping(False)
        metrics = self.fontMetrics()
        for name, (x, line, text) in self._legend().items():
            baseline = _BAR_PX + theme.S + metrics.ascent() + line * metrics.height()
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._theme.colour(_TOKENS[name]))
            painter.drawEllipse(QRectF(x, baseline - 9, 8, 8))
            painter.setPen(self._theme.colour("text"))
            painter.drawText(x + _DOT_PX, baseline, text)


class SplitModel(QAbstractTableModel):
    """One row per class; columns: class, and for every part its images and their share."""

    def __init__(self) -> None:
        super().__init__()
        self._classes: tuple[str, ...] = ()
        self._splits: tuple[str, ...] = ()
        self._counts: list[list[int]] = []

    def show_dataset(self, dataset: DatasetIndex) -> None:
        from core.data.dataset import SPLITS

        self.beginResetModel()
        table = dataset.class_split_counts()
        columns = [i for i in range(len(SPLITS)) if table[:, i].any()]
        self._classes = dataset.classes
        self._splits = tuple(SPLITS[i] for i in columns)
        self._counts = table[:, columns].tolist()
        self.endResetModel()

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self._classes)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() or not self._classes else 1 + len(self._splits)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row, column = index.row(), index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            if column == 0:
                return isolate(self._classes[row])
            images = self._counts[row][column - 1]
            return f"{images:,}  ({images / max(1, sum(self._counts[row])):.0%})"
        if role == Qt.ItemDataRole.ToolTipRole and column == 0:
            return self._classes[row]
        if role == Qt.ItemDataRole.TextAlignmentRole and column:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return ("Class", *self._splits)[section]
        if role == Qt.ItemDataRole.ToolTipRole and section:
            return _PURPOSES[self._splits[section - 1]]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if section else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        return None
