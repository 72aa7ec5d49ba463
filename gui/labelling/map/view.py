"""The tab with the map of the pictures: what it takes to draw it, the map, and what is selected."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from gui.base.session import Session
from gui.edits.commands import DataCommands
from gui.kit import theme
from gui.kit.basics import ElidedLabel, button, hbox, label, row, vbox
from gui.kit.theme import Theme
from gui.kit.view_switch import ViewSwitch
from gui.kit.words import count, isolate
from gui.labelling.commands import FeatureCommands, MapCommands
from gui.labelling.feature_state import FeatureStateView
from gui.labelling.map.map import EmbeddingMap
from gui.labelling.map.paint import PointSprites
from gui.labelling.map.points import MapPoints, points_of
from gui.pictures.actions import PictureActions
from gui.pictures.entries import FileEntries, NoEntries
from gui.pictures.gallery import Gallery

_SIDE_PX = 244
_LABEL_ROLE = Qt.ItemDataRole.UserRole


class MapView(QWidget):
    """Draws nothing before it is shown; keeps the map while the dataset is edited."""

    passed = Signal(object)
    """The file of the picture that is current now."""
    opened = Signal(object)
    """The file of a picture to look at closely."""
    wanted = Signal(object, int)

    def __init__(
        self,
        session: Session,
        data: DataCommands,
        features: FeatureCommands,
        maps: MapCommands,
        look: Theme,
    ) -> None:
        super().__init__()
        self._session = session
        self._features, self._maps = features, maps
        self._look = look
        self._files: frozenset[str] | None = None
        self._filter_text = ""
        self.stack = QStackedWidget()
        column = vbox(self, margins=(0, theme.S, 0, 0), spacing=-1)
        column.addWidget(self.stack)
        self.ask = FeatureStateView(
            look, features, heading="A map of the pictures", action="Draw the map",
            purpose="Pictures that the model finds alike lie close together: classes show as "
            "islands, doubtful labels as strangers on one.",
        )  # fmt: skip
        self.stack.addWidget(self.ask)
        self.stack.addWidget(self._make_map(data))
        self._features.changed.connect(self._follow)
        self._maps.drawn.connect(self._show_map)
        self._maps.ended.connect(self._drawn)
        session.dataset_changed.connect(self._follow)
        look.changed.connect(self._fill_legend)

    # -- building ----------------------------------------------------------------------------

    def _make_map(self, data: DataCommands) -> QWidget:
        made = QWidget()
        column = vbox(made)
        column.addLayout(self._make_tools())
        self.map = EmbeddingMap(self._look)
        self.map.passed.connect(self._pass)
        self.map.opened.connect(self._open)
        self.map.selection_changed.connect(self._show_selection)
        self.map.wanted.connect(self.wanted)
        self.actions_of_map = PictureActions(
            self.map, self._session, data, self._look, self._acted_on
        )
        self.map.menu_wanted.connect(self._show_menu)
        across = hbox()
        across.addWidget(self.map, 1)
        side = vbox()
        side.addWidget(self._make_legend(), 2)
        side.addWidget(self._make_chosen(data), 5)
        across.addLayout(side)
        column.addLayout(across, 1)
        self.twin = label("", "small", wraps=True)
        self.twin.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column.addWidget(self.twin)
        self.layout_line = ElidedLabel("", "muted-small")
        column.addWidget(self.layout_line)
        return made

    def _make_tools(self) -> QHBoxLayout:
        self.tools = ViewSwitch(
            self._look,
            (
                ("move", "Move", "cursor-move"),
                ("lasso", "Lasso", "lasso"),
                ("box", "Rectangle", "selection-drag"),
            ),
        )
        for key, tip in (
            ("move", "Drag moves the map; with Shift it selects"),
            ("lasso", "Drag around the pictures to select; Ctrl adds"),
            ("box", "Drag a rectangle to select; Ctrl adds"),
        ):
            self.tools.buttons[key].setToolTip(tip)
        self.tools.chosen.connect(self._choose_tool)
        self.rings = QCheckBox("Ring strangers")
        self.rings.setAccessibleName("Ring strangers")
        self.rings.setToolTip("Ring the pictures whose neighbours are nearly all of another class")
        self.rings.setChecked(True)
        self.fit_button = button("Show all", self._fit)
        self.fit_button.setToolTip("The whole map in view (Ctrl+0)")
        self.stop_button = button("Stop arranging", self._maps.cancel)
        line = row(self.tools, self.rings, spacing=theme.M)
        line.addWidget(self.stop_button)
        line.addWidget(self.fit_button)
        return line

    def _make_legend(self) -> QListWidget:
        self.legend = QListWidget()
        self.legend.setAccessibleName("Classes: select some to see them alone")
        self.legend.setToolTip("Select classes to see them alone")
        self.legend.setFixedWidth(_SIDE_PX)
        self.legend.setIconSize(QSize(18, 18))
        self.legend.setSelectionMode(QListWidget.SelectionMode.ExtendedSelection)
        self.legend.itemSelectionChanged.connect(self._filter)
        self.rings.toggled.connect(self.map.show_rings)
        return self.legend

    def _make_chosen(self, data: DataCommands) -> QWidget:
        self.selection = QWidget()
        self.selection.setFixedWidth(_SIDE_PX)
        column = QVBoxLayout(self.selection)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.XS)
        self.caption = label("", "small", wraps=True)
        column.addWidget(self.caption)
        self.strip = Gallery(self._look, name="Selected pictures", can_select=True)
        self.strip.current_changed.connect(self._pass_in_strip)
        self.strip.opened.connect(self._open_in_strip)
        self.actions_of_strip = PictureActions(
            self.strip, self._session, data, self._look, self._chosen_in_strip
        )
        self.strip.menu_wanted.connect(self.actions_of_strip.show_menu)
        column.addWidget(self.strip, 1)
        self.relabel_button = button("Relabel …", self.actions_of_map.choose_class)
        self.relabel_button.setToolTip("Give the selected pictures another class (R, or 1 to 9)")
        self.exclude_button = button("Exclude", self.actions_of_map.exclude_or_restore)
        self.exclude_button.setToolTip("Leave the selected pictures out of the dataset (Del)")
        self.clear_button = button("Clear", self._clear)
        line = row(spacing=theme.XS, stretch=False)
        for each in (self.relabel_button, self.exclude_button, self.clear_button):
            line.addWidget(each)
        column.addLayout(line)
        self.selection.hide()
        return self.selection

    # -- following ---------------------------------------------------------------------------

    def showEvent(self, event: object) -> None:
        self._follow()

    def _follow(self) -> None:
        """Features and dataset as they are now; a hidden tab asks for nothing."""
        if self._maps.map is not None and self._session.dataset is not None:
            self._show_map(self._maps.map)
        else:
            self.stack.setCurrentWidget(self.ask)
        if self.isVisible():
            self._features.ask()
            self._maps.draw()

    def _show_map(self, _map: object) -> None:
        dataset, made = self._session.dataset, self._maps.map
        if dataset is None or made is None:
            return
        points = points_of(made, dataset)
        self.map.show_points(points, dataset.root)
        self._fill_legend()
        self._filter()
        self.stop_button.setVisible(self._maps.is_drawing)
        self.stack.setCurrentIndex(1)
        self._show_selection()

    def _drawn(self, trouble: str) -> None:
        self.stop_button.hide()
        if trouble and self._maps.map is None:
            self.ask.say(trouble)
        elif trouble:
            self.layout_line.setText(trouble)

    # -- filtering ---------------------------------------------------------------------------

    def show_only(self, files: frozenset[str] | None, described: str) -> None:
        """Only these pictures in colour; None: all. `described`: the filter in words."""
        self._files, self._filter_text = files, described
        self._filter()

    def _fill_legend(self) -> None:
        points = self.map.points
        if points is None:
            return
        sprites = PointSprites(self._look, self.devicePixelRatioF())
        chosen = {item.data(_LABEL_ROLE) for item in self.legend.selectedItems()}
        self.legend.blockSignals(True)
        self.legend.clear()
        counts = np.bincount(points.labels + 1, minlength=len(points.classes) + 1)
        for number in (*range(len(points.classes)), -1):
            if not counts[number + 1]:
                continue
            name = isolate(points.classes[number]) if number >= 0 else "No label"
            item = QListWidgetItem(sprites.icon(number), f"{name}  {counts[number + 1]:,}")
            item.setData(_LABEL_ROLE, number)
            item.setToolTip(f"{name}: {count(int(counts[number + 1]), 'picture')}")
            self.legend.addItem(item)
            item.setSelected(number in chosen)
        self.legend.blockSignals(False)

    def _filter(self) -> None:
        points = self.map.points
        if points is None:
            return
        shown = np.ones(len(points), dtype=np.bool_)
        if self._files is not None:
            shown &= np.fromiter((f in self._files for f in points.files), np.bool_, len(points))
        chosen = [item.data(_LABEL_ROLE) for item in self.legend.selectedItems()]
        if chosen:
            shown &= np.isin(points.labels, chosen)
        self.map.show_only(shown)
        self._say(points, int(shown.sum()))

    def _say(self, points: MapPoints, shown: int) -> None:
        self.twin.setText(points.say_agreement())
        text = points.say_layout()
        if self._files is not None and shown < len(points):
            text = (
                f"{shown:,} of {len(points):,} shown, as in Pictures: {self._filter_text}. {text}"
            )
        elif shown < len(points):
            text = f"{shown:,} of {len(points):,} shown. {text}"
        self.layout_line.setText(text)

    # -- input -------------------------------------------------------------------------------

    def _choose_tool(self, key: str) -> None:
        self.map.choose_tool("lasso" if key == "lasso" else "box" if key == "box" else "move")

    def _fit(self) -> None:
        self.map.reset_view()

    def _clear(self) -> None:
        self.map.select(np.zeros(0, dtype=np.int64))
        self.map.setFocus()

    def _acted_on(self) -> tuple[str, ...]:
        return self.map.acted_on

    def _show_menu(self, at: QPoint) -> None:
        self.actions_of_map.show_menu(at)

    def _file(self, number: int) -> str:
        points = self.map.points
        return "" if points is None else points.files[number]

    def _pass(self, number: int) -> None:
        self.passed.emit(self._file(number))

    def _open(self, number: int) -> None:
        self.opened.emit(self._file(number))

    # -- what is selected --------------------------------------------------------------------

    def _show_selection(self) -> None:
        files, dataset = self.map.selected_files, self._session.dataset
        self.selection.setVisible(bool(files))
        if not files or dataset is None:
            self.strip.show_entries(NoEntries())
            return
        points = self.map.points
        assert points is not None
        captions = [points.class_of(number) for number in self.map.selected.tolist()]
        self.strip.show_entries(FileEntries(dataset.root, files, captions))
        names = {name: captions.count(name) for name in dict.fromkeys(captions)}
        classes = ", ".join(f"{name} {n:,}" for name, n in sorted(names.items(), key=_by_count)[:4])
        self.caption.setText(f"{len(files):,} selected: {classes}")

    def _chosen_in_strip(self) -> tuple[str, ...]:
        entries = self.strip.entries
        if not isinstance(entries, FileEntries):
            return ()
        return tuple(entries.files[i] for i in self.strip.acted_on.tolist())

    def _pass_in_strip(self, position: int) -> None:
        entries = self.strip.entries
        if isinstance(entries, FileEntries):
            self.passed.emit(entries.files[position])

    def _open_in_strip(self, position: int) -> None:
        entries = self.strip.entries
        if isinstance(entries, FileEntries):
            self.opened.emit(entries.files[position])


def _by_count(item: tuple[str, int]) -> int:
    return -item[1]
