"""What can be done with pictures, wherever they are shown: keys, menu and buttons for one widget.

The keys work while that widget has the focus; what they are about, it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QObject, QPoint, Qt, QUrl
from PySide6.QtGui import QAction, QDesktopServices, QGuiApplication, QKeySequence
from PySide6.QtWidgets import QMenu, QWidget

from gui.base.session import Session
from gui.edits.commands import DataCommands
from gui.kit.theme import Theme
from gui.kit.words import count, isolate, quote
from gui.pictures.class_chooser import ClassChooser

_DIGITS = 9
_MENU_CLASSES = 9
_SPLITS = ("train", "val", "test")


class PictureActions(QObject):
    """Keys, menu and buttons that edit the pictures `files` returns. Main thread only."""

    def __init__(
        self,
        owner: QWidget,
        session: Session,
        data: DataCommands,
        look: Theme,
        files: Callable[[], tuple[str, ...]],
        *,
        refusal: Callable[[], str] | None = None,
    ) -> None:
        """`refusal` says why these pictures cannot be edited now; empty where they can."""
        super().__init__(owner)
        self._refusal = refusal
        self._owner = owner
        self._session = session
        self._data = data
        self._files = files
        self._chooser: ClassChooser | None = None
        self.relabel = self._make("Relabel to …", "R", self.choose_class)
        self.exclude = self._make("Exclude", "Del", self.exclude_or_restore)
        self.restore = self._make("Restore", "Shift+Del", self._restore)
        look.give_icon(self.relabel, "label-outline")
        look.give_icon(self.exclude, "eye-off-outline")
        look.give_icon(self.restore, "restore")
        self.moves = [
            self._make(f"Move to {name}", "", partial(self._move, name)) for name in _SPLITS
        ]
        self.open_folder = self._make("Open the folder", "", self._open_folder)
        self.copy_path = self._make("Copy the path", "", self._copy_path)
        self._digits = [
            self._make("", str(digit), partial(self.relabel_to, digit - 1))
            for digit in range(1, _DIGITS + 1)
        ]

    def _make(self, text: str, shortcut: str, triggered: Callable[[], None]) -> QAction:
        made = QAction(text, self)
        if shortcut:
            made.setShortcut(QKeySequence(shortcut))
            made.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        # The bool that `triggered` carries is dropped: partials would take it for an argument.
        made.triggered.connect(_Call(triggered, made).go)
        self._owner.addAction(made)
        return made

    # -- what it is about --------------------------------------------------------------------

    @property
    def files(self) -> tuple[str, ...]:
        """The pictures the actions are about, relative to the dataset."""
        return self._files() if self._session.dataset is not None else ()

    def _excluded(self, files: tuple[str, ...]) -> tuple[str, ...]:
        pictures = self._data.pictures
        if pictures is None or not pictures.excluded:
            return ()
        return tuple(file for file in files if file in pictures.excluded)

    def _editable(self, files: tuple[str, ...]) -> tuple[str, ...]:
        """Those that are in the dataset: not the unreadable, not the excluded."""
        pictures = self._data.pictures
        if pictures is None:
            return ()
        return tuple(file for file in files if file in pictures.position)

    # -- doing -------------------------------------------------------------------------------

    def relabel_to(self, position: int) -> None:
        """Relabel to the class at a position, as the digit keys number them."""
        dataset = self._session.dataset
        if dataset is None or (self._refusal is not None and self._refusal()):
            self._say_nothing_to_do("relabel")
        elif position >= len(dataset.keys):
            classes = count(len(dataset.keys), "class", "classes")
            self._session.notice(
                "here", f"There is no class {position + 1}: the dataset has {classes}.", "warning"
            )
        else:
            self._relabel(dataset.keys[position])

    def _relabel(self, key: str) -> None:
        pictures = self._data.pictures
        files = self._editable(self.files)
        if pictures is None or not files:
            self._say_nothing_to_do("relabel")
            return
        others = tuple(file for file in files if pictures.class_of(file) != key)
        if others:
            self._data.relabel(others, key)
        else:
            shown = dict(zip(pictures.dataset.keys, pictures.dataset.classes, strict=True))
            what = "The picture is" if len(files) == 1 else f"All {len(files):,} pictures are"
            self._session.notice("here", f"{what} {quote(shown.get(key, key))} already.")

    def choose_class(self) -> None:
        """Open the dialog that chooses the class to relabel to."""
        dataset = self._session.dataset
        files = self._editable(self.files)
        if dataset is None or not files:
            self._say_nothing_to_do("relabel")
            return
        heading = f"Relabel {count(len(files), 'picture')} to"
        classes = tuple(zip(dataset.keys, dataset.classes, strict=True))
        self._chooser = ClassChooser(self._owner.window(), heading, classes)
        self._chooser.chosen.connect(self._relabel)
        self._chooser.open()

    def exclude_or_restore(self) -> None:
        """Exclude the pictures, or restore them where all are excluded already."""
        files = self.files
        inside = self._editable(files)
        if inside:
            self._data.exclude(inside)
        elif self._excluded(files):
            self._restore()
        else:
            self._say_nothing_to_do("exclude")

    def _restore(self) -> None:
        files = self._excluded(self.files)
        if files:
            self._data.restore(files)
        else:
            self._say_nothing_to_do("restore")

    def _move(self, split: str) -> None:
        pictures = self._data.pictures
        files = self._editable(self.files)
        if pictures is None or not files:
            self._say_nothing_to_do("move")
            return
        dataset, position = pictures.dataset, pictures.position
        labelled = tuple(file for file in files if dataset.labels[position[file]] >= 0)
        others = tuple(file for file in labelled if dataset.split_of(position[file]) != split)
        if others:
            self._data.move(others, split)
        elif labelled:
            self._session.notice("here", f"They stand in {split} already.")
        else:
            self._session.notice("here", "A picture without a label stands in no split: label it.")

    def _say_nothing_to_do(self, what: str) -> None:
        refusal = self._refusal() if self._refusal is not None else ""
        self._session.notice("here", refusal or f"No picture is chosen that one could {what}.")

    def _open_folder(self) -> None:
        dataset, files = self._session.dataset, self.files
        if dataset is not None and files:
            folder = (dataset.root / files[0]).parent
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))

    def _copy_path(self) -> None:
        dataset, files = self._session.dataset, self.files
        if dataset is not None and files:
            paths = "\n".join(str(dataset.root / file) for file in files)
            QGuiApplication.clipboard().setText(paths)

    # -- menu --------------------------------------------------------------------------------

    def show_menu(self, at: QPoint) -> None:
        """Open the context menu at a global point."""
        menu = self.make_menu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(at)

    def make_menu(self) -> QMenu:
        """The context menu for the pictures that are selected now."""
        menu = QMenu(self._owner)
        files = self.files
        inside, excluded = self._editable(files), self._excluded(files)
        if inside:
            self.fill_classes(menu.addMenu("Relabel"))
            self.fill_moves(menu.addMenu("Move"))
            menu.addAction(self.exclude)
        if excluded:
            menu.addAction(self.restore)
        if files:
            menu.addSeparator()
            menu.addAction(self.open_folder)
            menu.addAction(self.copy_path)
        return menu

    def fill_classes(self, menu: QMenu) -> None:
        """Fill a menu with the first classes and their digits, and the search for all classes."""
        menu.clear()
        dataset = self._session.dataset
        for digit, action in enumerate(self._digits):
            if dataset is not None and digit < min(_MENU_CLASSES, len(dataset.classes)):
                action.setText(isolate(dataset.classes[digit]).replace("&", "&&"))
                menu.addAction(action)
        menu.addSeparator()
        menu.addAction(self.relabel)

    def fill_moves(self, menu: QMenu) -> None:
        """Fill a menu with the splits to move to."""
        menu.clear()
        for move in self.moves:
            menu.addAction(move)


class _Call(QObject):
    """A slot without arguments for a callable that is no method of a QObject."""

    def __init__(self, call: Callable[[], None], parent: QObject) -> None:
        super().__init__(parent)
        self._call = call

    def go(self) -> None:
        self._call()
