"""Writes the features of pictures to a .npz or .csv file, for other programs."""

from __future__ import annotations

import csv
import io
import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.errors import AppError, DecodeError
from core.evaluation.classifier import FILE_PREFIX
from core.events import OnProgress, ShouldStop, check_stop, never_stop, no_progress
from core.images.decode import read_image
from core.models.build import BuiltModel, build
from core.models.layers.activations import inner_features, spatial_features
from core.models.resolve import resolve_model
from core.models.weights.files import open_model_file
from core.runs.checkpoints import load_checkpoint
from core.runs.run_folder import is_run
from core.runs.store import RunStore

_BATCH = 16


@dataclass(frozen=True, slots=True)
class FeatureFile:
    """A written file of features, float32 [files, *shape]; unreadable: file → reason."""

    path: Path
    files: int
    shape: tuple[int, ...]
    unreadable: dict[str, str]


def open_model(ref: str, *, store: RunStore | None = None) -> BuiltModel:
    """Build the model of a run (folder or name), a model id, or `file:` and a path to weights.

    Raises: AppError if it does not exist, or its weights are not on this machine.
    """
    store = store or RunStore()
    if ref.startswith(FILE_PREFIX):
        return build(open_model_file(Path(ref.removeprefix(FILE_PREFIX))).file_card)
    if ref.startswith("run:") or is_run(Path(ref)) or is_run(store.root / ref):
        return load_checkpoint(store.open(ref).best).built
    return build(resolve_model(ref))


def write_features(
    built: BuiltModel,
    pictures: Sequence[Path],
    out: Path,
    *,
    layer: str | None = None,
    spatial: bool = False,
    force: bool = False,
    on_progress: OnProgress = no_progress,
    should_stop: ShouldStop = never_stop,
) -> FeatureFile:
    """Write features of pictures to `out`: pooled ones, those of a `layer`, or `spatial` maps.

    A .npz has `files` [N] (paths as text), `features` float32 [N, …], and `unreadable` with
    `reasons` for files that could not be decoded; a .csv has one line a picture, for features that
    are vectors. An existing file is replaced only with `force`; after a failure no file is left.

    Raises: AppError, Cancelled.
    """
    _check_out(out, force=force, is_maps=spatial)
    unreadable: dict[str, str] = {}
    files: list[str] = []
    shape: tuple[int, ...] = ()
    batches = _batches(built, pictures, unreadable, layer, spatial)
    try:
        # In the folder of `out`, where there must be space; rows are written as they are computed.
        with tempfile.TemporaryFile(dir=out.parent) as rows:
            for done, names, features in batches:
                check_stop(should_stop)
                files += names
                if names:
                    shape = features.shape[1:]
                    _check_fits(out, shape)
                    rows.write(np.ascontiguousarray(features).tobytes())
                on_progress(done, len(pictures), "features")
            if not files:
                raise AppError(
                    "None of the pictures could be read.", next(iter(unreadable.values()), "")
                )
            _write_file(out, rows, files, shape, unreadable)
    except OSError as error:
        raise AppError(
            f"{out} cannot be written: {error.strerror or error}.",
            "Free some space, or choose another folder; no file was left behind.",
        ) from error
    return FeatureFile(out, len(files), shape, unreadable)


def _check_out(out: Path, *, force: bool, is_maps: bool) -> None:
    if out.suffix.lower() not in (".npz", ".csv"):
        raise AppError(
            f"Features cannot be written to “{out.name}”: its suffix is neither .npz nor .csv.",
            "End the name with .npz or .csv.",
        )
    if is_maps and out.suffix.lower() == ".csv":
        raise AppError("A .csv file has one vector a picture, no maps.", "End the name with .npz.")
    if out.exists() and not force:
        raise AppError(f"{out} exists already.", "Use another name, or --force to replace it.")
    if not out.parent.is_dir():
        raise AppError(f"There is no folder {out.parent}.", "Create it, or use another folder.")


def _check_fits(out: Path, shape: tuple[int, ...]) -> None:
    """Check that features of this shape fit a .csv: a vector, or a 1 × 1 map. Raises: AppError."""
    if out.suffix.lower() == ".csv" and max(shape, default=1) != np.prod(shape, dtype=np.int64):
        size = "×".join(map(str, shape))
        raise AppError(
            f"A .csv file has one vector a picture, but these features are {size} each.",
            "End the name with .npz.",
        )


def _batches(
    built: BuiltModel,
    pictures: Sequence[Path],
    unreadable: dict[str, str],
    layer: str | None,
    spatial: bool,
) -> Iterator[tuple[int, list[str], npt.NDArray[np.float32]]]:
    """Yield (pictures done, names of the readable ones of a batch, their features).

    `unreadable` gets the others.
    """
    preprocessing = built.preprocessing
    mean = torch.tensor(preprocessing.mean).view(1, 3, 1, 1)
    std = torch.tensor(preprocessing.std).view(1, 3, 1, 1)

    def read(path: Path) -> npt.NDArray[np.uint8] | DecodeError:
        try:
            return preprocessing.pixels(read_image(path, short_side=preprocessing.resize_px))
        except DecodeError as error:
            return error

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="decode") as pool:
        for start in range(0, len(pictures), _BATCH):
            share = pictures[start : start + _BATCH]
            pixels: list[npt.NDArray[np.uint8]] = []
            names: list[str] = []
            for path, found in zip(share, pool.map(read, share), strict=True):
                if isinstance(found, DecodeError):
                    unreadable[str(path)] = found.message
                else:
                    names.append(str(path))
                    pixels.append(found)
            done = start + len(share)
            if not pixels:
                yield done, [], np.empty(0, dtype=np.float32)
                continue
            images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float()
            with torch.inference_mode():
                features = _compute_features(built, (images / 255 - mean) / std, layer, spatial)
            yield done, names, features.float().numpy()


def _compute_features(
    built: BuiltModel, images: Tensor, layer: str | None, spatial: bool
) -> Tensor:
    if layer is not None:
        return inner_features(built, images, layers=[layer])[layer]
    return spatial_features(built, images) if spatial else built.features(images)


def _write_file(
    out: Path,
    rows: IO[bytes],
    files: list[str],
    shape: tuple[int, ...],
    unreadable: dict[str, str],
) -> None:
    """Write `out` in one step. Raises: OSError."""
    rows.seek(0)
    handle, temporary = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}-")
    try:
        with os.fdopen(handle, "wb") as target:
            if out.suffix.lower() == ".npz":
                _write_npz(target, rows, files, shape, unreadable)
            else:
                _write_csv(target, rows, files, shape)
            target.flush()
            os.fsync(target.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(out)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _write_npz(
    target: IO[bytes],
    rows: IO[bytes],
    files: list[str],
    shape: tuple[int, ...],
    unreadable: dict[str, str],
) -> None:
    texts = {
        "files": files,
        "unreadable": list(unreadable),
        "reasons": list(unreadable.values()),
    }
    with zipfile.ZipFile(target, "w", allowZip64=True) as archive:
        for name, values in texts.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.array(values, dtype=np.str_))
        with archive.open("features.npy", "w", force_zip64=True) as member:
            header = {"descr": "<f4", "fortran_order": False, "shape": (len(files), *shape)}
            np.lib.format.write_array_header_1_0(member, header)
            while piece := rows.read(1 << 20):
                member.write(piece)


def _write_csv(
    target: IO[bytes], rows: IO[bytes], files: list[str], shape: tuple[int, ...]
) -> None:
    width = int(np.prod(shape, dtype=np.int64))
    target.write(_csv_row(["file", *(f"f{i}" for i in range(width))]))
    for name in files:
        values = np.frombuffer(rows.read(4 * width), dtype="<f4")
        target.write(_csv_row([name, *(f"{value:.7g}" for value in values)]))


def _csv_row(cells: list[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    # A file name that is not UTF-8 is written with its own bytes.
    return line.getvalue().encode("utf-8", errors="surrogateescape")
