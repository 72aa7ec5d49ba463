"""Recognises file formats by their first bytes, to choose a reader and to explain broken files."""

from __future__ import annotations

import re
from importlib.util import find_spec

OPTIONAL_PACKAGES = {"HEIF": ("pillow_heif", "pillow-heif"), "DICOM": ("pydicom", "pydicom")}
"""Formats that need an optional package → (its module, its name for pip)."""

_PICTURES = (
    (b"\xff\xd8\xff", "a JPEG"),
    (b"\x89PNG", "a PNG"),
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"II*\x00", "a TIFF"),
    (b"MM\x00*", "a TIFF"),
    (b"\x00\x00\x00\x0cjP", "a JPEG 2000"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000"),
)
_OTHERS = (
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive or an Office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"%!PS", "PostScript"),
    (b"8BPS", "a Photoshop file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF", "an HDF5 file"),
    (b"SIMPLE  =", "a FITS file"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"\x00\x05\x16\x07", "macOS file information, not the file itself"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
)
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {
    b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC", b"heis": "HEIC", b"hevc": "HEIC",
    b"hevx": "HEIC", b"mif1": "HEIF", b"mif2": "HEIF", b"msf1": "HEIF",
}  # fmt: skip
# The elements that files without the 128 bytes of preamble begin with: (0002,0000), (0008,00xx).
_BARE_DICOM = re.compile(
    rb"\x02\x00\x00\x00UL\x04\x00"
    rb"|\x08\x00[\x00\x05\x08\x12\x16]\x00(?:[A-Z]{2}[\x00-\x40]\x00|[\x00-\x40]\x00\x00\x00)",
    re.DOTALL,
)


def optional_format(start: bytes) -> str:
    """The key of `OPTIONAL_PACKAGES` whose format the first bytes of a file have, else ""."""
    if start[4:8] == b"ftyp":
        length = int.from_bytes(start[:4], "big")
        brands = {start[8:12], *(start[i : i + 4] for i in range(16, min(length, 256), 4))}
        # Pillow reads AVIF itself, also if the first brand is the container's (mif1).
        return "HEIF" if brands & _HEIF_BRANDS.keys() and not brands & _AVIF_BRANDS else ""
    if start[128:132] == b"DICM" or _BARE_DICOM.match(start):
        return "DICOM"
    return ""


def is_installed(kind: str) -> bool:
    """Whether the package for a key of `OPTIONAL_PACKAGES` is installed; it is not imported."""
    return find_spec(OPTIONAL_PACKAGES[kind][0]) is not None


def looks_like(start: bytes) -> tuple[str, bool]:
    """(name of the format with its article, or "", whether the decoder reads that format).

    `start`: the first bytes of a file; some hundreds are enough.
    """
    for signature, name in _PICTURES:
        if start.startswith(signature):
            return name, True
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "a WebP", True
    if start[4:8] == b"ftyp":
        brand = start[8:12]
        if optional_format(start) == "HEIF":
            return _HEIF_BRANDS.get(brand, "HEIF"), is_installed("HEIF")
        if brand in _AVIF_BRANDS or brand in _HEIF_BRANDS:
            return "an AVIF", True
        return ("a Canon raw photo" if brand == b"crx " else "a video"), False
    for signature, name in _OTHERS:
        if start.startswith(signature):
            return name, False
    if optional_format(start) == "DICOM":
        return "DICOM", is_installed("DICOM")
    return _text(start), False


def _text(start: bytes) -> str:
    """The kind of text that `start` looks like, or "" if it is not text."""
    stripped = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not stripped:
        return "blanks" if start else "nothing"
    head = stripped[:1024].lower()
    if re.match(rb"<!doctype html|<html|<head|<body", head):
        return "HTML"
    if b"<svg" in head:
        return "SVG"
    if head.startswith(b"<?xml"):
        return "XML"
    if not stripped.translate(None, bytes(range(0x20, 0x7F)) + b"\t\n\r\x0b\x0c"):
        return "text"
    return ""
