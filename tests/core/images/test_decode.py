"""Every kind of file becomes one upright RGB picture, or one DecodeError with the right reason."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import random
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from core.errors import DecodeError
from core.images import decode as decoder
from core.images.decode import decode, read_header, read_image
from core.images.signatures import is_installed
from helpers import REPOSITORY, WAIT_S

WHITE = (255, 255, 255)


@pytest.fixture
def photo() -> Image.Image:
    """60 × 40, no two corners alike, smooth enough for JPEG."""
    x, y = np.meshgrid(np.linspace(0, 255, 60), np.linspace(0, 255, 40))
    pixels = np.stack([x, y, (x + y) / 2], axis=2).astype(np.uint8)
    image = Image.fromarray(pixels)
    ImageDraw.Draw(image).rectangle((2, 2, 20, 10), fill=(250, 40, 30))
    return image


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def difference(a: Image.Image, b: Image.Image) -> float:
    return float(np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16)).mean())


def png_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, body in chunks:
        checksum = struct.pack(">I", zlib.crc32(name + body))
        parts += [struct.pack(">I", len(body)), name, body, checksum]
    return b"".join(parts)


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("PPM", {}, 0),
        ("TGA", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("JPEG2000", {}, 0),
        ("JPEG", {"quality": 95}, 4),
        ("JPEG", {"quality": 95, "progressive": True}, 4),
        ("AVIF", {"quality": 95}, 4),
        ("GIF", {}, 12),
    ],
)
def test_every_format_comes_out_as_the_same_picture(photo, tmp_path, kind, options, tolerance):
    file = tmp_path / "picture.of.any.name"
    file.write_bytes(encoded(photo, kind, **options))
    picture = read_image(file)
    assert picture.mode == "RGB"
    assert difference(picture, photo) <= tolerance
    assert read_header(file) == photo.size


def test_a_cmyk_jpeg_comes_out_in_its_colours(photo):
    picture = decode(encoded(photo.convert("CMYK"), "JPEG", quality=95), "cmyk.jpg")
    assert difference(picture, photo) < 6


def test_a_lab_tiff_comes_out_in_its_colours(photo):
    from PIL import ImageCms

    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    lab = ImageCms.applyTransform(photo, to_lab)
    assert lab is not None
    assert difference(decode(encoded(lab, "TIFF"), "lab.tif"), photo) < 4


def test_palette_one_bit_and_gray_pictures_become_rgb(photo):
    gray = photo.convert("L")
    assert difference(decode(encoded(gray, "PNG"), "l.png"), gray.convert("RGB")) == 0
    bits = photo.convert("1")
    assert difference(decode(encoded(bits, "PNG"), "1.png"), bits.convert("RGB")) == 0
    palette = photo.convert("P", palette=Image.Palette.ADAPTIVE, colors=64)
    assert difference(decode(encoded(palette, "PNG"), "p.png"), palette.convert("RGB")) == 0


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_picture_comes_out_upright_whatever_its_exif_says(photo, tmp_path, kind, orientation):
    # What a camera stores that was held so: the inverse of what the decoder does.
    stored = {
        1: photo,
        2: photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: photo.transpose(Image.Transpose.ROTATE_180),
        4: photo.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: photo.transpose(Image.Transpose.TRANSPOSE),
        6: photo.transpose(Image.Transpose.ROTATE_90),
        7: photo.transpose(Image.Transpose.TRANSVERSE),
        8: photo.transpose(Image.Transpose.ROTATE_270),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = tmp_path / "camera"
    lossless = {"lossless": True} if kind == "WEBP" else {}
    file.write_bytes(encoded(stored, kind, exif=exif, **lossless))
    picture = read_image(file)
    assert picture.size == photo.size == read_header(file)
    assert difference(picture, photo) < (6 if kind == "JPEG" else 0.01)
    assert picture.getexif().get(0x0112, 1) == 1, "applied once, it must not be applied again"


def test_damaged_exif_does_not_make_a_good_picture_unreadable(photo, tmp_path):
    file = tmp_path / "damaged_exif.jpg"
    file.write_bytes(encoded(photo, "JPEG", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x09\x00ab"))
    assert read_image(file).size == read_header(file) == photo.size


def test_sixteen_bit_gray_is_scaled_and_not_clipped(photo):
    gray = photo.convert("L")
    deep = Image.fromarray(np.asarray(gray, np.uint16) * 257)
    for kind in ("PNG", "TIFF"):
        assert difference(decode(encoded(deep, kind), "deep"), gray.convert("RGB")) == 0


def test_twelve_bit_gray_in_sixteen_bits_uses_the_full_range(photo):
    values = np.linspace(0, 4095, 2400).reshape(40, 60).astype(np.uint16)
    picture = np.asarray(decode(encoded(Image.fromarray(values), "PNG"), "x_ray.png"))
    assert picture.min() == 0
    assert picture.max() == 255
    assert np.abs(picture[..., 0] - values / 4095 * 255).max() <= 0.5


def test_a_sixteen_bit_tiff_whose_zero_is_white_is_turned_round(photo):
    gray = photo.convert("L")
    data = encoded(Image.fromarray(np.asarray(gray, np.uint16) * 257), "TIFF")
    black_is_zero, white_is_zero = (struct.pack("<HHIHH", 262, 3, 1, v, 0) for v in (1, 0))
    assert data.count(black_is_zero) == 1
    negative = decode(data.replace(black_is_zero, white_is_zero), "x_ray.tif")
    assert difference(negative, Image.eval(gray, lambda v: 255 - v).convert("RGB")) == 0


def test_float_gray_is_scaled_from_its_range_and_holes_are_black():
    unit = np.linspace(0.0, 0.5, 100, dtype=np.float32).reshape(10, 10)
    picture = np.asarray(decode(encoded(Image.fromarray(unit), "TIFF"), "unit.tif"))
    assert picture.max() == 128, "0…1 is the range, not its own maximum"
    metres = np.linspace(-50.0, 1500.0, 100, dtype=np.float32).reshape(10, 10)
    metres[0, 0], metres[0, 1] = np.nan, np.inf
    picture = np.asarray(decode(encoded(Image.fromarray(metres), "TIFF"), "metres.tif"))
    assert picture[0, 0, 0] == picture[0, 1, 0] == 0
    assert picture[9, 9, 0] == 255
    largest = np.array([[-3e38, 3e38]], np.float32)
    picture = np.asarray(decode(encoded(Image.fromarray(largest), "TIFF"), "largest.tif"))
    assert picture[0, :, 0].tolist() == [0, 255]


def test_thirty_two_bit_integers_are_scaled():
    values = np.array([[-70000, 0, 70000]], np.int32)
    picture = np.asarray(decode(encoded(Image.fromarray(values), "TIFF"), "i32.tif"))
    assert picture[0, :, 0].tolist() == [0, 128, 255]


def test_transparency_is_laid_on_white_in_every_mode():
    rgba = Image.new("RGBA", (4, 1), (200, 0, 0, 255))
    rgba.putpixel((0, 0), (10, 20, 30, 0))
    rgba.putpixel((1, 0), (0, 0, 0, 128))
    picture = decode(encoded(rgba, "PNG"), "rgba.png")
    assert picture.getpixel((0, 0)) == WHITE
    assert picture.getpixel((1, 0)) == (127, 127, 127)
    assert picture.getpixel((2, 0)) == (200, 0, 0)

    la = Image.new("LA", (2, 1), (0, 0))
    assert decode(encoded(la, "PNG"), "la.png").getpixel((0, 0)) == WHITE
    keyed = Image.new("L", (2, 1), 7)
    assert decode(encoded(keyed, "PNG", transparency=7), "l.png").getpixel((0, 0)) == WHITE
    palette = Image.new("P", (2, 1), 1)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    for transparency in (1, b"\xff\x00"):
        data = encoded(palette, "PNG", transparency=transparency)
        assert decode(data, "p.png").getpixel((0, 0)) == WHITE
    assert decode(encoded(palette, "GIF", transparency=1), "p.gif").getpixel((0, 0)) == WHITE


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_many_counts(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((200, 0, 0), (0, 200, 0))]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    red, green, _ = decode(data, "film").getpixel((4, 4))  # type: ignore[misc]
    assert red > 190
    assert green < 10


@pytest.mark.parametrize(("width", "height"), [(1600, 1200), (1199, 1601), (640, 480), (250, 900)])
@pytest.mark.parametrize("short_side", [1, 64, 150, 224, 256, 600])
def test_a_scaled_jpeg_never_falls_below_the_short_side_asked_for(width, height, short_side):
    data = encoded(Image.new("RGB", (width, height), (90, 120, 30)), "JPEG")
    picture = decode(data, "large.jpg", short_side=short_side)
    short = min(width, height)
    assert min(picture.size) >= min(short_side, short)
    if short >= 2 * short_side:
        assert min(picture.size) <= short / 2 + 1
    else:
        assert picture.size == (width, height)


def test_scaling_while_decoding_shows_the_same_picture(photo):
    large = photo.resize((1200, 800), Image.Resampling.BICUBIC)
    data = encoded(large, "JPEG", quality=95)
    small = decode(data, "large.jpg", short_side=100)
    assert small.size == (150, 100)
    assert difference(small.resize(photo.size, Image.Resampling.BOX), photo) < 5


def test_a_picture_of_too_many_pixels_is_refused_before_memory_is_taken():
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = png_chunks((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    with pytest.raises(DecodeError, match="60000 × 60000 pixels"):
        decode(data, "bomb.png")


def test_a_jpeg_above_the_limit_is_read_where_scaling_brings_it_below(monkeypatch, tmp_path):
    monkeypatch.setattr(decoder, "MAX_PIXELS", 100_000)
    file = tmp_path / "huge.jpg"
    file.write_bytes(encoded(Image.new("RGB", (800, 600)), "JPEG"))
    assert read_header(file) == (800, 600)
    assert read_image(file, short_side=150).size == (200, 150)
    with pytest.raises(DecodeError, match="800 × 600 pixels, more than"):
        read_image(file)
    other = tmp_path / "huge.png"
    other.write_bytes(encoded(Image.new("RGB", (800, 600)), "PNG"))
    for read in (read_header, read_image):
        with pytest.raises(DecodeError, match="800 × 600 pixels, more than"):
            read(other)


def test_a_big_picture_waits_for_another_one(monkeypatch, photo):
    monkeypatch.setattr(decoder, "_BIG_PIXELS", 10)
    data = encoded(photo, "PNG")
    with ThreadPoolExecutor(4) as pool:
        pictures = list(pool.map(lambda _: decode(data, "big.png"), range(16)))
    assert all(difference(picture, photo) == 0 for picture in pictures)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "not a picture (it looks like HTML)"),
        (b"just words\n", "not a picture (it looks like text)"),
        (b'<?xml version="1.0"?><svg xmlns="x"></svg>', "it looks like SVG"),
        (b"%PDF-1.7\n", "it looks like a PDF"),
        (b"PK\x03\x04rest", "it looks like a ZIP archive"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        (b"\x89PNG\r\n\x1a\nrubbish", "begins like a PNG, but its header is damaged"),
        (random.Random(0).randbytes(5000), "it is not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it looks like PostScript"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path, content, reason):
    file = tmp_path / "holiday.jpg"
    file.write_bytes(content)
    for read in (read_header, read_image):
        with pytest.raises(DecodeError) as caught:
            read(file)
        assert caught.value.path == str(file)
        assert reason in caught.value.reason
        assert str(caught.value).startswith("holiday.jpg cannot be read as a picture: it ")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000"])
@pytest.mark.parametrize("short_side", [None, 16])
def test_a_file_cut_in_half_is_refused(kind, short_side):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (99, 99, 3), np.uint8))
    data = encoded(noise, kind)
    with pytest.raises(DecodeError):
        decode(data[: len(data) // 2], "half", short_side=short_side)


def test_a_cut_jpeg_is_said_to_be_cut(photo, tmp_path):
    data = encoded(photo, "JPEG")
    with pytest.raises(DecodeError, match="it is cut short"):
        decode(data[: len(data) * 2 // 3], "half.jpg")


def test_paths_that_are_no_files_are_named(tmp_path):
    with pytest.raises(DecodeError, match="there is no such file"):
        read_image(tmp_path / "gone.jpg")
    with pytest.raises(DecodeError, match=r"it is a folder|no permission"):
        read_image(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are a POSIX thing")
def test_a_pipe_is_refused_and_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for read in (read_header, read_image):
        with pytest.raises(DecodeError, match="not a regular file"):
            read(tmp_path / "pipe.jpg")


def test_a_file_without_permission_is_named(tmp_path, monkeypatch, photo):
    file = tmp_path / "secret.png"
    photo.save(file)

    def refuse(path, flags, *rest):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(decoder.os, "open", refuse)
    for read in (read_header, read_image):
        with pytest.raises(DecodeError, match="no permission") as caught:
            read(file)
        assert isinstance(caught.value.__cause__, PermissionError)


def test_a_file_above_the_size_limit_is_refused_unread(tmp_path, monkeypatch, photo):
    monkeypatch.setattr(decoder, "MAX_BYTES", 100)
    photo.save(tmp_path / "large.png")
    with pytest.raises(DecodeError, match="GiB large"):
        read_image(tmp_path / "large.png")


def test_the_picture_does_not_keep_its_file_open(photo, tmp_path):
    file = tmp_path / "still.gif"
    photo.save(file)
    picture = read_image(file)
    file.unlink()
    picture.load()
    assert not hasattr(picture, "fp")


def test_the_answer_does_not_depend_on_how_warnings_are_treated(photo):
    # Pillow warns of this EXIF; with warnings as errors, as here, that must not refuse the picture.
    data = encoded(photo, "JPEG", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x09\x00ab")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        strict = decode(data, "a.jpg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert difference(strict, decode(data, "a.jpg")) == 0


def test_an_odd_tiff_writes_nothing_to_the_terminal(shared_data):
    broken = shared_data / "odd_images" / "broken"
    program = (
        "import sys\n"
        "from core.images.decode import read_image\n"
        "from core.errors import DecodeError\n"
        "for path in sys.argv[1:]:\n"
        "    try: read_image(path)\n"
        "    except DecodeError: print('refused')\n"
    )
    files = sorted(str(path) for path in broken.glob("*.tif"))
    done = subprocess.run(
        [sys.executable, "-c", program, *files],
        capture_output=True, text=True, check=True, cwd=REPOSITORY, timeout=WAIT_S,
    )  # fmt: skip
    assert done.stdout.split() == ["refused"] * len(files)
    if sys.platform == "linux":  # elsewhere libtiff may be out of reach
        assert done.stderr == ""


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "TGA", "AVIF"])
def test_damaged_bytes_never_raise_anything_but_decode_error(photo, kind):
    rng = random.Random(kind)
    sound = encoded(photo, kind)
    for round_number in range(150):
        data = bytearray(sound)
        if round_number % 3 == 0:
            del data[rng.randrange(len(data)) :]
        for _ in range(rng.choice((1, 3, 20))):
            # Headers decide most: half of the damage goes to the first 64 bytes.
            end = min(len(data), 64) if rng.random() < 0.5 else len(data)
            if end:
                data[rng.randrange(end)] = rng.randrange(256)
        with contextlib.suppress(DecodeError):
            assert decode(bytes(data), "x", short_side=rng.choice((None, 8))).mode == "RGB"


def odd_rows(shared_data: Path) -> list[dict[str, str]]:
    with (shared_data / "odd_images" / "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_odd_image_gets_its_right_answer(shared_data):
    wrong = []
    for row in odd_rows(shared_data):
        if row["why"] == "HEIF: no decoder" and is_installed("HEIF"):
            continue  # sound, and Pillow alone cannot read it
        path = shared_data / "odd_images" / row["file"]
        try:
            picture = read_image(path)
        except DecodeError as error:
            if row["group"] != "broken":
                wrong.append(f"{row['file']} was refused: {error.reason}")
            continue
        width, height = (int(number) for number in row["after_exif_transpose"].split("x"))
        if row["group"] != "valid":
            wrong.append(f"{row['file']} was accepted")
        elif not picture.size == read_header(path) == (width, height):
            wrong.append(f"{row['file']} has {picture.size}, not {(width, height)}")
    assert not wrong


def test_the_sixteen_bit_odd_images_are_not_white(shared_data):
    for name in ("pngsuite_g03n0g16.png", "pillow_16bit.cropped.jp2"):
        pixels = np.asarray(read_image(shared_data / "odd_images" / "valid" / name))
        assert pixels.min() < 200, name


@pytest.mark.parametrize("group", ["Landscape", "Portrait"])
def test_the_exif_orientation_photos_all_come_out_alike(shared_data, group):
    files = sorted((shared_data / "odd_images" / "exif_orientation").glob(f"{group}_*.jpg"))
    pictures = [read_image(file, short_side=100) for file in files]
    assert len({picture.size for picture in pictures}) == 1
    for file, picture in zip(files[1:], pictures[1:], strict=True):
        # The digit on the photo and the JPEG noise differ; a wrong turn differs by 40 and more.
        assert difference(picture, pictures[0]) < 8, file.name


def test_every_file_of_the_messy_folder_gets_its_right_answer(shared_data):
    with (shared_data / "messy_ants_bees.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 130
    for row in rows:
        path = shared_data / "messy_ants_bees" / row["file"]
        if row["expected"] in ("ok", "duplicate"):
            assert min(read_image(path).size) >= 18, row
        else:
            with pytest.raises(DecodeError):
                read_image(path)
