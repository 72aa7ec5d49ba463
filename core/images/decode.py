"""Decodes a picture file, or its bytes, to RGB; raises one `DecodeError` with the reason if not.

The only decoder: preview, scan, training, classification and export checks all use it, so that a
picture has the same pixels everywhere. Thread-safe. Knows nothing of datasets.

Decisions made here:

- EXIF (and XMP) orientation is applied. Colour profiles are not.
- Transparent pixels are composited on white, as browsers and viewers do, so as the person who
  labelled the picture saw them. Dropping alpha would show whatever colour is stored under it.
- Gray deeper than 8 bits is scaled to 0…255, never clipped: see `gray`.
- Of an animation or a multi-page file the first frame is used.
- Damaged and truncated files are refused, never decoded in part.
- Only the formats of `FORMATS` are tried. Pillow knows more, but some of those start other
  programs (EPS runs Ghostscript) or hold pictures whose size is known only while loading (ICO).
- HEIF is read by pillow-heif and DICOM (`dicom`) by pydicom if these are installed. The content of
  the file decides, not its name. They are imported when the first such file is read.
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
from core.images.pillow_log import silence_pillow
from core.images.signatures import OPTIONAL_PACKAGES, is_installed, looks_like, optional_format

FORMATS = (
    "JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP", "AVIF", "JPEG2000", "TGA", "PCX", "SGI",
    "DIB", "QOI",
)  # fmt: skip
"""Pillow's names of the formats read here, the frequent ones first."""

MAX_PIXELS = 2**27
"""134 megapixels, counted after a JPEG is scaled down: half a gigabyte as Pillow stores RGB, and
at most 1.5 GB during conversion (measured)."""

MAX_BYTES = 2**30
"""A file above 1 GiB is refused without reading it."""

_BIG_PIXELS = 2**25
"""Above 34 megapixels pictures are decoded one at a time, so that several threads do not use
several times the memory."""

_START_BYTES = 512
_FEATURES = {"an AVIF": "avif", "a WebP": "webp", "a JPEG 2000": "jpg_2000"}
"""Formats that Pillow may have been built without, and its name of the feature."""

_CUT_SHORT = ("truncated", "but only got", "unexpected end", "less than expected")
"""Words by which Pillow, libheif and pydicom report a truncated file."""

_big = threading.Lock()
_strict_warnings = threading.Lock()

# The limits are checked here, after JPEG scaling; Pillow's own check would warn at 89 megapixels
# and refuse at 179 before the scaling.
Image.MAX_IMAGE_PIXELS = None
silence_pillow()

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
    """The picture of a file, orientation applied, mode RGB.

    With `short_side` (pixels) a JPEG at least twice as large is scaled down while it is decoded
    (up to five times faster). The result's short side is at least `short_side`, not exactly it.

    Raises: DecodeError.
    """
    return decode(read_bytes(path), path, short_side=short_side)


def read_bytes(path: Path | str) -> bytes:
    """All bytes of a file, so that a caller can hash and decode the same ones.

    Raises: DecodeError if the file cannot be read or is larger than `MAX_BYTES`.
    """
    try:
        with _open(path) as file:
            return file.read()
    except OSError as error:
        raise DecodeError(path, _reason_unread(error)) from error
    except MemoryError as error:
        raise DecodeError(path, "it needs more memory than there is") from error


def decode(data: bytes, name: Path | str, *, short_side: int | None = None) -> Image.Image:
    """The picture of a file's bytes, as `read_image` gives it; `name` is for the error message.

    Raises: DecodeError.
    """
    return _with_decode_errors(
        lambda: _decode(data, name, short_side), name, lambda: data[:4096], size=len(data)
    )


def read_header(path: Path | str) -> tuple[int, int]:
    """(width, height) in pixels as `read_image` gives them; reads the header only.

    The orientation of a PNG that stores its EXIF after the pixels is missed. A file with a valid
    header may still be truncated.

    Raises: DecodeError, also for a picture that is above the pixel limit even when scaled down.
    """
    width, height, _ = read_header_and_size(path)
    return width, height


def read_header_and_size(path: Path | str) -> tuple[int, int, int]:
    """(width, height, bytes of the file), opening the file once; else as `read_header`."""
    try:
        with _open(path) as file:
            size = os.fstat(file.fileno()).st_size

            def start() -> bytes:
                file.seek(0)
                return file.read(4096)

            width, height = _with_decode_errors(lambda: _header(file, path), path, start, size=size)
            return width, height, size
    except OSError as error:
        raise DecodeError(path, _reason_unread(error)) from error


def _open(path: Path | str) -> IO[bytes]:
    """Open a regular file for reading; pipes and devices are refused, they would block.

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
    # O_NONBLOCK opens a pipe at once, so that it can be refused; it has no effect on files.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _with_decode_errors(
    work: Callable[[], _T], name: Path | str, start: Callable[[], bytes], *, size: int
) -> _T:
    """The result of `work()`; every failure becomes a DecodeError.

    `start` gives the first bytes of the file, `size` is its bytes; both help to name the reason.
    If warnings are errors (tests, python -W error) a readable file could fail by a warning: the
    work is then repeated, one thread at a time, with warnings off.
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
        # Pillow's readers raise almost anything for bad bytes: OSError, ValueError, SyntaxError,
        # KeyError, OverflowError, struct.error, zlib.error, …
        raise DecodeError(name, _reason(error, start(), size)) from error


def extra_format(start: bytes) -> str:
    """`HEIF` or `DICOM` if the file is one and the package that reads it is installed, else "".

    `start`: the first bytes of the file.
    """
    kind = optional_format(start)
    return kind if kind and is_installed(kind) else ""


def open_with_pillow(file: IO[bytes], kind: str) -> Image.Image:
    """Pillow's lazy image of a file of `FORMATS`, or of HEIF if `kind` is `HEIF`.

    Raises: what Pillow raises; callers turn it into a DecodeError.
    """
    if kind != "HEIF":
        return Image.open(file, formats=FORMATS)
    from pillow_heif import HeifImageFile  # type: ignore[import-not-found, unused-ignore]

    try:
        image: Image.Image = HeifImageFile(file)
    except SyntaxError as error:  # how a Pillow plug-in says that it does not know the file
        raise UnidentifiedImageError(str(error)) from error
    return image


def _header(file: IO[bytes], name: Path | str) -> tuple[int, int]:
    """(width, height) in pixels, orientation applied."""
    file.seek(0)
    kind = extra_format(file.read(_START_BYTES))
    file.seek(0)
    if kind == "DICOM":
        width, height = dicom.read_size(file, most_bytes=MAX_BYTES)
        _check_pixels(width * height, name, width, height)
        return width, height
    with open_with_pillow(file, kind) as image:
        width, height = image.size
        smallest = width * height // (64 if image.format in ("JPEG", "MPO") else 1)
        _check_pixels(smallest, name, width, height)
        # Pillow gives the size of a TIFF with the orientation applied.
        if image.format != "TIFF" and _orientation(image) >= 5:
            width, height = height, width
        return width, height


def _decode(data: bytes, name: Path | str, short_side: int | None) -> Image.Image:
    kind = extra_format(data[:_START_BYTES])
    if kind == "DICOM":
        width, height = dicom.read_size_from_bytes(data, most_bytes=MAX_BYTES)
        _check_pixels(width * height, name, width, height)
        with _big if width * height > _BIG_PIXELS else nullcontext():
            return dicom.read_picture(data, most_bytes=MAX_BYTES)
    with open_with_pillow(io.BytesIO(data), kind) as image:
        width, height = image.size
        if short_side is not None:
            image.draft(None, (max(1, short_side), max(1, short_side)))
        pixels = image.width * image.height
        _check_pixels(pixels, name, width, height)
        with _big if pixels > _BIG_PIXELS else nullcontext():
            image.load()
            # After load(): a PNG may have its EXIF last, and Pillow turns a TIFF while loading.
            turn = _TRANSPOSE.get(_orientation(image))
            picture = _to_rgb(image)
            if turn is not None:
                picture = picture.transpose(turn)
    # Remove the EXIF: applying its orientation again would turn the picture twice.
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
    """EXIF orientation 1…8; 1 if there is none or the EXIF is damaged."""
    if image.format in ("JPEG", "MPO", "PNG") and not image.info.keys() & {
        "exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp",
    }:  # fmt: skip
        return 1
    try:
        value = image.getexif().get(0x0112, 1)
    except Warning:
        raise
    except Exception:  # noqa: BLE001 - damaged EXIF raises almost anything, as damaged pixels do
        return 1
    return value if value in _TRANSPOSE else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """A new picture of mode RGB from a loaded `image` of any mode."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return deep_gray(image)
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        picture = Image.new("RGB", image.size, (255, 255, 255))
        picture.paste(coloured, mask=coloured)
        return picture
    return image.convert("RGB")


def _reason_unread(error: OSError) -> str:
    """Why a file cannot be read, as a clause for `DecodeError`."""
    if isinstance(error, PermissionError):
        return "there is no permission to read it"
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    return f"the system says: {error.strerror or error}"


def _reason(error: Exception, start: bytes, size: int) -> str:
    """Why a picture cannot be decoded, as a clause for `DecodeError`."""
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
