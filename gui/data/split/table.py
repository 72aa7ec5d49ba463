"""The parts of a split as one bar, and every class in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from gui.kit import theme
from gui.kit.table import Column, ColumnTable
from gui.kit.theme import Theme
from gui.kit.words import isolate

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex

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
        """Show how many images each part has."""
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
        """The parts in words."""
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


@dataclass(frozen=True, slots=True)
class SplitRow:
    """A class with its images in each part that is shown."""

    name: str
    counts: tuple[int, ...]

    def text(self, part: int) -> str:
        """Images of a part and their share of the class."""
        images = self.counts[part]
        return f"{images:,}  ({images / max(1, sum(self.counts)):.0%})"


def _part_column(split: str, part: int) -> Column[SplitRow]:
    tip = _PURPOSES[split]
    return Column(split, lambda row: row.text(part), is_number=True, heading_tip=tip)


_NAME: Column[SplitRow] = Column("Class", lambda row: isolate(row.name), tip=lambda row: row.name)


class SplitModel(ColumnTable[SplitRow]):
    """One row per class; columns: class, and for every part its images and their share."""

    def show_dataset(self, dataset: DatasetIndex) -> None:
        """Show how many images of each class each part has."""
        from core.data.dataset import SPLITS

        table = dataset.class_split_counts()
        parts = [i for i in range(len(SPLITS)) if table[:, i].any()]
        columns = (_NAME, *(_part_column(SPLITS[i], at) for at, i in enumerate(parts)))
        rows = [
            SplitRow(name, tuple(counts))
            for name, counts in zip(dataset.classes, table[:, parts].tolist(), strict=True)
        ]
        self.show_rows(rows, columns if rows else ())
