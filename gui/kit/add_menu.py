"""The button that adds models of one's own: a file of weights, a repository, an id."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QInputDialog, QLineEdit, QMenu, QToolButton, QWidget

from gui.kit import dialogs
from gui.kit.theme import Theme

_FILES = "Weights (*.safetensors *.pth *.pt *.bin)"


class AddMenu(QToolButton):
    """Asks which model to add and emits it; adding it is done elsewhere."""

    file_wanted = Signal(object)
    id_wanted = Signal(str)
    repository_wanted = Signal()

    def __init__(self, look: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.setText(" Add")
        self.setAccessibleName("Add a model")
        self.setProperty("role", "menu")
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        look.give_icon(self, "plus")
        menu = QMenu(self)
        menu.addAction("A file of weights …").triggered.connect(self.ask_for_file)
        menu.addAction("A model of Hugging Face …").triggered.connect(self.ask_for_id)
        menu.addAction("A torch.hub repository …").triggered.connect(self._ask_for_repository)
        self.setMenu(menu)

    def ask_for_file(self) -> None:
        """Open the dialog that chooses a file of weights; `file_wanted` carries its path."""
        dialogs.ask_for_file(self.window(), "Add a file of weights", [_FILES], self._file_chosen)

    def _file_chosen(self, path: str) -> None:
        self.file_wanted.emit(Path(path))

    def ask_for_id(self) -> QInputDialog:
        """Ask for `OWNER/NAME`; nothing is downloaded before the model is used."""
        dialog = dialogs.ask_for_text(
            self.window(),
            "Add a model of Hugging Face",
            "OWNER/NAME of a repository with a timm model, for example\n"
            "timm/resnet18.a1_in1k. It is fetched when it is first used.",
            self._id_chosen,
            value="hf-hub:",
        )
        field = dialog.findChild(QLineEdit)
        if field is not None:
            field.setAccessibleName("OWNER/NAME of the repository")
        return dialog

    def _id_chosen(self, text: str) -> None:
        name = text.strip()
        self.id_wanted.emit(name if name.lower().startswith("hf-hub:") else f"hf-hub:{name}")

    def _ask_for_repository(self) -> None:
        self.repository_wanted.emit()
