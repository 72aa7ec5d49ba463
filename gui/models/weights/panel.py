"""Where a model's weights are, and what can be done about it: a few lines of the card."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlparse

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QWidget

from core.catalog.added import FileCard
from core.catalog.search import ADDED_SOURCES
from gui.kit import theme
from gui.kit.basics import button, label, progress_bar, row, vbox
from gui.kit.theme import Theme, set_role
from gui.kit.words import file_size

if TYPE_CHECKING:
    from core.catalog.card import ModelCard
    from gui.models.rows import ModelRow
    from gui.models.weights.jobs import Fetched

_BYTES_PER_PARAM = 4
"""Nearly all files are float32."""
_BAR_STEPS = 1000
"""A bar counts in 31 bits: bytes would overrun it."""


class WeightsBox(QWidget):
    """Where the weights of a model are and buttons for them; it emits what is asked for."""

    download_wanted = Signal(object)
    cancel_wanted = Signal(str)
    remove_wanted = Signal(object)

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._row: ModelRow | None = None
        column = vbox(self, spacing=theme.XS)
        self.text = label("", "muted-small", wraps=True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column.addWidget(self.text)
        self.bar = progress_bar("Progress of the download")
        column.addWidget(self.bar)
        self.download_button = button("Download", self._download, icon=(look, "download", "muted"))
        self.cancel_button = button("Cancel", self._cancel)
        self.cancel_button.setAccessibleName("Cancel the download")
        self.folder_button = button("Open folder", self._open_folder)
        self.folder_button.setAccessibleName("Open the folder of the weights")
        self.remove_button = button("Remove from the list", self._remove)
        self._buttons = row(
            self.download_button,
            self.cancel_button,
            self.folder_button,
            self.remove_button,
            spacing=theme.XS,
        )
        column.addLayout(self._buttons)
        self.show_progress(None)

    def show_row(self, shown: ModelRow) -> None:
        """Show where the weights of a model are."""
        self._row = shown
        set_role(self.text, tone="bad" if shown.state and shown.state.where == "none" else "")
        self.show_progress(None)

    def show_progress(self, fetched: Fetched | None) -> None:
        """How far a download is; None while nothing is fetched."""
        is_on = fetched is not None
        shown = self._row
        state = None if shown is None else shown.state
        is_online = shown is not None and not shown.is_here and not (state and state.path)
        is_added = shown is not None and shown.card.source in ADDED_SOURCES
        can_fetch = shown is not None and shown.card.source not in ("file", "hub")
        self.bar.setVisible(is_on)
        self.cancel_button.setVisible(is_on)
        self.download_button.setVisible(is_online and can_fetch and not is_on)
        self.folder_button.setVisible(state is not None and state.path is not None and not is_on)
        self.remove_button.setVisible(is_added and not is_on)
        if fetched is None:
            self.text.setText("" if shown is None else _breakable(weights_text(shown)))
            return
        done, total = fetched.done_bytes, fetched.total_bytes
        self.bar.setRange(0, _BAR_STEPS if total else 0)
        self.bar.setValue(int(_BAR_STEPS * done / total) if total else 0)
        amount = file_size(done)
        if total:
            amount += f" of {file_size(total)}"
        self.text.setText(f"{amount} fetched" if done else "Asking for the weights …")
        self.bar.setAccessibleDescription(self.text.text())

    def _download(self) -> None:
        if self._row is not None:
            self.download_wanted.emit(self._row.card)

    def _cancel(self) -> None:
        if self._row is not None:
            self.cancel_wanted.emit(self._row.card.id)

    def _remove(self) -> None:
        if self._row is not None:
            self.remove_wanted.emit(self._row.card)

    def _open_folder(self) -> None:
        state = None if self._row is None else self._row.state
        if state is not None and state.path is not None:
            folder = state.path if state.path.is_dir() else state.path.parent
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))


def weights_text(shown: ModelRow) -> str:
    """Where the weights are, how large, and what that means, in one or two sentences."""
    card, state = shown.card, shown.state
    size = "" if state is None or state.size_bytes is None else f", {file_size(state.size_bytes)}"
    if state is not None and state.where == "bundled":
        return f"{card.shown_name} comes with Graftwork{size}: it works without a network."
    if state is not None and state.where == "imported":
        kind = "a folder of yours" if state.path and state.path.is_dir() else "a file of yours"
        base = card.base if isinstance(card, FileCard) else ""
        as_what = f", which fit {base}" if base else ""
        return f"Weights from {kind}{as_what}{size}: {state.origin}"
    if state is not None and state.where == "none":
        where = f" It was {state.path}." if state.path else f" It would be {state.origin}."
        return f"Its weights are not there any more.{where}"
    if shown.is_here:
        return f"Weights downloaded{size}, from {site(card)}."
    if card.source == "hub":
        return "The repository is not on this machine; it is fetched at the first use."
    about = f"about {file_size(card.params * _BYTES_PER_PARAM)}, " if card.params else ""
    return (
        f"Weights online, {about}at {site(card)}{_hub_name(card)}. They are fetched now or at the "
        "first use, which needs a network."
    )


def site(card: ModelCard) -> str:
    """Where weights come from, by name."""
    if card.weights.startswith("hf-hub:"):
        return "Hugging Face"
    if card.source == "bundled":
        return "the package index"
    return urlparse(card.weights).hostname or "its source"


def _hub_name(card: ModelCard) -> str:
    return f" as {card.weights.removeprefix('hf-hub:')}" if card.weights.startswith("hf-") else ""


def _breakable(text: str) -> str:
    """`text` with places at which a long name may go on in the next line."""
    for mark in "_./":
        text = text.replace(mark, f"{mark}\u200b")
    return text
