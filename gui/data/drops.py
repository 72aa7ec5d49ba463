"""Where dropped files belong. No Qt: paths in, one decision out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.errors import AppError
from gui.kit.words import quote_some

Kind = Literal["dataset", "run", "model", "images"]

_MODEL_SUFFIXES = frozenset((".safetensors", ".pth", ".pt", ".bin"))
DATASET_SUFFIXES = (
    ".csv", ".tsv", ".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz",
)  # fmt: skip
"""Tables of labels and archives of pictures."""
_RUN_DEPTH = 4
"""How far above a file of weights its run folder may stand."""


@dataclass(frozen=True, slots=True)
class Destination:
    """What to do with a drop. `rest` says in words what was left out."""

    kind: Kind
    paths: tuple[Path, ...]
    rest: str = ""


def find_destination(paths: Sequence[Path]) -> Destination:
    """Where these paths belong: folders, tables and archives before weights, these before images.

    Several folders, tables and archives together are one dataset.

    Weights inside a run folder stand for the run. Raises: AppError saying why they belong nowhere.
    """
    folders = [path for path in paths if _is_folder(path)]
    images = [path for path in paths if path not in folders and _looks_like_image(path)]
    others = [path for path in paths if path not in folders and path not in images]
    models = [path for path in others if path.suffix.lower() in _MODEL_SUFFIXES and path.is_file()]
    if folders and _is_run(folders[0]):
        rest = f"Only the run “{folders[0].name}” was opened." if len(paths) > 1 else ""
        return Destination("run", (folders[0],), rest)
    sources = tuple(path for path in paths if path in folders or _is_dataset_file(path))
    if sources:
        left_out = [path for path in paths if path not in sources]
        return Destination("dataset", sources, f"{_names(left_out)} left out." if left_out else "")
    if models:
        rest = f"Only “{models[0].name}” was opened." if len(paths) > 1 else ""
        run = _run_of(models[0])
        if run is not None:
            return Destination("run", (run,), rest)
        return Destination("model", (models[0],), rest)
    if images:
        rest = f"{_names(others)} left out: not an image." if others else ""
        return Destination("images", tuple(images), rest)
    if not others:
        raise AppError("Nothing that is on this machine was dropped.", "Drop a folder or an image.")
    missing = [path for path in others if not path.exists()]
    if missing:
        raise AppError(f"“{missing[0].name}” is not there any more.", "Was it moved or deleted?")
    raise AppError(
        f"“{others[0].name}” is neither a folder nor an image.",
        "Drop a folder with one folder of images per class, a table of labels (.csv, .tsv), a zip "
        "or tar archive, an image, a run folder, or a file of weights (.safetensors, .pth, .pt, "
        ".bin).",
    )


def image_suffixes() -> frozenset[str]:
    """What is taken for a picture by its name; whether it is one, the decoder finds out."""
    # Imported when something is dropped: it brings numpy, which the first paint does without.
    from core.data.sources.folders import IMAGE_SUFFIXES

    return IMAGE_SUFFIXES


def _names(paths: Sequence[Path]) -> str:
    names = quote_some([path.name for path in paths])
    return f"{names} were" if len(paths) > 3 else f"{names} was"


def _looks_like_image(path: Path) -> bool:
    return path.suffix.lower() in image_suffixes() and not path.name.startswith("._")


def _is_dataset_file(path: Path) -> bool:
    return path.name.lower().endswith(DATASET_SUFFIXES) and path.is_file()


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _is_run(folder: Path) -> bool:
    from core.runs.run_folder import is_run  # not before the first paint

    return is_run(folder)


def _run_of(file: Path) -> Path | None:
    """The run folder that a file of weights lies in."""
    return next((folder for folder in file.parents[:_RUN_DEPTH] if _is_run(folder)), None)
