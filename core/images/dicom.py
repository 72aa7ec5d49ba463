"""Decodes a DICOM file to the picture that a viewer shows, with pydicom if it is installed.

Decisions made here (PS3.3 of the DICOM standard, C.7.6.3 and C.11):

- stored values → rescale slope and intercept, or the modality's table → window, or the VOI table
  (the first of several) → 0…255. If the file has no window, 8-bit values are used as they are;
  deeper values are stretched from minimum to maximum without padding pixels, as viewers do.
- MONOCHROME1 is inverted: its smallest value is white.
- Of a multi-frame file the first frame is used, with the window of that frame.
- Palettes, RGB and YBR become RGB; more than 8 bits a colour are scaled by their depth.

pydicom is imported when the first such file is read. Fields that identify a patient are not read.
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
    """A DICOM file without a picture, or with one that cannot be unpacked here.

    The text is a clause that gives the reason.
    """


def read_size(file: IO[bytes], *, most_bytes: int) -> tuple[int, int]:
    """(width, height) in pixels; the pixels are not read. `file` must be at its beginning.

    Raises: NotAPictureError, and whatever pydicom raises for damaged files.
    """
    return _size(_read(file, most_bytes=most_bytes, stop_before_pixels=True))


def read_metadata(file: IO[bytes], *, most_bytes: int) -> dict[str, str]:
    """`mode`, `camera` (the device) and `taken` (a date) as text; "" if the file has no value."""
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


def read_size_from_bytes(data: bytes, *, most_bytes: int) -> tuple[int, int]:
    """(width, height) in pixels, as `read_size`, from the bytes of a file."""
    return read_size(io.BytesIO(data), most_bytes=most_bytes)


def read_picture(data: bytes, *, most_bytes: int) -> Image.Image:
    """The first frame of a file's bytes, mode RGB.

    The caller must check the size (`read_size_from_bytes`) before.

    Raises: NotAPictureError, and whatever pydicom raises for damaged files.
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

    _silence_pydicom()
    _refuse_bomb(file, most_bytes)
    # force: old files begin without the preamble; `signatures` has checked that it is DICOM.
    dataset = dcmread(file, stop_before_pixels=stop_before_pixels, force=True)
    if not len(dataset):  # the library drops all of a file that ends within an element
        raise EOFError("the file ends within an element")
    if not dataset.file_meta.get("TransferSyntaxUID"):
        # Old files do not name their encoding; the library has detected it.
        is_implicit, is_little = dataset.original_encoding
        plain = "1.2.840.10008.1.2.1" if is_little else "1.2.840.10008.1.2.2"
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2" if is_implicit else plain
    return dataset


def _silence_pydicom() -> None:
    """Mute pydicom's warnings about values that violate the standard: real files have many."""
    global _is_quiet
    with _first_use:
        if not _is_quiet:
            warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
            logging.getLogger("pydicom").addHandler(logging.NullHandler())
            _is_quiet = True


def _refuse_bomb(file: IO[bytes], most_bytes: int) -> None:
    """Refuse a deflated file that unpacks to more than `most_bytes`.

    pydicom would unpack it in one piece, whatever its size. Leaves `file` at its beginning.

    Raises: NotAPictureError.
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
        modality = f" (its modality is {dataset.Modality})" if dataset.get("Modality") else ""
        raise NotAPictureError(f"it is DICOM without a picture{modality}")
    return int(columns), int(rows)


def _require_unpacker(dataset: Any) -> None:
    """Check that the pixels can be unpacked. Raises: NotAPictureError."""
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
    """An RGB picture of unsigned `values` [height, width, 3 or more] of `bits` bits."""
    if bits > 8:
        values = np.rint(values * (255.0 / ((1 << bits) - 1)))
    return Image.fromarray(np.ascontiguousarray(values[..., :3].astype(np.uint8)))


def _gray(stored: npt.NDArray[Any], dataset: Any) -> npt.NDArray[np.uint8]:
    """Stored values [height, width] → gray 0…255, the smallest black."""
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
    """Values in the modality's unit (CT: Hounsfield), and whether they differ from `stored`."""
    if dataset.get("ModalityLUTSequence"):
        from pydicom.pixels import apply_modality_lut

        return apply_modality_lut(stored, dataset), True
    holder = _holder(dataset, "RescaleSlope", "PixelValueTransformationSequence")
    if holder is None:
        return stored, False
    slope, intercept = float(holder.RescaleSlope), float(holder.get("RescaleIntercept") or 0.0)
    return stored * slope + intercept, (slope, intercept) != (1.0, 0.0)


def _holder(dataset: Any, key: str, group: str) -> Any:
    """The part of the file that has `key`, or None.

    The file itself or, in an enhanced file, `group` of its first frame or of all frames together.
    """
    if dataset.get(key) is not None:
        return dataset
    for name in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        frames = dataset.get(name)
        found = frames[0].get(group) if frames else None
        if found and found[0].get(key) is not None:
            return found[0]
    return None


def _windowed(values: npt.NDArray[np.float64], voi: Any) -> npt.NDArray[np.uint8]:
    """Values → gray by the window of `voi`; its three functions are in PS3.3 C.11.2.1.2 and .3."""
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
    """The first value of a list, or the single value: files may have several windows."""
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
    """Scale `low`…`high` to 0…255 and clip; NaN becomes black."""
    if high <= low:
        return np.zeros(values.shape, dtype=np.uint8)
    share = np.nan_to_num((values - low) * (255.0 / (high - low)), nan=0.0)
    return np.rint(np.clip(share, 0.0, 255.0)).astype(np.uint8)
