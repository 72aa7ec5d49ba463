"""A DICOM file as the picture a person at a viewer sees, read by pydicom where it is installed.

What is decided here (PS3.3 of the DICOM standard, C.7.6.3 and C.11):

- stored values → rescale slope and intercept, or the modality's table → window, or the VOI table
  (the first of several) → 0…255. Where the file names no window, 8 bits count as they are; deeper
  values are stretched from the least to the most, padding left out: viewers do the same.
- MONOCHROME1 is turned round: there the smallest value is white.
- Of a multi-frame file the first frame counts, with the window of that frame.
- Palettes, RGB and YBR become RGB; more than 8 bits a colour are scaled by their depth.

pydicom is imported when the first such file is met. Nothing that names a patient is looked at.
"""

from __future__ import annotations

import importlib
import io
import logging
import threading
import warnings
import zlib
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

PACKAGE = "pydicom"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_BLOCK = 1 << 20
_first_use = threading.Lock()
_is_quiet = False


class NotAPictureError(Exception):
    """A DICOM file that holds no picture, or none this machine can unpack; a clause says why."""


def header(file: IO[bytes], *, most_bytes: int) -> tuple[int, int]:
    """(width, height) in pixels; the pixels are not read. `file` stands at its beginning.

    Raises: NotAPictureError, and whatever pydicom meets damaged files with.
    """
    return _size(_read(file, most_bytes=most_bytes, stop_before_pixels=True))


def facts(file: IO[bytes], *, most_bytes: int) -> dict[str, str]:
    """`mode`, `camera` (the device) and `taken` in words; empty where the file does not say."""
    dataset = _read(file, most_bytes=most_bytes, stop_before_pixels=True)
    kind = str(dataset.get("PhotometricInterpretation", ""))
    bits = dataset.get("BitsStored")
    name = "gray" if kind.startswith("MONOCHROME") else "palette" if "PALETTE" in kind else kind
    maker = str(dataset.get("Manufacturer") or "")
    device = str(dataset.get("ManufacturerModelName") or "")
    taken = next(
        (
            str(dataset.get(key))
            for key in ("AcquisitionDate", "ContentDate", "SeriesDate", "StudyDate")
            if dataset.get(key)
        ),
        "",
    )
    return {
        "mode": f"{name}, {bits} bits" if name and bits else name,
        "camera": device if device.lower().startswith(maker.lower()) else f"{maker} {device}",
        "taken": f"{taken[:4]}-{taken[4:6]}-{taken[6:8]}" if len(taken) == 8 else taken,
    }


def size_of(data: bytes, *, most_bytes: int) -> tuple[int, int]:
    """As `header`, from the bytes of a file."""
    return header(io.BytesIO(data), most_bytes=most_bytes)


def picture(data: bytes, *, most_bytes: int) -> Image.Image:
    """The first frame of a file's bytes, mode RGB. Check its size (`size_of`) before.

    Raises: NotAPictureError, and whatever pydicom meets damaged files with.
    """
    dataset = _read(io.BytesIO(data), most_bytes=most_bytes, stop_before_pixels=False)
    _size(dataset)
    _require_unpacker(dataset)
    from pydicom.pixels import pixel_array

    values = np.asarray(pixel_array(dataset, index=0))
    kind = str(dataset.PhotometricInterpretation)
    if kind == "PALETTE COLOR":
        from pydicom.pixels import apply_color_lut

        values = apply_color_lut(values, dataset)
        return _coloured(values, 8 * values.itemsize)
    if values.ndim == 3:
        return _coloured(values, int(dataset.BitsStored))
    shades = _gray(values, dataset)
    if kind == "MONOCHROME1":
        shades = 255 - shades
    return Image.fromarray(shades).convert("RGB")


def _read(file: IO[bytes], *, most_bytes: int, stop_before_pixels: bool) -> Any:
    from pydicom import dcmread

    _be_quiet()
    _refuse_bomb(file, most_bytes)
    # force: old files begin without the preamble; `signatures` has seen that it is DICOM.
    dataset = dcmread(file, stop_before_pixels=stop_before_pixels, force=True)
    if not len(dataset):  # the library drops all of a file that ends within an element
        raise EOFError("the file ends within an element")
    if not dataset.file_meta.get("TransferSyntaxUID"):
        # Old files do not say how they are written; the library has found it out.
        is_implicit, is_little = dataset.original_encoding
        plain = "1.2.840.10008.1.2.1" if is_little else "1.2.840.10008.1.2.2"
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2" if is_implicit else plain
    return dataset


def _be_quiet() -> None:
    """pydicom warns of every value that is against the standard; real files are full of them."""
    global _is_quiet
    with _first_use:
        if not _is_quiet:
            warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
            logging.getLogger("pydicom").addHandler(logging.NullHandler())
            _is_quiet = True


def _refuse_bomb(file: IO[bytes], most_bytes: int) -> None:
    """A deflated file is unpacked in one piece by the library: what it comes to is counted first.

    Leaves `file` at its beginning. Raises: NotAPictureError.
    """
    start = file.read(4096)
    if _DEFLATED.encode() in start and start[128:132] == b"DICM":
        filereader: Any = importlib.import_module("pydicom.filereader")
        file.seek(0)
        filereader.read_preamble(file, force=True)
        filereader._read_file_meta_info(file)
        unpack, unpacked = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while packed := file.read(_BLOCK):
            while packed:
                unpacked += len(unpack.decompress(packed, _BLOCK))
                packed = unpack.unconsumed_tail
                if unpacked > most_bytes:
                    raise NotAPictureError("it unpacks to far more than a picture needs")
    file.seek(0)


def _size(dataset: Any) -> tuple[int, int]:
    rows, columns = dataset.get("Rows"), dataset.get("Columns")
    if rows is None or columns is None or "PhotometricInterpretation" not in dataset:
        said = f" (its modality is {dataset.Modality})" if dataset.get("Modality") else ""
        raise NotAPictureError(f"it is DICOM without a picture{said}")
    return int(columns), int(rows)


def _require_unpacker(dataset: Any) -> None:
    """Raises: NotAPictureError where the packing of the pixels cannot be undone here."""
    from pydicom.pixels import get_decoder

    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_compressed or str(syntax) == _DEFLATED:
        return
    try:
        unpacker = get_decoder(syntax)
    except NotImplementedError:
        raise NotAPictureError(
            f"its pixels are packed as {syntax.name}, which pydicom does not read"
        ) from None
    if not unpacker.is_available:
        raise NotAPictureError(
            f"its pixels are packed as {syntax.name}, which takes more than pydicom"
            " (pip install pylibjpeg[all])"
        )


def _coloured(values: npt.NDArray[Any], bits: int) -> Image.Image:
    """values: unsigned [height, width, 3], of `bits` bits."""
    if bits > 8:
        values = np.rint(values * (255.0 / ((1 << bits) - 1)))
    return Image.fromarray(np.ascontiguousarray(values[..., :3].astype(np.uint8)))


def _gray(stored: npt.NDArray[Any], dataset: Any) -> npt.NDArray[np.uint8]:
    """Stored values [height, width] → shades of gray, the smallest black."""
    values, is_rescaled = _modality(stored, dataset)
    voi = _holder(dataset, "WindowCenter", "FrameVOILUTSequence")
    tables = dataset.get("VOILUTSequence")
    if tables:
        from pydicom.pixels import apply_voi

        shown = apply_voi(np.rint(values).astype(np.int64), dataset, index=0)
        return _shades(
            shown.astype(np.float64), 0.0, float(2 ** int(tables[0].LUTDescriptor[2]) - 1)
        )
    if voi is not None and voi.get("WindowWidth") is not None:
        return _windowed(values.astype(np.float64), voi)
    bits = int(dataset.get("BitsStored") or 64)
    if bits <= 8 and not is_rescaled and stored.dtype.kind == "u":
        return _shades(values.astype(np.float64), 0.0, float((1 << bits) - 1))
    counted = values[np.isfinite(values) & ~_is_padding(stored, dataset)]
    if not counted.size:
        return np.zeros(values.shape, dtype=np.uint8)
    return _shades(values.astype(np.float64), float(counted.min()), float(counted.max()))


def _modality(stored: npt.NDArray[Any], dataset: Any) -> tuple[npt.NDArray[Any], bool]:
    """The values in the modality's unit (CT: Hounsfield), and whether they differ from stored."""
    if dataset.get("ModalityLUTSequence"):
        from pydicom.pixels import apply_modality_lut

        return apply_modality_lut(stored, dataset), True
    holder = _holder(dataset, "RescaleSlope", "PixelValueTransformationSequence")
    if holder is None:
        return stored, False
    slope, intercept = float(holder.RescaleSlope), float(holder.get("RescaleIntercept") or 0.0)
    return stored * slope + intercept, (slope, intercept) != (1.0, 0.0)


def _holder(dataset: Any, key: str, group: str) -> Any:
    """Where `key` stands: in the file itself or, of an enhanced file, in its first frame's group
    or the one all frames share. None where it is nowhere."""
    if dataset.get(key) is not None:
        return dataset
    for name in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        frames = dataset.get(name)
        found = frames[0].get(group) if frames else None
        if found and found[0].get(key) is not None:
            return found[0]
    return None


def _windowed(values: npt.NDArray[np.float64], voi: Any) -> npt.NDArray[np.uint8]:
    """The window's three functions, PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    centre, width = _first(voi.WindowCenter), _first(voi.WindowWidth)
    function = str(voi.get("VOILUTFunction") or "LINEAR")
    if function == "SIGMOID":
        slope = np.clip(-4.0 * (values - centre) / max(width, 1e-9), -700.0, 700.0)
        return _shades(1.0 / (1.0 + np.exp(slope)), 0.0, 1.0)
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1.0
    low = centre - width / 2.0
    if width <= 0.0:  # LINEAR with width 1: a threshold
        return np.where(values > low, 255, 0).astype(np.uint8)
    return _shades(values, low, low + width)


def _first(value: Any) -> float:
    """Several windows may be given, for bone, for lung; the first is the one shown."""
    return float(
        value[0] if isinstance(value, (list, tuple)) or hasattr(value, "append") else value
    )


def _is_padding(stored: npt.NDArray[Any], dataset: Any) -> npt.NDArray[np.bool_]:
    padding = dataset.get("PixelPaddingValue")
    if padding is None:
        return np.zeros(stored.shape, dtype=bool)
    limit = dataset.get("PixelPaddingRangeLimit", padding)
    low, high = sorted((int(padding), int(limit)))
    return np.logical_and(stored >= low, stored <= high)


def _shades(values: npt.NDArray[np.float64], low: float, high: float) -> npt.NDArray[np.uint8]:
    """low → 0, high → 255, beyond them clipped; not-a-numbers are black."""
    if high <= low:
        return np.zeros(values.shape, dtype=np.uint8)
    share = np.nan_to_num((values - low) * (255.0 / (high - low)), nan=0.0)
    return np.rint(np.clip(share, 0.0, 255.0)).astype(np.uint8)
