"""How a dataset is split: the parts as one bar, what each is for, and every class in numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QRectF, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QVBoxLayout, QWidget

from gui import theme
from gui.theme import Theme
from gui.widgets.basics import Card, label
from gui.widgets.class_table import ROW_PX
from gui.words import count

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex

_Index = QModelIndex | QPersistentModelIndex
_TOKENS = {"train": "accent", "val": "series_1", "test": "warning"}
_BAR_PX = 18


class SplitBar(QWidget):
    """The parts side by side, as wide as their share; names and numbers below."""

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._theme = look
        self._counts: dict[str, int] = {}
        self.setAccessibleName("Split")
        self.setFixedHeight(_BAR_PX + theme.S + self.fontMetrics().height())
        look.changed.connect(self.update)

    def show_counts(self, counts: dict[str, int]) -> None:
        self._counts = counts
        self.setAccessibleDescription(self.text())
        self.update()

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
        x = 0
        for name, images in self._counts.items():
            baseline = _BAR_PX + theme.S + painter.fontMetrics().ascent()
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._theme.colour(_TOKENS[name]))
            painter.drawEllipse(QRectF(x, baseline - 9, 8, 8))
            painter.setPen(self._theme.colour("text"))
            text = f"{name}  {images:,}  ({images / total:.0%})"
            painter.drawText(x + 14, baseline, text)
            x += 14 + painter.fontMetrics().horizontalAdvance(text) + theme.XL


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
                return self._classes[row]
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
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if section else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        return None


class SplitView(QWidget):
    """Bar, sentences and table."""

    def __init__(self, look: Theme) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, theme.S, 0, 0)
        column.setSpacing(theme.M)
        card = Card(margin=theme.M)
        self.bar = SplitBar(look)
        card.body.addWidget(self.bar)
        self.sentences = label("", "muted", wraps=True)
        card.body.addWidget(self.sentences)
        column.addWidget(card)
        self.model = SplitModel()
        table = QTableView()
        table.setModel(self.model)
        table.setAccessibleName("Images of every class in each part of the split")
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setTabKeyNavigation(False)
        table.setShowGrid(False)
        table.setWordWrap(False)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(ROW_PX)
        table.horizontalHeader().setHighlightSections(False)
        table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        column.addWidget(table, 1)

    def show_dataset(self, dataset: DatasetIndex) -> None:
        self.bar.show_counts(dataset.split_counts())
        self.sentences.setText(describe_parts(dataset))
        self.model.show_dataset(dataset)


def describe_split(dataset: DatasetIndex) -> str:
    """Who made the split and how large its parts are, in one line."""
    splits = dataset.split_counts()
    sizes = " / ".join(f"{images:,} {split}" for split, images in splits.items())
    if dataset.split_origin == "folders":
        return f"Split: your own folders: {sizes}."
    return (
        f"Split: a fifth (or one per class) drawn by Graftwork: {sizes}, stratified, "
        "grouped by copies, seed 0."
    )


def describe_parts(dataset: DatasetIndex) -> str:
    """What each part is for: what learns, what chooses, what judges."""
    splits = dataset.split_counts()
    if dataset.split_origin == "folders":
        origin = "The parts are your own folders."
    else:
        origin = (
            "The folder has no val of its own: a fifth of each class (or one image) was drawn "
            "for it, copies kept together, the same ones every time (seed 0)."
        )
    parts = [
        origin,
        f"The model learns from train ({count(splits.get('train', 0), 'image')}). What has to be "
        "chosen on the way (penalty, epoch, temperature) is chosen on images held out of train, "
        "the selection.",
        f"The accuracy shown at the end is that of val ({count(splits.get('val', 0), 'image')}), "
        "which chose nothing.",
    ]
    if splits.get("test"):
        parts.append(
            f"Test ({count(splits['test'], 'image')}) is not touched until it is asked for: "
            "`graftwork evaluate --split test`."
        )
    return " ".join(parts)
