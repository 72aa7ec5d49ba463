"""Reads a picture's metadata: format, size, colours, camera. No pixel is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.images import dicom
from core.images.decode import MAX_BYTES, extra_format, open_with_pillow, read_header_and_size
from core.images.pillow_log import silence_pillow

silence_pillow()
_MAKE, _MODEL, _ORIENTATION, _TAKEN = 0x010F, 0x0110, 0x0112, 0x0132
_MODES = {
    "1": "black and white",
    "L": "gray, 8 bits",
    "LA": "gray with transparency",
    "P": "palette",
    "PA": "palette with transparency",
    "RGB": "RGB",
    "RGBA": "RGB with transparency",
    "CMYK": "CMYK",
    "YCbCr": "YCbCr",
    "I": "gray, 32 bits",
    "F": "gray, floating point",
}


@dataclass(frozen=True, slots=True)
class ImageMetadata:
    """Metadata of one file. Width and height have the orientation applied; "": not in the file."""

    width: int
    height: int
    bytes: int
    format: str
    mode: str
    """Colours, for people: `RGB`, `gray, 16 bits`."""
    camera: str = ""
    taken: str = ""
    """When the picture was taken, as the file says it."""
    is_turned: bool = False
    """Whether the decoder turns or mirrors the picture, because its EXIF says so."""


def read_metadata(path: Path) -> ImageMetadata:
    """The metadata of a picture file. Raises: DecodeError if it is not a readable picture."""
    width, height, size = read_header_and_size(path)
    kind, mode, exif = "", "", {}
    try:
        with path.open("rb") as file:
            extra = extra_format(file.read(512))
            file.seek(0)
            if extra == "DICOM":
                texts = {
                    k: _text(v) for k, v in dicom.read_metadata(file, most_bytes=MAX_BYTES).items()
                }
                return ImageMetadata(
                    width, height, size, extra, texts["mode"], texts["camera"], texts["taken"]
                )
            with open_with_pillow(file, extra) as image:
                kind = image.format or ""
                mode = "gray, 16 bits" if image.mode.startswith("I;16") else image.mode
                exif = dict(image.getexif())
                turned = image.info.get("original_orientation")
                if turned:  # pillow-heif has turned the picture already and records it here
                    exif[_ORIENTATION] = turned
    except Exception:  # noqa: BLE001 - the header is valid; damaged metadata must not hide the picture
        exif = {}
    make, model = _text(exif.get(_MAKE)), _text(exif.get(_MODEL))
    camera = model if model.lower().startswith(make.lower()) else f"{make} {model}".strip()
    return ImageMetadata(
        width=width,
        height=height,
        bytes=size,
        format=kind,
        mode=_MODES.get(mode, mode),
        camera=camera or make,
        taken=_text(exif.get(_TAKEN)).replace(":", "-", 2),
        is_turned=exif.get(_ORIENTATION) in range(2, 9),
    )


def _text(value: object) -> str:
    """An EXIF value as one line of at most 60 printable characters; "" if it is not text."""
    if not isinstance(value, str):
        return ""
    return " ".join("".join(c for c in value if c.isprintable() or c == " ").split())[:60]
