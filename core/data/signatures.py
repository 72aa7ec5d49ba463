"""What a file's first bytes look like, for messages that say what a broken picture really is."""

from __future__ import annotations

import re

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
_BRANDS = {
    b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF", b"msf1": "HEIF", b"hevc": "HEIC",
    b"crx ": "a Canon raw photo",
}  # fmt: skip


def looks_like(start: bytes) -> tuple[str, bool]:
    """(what it looks like or "", whether that is a format the decoder reads).

    `start`: the first bytes of a file, some hundreds are enough.
    """
    for signature, name in _PICTURES:
        if start.startswith(signature):
            return name, True
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "a WebP", True
    if start[4:8] == b"ftyp":
        brand = start[8:12]
        if brand in (b"avif", b"avis"):
            return "an AVIF", True
        return _BRANDS.get(brand, "a video"), False
    for signature, name in _OTHERS:
        if start.startswith(signature):
            return name, False
    if start[128:132] == b"DICM":
        return "DICOM", False
    return _text(start), False


def _text(start: bytes) -> str:
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
