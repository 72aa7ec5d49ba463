"""The gallery: arithmetic instead of items, pictures only where they are in sight."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QHelpEvent, QImage
from PySide6.QtWidgets import QApplication, QToolTip

from gui.kit.theme import Theme
from gui.kit.workers import JobRunner
from gui.pictures import cache
from gui.pictures.entries import FileEntries, NoEntries
from gui.pictures.feed import GalleryFeed
from gui.pictures.gallery import Gallery

MANY = 100_000


@pytest.fixture
def gallery(qtbot, qapp) -> Gallery:
    made = Gallery(Theme("light"))
    qtbot.addWidget(made)
    made.resize(600, 400)
    made.show()
    return made


def _entries(count: int, *, captions: bool = False) -> FileEntries:
    files = [f"{i:06d}.png" for i in range(count)]
    return FileEntries(Path("/nowhere"), files, files if captions else ())


def _image() -> QImage:
    image = QImage(104, 104, QImage.Format.Format_RGB888)
    image.fill(0x336699)
    return image


@pytest.mark.parametrize("captions", [False, True])
@pytest.mark.parametrize("is_strip", [False, True])
def test_every_position_is_found_again_under_its_own_cell(qtbot, captions, is_strip) -> None:
    gallery = Gallery(Theme("light"), is_strip=is_strip)
    qtbot.addWidget(gallery)
    gallery.resize(600, 400)
    gallery.show_entries(_entries(MANY, captions=captions))
    for position in (0, 1, 7, 4_999, 50_000, MANY - 1):
        gallery.choose(position)
        cell = gallery._cell(position)
        assert gallery.viewport().rect().contains(cell)
        assert gallery.position_at(cell.center()) == position
        assert position in gallery._visible_range()
    assert gallery.position_at(QPoint(1, 1)) is None


def test_keys_walk_over_all_pictures_and_stop_at_the_ends(gallery, qtbot) -> None:
    gallery.show_entries(_entries(1003))
    columns = gallery._columns()
    walk = [
        (Qt.Key.Key_Left, 0),
        (Qt.Key.Key_Right, 1),
        (Qt.Key.Key_Down, 1 + columns),
        (Qt.Key.Key_Up, 1),
        (Qt.Key.Key_Up, 1),
        (Qt.Key.Key_End, 1002),
        (Qt.Key.Key_Down, 1002),
        (Qt.Key.Key_PageDown, 1002),
        (Qt.Key.Key_Home, 0),
        (Qt.Key.Key_PageUp, 0),
    ]
    for key, position in walk:
        qtbot.keyClick(gallery, key)
        assert gallery.current == position, key
    qtbot.keyClick(gallery, Qt.Key.Key_PageDown)
    assert gallery.current == columns * (gallery._room() // gallery._step())


def test_down_reaches_the_last_row_even_where_it_is_shorter(gallery, qtbot) -> None:
    columns = gallery._columns()
    gallery.show_entries(_entries(columns + 1))
    gallery.choose(columns - 1)
    qtbot.keyClick(gallery, Qt.Key.Key_Down)
    assert gallery.current == columns


@pytest.mark.parametrize("key", [Qt.Key.Key_Return, Qt.Key.Key_Space])
def test_enter_and_space_open_the_current_picture_and_so_does_a_click(gallery, qtbot, key) -> None:
    gallery.show_entries(_entries(10))
    opened = []
    gallery.opened.connect(opened.append)
    qtbot.keyClick(gallery, Qt.Key.Key_Right)
    qtbot.keyClick(gallery, key)
    qtbot.mouseClick(gallery.viewport(), Qt.MouseButton.LeftButton, pos=gallery._cell(3).center())
    assert opened == [1, 3]
    assert gallery.current == 3


def test_an_empty_gallery_says_why_and_no_key_harms_it(gallery, qtbot) -> None:
    gallery.show_entries(NoEntries(), empty_text="Nothing here.")
    opened = []
    gallery.opened.connect(opened.append)
    for key in (Qt.Key.Key_Return, Qt.Key.Key_Down, Qt.Key.Key_End, Qt.Key.Key_PageDown):
        qtbot.keyClick(gallery, key)
    gallery.grab()
    assert opened == []
    assert gallery.accessibleDescription() == "Nothing here."


def test_the_description_says_which_picture_is_current(gallery, qtbot) -> None:
    gallery.show_entries(_entries(1200))
    qtbot.keyClick(gallery, Qt.Key.Key_Right)
    assert gallery.accessibleDescription() == "2 of 1,200: 000001.png"


def test_hovering_names_the_file_and_why_it_cannot_be_read(gallery, qtbot) -> None:
    gallery.show_entries(_entries(10))
    gallery.fill(Path("/nowhere/000002.png"), QImage(), "it is cut short")
    point = gallery._cell(2).center()
    event = QHelpEvent(QEvent.Type.ToolTip, point, gallery.viewport().mapToGlobal(point))
    QApplication.sendEvent(gallery.viewport(), event)
    assert QToolTip.text() == "000002.png\nit is cut short"
    QToolTip.hideText()


def test_only_pictures_in_sight_and_of_the_next_screen_are_asked_for(gallery, qtbot) -> None:
    wanted = []
    gallery.wanted.connect(lambda paths, side: wanted.append((paths, side)))
    gallery.show_entries(_entries(MANY))
    qtbot.waitUntil(lambda: len(wanted) > 0)
    paths, side_px = wanted[-1]
    assert paths[0].name == "000000.png"
    assert len(paths) <= 4 * len(gallery._visible_range())
    assert side_px == round(gallery._side() * gallery.devicePixelRatioF())
    wanted.clear()
    bar = gallery.verticalScrollBar()
    for value in range(0, bar.maximum(), bar.maximum() // 50):
        bar.setValue(value)  # flies by: one wish for where it ends
    gallery.choose(MANY - 1)
    qtbot.waitUntil(lambda: len(wanted) > 0)
    assert len(wanted) == 1
    assert wanted[0][0][-1].name == f"{MANY - 1:06d}.png"


def test_what_is_there_is_not_asked_for_again_until_the_cells_change_their_size(
    gallery, qtbot
) -> None:
    wanted = []
    gallery.show_entries(_entries(4))
    for i in range(4):
        side = gallery._side_px()
        gallery.fill(Path(f"/nowhere/{i:06d}.png"), _image().scaled(side, side))
    gallery.wanted.connect(lambda paths, side: wanted.append(paths))
    gallery._ask()
    assert wanted == []
    gallery.fill(Path("/nowhere/000001.png"), _image().scaled(40, 40))
    gallery._ask()
    assert [path.name for path in wanted[0]] == ["000001.png"]


def test_pictures_long_out_of_sight_are_forgotten(gallery, qtbot, monkeypatch) -> None:
    monkeypatch.setattr(cache, "CACHE_BYTES", 20 * 104 * 104 * 4)
    gallery.show_entries(_entries(1000))
    for i in range(200):
        gallery.fill(Path(f"/nowhere/{i:06d}.png"), _image())
    assert len(gallery._cache) == 20
    assert gallery._cache.size_bytes == 20 * 104 * 104 * 4


def test_a_narrower_gallery_keeps_its_place_and_the_current_picture(gallery, qtbot) -> None:
    gallery.show_entries(_entries(5000))
    gallery.choose(2500)
    gallery.viewport().repaint()
    gallery.grab()
    gallery.resize(350, 400)
    QApplication.processEvents()
    assert gallery.viewport().rect().contains(gallery._cell(2500))


def test_pictures_are_read_and_broken_ones_marked(qtbot, tmp_path, qapp) -> None:
    files = []
    for i in range(6):
        assert _image().save(str(tmp_path / f"{i}.png"))
        files.append(f"{i}.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    gallery = Gallery(Theme("dark"))
    qtbot.addWidget(gallery)
    runner = JobRunner()
    GalleryFeed(gallery, runner, key="cells")
    gallery.resize(600, 400)
    gallery.show()
    gallery.show_entries(FileEntries(tmp_path, [*files, "broken.png", "gone.png"]))
    qtbot.waitUntil(lambda: gallery.filled_count == 6)
    qtbot.waitUntil(lambda: sum(bool(gallery._cache.error(p)) for p in gallery.paths) == 2)
    assert "not a picture" in gallery._cache.error(tmp_path / "broken.png")
    gallery.grab()
    runner.shut_down()
