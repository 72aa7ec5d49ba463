"""Thumbnails for galleries and the cache they are kept in."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from PIL import Image

from core.errors import Cancelled
from core.events import never_stop
from core.images import thumbnails


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = []
    for i in range(5):
        path = tmp_path / f"{i}.png"
        Image.new("RGB", (300, 200), (40 * i, 100, 200)).save(path)
        paths.append(path)
    return paths


@pytest.fixture
def look(tmp_path: Path, monkeypatch):
    """`look(paths)` → (pictures and errors by path, how many files were decoded)"""
    decoded: list[Path] = []
    read = thumbnails.read_image

    def count(path: Path, *, short_side: int) -> Image.Image:
        decoded.append(path)
        return read(path, short_side=short_side)

    monkeypatch.setattr(thumbnails, "read_image", count)

    def do(paths: list[Path], side: int = 64, file: Path | None = None):
        decoded.clear()
        got = {}

        def take(path: Path, picture: Image.Image | None, error: str) -> None:
            got[path] = picture or error

        thumbnails.read_thumbnails(
            paths, side, on_thumbnail=take,
            should_stop=never_stop, file=file or tmp_path / "cache.sqlite",
        )  # fmt: skip
        return got, len(decoded)

    return do


def test_the_second_look_decodes_nothing_and_shows_the_same(look, pictures) -> None:
    first, decoded = look(pictures)
    again, decoded_again = look(pictures)
    assert (decoded, decoded_again) == (5, 0)
    for path in pictures:
        assert again[path].size == (64, 64)
        a, b = first[path].getpixel((32, 32)), again[path].getpixel((32, 32))
        assert max(abs(x - y) for x, y in zip(a, b, strict=True)) <= 3
    assert look(pictures, side=80)[1] == 5


def test_a_file_that_changed_is_read_anew(look, pictures) -> None:
    look(pictures)
    Image.new("RGB", (300, 200), (255, 0, 0)).save(pictures[0])
    os.utime(pictures[0], ns=(1, 1))
    again, decoded = look(pictures)
    assert decoded == 1
    assert again[pictures[0]].getpixel((32, 32))[0] > 250


def test_a_broken_file_is_named_and_a_small_one_stays_small(look, tmp_path: Path) -> None:
    broken, small = tmp_path / "broken.png", tmp_path / "small.png"
    broken.write_bytes(b"no picture")
    Image.new("RGB", (8, 9)).save(small)
    got, _ = look([broken, small, tmp_path / "gone.png"])
    assert "not a picture" in got[broken]
    assert got[small].size == (8, 8)
    assert isinstance(got[tmp_path / "gone.png"], str)


@pytest.mark.parametrize("damage", ["garbage", "folder"])
def test_without_a_usable_cache_pictures_are_shown_all_the_same(
    look, pictures, tmp_path: Path, damage
) -> None:
    file = tmp_path / "spoilt.sqlite"
    file.write_bytes(b"no database " * 500) if damage == "garbage" else file.mkdir()
    got, decoded = look(pictures, file=file)
    assert decoded == 5
    assert all(picture.size == (64, 64) for picture in got.values())


def test_a_damaged_thumbnail_is_made_again(look, pictures, tmp_path: Path) -> None:
    look(pictures)
    with sqlite3.connect(tmp_path / "cache.sqlite") as db:
        db.execute("UPDATE squares SET picture = X'00'")
    assert look(pictures)[1] == 5


def test_above_the_budget_the_thumbnails_seen_longest_ago_go(
    look, pictures, tmp_path: Path, monkeypatch
) -> None:
    look(pictures[:4])
    with sqlite3.connect(tmp_path / "cache.sqlite") as db:
        db.execute("UPDATE squares SET seen = 1 WHERE path = ?", (os.fsencode(pictures[2]),))
        (size,) = db.execute("SELECT MAX(LENGTH(picture)) FROM squares").fetchone()
    monkeypatch.setattr(thumbnails, "BUDGET_BYTES", 4 * size + size // 2)
    look(pictures[4:])
    with sqlite3.connect(tmp_path / "cache.sqlite") as db:
        left = {os.fsdecode(path) for (path,) in db.execute("SELECT path FROM squares")}
    assert str(pictures[2]) not in left
    assert str(pictures[4]) in left


def test_a_stop_ends_it_at_the_next_picture(pictures, tmp_path: Path) -> None:
    got: list[Path] = []
    with pytest.raises(Cancelled):
        thumbnails.read_thumbnails(
            pictures, 64, on_thumbnail=lambda path, _picture, _error: got.append(path),
            should_stop=lambda: len(got) >= 2, file=tmp_path / "cache.sqlite",
        )  # fmt: skip
    assert len(got) == 2
