"""What a person types on the command line, checked at the door."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from core.console import progress, stop_on_interrupt
from core.errors import AppError, DatasetError
from core.recipe import Recipe, make_recipe, read_recipe

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex


def dataset_path(dataset: Path | None, sample: str | None) -> Path:
    """Raises: typer.BadParameter unless exactly one of the two is given."""
    if (dataset is None) == (sample is None):
        raise typer.BadParameter("Give a dataset folder or --sample digits, not both or neither.")
    if dataset is not None:
        return dataset
    if sample != "digits":
        raise typer.BadParameter(f"There is no sample “{sample}”; there is: digits.")
    from core.data.samples import digits

    return digits()


def scan_dataset(path: Path, *, verify: bool = False) -> DatasetIndex:
    from core.data.scan import scan as scan_folder

    with progress() as on_progress, stop_on_interrupt() as should_stop:
        return scan_folder(path, verify=verify, on_progress=on_progress, should_stop=should_stop)


def recipe_from(
    path: Path | None,
    assignments: list[str],
    *,
    model: str | None,
    strategy: str | None,
    epochs: int | None,
) -> Recipe:
    """File first, then `--set`, then the options of their own."""
    values: dict[str, Any] = read_recipe(path).model_dump() if path else {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise typer.BadParameter(f"--set takes key=value; not “{assignment}”.")
        values[key.strip()] = value.strip()
    if strategy not in (None, "auto", "feature-extraction"):
        raise AppError(
            f"“{strategy}” is not a strategy this version trains.",
            "It trains feature-extraction; auto chooses it too.",
        )
    if model is not None:
        values["model"] = model
    if epochs is not None:
        values["epochs"] = epochs
    return make_recipe(values)


def picture_paths(paths: list[str]) -> list[Path]:
    """Files of images, folders (all pictures below) and patterns, each once, in order.

    Raises: DatasetError where a path matches nothing.
    """
    found: dict[Path, None] = {}
    for text in paths:
        path = Path(text)
        if path.is_dir():
            from core.data.scan import picture_files

            inside = picture_files(path)
            if not inside:
                raise DatasetError(f"There is no picture in the folder {path}.")
            found.update(dict.fromkeys(inside))
        elif path.exists():
            found[path] = None
        else:
            matches = [Path(match) for match in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207
            if not matches:
                raise DatasetError(f"There is no file {text}.")
            found.update(dict.fromkeys(match for match in matches if match.is_file()))
    return list(found)
