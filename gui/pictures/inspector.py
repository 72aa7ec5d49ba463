"""One picture looked at closely: large, with what its file says and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QSize, Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication, QImage
from PySide6.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QWidget,
)

from gui.kit import theme
from gui.kit.basics import (
    Card,
    ElidedLabel,
    button,
    icon_button,
    label,
    menu_button,
    row,
    scroll_area,
    vbox,
)
from gui.kit.theme import Theme, set_role
from gui.pictures.actions import PictureActions
from gui.pictures.answers import PictureView
from gui.pictures.entries import Entries, NoEntries
from gui.pictures.gallery import Gallery
from gui.pictures.jobs import Inspected

Facts = Sequence[tuple[str, str]]
_WIDTH_PX = 272
_PICTURE_PX = 200
_STRIP_PX = 84


class Inspector(Card):
    """Hidden until a picture is opened. Who shows it has the picture read and brings it."""

    closed = Signal()
    classify_wanted = Signal(object)
    """The path of the picture."""
    neighbour_chosen = Signal(object)
    """The path of a picture like this one."""

    def __init__(self, look: Theme) -> None:
        super().__init__(margin=theme.M)
        self._path: Path | None = None
        self._given: Facts = ()
        self._shown: Facts = ()
        self.setMinimumWidth(_WIDTH_PX)
        self.setAccessibleName("Inspector")
        self._name = ElidedLabel("", "heading")
        name = "Close the inspector"
        self.close_button = icon_button(look, "close", name, self.close_picture)
        self.close_button.setToolTip("Close (Esc)")
        self.close_button.setShortcut(Qt.Key.Key_Escape)
        header = row(spacing=theme.S, stretch=False)
        header.addWidget(self._name, 1)
        header.addWidget(self.close_button)
        self.body.addLayout(header)
        self.picture = PictureView(look)
        self.picture.setMinimumSize(_PICTURE_PX, 72)
        self.body.addWidget(self.picture, 3)
        self.body.addWidget(self._make_facts(), 2)
        self.neighbours = Gallery(look, name="Pictures like this one", is_strip=True)
        self.neighbours.setFixedHeight(_STRIP_PX)
        self.neighbours.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.neighbours.opened.connect(self._choose_neighbour)
        self.neighbours_line = label("", "muted-small")
        self.body.addWidget(self.neighbours_line)
        self.body.addWidget(self.neighbours)
        self.neighbours_line.hide()
        self.neighbours.hide()
        self._edit_row = row(spacing=theme.S, stretch=False)
        self.body.addLayout(self._edit_row)
        self.body.addLayout(self._make_buttons(look))
        self.hide()

    def _make_facts(self) -> QScrollArea:
        inner = QWidget()
        inner.setAutoFillBackground(False)
        column = vbox(inner, margins=(0, 0, theme.S, 0))
        self.trouble = label("", "small", wraps=True)
        set_role(self.trouble, tone="warning")
        column.addWidget(self.trouble)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(theme.M)
        self._grid.setVerticalSpacing(theme.XS)
        self._grid.setColumnStretch(1, 1)
        column.addLayout(self._grid)
        column.addStretch(1)
        area = scroll_area(inner)
        area.setMinimumHeight(40)
        area.viewport().setAutoFillBackground(False)
        inner.setAutoFillBackground(False)  # the area has switched it on
        return area

    def _make_buttons(self, look: Theme) -> QHBoxLayout:
        """One row: the picture needs the height."""
        self.classify_button = button(
            "Classify", self._classify, icon=(look, "image-search-outline", "accent")
        )
        self.folder_button = _icon_button(
            look, "folder-open-outline", "Open the folder of the picture", self._open_folder
        )
        self.copy_button = _icon_button(
            look, "content-copy", "Copy the path of the picture", self._copy_path
        )
        line = row(spacing=theme.S, stretch=False)
        line.addWidget(self.classify_button, 1)
        line.addWidget(self.folder_button)
        line.addWidget(self.copy_button)
        return line

    def add_edits(self, actions: PictureActions) -> None:
        """Buttons to relabel, move, exclude and restore the picture that is shown."""
        self._actions = actions
        self.relabel_button = button("Relabel", actions.choose_class)
        self.exclude_button = button("Exclude", actions.exclude_or_restore)
        self.move_button = menu_button("Move", "Move to another part of the split")
        self.move_button.addActions(actions.moves)
        for each in (self.relabel_button, self.exclude_button, self.move_button):
            self._edit_row.addWidget(each)
        self._edit_row.addStretch(1)

    # -- showing -----------------------------------------------------------------------------

    @property
    def path(self) -> Path | None:
        """The file shown; None while closed."""
        return self._path

    @property
    def facts(self) -> dict[str, str]:
        """The values of the list by their caption."""
        return dict(self._shown)

    def show_path(self, path: Path, facts: Facts, trouble: str = "") -> None:
        """A picture whose file is still to be read; `facts` are (caption, value)."""
        if path != self._path:
            self.picture.show_image(QImage(), path.name)
            self.show_neighbours(NoEntries(), "")
        self._path = path
        self._given = facts
        self._name.setText(path.name)
        self._show_trouble(trouble)
        self._show_facts(facts)
        self.show()

    def show_edits(self, *, is_inside: bool, is_excluded: bool) -> None:
        """What can be done: a picture that cannot be read is no part of the dataset."""
        self.relabel_button.setVisible(is_inside)
        self.move_button.setVisible(is_inside)
        self.exclude_button.setVisible(is_inside or is_excluded)
        self.exclude_button.setText("Restore" if is_excluded else "Exclude")
        self.exclude_button.setAccessibleName(self.exclude_button.text())

    def show_neighbours(self, entries: Entries, caption: str) -> None:
        """Show similar pictures below; without any the strip is hidden."""
        has_some = len(entries) > 0
        self.neighbours_line.setText(caption)
        self.neighbours_line.setVisible(has_some)
        self.neighbours.setVisible(has_some)
        self.neighbours.show_entries(entries)

    def _choose_neighbour(self, position: int) -> None:
        self.neighbour_chosen.emit(self.neighbours.entries.path(position))

    def show_inspected(self, inspected: Inspected) -> None:
        """What was read; of another picture than the one shown, it comes too late."""
        if inspected.path != self._path:
            return
        self.picture.show_image(inspected.image, inspected.path.name)
        if inspected.error:
            self._show_trouble(inspected.error)
        if inspected.metadata is not None:
            self._show_facts([*self._given, *_describe_metadata(inspected)])

    def close_picture(self) -> None:
        """Drop the picture and hide."""
        self._path = None
        self.hide()
        self.closed.emit()

    def _show_trouble(self, text: str) -> None:
        self.trouble.setText(text)
        self.trouble.setVisible(bool(text))

    def _show_facts(self, facts: Facts) -> None:
        while (item := self._grid.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self._shown = facts
        for line, (caption, value) in enumerate(facts):
            shown = ElidedLabel(value, "small")
            shown.setToolTip(value)
            shown.setAccessibleName(f"{caption}: {value}")
            self._grid.addWidget(label(caption, "muted-small"), line, 0)
            self._grid.addWidget(shown, line, 1)

    def sizeHint(self) -> QSize:
        return QSize(_WIDTH_PX + 16, 400)

    # -- doing -------------------------------------------------------------------------------

    def _classify(self) -> None:
        if self._path is not None:
            self.classify_wanted.emit(self._path)

    def _open_folder(self) -> None:
        if self._path is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._path.parent)))

    def _copy_path(self) -> None:
        if self._path is not None:
            QGuiApplication.clipboard().setText(str(self._path))


def _icon_button(look: Theme, icon: str, name: str, clicked: Callable[[], None]) -> QPushButton:
    made = QPushButton()
    made.setAccessibleName(name)
    made.setToolTip(name)
    made.setAutoDefault(False)
    made.setIconSize(QSize(theme.ICON_PX, theme.ICON_PX))
    look.give_icon(made, icon)
    made.clicked.connect(clicked)
    return made


def _describe_metadata(inspected: Inspected) -> list[tuple[str, str]]:
    metadata = inspected.metadata
    if metadata is None:
        return []
    size = (
        f"{metadata.bytes / 1e6:,.1f} MB"
        if metadata.bytes >= 1e6
        else f"{metadata.bytes / 1e3:,.1f} kB"
    )
    lines = [
        ("Pixels", f"{metadata.width:,} × {metadata.height:,}"),
        ("File", " · ".join(part for part in (size, metadata.format, metadata.mode) if part)),
    ]
    if metadata.camera:
        lines.append(("Camera", metadata.camera))
    if metadata.taken:
        lines.append(("Taken", metadata.taken))
    if metadata.is_turned:
        lines.append(("EXIF", "turned upright when read"))
    return lines
