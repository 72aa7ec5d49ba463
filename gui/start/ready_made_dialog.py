"""Ready-made datasets: the table of what there is, one in detail, and the way to have it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtWidgets import (
    QDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QTableView,
    QWidget,
)

from core.errors import AppError
from gui.kit import theme
from gui.kit.basics import Card, button, hbox, label, progress_bar, vbox
from gui.kit.notice_bar import NoticeBar
from gui.kit.table import Column, ColumnTable, set_up_view, set_widths
from gui.kit.theme import Theme

if TYPE_CHECKING:
    from gui.start.ready_made_commands import ReadyMadeCommands
    from gui.start.ready_made_jobs import Offer

_WIDTHS = (192, 0, 72, 68, 84, 152, 92)
"""Pixels of a column; 0 takes what is left."""
_SIZE = (1020, 660)


def _download_size(offer: Offer) -> str:
    return size_text(offer.entry.download_mb) if offer.entry.download_mb else "–"


class OfferModel(ColumnTable["Offer"]):
    """One row per set, the digits first."""

    def __init__(self) -> None:
        super().__init__(
            [
                Column(heading, text, is_number, tip=text)
                for heading, text, is_number in (
                    ("Name", lambda offer: offer.entry.title, False),
                    ("What it shows", lambda offer: offer.entry.shows, False),
                    ("Images", lambda offer: f"{offer.entry.images:,}", True),
                    ("Classes", lambda offer: f"{offer.entry.classes:,}", True),
                    ("Download", _download_size, True),
                    ("Licence", lambda offer: offer.entry.licence, False),
                    ("State", self._state, False),
                )
            ]
        )
        self._downloading = ""

    def show_offers(self, offers: Sequence[Offer], downloading: str) -> None:
        """Replace all rows; `downloading`: the id of the set that is being fetched."""
        self._downloading = downloading
        self.show_rows(offers)

    def _state(self, offer: Offer) -> str:
        if offer.entry.id == self._downloading:
            return "downloading"
        return "here" if offer.is_here else "not here"


class ReadyMadeDialog(QDialog):
    """Opens a set through the commands and closes itself then."""

    def __init__(self, parent: QWidget, look: Theme, commands: ReadyMadeCommands) -> None:
        super().__init__(parent)
        self._commands = commands
        self.setWindowTitle("Ready-made datasets")
        room = parent.window().size()
        self.resize(min(_SIZE[0], room.width() - 40), min(_SIZE[1], room.height() - 40))
        column = vbox(self, margins=(theme.XL, theme.L, theme.XL, theme.L), spacing=theme.M)
        self.notices = NoticeBar(look)
        column.addWidget(self.notices)
        column.addWidget(
            label(
                "Published sets for classification. torchvision downloads them from their "
                "authors into Graftwork's own data folder, after you press Download. Their "
                "official split is kept.",
                "muted",
                wraps=True,
            )
        )
        self.table_model = OfferModel()
        self.table = self._make_table()
        column.addWidget(self.table, 1)
        column.addWidget(self._make_details())
        column.addLayout(self._make_progress())
        column.addLayout(self._make_buttons())
        commands.listed.connect(self._show_offers)
        commands.progressed.connect(self._show_progress)
        commands.ended.connect(self._show_end)
        commands.failed.connect(self._show_error)
        self._show_choice()
        commands.refresh()

    # -- building ----------------------------------------------------------------------------

    def _make_table(self) -> QTableView:
        table = QTableView()
        table.setModel(self.table_model)
        set_up_view(table, "Ready-made datasets")  # one line a row; the full words are below
        set_widths(table, _WIDTHS)
        table.selectionModel().currentRowChanged.connect(self._row_changed)
        table.activated.connect(self._activated)
        return table

    def _make_details(self) -> Card:
        card = Card(margin=theme.M)
        self.title = label("", "heading", wraps=True)
        card.body.addWidget(self.title)
        grid = QGridLayout()
        grid.setHorizontalSpacing(theme.L)
        grid.setVerticalSpacing(theme.XS)
        grid.setColumnStretch(1, 1)
        self.facts: dict[str, QLabel] = {}
        for position, name in enumerate(("Licence", "Split", "Size", "By", "Cite")):
            head = label(name, "muted")
            head.setAlignment(Qt.AlignmentFlag.AlignTop)
            grid.addWidget(head, position, 0)
            self.facts[name] = label("", wraps=True)
            self.facts[name].setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            grid.addWidget(self.facts[name], position, 1)
        # Citations take one line or two: the table keeps its height while a person walks through.
        self.facts["Cite"].setMinimumHeight(2 * self.fontMetrics().lineSpacing())
        self.facts["Cite"].setAlignment(Qt.AlignmentFlag.AlignTop)
        card.body.addLayout(grid)
        return card

    def _make_progress(self) -> QHBoxLayout:
        line = hbox(spacing=theme.M)
        self.progress_text = label("", "muted")
        self.progress = progress_bar("Progress of the download")
        self.cancel_button = button("Cancel the download", self._commands.cancel)
        line.addWidget(self.progress, 1)
        line.addWidget(self.progress_text)
        line.addWidget(self.cancel_button)
        for part in (self.progress, self.progress_text, self.cancel_button):
            part.hide()
        return line

    def _make_buttons(self) -> QHBoxLayout:
        line = hbox()
        self.remove_button = button("Move to the trash", self._remove)
        line.addWidget(self.remove_button)
        line.addStretch(1)
        self.download_button = button("Download", self._download, role="primary")
        self.open_button = button("Open", self._open, role="primary")
        line.addWidget(self.download_button)
        line.addWidget(self.open_button)
        line.addWidget(button("Close", self.reject))
        return line

    # -- the choice --------------------------------------------------------------------------

    @property
    def offer(self) -> Offer | None:
        row = self.table.currentIndex().row()
        return self.table_model.row_at(row) if 0 <= row < self.table_model.rowCount() else None

    def choose(self, name: str) -> None:
        """Select the set of an id."""
        for row, offer in enumerate(self.table_model.rows):
            if offer.entry.id == name:
                self.table.selectRow(row)

    def _show_offers(self, offers: Sequence[Offer]) -> None:
        chosen = self.offer.entry.id if self.offer else "digits"
        self.table_model.show_offers(offers, self._commands.downloading)
        self.choose(chosen)
        self._show_choice()

    def _row_changed(self, _now: QModelIndex, _before: QModelIndex) -> None:
        self._show_choice()

    def _show_choice(self) -> None:
        offer = self.offer
        is_busy = bool(self._commands.downloading)
        self.open_button.setVisible(offer is not None and offer.is_here)
        self.download_button.setVisible(offer is not None and not offer.is_here)
        self.download_button.setEnabled(not is_busy)
        comes_along = offer is not None and offer.entry.id == "digits"
        self.remove_button.setVisible(offer is not None and offer.is_here and not comes_along)
        if offer is None:
            return
        entry = offer.entry
        self.title.setText(f"{entry.title}: {entry.shows}")
        needs = f" Also needs: pip install {' '.join(entry.needs)}." if entry.needs else ""
        size = (
            f"{size_text(entry.download_mb)} to download, up to {size_text(entry.disk_mb)} on the "
            f"disk while it is unpacked.{needs}"
        )
        licence = entry.licence[:1].upper() + entry.licence[1:]
        if entry.licence == "not stated":
            licence += ": ask its authors before any use beyond your own study"
        self.facts["Licence"].setText(licence)
        self.facts["Split"].setText(entry.split_text)
        self.facts["Size"].setText(size if entry.download_mb else "Comes with Graftwork.")
        self.facts["By"].setText(entry.home)
        self.facts["Cite"].setText(entry.citation)
        self.download_button.setText(f"Download ({size_text(entry.download_mb)})")
        self.download_button.setAccessibleName(f"Download {entry.title}")
        self.open_button.setAccessibleName(f"Open {entry.title}")

    # -- actions -----------------------------------------------------------------------------

    def _activated(self, _index: QModelIndex) -> None:
        if self.offer is not None and self.offer.is_here:
            self._open()

    def _open(self) -> None:
        if self.offer is not None:
            self._commands.open(self.offer.entry.id)
            self.accept()

    def _download(self) -> None:
        if self.offer is None:
            return
        entry = self.offer.entry
        self.notices.clear()
        self._commands.download(entry.id, entry.title)
        self._show_progress(entry.id, -1, (0, 0), "connecting")
        self._commands.refresh()

    def _remove(self) -> None:
        if self.offer is not None:
            self.notices.clear()
            self._commands.remove(self.offer.entry.id)

    # -- what comes back ---------------------------------------------------------------------

    def _show_progress(self, _name: str, share: int, counts: tuple[int, int], note: str) -> None:
        for part in (self.progress, self.progress_text, self.cancel_button):
            part.show()
        self.progress.setRange(0, 1000 if share >= 0 else 0)
        self.progress.setValue(max(share, 0))
        done, total = counts
        if note == "sorting images":
            text = f"Sorting images: {done:,} of {total:,}"
        elif total and note == "downloading":
            text = f"{done / 1e6:,.1f} of {total / 1e6:,.1f} MB"
        else:
            text = f"{note[:1].upper()}{note[1:]} …"
        self.progress_text.setText(text)
        self.download_button.setEnabled(False)

    def _show_end(self, sentence: str) -> None:
        for part in (self.progress, self.progress_text, self.cancel_button):
            part.hide()
        if sentence:
            self.notices.show_notice(sentence)

    def _show_error(self, error: AppError) -> None:
        self.notices.show_error(error)


def size_text(megabytes: int) -> str:
    return f"{megabytes / 1000:,.1f} GB" if megabytes >= 1000 else f"{megabytes:,} MB"
