"""Arguments and options that several commands share, and their checks."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from core.catalog.added import FILE_PREFIX, file_id
from core.cli.console import messages, progress, stop_on_interrupt
from core.errors import AppError, DatasetError
from core.recipe.presets import preset_values
from core.recipe.recipe import Recipe, Strategy, new_recipe, read_recipe
from core.runs.run_folder import is_run

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Dataset = Annotated[
    Path | None,
    typer.Argument(
        help="A folder with one folder per class or with train and val, a table (CSV, TSV) with"
        " the columns path and label, or a zip or tar archive of these."
    ),
]
Datasets = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[DATASET]...",
        help="A folder with one folder per class or with train and val, a table (CSV, TSV) with"
        " the columns path and label, or a zip or tar archive of these; several are one dataset.",
    ),
]
Sample = Annotated[
    str | None,
    typer.Option(
        "--sample",
        help="A ready-made dataset in place of DATASET: digits, or one of `graftwork datasets`.",
    ),
]
Model = Annotated[str, typer.Option("--model", help="Model id, see `graftwork models`.")]


def dataset_path(dataset: Path | None, sample: str | None) -> Path:
    """The path of the dataset, downloaded or not. Raises: typer.BadParameter unless exactly one is
    given; DatasetError where there is no such sample."""
    if (dataset is None) == (sample is None):
        raise typer.BadParameter("Give a dataset folder or --sample digits, not both or neither.")
    if dataset is not None:
        return dataset
    from core.data.sources import downloads

    assert sample is not None
    try:
        downloads.find(sample)
    except DatasetError as error:
        raise typer.BadParameter(str(error)) from error
    return downloads.open_set(sample)


def dataset_paths(datasets: list[Path] | None, sample: str | None) -> Path | list[Path]:
    """The paths of the dataset, one or several; as `dataset_path` where it is one."""
    if datasets and len(datasets) > 1 and sample is None:
        return datasets
    return dataset_path(datasets[0] if datasets else None, sample)


def scan_dataset(
    path: Path | list[Path],
    *,
    verify: bool = False,
    allow_unlabelled: bool = False,
    fresh: bool = False,
) -> DatasetIndex:
    """The dataset with the person's edits applied; their number is printed on stderr."""
    from core.data.open_dataset import edits_of, open_dataset

    with progress() as on_progress, stop_on_interrupt() as should_stop:
        index = open_dataset(
            path,
            verify=verify,
            allow_unlabelled=allow_unlabelled,
            fresh=fresh,
            on_progress=on_progress,
            should_stop=should_stop,
        )
    if index.unedited is not None:
        number = len(edits_of(index))
        messages.print(f"{number:,} edit{'' if number == 1 else 's'} of yours applied.")
    return index


def recipe_from(
    path: Path | None,
    assignments: list[str],
    *,
    model: str | None,
    strategy: str | None,
    epochs: int | None,
    preset: str | None = None,
) -> Recipe:
    """The recipe of a command line. Later sources replace earlier ones: preferences, preset, file,
    `--set`, options of their own. Raises: AppError; typer.BadParameter."""
    values: dict[str, Any] = preset_values(preset) if preset else {}
    if path:
        values |= read_recipe(path).model_dump(exclude_unset=True)
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise typer.BadParameter(f"--set takes key=value; not “{assignment}”.")
        values[key.strip()] = value.strip()
    if strategy is not None:
        values |= _strategy_values(strategy)
    if model is not None:
        values["model"] = model
    if epochs is not None:
        values["max_epochs"] = epochs
    if values.get("teacher"):
        values["teacher"] = _teacher_from_anywhere(str(values["teacher"]))
    return new_recipe(values)


def _teacher_from_anywhere(text: str) -> str:
    """The teacher with an absolute path: the run may be resumed from another folder."""
    if text.startswith(FILE_PREFIX):
        return file_id(text)
    return str(Path(text).absolute()) if is_run(Path(text)) else text


def _strategy_values(strategy: str) -> dict[str, Any]:
    """The recipe values of `--strategy`. Raises: AppError naming what there is."""
    if strategy == "gradual":
        return {"strategy": "full", "gradual": True}
    known = (*get_args(Strategy), "gradual")
    if strategy not in known:
        raise AppError(
            f"“{strategy}” is not a strategy this version trains.",
            f"It trains {', '.join(known)}; auto follows `graftwork advise`.",
        )
    return {"strategy": strategy}


def picture_paths(paths: list[str]) -> list[Path]:
    """The image files that files, folders (with all below) and patterns name, each once, in order.

    Raises: DatasetError where a path matches nothing.
    """
    found: dict[Path, None] = {}
    for text in paths:
        path = Path(text)
        if path.is_dir():
            from core.data.sources.scan import picture_files

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
