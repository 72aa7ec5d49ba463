"""The command `suggest`: labels for the pictures of a dataset that have none."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from core.cli.arguments import Dataset, Json
from core.cli.console import answer_console, messages, print_json, progress, stop_on_interrupt
from core.errors import AppError, DatasetError
from core.recipe.recipe import new_recipe

if TYPE_CHECKING:
    from core.evaluation.suggest import Suggestions

_SHOWN = 20


def suggest(
    dataset: Dataset = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Model id, see `graftwork models`.")
    ] = None,
    threshold: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Smallest probability of a suggestion that counts as sure."
        ),
    ] = 0.95,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write file, label and probability to a CSV file.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    as_json: Json = False,
) -> None:
    """Suggest labels for unlabelled pictures, learned from the labelled ones of the dataset.

    Labels are those of the table or the folders and those given in the window.
    """
    from core.data.open_dataset import open_dataset
    from core.evaluation import suggest as learning
    from core.features.dataset_features import picture_features

    if dataset is None:
        raise typer.BadParameter("Name the dataset: a folder of pictures, or a table.")
    if csv_file is not None and csv_file.exists() and not force:
        raise AppError(f"{csv_file} is there already.", "Choose another name, or add --force.")
    recipe = new_recipe({} if model is None else {"model": model})
    with progress() as on_progress, stop_on_interrupt() as should_stop:
        index = open_dataset(
            dataset, allow_unlabelled=True, on_progress=on_progress, should_stop=should_stop
        )
        if not len(index.unlabelled):
            raise DatasetError(f"Every picture of “{index.name}” has a label.")
        learning.check_labels(index)
        features = picture_features(index, recipe, on_progress=on_progress, should_stop=should_stop)
    for file, reason in features.unreadable:
        messages.print(f"[yellow]Left out:[/] {escape(file)}: {escape(reason)}", soft_wrap=True)
    found = learning.suggest(features, index)
    if csv_file is not None:
        _write(csv_file, found)
    if as_json:
        print_json(learning.to_json(found, threshold=threshold, model=features.model))
        return
    _say(found, threshold, csv_file)


def _say(found: Suggestions, threshold: float, csv_file: Path | None) -> None:
    expected = found.expectation(threshold)
    out = answer_console()
    out.print(
        f"{found.labelled:,} labelled, {len(found):,} without a label; {expected.count:,} of these "
        f"reach {threshold:.0%}."
    )
    if expected.tried:
        out.print(
            f"Of the labelled ones, each judged by a fit without it, {expected.tried:,} reach it "
            f"and {expected.wrong:,} of those were wrong: expect at most "
            f"{expected.most_wrong:.1%} errors (95 % interval), if they are typical.",
            soft_wrap=True,
        )
    else:
        out.print("No labelled picture reaches it when judged without: no error can be estimated.")
    if csv_file is not None:
        out.print(f"Written to {escape(str(csv_file))}.", soft_wrap=True)
        return
    order = found.most_certain()
    for i in order[:_SHOWN].tolist():
        name, p = found.classes[int(found.best[i])], float(found.confidence[i])
        out.print(f"{p:6.1%}  {escape(name)}  {escape(found.files[i])}", soft_wrap=True)
    if len(order) > _SHOWN:
        out.print(f"and {len(order) - _SHOWN:,} more: --csv or --json give all.")


def _write(path: Path, found: Suggestions) -> None:
    best, confidence = found.best, found.confidence
    try:
        with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "label", "probability"])
            for i in found.most_certain().tolist():
                writer.writerow([found.files[i], found.keys[best[i]], f"{confidence[i]:.4f}"])
    except OSError as error:
        raise AppError(f"{path} cannot be written: {error.strerror or error}.") from error
