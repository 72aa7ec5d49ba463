"""A drop finds its place, wherever in the window it falls."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QUrl
from PySide6.QtGui import QColor, QDragEnterEvent, QGuiApplication, QImage, Qt
from PySide6.QtWidgets import QApplication, QWidget

from core.errors import AppError
from gui.data import jobs
from gui.data.drops import find_destination


def all_answered(window) -> bool:
    pictures = window.session.pictures
    return bool(pictures) and all(picture.result is not None for picture in pictures)


PAGES = ("start", "data", "train", "classify")


def test_a_folder_is_a_dataset_and_an_image_is_classified(image_folder: Path) -> None:
    image = image_folder / "ant" / "0.png"
    assert find_destination([image_folder]).kind == "dataset"
    assert find_destination([image]).kind == "images"
    assert find_destination([image, image]).paths == (image, image)


def test_a_run_folder_is_known_by_its_recipe_and_classes(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("")
    assert find_destination([tmp_path]).kind == "dataset"
    (tmp_path / "classes.json").write_text("[]")
    assert find_destination([tmp_path]).kind == "run"


def test_what_is_left_out_of_a_mixed_drop_is_said(image_folder: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("x")
    mixed = find_destination([image_folder / "ant" / "0.png", notes])
    assert mixed.rest == "“notes.txt” was left out: not an image."
    folder = find_destination([image_folder, notes])
    assert folder.paths == (image_folder,)
    assert folder.rest == "“notes.txt” was left out."


def test_folders_tables_and_archives_dropped_together_are_one_dataset(
    image_folder: Path, tmp_path: Path
) -> None:
    table, archive = tmp_path / "labels.CSV", tmp_path / "set.tar.gz"
    for file in (table, archive):
        file.write_bytes(b"")
    sources = (image_folder, table, archive)
    assert find_destination(sources).kind == "dataset"
    assert find_destination(sources).paths == sources
    assert find_destination([table]).paths == (table,)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("notes.txt", "“notes.txt” is neither a folder nor an image."),
        ("gone.txt", "“gone.txt” is not there any more."),
    ],
)
def test_what_belongs_nowhere_is_refused_by_name(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(AppError, match=said):
        find_destination([tmp_path / name])


@pytest.mark.parametrize("page", PAGES)
def test_a_folder_dropped_on_any_page_opens_on_data(
    qtbot, window, fake_core, drop, image_folder, page
) -> None:
    window.show_page(page)
    assert drop(window, [image_folder])
    qtbot.waitUntil(lambda: window.session.dataset is not None)
    assert window.current_page == "data"


def test_a_folder_and_a_table_dropped_together_open_as_one(
    qtbot, window, fake_core, drop, image_folder, tmp_path, monkeypatch
) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("path,label")
    opened = []

    def scan(paths, context):
        opened.append(paths)
        return fake_core.dataset

    monkeypatch.setattr(jobs, "scan_folder", scan)
    assert drop(window, [image_folder, table])
    qtbot.waitUntil(lambda: window.session.scan_state == "ready")
    assert opened == [(image_folder, table)]


def test_a_table_stays_among_the_recent_datasets(window, fake_core, tmp_path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("path,label")
    dataset = dataclasses.replace(fake_core.dataset, sources=(table,))
    window.commands.opening._scanned(dataset)
    assert window.settings.recent_datasets == [table]
    window.recent.fill()
    assert [action.text() for action in window.recent.actions()] == ["labels.csv"]


@pytest.mark.parametrize("page", PAGES)
def test_an_image_dropped_on_any_page_is_classified(
    qtbot, window, fake_core, drop, image_folder, page
) -> None:
    window.show_page(page)
    assert drop(window, [image_folder / "bee" / "1.png"])
    qtbot.waitUntil(lambda: all_answered(window))
    assert window.current_page == "classify"
    assert window.page("classify").answer.text() == "ant"


def test_no_child_of_the_window_keeps_a_drop_for_itself(qtbot, window, fake_core) -> None:
    window.commands.start_up.begin()
    for page in PAGES:
        window.show_page(page)
    window.commands.opening.open_sample()
    qtbot.waitUntil(lambda: window.session.dataset is not None)
    window.start_training()
    fake_core.train_gate.set()
    qtbot.waitUntil(lambda: window.session.live_run.result is not None)
    takers = [w for w in window.findChildren(QWidget) if w.acceptDrops()]
    assert [w.metaObject().className() for w in takers] == []


def test_a_dropped_text_file_is_refused_where_it_fell(window, drop, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("x")
    window.show_page("data")
    assert drop(window, [notes])
    assert "“notes.txt” is neither a folder nor an image." in window.page("data").notices.text
    assert window.current_page == "data"


def test_a_drag_says_what_a_drop_would_do(window, image_folder: Path) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(image_folder))])
    event = QDragEnterEvent(
        QPoint(5, 5),
        Qt.DropAction.CopyAction,
        mime,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(window, event)
    assert event.isAccepted()
    assert window.overlay.isVisible()
    assert window.overlay.text == "Drop to open “insects” as a dataset"


def test_a_pasted_picture_is_classified(qtbot, window, fake_core) -> None:
    image = QImage(20, 20, QImage.Format.Format_RGB32)
    image.fill(QColor("red"))
    QGuiApplication.clipboard().setImage(image)
    window.actions_by_name["paste"].trigger()
    qtbot.waitUntil(lambda: all_answered(window))
    assert window.current_page == "classify"


def test_pasting_nothing_says_so(window) -> None:
    QGuiApplication.clipboard().setText("words")
    window.actions_by_name["paste"].trigger()
    assert "no picture" in window.page("start").notices.text
