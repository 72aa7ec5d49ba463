"""The dialog of ready-made datasets: what a set is, before anything is downloaded; then the way."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from PySide6.QtCore import QAbstractItemModel, Qt

from core.data.sources import downloads
from core.errors import DatasetError
from core.events import check_stop
from gui.start.ready_made_dialog import OfferModel, ReadyMadeDialog


@pytest.fixture
def dialog(window, fake_core, qtbot) -> ReadyMadeDialog:
    page = window.page("start")
    page.ready_made_button.click()
    made = page.window().findChild(ReadyMadeDialog)
    qtbot.waitUntil(lambda: made.table_model.rowCount() > 0)
    return made


class FakeDownload:
    """core's download: half of it comes, then it waits for the gate or the stop."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.error: Exception | None = None

    def __call__(self, name, *, on_progress, should_stop) -> Path:
        on_progress(40_000_000, 80_000_000, "downloading")
        while not self.gate.wait(0.005):
            check_stop(should_stop)
        if self.error is not None:
            raise self.error
        folder = downloads.folder_of(downloads.find(name))
        folder.mkdir(parents=True)
        return folder


@pytest.fixture
def fake(monkeypatch) -> FakeDownload:
    made = FakeDownload()
    monkeypatch.setattr(downloads, "download", made)
    return made


def texts(model: QAbstractItemModel, row: int) -> list[str]:
    return [model.index(row, column).data() for column in range(model.columnCount())]


def test_the_digits_come_first_and_are_here(dialog) -> None:
    assert texts(dialog.table_model, 0)[::6] == ["Handwritten digits", "here"]
    assert dialog.offer.entry.id == "digits"
    assert dialog.open_button.isVisible()
    assert not dialog.download_button.isVisible()
    assert not dialog.remove_button.isVisible()


def test_licence_size_and_split_are_shown_before_the_download(dialog) -> None:
    dialog.choose("flowers102")
    assert dialog.title.text().startswith("Oxford 102 Flowers")
    assert dialog.facts["Licence"].text().startswith("Not stated: ask its authors")
    assert dialog.facts["Split"].text() == "train 1,020 · val 1,020 · test 6,149"
    assert "345 MB to download" in dialog.facts["Size"].text()
    assert "Nilsback" in dialog.facts["Cite"].text()
    assert dialog.download_button.text() == "Download (345 MB)"
    assert not dialog.open_button.isVisible()
    dialog.choose("pcam")
    assert "pip install gdown h5py" in dialog.facts["Size"].text()


def test_a_download_shows_its_progress_and_ends_as_a_set_that_opens(
    dialog, window, fake, fake_core, qtbot
) -> None:
    dialog.choose("eurosat")
    dialog.download_button.click()
    qtbot.waitUntil(lambda: dialog.progress_text.text() == "40.0 of 80.0 MB")
    assert dialog.progress.value() == 500
    assert not dialog.download_button.isEnabled(), "one at a time"
    fake.gate.set()
    qtbot.waitUntil(dialog.open_button.isVisible)
    assert not dialog.progress.isVisible()
    assert dialog.offer.entry.id == "eurosat"
    assert dialog.remove_button.isVisible()
    dialog.open_button.click()
    assert not dialog.isVisible()
    qtbot.waitUntil(lambda: window.session.scan_state == "ready")
    assert window.current_page == "data"


def test_a_cancelled_download_says_that_nothing_was_kept(dialog, fake, qtbot) -> None:
    dialog.choose("eurosat")
    dialog.download_button.click()
    qtbot.waitUntil(lambda: dialog.progress.value() == 500)
    dialog.cancel_button.click()
    qtbot.waitUntil(lambda: "cancelled; nothing of it was kept" in dialog.notices.text)
    assert not dialog.progress.isVisible()
    qtbot.waitUntil(dialog.download_button.isEnabled)


def test_a_download_that_fails_is_told_with_what_to_do(dialog, fake, qtbot) -> None:
    fake.error = DatasetError("EuroSAT could not be downloaded: no network.", "Try later.")
    fake.gate.set()
    dialog.choose("eurosat")
    dialog.download_button.click()
    qtbot.waitUntil(lambda: "no network. Try later." in dialog.notices.text)
    qtbot.waitUntil(dialog.download_button.isEnabled)


def test_a_download_goes_on_when_the_dialog_is_closed(dialog, window, fake, qtbot) -> None:
    dialog.choose("eurosat")
    dialog.download_button.click()
    dialog.reject()
    assert window.commands.ready_made.downloading == "eurosat"
    again = window.page("start").open_ready_made()
    qtbot.waitUntil(lambda: again.progress.isVisible() and again.progress.value() == 500)
    row = [offer.entry.id for offer in again.table_model.rows].index("eurosat")
    assert texts(again.table_model, row)[6] == "downloading"
    fake.gate.set()
    qtbot.waitUntil(lambda: not again.progress.isVisible())
    again.reject()


def test_a_downloaded_set_can_be_moved_to_the_trash(dialog, monkeypatch, qtbot) -> None:
    folder = downloads.folder_of(downloads.find("usps"))
    folder.mkdir(parents=True)
    monkeypatch.setattr("send2trash.send2trash", lambda path: Path(path).rmdir())
    dialog._commands.refresh()
    dialog.choose("usps")
    qtbot.waitUntil(dialog.remove_button.isVisible)
    dialog.remove_button.click()
    qtbot.waitUntil(dialog.download_button.isVisible)
    assert not folder.exists()


def test_the_dialog_works_by_keyboard(dialog, window, fake_core, qtbot) -> None:
    dialog.table.setFocus()
    qtbot.keyClick(dialog.table, Qt.Key.Key_Down)
    assert dialog.offer.entry.id == "flowers102"
    qtbot.keyClick(dialog.table, Qt.Key.Key_Up)
    qtbot.keyClick(dialog.table, Qt.Key.Key_Return)
    assert not dialog.isVisible(), "Enter opens what is here"
    qtbot.waitUntil(lambda: window.session.scan_state == "ready")


def test_the_model_of_the_table_is_sound(qtmodeltester) -> None:
    from gui.start.ready_made_jobs import Offer

    model = OfferModel()
    model.show_offers([Offer(entry, False) for entry in downloads.all_sets()], "")
    qtmodeltester.check(model)
