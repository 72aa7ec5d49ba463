from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from core.errors import DecodeError
from core.images.metadata import read_metadata


def test_facts_are_those_of_the_upright_picture_and_name_the_camera(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112], exif[0x0132] = (
        "Canon", "Canon EOS", 6, "2020:01:02 03:04:05",
    )  # fmt: skip
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    facts = read_metadata(tmp_path / "a.jpg")
    assert (facts.width, facts.height) == (20, 40)
    assert facts.bytes == (tmp_path / "a.jpg").stat().st_size
    assert (facts.format, facts.mode, facts.camera) == ("JPEG", "RGB", "Canon EOS")
    assert facts.taken == "2020-01-02 03:04:05"
    assert facts.is_turned


def test_a_picture_without_exif_says_nothing_of_a_camera(tmp_path: Path) -> None:
    Image.new("I;16", (4, 4)).save(tmp_path / "a.png")
    facts = read_metadata(tmp_path / "a.png")
    assert facts.mode == "gray, 16 bits"
    assert (facts.camera, facts.taken, facts.is_turned) == ("", "", False)


def test_what_is_no_picture_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"hello")
    with pytest.raises(DecodeError):
        read_metadata(tmp_path / "a.jpg")
