"""The command `augment-preview`: augmented training images in one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from core.cli.arguments import Dataset, Sample, dataset_path, recipe_from, scan_dataset
from core.cli.console import answer_console
from core.errors import AppError


def augment_preview(
    dataset: Dataset = None,
    sample: Sample = None,
    out: Annotated[Path, typer.Option("--out", help="Image file to write, e.g. seen.png.")] = Path(
        "augmented.png"
    ),
    model: Annotated[str | None, typer.Option("--model", help="Model id.")] = None,
    recipe_file: Annotated[Path | None, typer.Option("--recipe", help="A recipe in TOML.")] = None,
    values: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of the recipe; repeatable.")
    ] = None,
    pictures: Annotated[int, typer.Option(min=1, max=64, help="Number of pictures (rows).")] = 4,
    views: Annotated[
        int, typer.Option(min=1, max=64, help="Number of augmented views of each (columns).")
    ] = 6,
    roll: Annotated[
        int, typer.Option(min=0, help="Seed of the views: another number gives other views.")
    ] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write training images as they are (left) and with the recipe's augmentation."""
    path = dataset_path(dataset, sample)
    recipe = recipe_from(recipe_file, values or [], model=model, strategy=None, epochs=None)
    if out.exists() and not force:
        raise AppError(f"{out} exists already.", "Name another file, or replace it with --force.")
    from core.batches.augment_preview import choose, preview, sheet

    index = scan_dataset(path)
    rows = preview(index, choose(index, pictures, pick=roll), recipe, views=views, roll=roll)
    try:
        sheet(rows).save(out)
    except (OSError, ValueError) as error:  # ValueError: an ending that is no picture's
        out.unlink(missing_ok=True)
        raise AppError(f"{out} cannot be written: {error}.", "End its name in .png.") from error
    answer_console().print(
        f"{escape(str(out))}: {len(rows)} pictures, each as it is and {views} times varied.",
        soft_wrap=True,
    )
