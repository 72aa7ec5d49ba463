"""The one decoder: a file, or its bytes, as an RGB picture, or one `DecodeError` that says why not.

Preview, scan, training, classification and export checks all come through here, so that a picture
is the same picture everywhere. Any thread may call; many do at once. Knows nothing of datasets.

What is decided here:

- EXIF (and XMP) orientation is applied. Colour profiles are not.
- Transparency is laid on white: what browsers and viewers show, hence what the person saw who
  labelled the picture. Dropping alpha instead uncovers whatever colour was left under it.
- Gray deeper than 8 bits is scaled to 0…255, never clipped: see `gray`.
- Of an animation or a multi-page file the first frame counts.
- Damaged and truncated files are refused, never half shown.
- Only the formats of `FORMATS` are tried. Pillow knows more, but some of those start other
  programs (EPS runs Ghostscript) or hold pictures whose size is known only while loading (ICO).
- HEIF goes to pillow-heif and DICOM (`dicom`) to pydicom where these are installed; the content
  decides. They are imported when such a file is met, not before.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import IO, TypeVar

from PIL import Image, UnidentifiedImageError, features

from core.errors import DecodeError
from core.images import dicom
from core.images.gray import deep_gray
from core.images.pillow_log import quieten_pillow
from core.images.signatures import OPTIONAL_PACKAGES, is_installed, looks_like, optional_format

FORMATS = (
    "JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP", "AVIF", "JPEG2000", "TGA", "PCX", "SGI",
    "DIB", "QOI",
)  # fmt: skip
"""Pillow's names of the formats read here, the frequent ones first."""

MAX_PIXELS = 2**27
"""134 megapixels, counted after a JPEG was scaled down: half a gigabyte as Pillow holds RGB, and
1.5 GB at the most while it is converted (measured)."""

MAX_BYTES = 2**30
"""A file above 1 GiB is refused unread."""

_BIG_PIXELS = 2**25
"""Above 34 megapixels pictures are decoded one at a time, so that threads do not add up memory."""

_START_BYTES = 512
_FEATURES = {"an AVIF": "avif", "a WebP": "webp", "a JPEG 2000": "jpg_2000"}
"""What Pillow may have been built without."""

_CUT_SHORT = ("truncated", "but only got", "unexpected end", "less than expected")
"""What Pillow, libheif and pydicom say of it."""

_big = threading.Lock()
_strict_warnings = threading.Lock()

# The limits are checked here, where JPEG scaling is known; Pillow's own would warn at 89 megapixels
# and refuse at 179 before it is.
Image.MAX_IMAGE_PIXELS = None
quieten_pillow()

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_T = TypeVar("_T")


def read_image(path: Path | str, *, short_side: int | None = None) -> Image.Image:
    """The picture of a file, upright, mode RGB.

    With `short_side` (pixels) a JPEG at least twice as large is scaled while it is decoded (up to
    five times faster); the result's short side is never below `short_side`, nor made equal to it.

    Raises: DecodeError.
    """
    return decode(read_bytes(path), path, short_side=short_side)


def read_bytes(path: Path | str) -> bytes:
    """All bytes of a file: training hashes and decodes the same ones.

    Raises: DecodeError for what cannot be read or is above `MAX_BYTES`.
    """
    try:
        with _open(path) as file:
            return file.read()
    except OSError as error:
        raise DecodeError(path, _reason_unread(error)) from error
    except MemoryError as error:
        raise DecodeError(path, "it needs more memory than there is") from error


def decode(data: bytes, name: Path | str, *, short_side: int | None = None) -> Image.Image:
    """The picture of a file's bytes, as `read_image`; `name` is for the message.

    Raises: DecodeError.
    """
    return _work_on_picture(
        lambda: _decode(data, name, short_side), name, lambda: data[:4096], size=len(data)
    )


def read_header(path: Path | str) -> tuple[int, int]:
    """(width, height) in pixels as `read_image` gives them, orientation applied; no pixel is read.

    Orientation in a PNG that stores its EXIF behind the pixels is not seen here. A file whose
    header is sound may still be cut short.

    Raises: DecodeError, also for a picture that no decoding could bring under the pixel limit.
    """
    width, height, _ = read_header_and_size(path)
    return width, height


def read_header_and_size(path: Path | str) -> tuple[int, int, int]:
    """(width, height, bytes of the file) from one opening of it; else as `read_header`."""
    try:
        with _open(path) as file:
            size = os.fstat(file.fileno()).st_size

            def start() -> bytes:
                file.seek(0)
                return file.read(4096)

            width, height = _work_on_picture(lambda: _header(file, path), path, start, size=size)
            return width, height, size
    except OSError as error:
        raise DecodeError(path, _reason_unread(error)) from error


def _open(path: Path | str) -> IO[bytes]:
    """Opens a regular file; a pipe or a device would block.

    Raises: OSError, DecodeError.
    """
    file = open(path, "rb", opener=_opener)  # noqa: SIM115 - handed to the caller
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        file.close()
        raise DecodeError(path, "it is not a regular file")
    if status.st_size > MAX_BYTES:
        file.close()
        gib = status.st_size / 2**30
        raise DecodeError(path, f"it is {gib:.1f} GiB large, pictures may have {MAX_BYTES >> 30}")
    return file


def _opener(path: str, flags: int) -> int:
    # O_NONBLOCK opens a pipe at once, so that it can be refused; for files it means nothing.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _work_on_picture(
    work: Callable[[], _T], name: Path | str, start: Callable[[], bytes], *, size: int
) -> _T:
    """`work()`, its failures turned into one DecodeError; `start` gives the file's first bytes.

    Where warnings are made errors (tests, python -W error) they would change what is readable:
    then the work is done again, alone, with warnings off.
    """
    try:
        try:
            return work()
        except Warning:
            with _strict_warnings, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return work()
    except DecodeError:
        raise
    except Exception as error:
        # Pillow's readers meet bad bytes with whatever they stumble over: OSError, ValueError,
        # SyntaxError, KeyError, OverflowError, struct.error, zlib.error, …
        raise DecodeError(name, _reason(error, start(), size)) from error


def extra_format(start: bytes) -> str:
    """`HEIF` or `DICOM` for a file that another library than Pillow reads, if it is installed."""
    kind = optional_format(start)
    return kind if kind and is_installed(kind) else ""


def open_with_pillow(file: IO[bytes], kind: str) -> Image.Image:
    """Pillow's lazy image of a file of `FORMATS`, or of HEIF where `kind` says so.

    Raises: what Pillow raises; callers turn it into a DecodeError.
    """
    if kind != "HEIF":
        return Image.open(file, formats=FORMATS)
    from pillow_heif import HeifImageFile  # type: ignore[import-not-found, unused-ignore]

    try:
        image: Image.Image = HeifImageFile(file)
    except SyntaxError as error:  # as a plug-in of Pillow it says so that it does not know the file
        raise UnidentifiedImageError(str(error)) from error
    return image


def _header(file: IO[bytes], name: Path | str) -> tuple[int, int]:
    file.seek(0)
    kind = extra_format(file.read(_START_BYTES))
    file.seek(0)
    if kind == "DICOM":
        width, height = dicom.header(file, most_bytes=MAX_BYTES)
        _check_pixels(width * height, name, width, height)
        return width, height
    with open_with_pillow(file, kind) as image:
        width, height = image.size
        smallest = width * height // (64 if image.format in ("JPEG", "MPO") else 1)
        _check_pixels(smallest, name, width, height)
        # Pillow gives the size of a TIFF already turned.
        if image.format != "TIFF" and _orientation(image) >= 5:
            width, height = height, width
        return width, height


def _decode(data: bytes, name: Path | str, short_side: int | None) -> Image.Image:
    kind = extra_format(data[:_START_BYTES])
    if kind == "DICOM":
        width, height = dicom.size_of(data, most_bytes=MAX_BYTES)
        _check_pixels(width * height, name, width, height)
        with _big if width * height > _BIG_PIXELS else nullcontext():
            return dicom.picture(data, most_bytes=MAX_BYTES)
    with open_with_pillow(io.BytesIO(data), kind) as image:
        width, height = image.size
        if short_side is not None:
            image.draft(None, (max(1, short_side), max(1, short_side)))
        pixels = image.width * image.height
        _check_pixels(pixels, name, width, height)
        with _big if pixels > _BIG_PIXELS else nullcontext():
            image.load()
            # After load(): a PNG may have its EXIF last, and Pillow has turned a TIFF by then.
            turn = _TRANSPOSE.get(_orientation(image))
            picture = _to_rgb(image)
            if turn is not None:
                picture = picture.transpose(turn)
    # Without its EXIF: whoever applied the orientation again would turn the picture twice.
    picture.info = {}
    return picture


def _check_pixels(pixels: int, name: Path | str, width: int, height: int) -> None:
    if pixels > MAX_PIXELS:
        raise DecodeError(
            name,
            f"it has {width} × {height} pixels, more than the {MAX_PIXELS // 10**6} megapixels"
            " that are read",
        )
    if width < 1 or height < 1:
        raise DecodeError(name, "it has no pixels")


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1…8; 1 where there is none or the EXIF is damaged (the pixels are not)."""
    if image.format in ("JPEG", "MPO", "PNG") and not image.info.keys() & {
        "exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp",
    }:  # fmt: skip
        return 1
    try:
        value = image.getexif().get(0x0112, 1)
    except Warning:
        raise
    except Exception:  # noqa: BLE001 - damaged EXIF fails in as many ways as damaged pixels
        return 1
    return value if value in _TRANSPOSE else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """A new picture, mode RGB; `image` is loaded."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return deep_gray(image)
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        picture = Image.new("RGB", image.size, (255, 255, 255))
        picture.paste(coloured, mask=coloured)
        return picture
    return image.convert("RGB")


def _reason_unread(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "there is no permission to read it"
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    return f"the system says: {error.strerror or error}"


def _reason(error: Exception, start: bytes, size: int) -> str:
    """Why a picture cannot be decoded, as a clause a person understands."""
    text = str(error).lower()
    if size == 0:
        return "it is empty"
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than the {MAX_PIXELS // 10**6} megapixels that are read"
    if isinstance(error, dicom.NotAPictureError):
        return str(error)
    found, is_picture = looks_like(start)
    if isinstance(error, UnidentifiedImageError):
        kind = optional_format(start)
        if kind and not is_installed(kind):
            package = OPTIONAL_PACKAGES[kind][1]
            return f"it is {found}, which is read by {package} (pip install {package})"
        if found in _FEATURES and not features.check(_FEATURES[found]):
            return f"it is {found.split()[-1]}, and this Pillow was built without it"
        if is_picture:
            return f"it begins like {found}, but its header is damaged"
        return f"it is not a picture (it looks like {found})" if found else "it is not a picture"
    if isinstance(error, EOFError) or any(sign in text for sign in _CUT_SHORT):
        return "it is cut short"
    if isinstance(error, ValueError) and "too large" in text:
        return "it unpacks to far more than a picture needs"
    if isinstance(error, (struct.error, zlib.error, OSError, SyntaxError, ValueError)):
        detail = " ".join(str(error).split())[:80]
        return f"its data is damaged ({detail})" if detail else "its data is damaged"
    return "its data is damaged"
