"""What a picture's file says of itself: format, pixels, colours, camera; no pixel is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.images import dicom
from core.images.decode import MAX_BYTES, extra_format, open_with_pillow, read_header_and_size
from core.images.pillow_log import quieten_pillow

quieten_pillow()
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
class PictureFacts:
    """Pixels are those of the upright picture. Empty text: the file does not say."""

    width: int
    height: int
    bytes: int
    format: str
    mode: str
    """In words: `RGB`, `gray, 16 bits`."""
    camera: str = ""
    taken: str = ""
    is_turned: bool = False
    """Its EXIF asks for it to be turned or mirrored, and that is done when it is read."""


def read_facts(path: Path) -> PictureFacts:
    """Raises: DecodeError for what is no readable picture."""
    width, height, size = read_header_and_size(path)
    kind, mode, exif = "", "", {}
    try:
        with path.open("rb") as file:
            extra = extra_format(file.read(512))
            file.seek(0)
            if extra == "DICOM":
                told = {k: _text(v) for k, v in dicom.facts(file, most_bytes=MAX_BYTES).items()}
                return PictureFacts(
                    width, height, size, extra, told["mode"], told["camera"], told["taken"]
                )
            with open_with_pillow(file, extra) as image:
                kind = image.format or ""
                mode = "gray, 16 bits" if image.mode.startswith("I;16") else image.mode
                exif = dict(image.getexif())
                turned = image.info.get("original_orientation")
                if turned:  # pillow-heif has turned the picture and says so here
                    exif[_ORIENTATION] = turned
    except Exception:  # noqa: BLE001 - a sound header beside damaged facts: the picture is what counts
        exif = {}
    make, model = _text(exif.get(_MAKE)), _text(exif.get(_MODEL))
    camera = model if model.lower().startswith(make.lower()) else f"{make} {model}".strip()
    return PictureFacts(
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
    """One short line of an EXIF text, which may hold anything."""
    if not isinstance(value, str):
        return ""
    return " ".join("".join(c for c in value if c.isprintable() or c == " ").split())[:60]
