"""The weights of a model and the models a person adds: the controls of the page and the commands.

As `gui.layers.control`, it keeps the page short: it knows widgets and commands, not the catalog.
"""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QWidget

from gui.kit.add_menu import AddMenu
from gui.kit.notice_bar import NoticeBar
from gui.kit.theme import Theme
from gui.models.card import ModelCardView
from gui.models.commands import ModelCommands
from gui.models.weights.hub_dialog import HubDialog


class WeightsControl(QObject):
    """Owned by the page."""

    def __init__(
        self,
        page: QWidget,
        card: ModelCardView,
        commands: ModelCommands,
        notices: NoticeBar,
        look: Theme,
    ) -> None:
        super().__init__(page)
        self._page = page
        self._card = card
        self._commands = commands
        self._look = look
        weights = self._commands.weights
        self.add_menu = AddMenu(look, page)
        self.add_menu.file_wanted.connect(weights.add_file)
        self.add_menu.id_wanted.connect(weights.add_id)
        self.add_menu.repository_wanted.connect(self.open_hub)
        card.weights.download_wanted.connect(weights.download)
        card.weights.cancel_wanted.connect(weights.cancel_download)
        card.weights.remove_wanted.connect(weights.remove)
        card.shown.connect(self._show_download)
        weights.changed.connect(self._show_download)
        weights.failed.connect(notices.show_error)
        weights.noticed.connect(notices.show_notice)

    def open_hub(self) -> HubDialog:
        """The dialog that adds models of a torch.hub repository."""
        dialog = HubDialog(self._page.window(), self._look, self._commands.hub)
        dialog.add_wanted.connect(self._commands.weights.add_id)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()
        return dialog

    def _show_download(self) -> None:
        if self._card.card is not None:
            progress = self._commands.weights.progress_of(self._card.card.id)
            self._card.weights.show_progress(progress)
