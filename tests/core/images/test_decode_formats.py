"""HEIF and DICOM: read where their package is installed, named with the package where it is not."""

from __future__ import annotations

import contextlib
import io
import random

import numpy as np
import pytest
from PIL import Image, ImageDraw

from core.data.sources.scan import scan
from core.errors import DecodeError
from core.images import signatures
from core.images.decode import decode, read_header, read_image
from core.images.metadata import read_metadata
from core.images.signatures import looks_like, optional_format
from helpers import run_python

heif = pytest.importorskip("pillow_heif", reason="needs pillow-heif (extra: formats)")
pydicom = pytest.importorskip("pydicom", reason="needs pydicom (extra: formats)")

from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.uid import (  # noqa: E402
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

CUT_HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"
BARE_DICM = b"\x00" * 128 + b"DICM\x02\x00"


@pytest.fixture
def photo() -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, 96), np.linspace(0, 255, 64))
    image = Image.fromarray(np.stack([x, y, (x + y) / 2], axis=2).astype(np.uint8))
    ImageDraw.Draw(image).rectangle((2, 2, 30, 20), fill=(250, 40, 30))
    return image


def difference(a: Image.Image, b: Image.Image) -> float:
    return float(np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16)).mean())


def heic(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    heif.from_pillow(image).save(buffer, quality=90, **options)
    return buffer.getvalue()


def dicom(
    values: np.ndarray, *, syntax=ExplicitVRLittleEndian, bits: int | None = None, **elements
) -> bytes:
    """A file of one picture: values [height, width], [frames, height, width] or [h, w, 3]."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = (
        ExplicitVRLittleEndian if syntax == RLELossless else syntax
    )
    dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.PatientName = "Nobody"
    colours = values.ndim == 3 and values.shape[2] == 3
    if values.ndim == 3 and not colours:
        dataset.NumberOfFrames = len(values)
    dataset.Rows, dataset.Columns = values.shape[:2] if colours else values.shape[-2:]
    dataset.SamplesPerPixel = 3 if colours else 1
    if colours:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = "RGB" if colours else "MONOCHROME2"
    dataset.BitsAllocated = 8 * values.itemsize
    dataset.BitsStored = bits or 8 * values.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    dataset.PixelData = values.tobytes()
    dataset["PixelData"].VR = "OB" if values.itemsize == 1 else "OW"
    for key, value in elements.items():
        setattr(dataset, key, value)
    if syntax == RLELossless:
        dataset.compress(RLELossless)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def gray(picture: Image.Image) -> np.ndarray:
    pixels = np.asarray(picture)
    assert picture.mode == "RGB"
    assert (pixels[..., 0] == pixels[..., 2]).all()
    return pixels[..., 0].astype(int)


# -- HEIF ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["holiday.heic", "holiday.jpg", "holiday"])
def test_heif_is_read_whatever_the_file_is_called(photo, tmp_path, name):
    file = tmp_path / name
    file.write_bytes(heic(photo))
    assert difference(read_image(file), photo) < 4
    assert read_header(file) == photo.size
    assert looks_like(file.read_bytes()[:64]) == ("HEIC", True)


def test_a_turned_heif_comes_out_upright_and_says_that_it_was_turned(photo, tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x0110] = 6, "Maker", "Phone 3"
    stored = photo.transpose(Image.Transpose.ROTATE_90)
    file = tmp_path / "phone.heic"
    file.write_bytes(heic(stored, exif=exif.tobytes()))
    assert read_image(file).size == read_header(file) == photo.size
    assert difference(read_image(file), photo) < 4
    facts = read_metadata(file)
    assert (facts.width, facts.height) == photo.size
    assert (facts.format, facts.camera, facts.is_turned) == ("HEIF", "Maker Phone 3", True)


def test_transparent_heif_is_laid_on_white(photo):
    clear = photo.convert("RGBA")
    clear.paste((9, 9, 9, 0), (0, 0, 96, 64))
    assert np.asarray(decode(heic(clear), "clear.heic")).min() > 245


def test_damaged_heif_never_raises_anything_but_decode_error(photo):
    rng, sound = random.Random(1), heic(photo)
    for round_number in range(60):
        data = bytearray(sound)
        if round_number % 3 == 0:
            del data[rng.randrange(len(data)) :]
        for _ in range(rng.choice((1, 3, 20))):
            if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
        with contextlib.suppress(DecodeError):
            assert decode(bytes(data), "x.heic").mode == "RGB"


def test_half_a_heif_says_that_it_is_cut_short(photo):
    data = heic(photo)
    with pytest.raises(DecodeError, match="cut short"):
        decode(data[: len(data) // 2], "half.heic")
    with pytest.raises(DecodeError, match="begins like HEIC, but its header is damaged"):
        decode(CUT_HEIC, "header.heic")


# -- DICOM: values to shades -----------------------------------------------------------------------

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def test_window_and_level_choose_what_is_black_and_what_is_white(tmp_path):
    hounsfield = (RAMP.astype(np.int16) - 1024).astype(np.int16)
    file = tmp_path / "ct.dcm"
    file.write_bytes(dicom(hounsfield, WindowCenter=["40", "500"], WindowWidth=["400", "2000"]))
    shades = gray(read_image(file))
    assert shades[hounsfield <= -161].max() == 0
    assert shades[hounsfield >= 240].min() == 255
    assert shades[hounsfield == 40][0] == pytest.approx(128, abs=1), "the first window counts"
    assert read_header(file) == (64, 64)


def test_rescaling_comes_before_the_window():
    data = dicom(
        RAMP,
        bits=12,
        RescaleSlope="2",
        RescaleIntercept="-1000",
        WindowCenter="0",
        WindowWidth="100",
    )
    shades, values = gray(decode(data, "ct.dcm")), RAMP.astype(int) * 2 - 1000
    assert shades[values <= -50].max() == 0
    assert shades[values >= 50].min() == 255
    assert 0 < shades[values == 0][0] < 255


def test_the_three_window_functions_differ_as_the_standard_says():
    values = np.array([[0, 50, 100, 150, 200]], np.uint16)
    shades = {
        name: gray(
            decode(
                dicom(values, WindowCenter="100", WindowWidth="100", VOILUTFunction=name), "w.dcm"
            )
        )[0].tolist()
        for name in ("LINEAR", "LINEAR_EXACT", "SIGMOID")
    }
    assert shades["LINEAR_EXACT"] == pytest.approx([0, 0, 128, 255, 255], abs=1)
    assert shades["LINEAR"] == pytest.approx([0, 1, 129, 255, 255], abs=1)
    assert shades["SIGMOID"] == pytest.approx([5, 30, 128, 225, 250], abs=1)


def test_a_window_of_one_is_a_threshold():
    shades = gray(decode(dicom(RAMP, WindowCenter="1000", WindowWidth="1"), "mask.dcm"))
    assert set(shades.ravel().tolist()) == {0, 255}


def test_a_voi_table_is_looked_up():
    table = Dataset()
    table.LUTDescriptor = [4, 0, 8]
    table.LUTData = np.array([0, 200, 100, 255], np.uint16).tobytes()
    table["LUTData"].VR = "OW"
    values = np.array([[0, 1, 2, 3, 9]], np.uint16)
    assert gray(decode(dicom(values, VOILUTSequence=[table]), "lut.dcm"))[0].tolist() == [
        0, 200, 100, 255, 255,
    ]  # fmt: skip


def test_monochrome1_is_turned_round():
    plain = gray(decode(dicom(RAMP, bits=12), "x.dcm"))
    turned = gray(decode(dicom(RAMP, bits=12, PhotometricInterpretation="MONOCHROME1"), "x.dcm"))
    assert plain[0, 0] == 0
    assert plain[-1, -1] == 255
    assert (plain + turned == 255).all()


def test_without_a_window_padding_does_not_count_and_eight_bits_stay():
    values = np.full((8, 8), 1000, np.int16)
    values[0], values[1] = -2000, 1200
    shades = gray(decode(dicom(values, PixelPaddingValue=-2000), "ct.dcm"))
    assert (shades[2, 0], shades[1, 0], shades[0, 0]) == (0, 255, 0)
    eight = np.array([[10, 100, 200]], np.uint8)
    assert gray(decode(dicom(eight), "us.dcm")).tolist() == [[10, 100, 200]]
    assert gray(decode(dicom(np.full((4, 4), 7, np.uint16)), "flat.dcm")).max() == 0


def test_of_several_frames_the_first_counts_with_its_own_window():
    frames = np.stack([np.full((8, 8), v, np.uint8) for v in (60, 120, 240)])
    assert gray(decode(dicom(frames), "cine.dcm")).mean() == 60
    window, group = Dataset(), Dataset()
    window.WindowCenter, window.WindowWidth, window.VOILUTFunction = "60", "100", "LINEAR_EXACT"
    group.FrameVOILUTSequence = [window]
    data = dicom(frames, PerFrameFunctionalGroupsSequence=[group, Dataset(), Dataset()])
    assert gray(decode(data, "enhanced.dcm")).mean() == pytest.approx(128, abs=1)


def test_colours_of_every_kind_come_out_as_rgb(photo):
    rgb = np.asarray(photo)
    assert difference(decode(dicom(rgb), "rgb.dcm"), photo) == 0
    deep = dicom(rgb.astype(np.uint16) * 257)
    assert difference(decode(deep, "deep.dcm"), photo) == 0
    ycbcr = np.asarray(photo.convert("YCbCr"))
    data = dicom(ycbcr, PhotometricInterpretation="YBR_FULL")
    assert difference(decode(data, "ybr.dcm"), photo) < 2
    numbers = np.array([[0, 1, 2]], np.uint8)
    palette = dicom(
        numbers,
        PhotometricInterpretation="PALETTE COLOR",
        **{
            f"{name}PaletteColorLookupTableDescriptor": [3, 0, 16]
            for name in ("Red", "Green", "Blue")
        },
        RedPaletteColorLookupTableData=np.array([65535, 0, 0], np.uint16).tobytes(),
        GreenPaletteColorLookupTableData=np.array([0, 65535, 0], np.uint16).tobytes(),
        BluePaletteColorLookupTableData=np.array([0, 0, 32768], np.uint16).tobytes(),
    )
    pixels = np.asarray(decode(palette, "palette.dcm"))[0].tolist()
    assert pixels == [[255, 0, 0], [0, 255, 0], [0, 0, 128]]


# -- DICOM: files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless]
)
def test_transfer_syntaxes_that_need_nothing_more_are_read(tmp_path, syntax):
    file = tmp_path / "x.dicom"
    file.write_bytes(dicom(RAMP, bits=12, syntax=syntax))
    assert gray(read_image(file))[-1, -1] == 255
    assert read_header(file) == (64, 64)


def test_a_file_without_its_preamble_is_still_dicom():
    whole = dicom(RAMP, bits=12, syntax=ImplicitVRLittleEndian)
    meta = pydicom.dcmread(io.BytesIO(whole)).file_meta
    bare = whole[132 + 12 + meta.FileMetaInformationGroupLength :]
    assert bare[:2] == b"\x08\x00"
    assert optional_format(bare) == "DICOM"
    assert gray(decode(bare, "old.dcm"))[-1, -1] == 255


@pytest.mark.parametrize("unpackable", [True, False])
def test_packed_pixels_that_cannot_be_unpacked_are_named(monkeypatch, unpackable):
    from pydicom.encaps import encapsulate

    data = dicom(
        RAMP, bits=12, syntax=JPEGLSLossless, PixelData=encapsulate([b"\xff\xd8\xff\xf7rubbish"])
    )
    from pydicom.pixels.decoders.base import Decoder

    monkeypatch.setattr(Decoder, "is_available", property(lambda self: unpackable))
    with pytest.raises(DecodeError) as caught:
        decode(data, "packed.dcm")
    if unpackable:
        assert "damaged" in caught.value.reason
    else:
        assert "JPEG-LS Lossless" in caught.value.reason
        assert "pip install pylibjpeg" in caught.value.reason


def test_jpeg2000_is_unpacked_by_pillow(photo):
    from pydicom.encaps import encapsulate

    buffer = io.BytesIO()
    photo.convert("L").save(buffer, "JPEG2000", no_jp2=True)
    data = dicom(
        np.asarray(photo.convert("L")),
        syntax=JPEG2000Lossless,
        PixelData=encapsulate([buffer.getvalue()]),
    )
    assert difference(decode(data, "j2k.dcm"), photo.convert("L").convert("RGB")) == 0


def test_dicom_without_a_picture_says_what_it_is():
    data = dicom(RAMP, bits=12, Modality="SR")
    dataset = pydicom.dcmread(io.BytesIO(data))
    for key in ("PixelData", "Rows", "Columns"):
        del dataset[key]
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    with pytest.raises(DecodeError, match=r"DICOM without a picture \(its modality is SR\)"):
        decode(buffer.getvalue(), "report.dcm")
    with pytest.raises(DecodeError, match="cut short"):
        decode(BARE_DICM, "cut.dcm")


def test_a_dicom_file_of_too_many_pixels_is_refused_unread(tmp_path):
    file = tmp_path / "slide.dcm"
    file.write_bytes(dicom(RAMP, Rows=60000, Columns=60000))
    for read in (read_header, read_image):
        with pytest.raises(DecodeError, match="60000 × 60000 pixels, more than"):
            read(file)


def test_a_dicom_file_cut_in_half_is_said_to_be_cut():
    for syntax in (ExplicitVRLittleEndian, RLELossless):
        data = dicom(RAMP, bits=12, syntax=syntax)
        with pytest.raises(DecodeError, match="cut short"):
            decode(data[: len(data) * 3 // 4], "half.dcm")


def test_a_deflated_bomb_is_refused_before_it_is_unpacked(monkeypatch):
    from core.images import decode as decoder

    data = dicom(np.zeros((1200, 1200), np.uint16), syntax=DeflatedExplicitVRLittleEndian)
    assert len(data) < 20_000
    monkeypatch.setattr(decoder, "MAX_BYTES", 2_000_000)
    with pytest.raises(DecodeError, match="unpacks to far more"):
        decode(data, "bomb.dcm")


def test_damaged_dicom_never_raises_anything_but_decode_error():
    rng, sound = random.Random(2), dicom(RAMP[:16], bits=12, WindowCenter="40", WindowWidth="80")
    for round_number in range(120):
        data = bytearray(sound)
        if round_number % 3 == 0:
            del data[rng.randrange(len(data)) :]
        for _ in range(rng.choice((1, 3, 20))):
            end = min(len(data), 700)
            if end > 132:
                data[rng.randrange(132, end)] = rng.randrange(256)
        with contextlib.suppress(DecodeError):
            assert decode(bytes(data), "x.dcm").mode == "RGB"


def test_the_facts_of_a_dicom_file_name_its_device_and_nobody(tmp_path):
    file = tmp_path / "x.dcm"
    file.write_bytes(
        dicom(
            RAMP,
            bits=12,
            Manufacturer="Maker",
            ManufacturerModelName="Scan 7",
            StudyDate="20240229",
        )
    )
    facts = read_metadata(file)
    assert (facts.width, facts.height, facts.format, facts.mode) == (
        64,
        64,
        "DICOM",
        "gray, 12 bits",
    )
    assert (facts.camera, facts.taken) == ("Maker Scan 7", "2024-02-29")
    assert "Nobody" not in str(facts)


# -- with and without the packages -----------------------------------------------------------------


@pytest.mark.parametrize(("content", "package"), [("heic", "pillow-heif"), ("dicom", "pydicom")])
def test_without_its_package_a_file_is_named_with_what_to_install(
    photo, tmp_path, monkeypatch, content, package
):
    monkeypatch.setattr(signatures, "find_spec", lambda name: None)
    file = tmp_path / "picture.jpg"
    file.write_bytes(heic(photo) if content == "heic" else dicom(RAMP))
    for read in (read_header, read_image):
        with pytest.raises(DecodeError, match=rf"read by {package} \(pip install {package}\)"):
            read(file)
    assert looks_like(file.read_bytes()[:512])[1] is False


def test_a_folder_of_both_is_scanned_with_names_that_say_nothing(photo, tmp_path):
    for name in ("ct", "phone"):
        (tmp_path / name).mkdir()
    for number in range(4):
        (tmp_path / "ct" / f"IM{number:04}").write_bytes(dicom(RAMP + number, bits=13))
        (tmp_path / "phone" / f"{number}.HEIC").write_bytes(heic(photo.rotate(number)))
    (tmp_path / "ct" / "broken.dcm").write_bytes(BARE_DICM)
    index = scan(tmp_path, verify=True)
    assert index.class_counts() == {"ct": 4, "phone": 4}
    assert [(p.file, p.kind) for p in index.problems] == [("ct/broken.dcm", "unreadable")]


def test_the_decoder_imports_neither_package_before_such_a_file_is_met(photo, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    photo.save(tmp_path / "b.png")
    (tmp_path / "c.heic").write_bytes(heic(photo))
    script = (
        "import sys; from core.images.decode import read_image\n"
        "read_image(sys.argv[1])\n"
        "print(sorted({'pillow_heif', 'pydicom'} & set(sys.modules)))\n"
        "read_image(sys.argv[2])\n"
        "print(sorted({'pillow_heif', 'pydicom'} & set(sys.modules)))\n"
    )
    printed = run_python(script, tmp_path / "b.png", tmp_path / "c.heic")
    assert printed.split("\n")[:2] == ["[]", "['pillow_heif']"]
