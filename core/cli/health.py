"""The command `health`: find what may be wrong with a dataset, and write a report of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from core.cli.arguments import Dataset, Json, Model, Sample, dataset_path, scan_dataset
from core.cli.console import answer_console, messages, print_json, progress, stop_on_interrupt
from core.recipe.recipe import DEFAULT_MODEL, new_recipe

_MOST = 12
"""Findings of a kind that the terminal shows; the files have all of them."""


def health(
    dataset: Dataset = None,
    sample: Sample = None,
    features: Annotated[
        bool,
        typer.Option(
            "--features/--no-features",
            help="Also find wrong labels and outliers, by the frozen features of --model.",
        ),
    ] = True,
    model: Model = DEFAULT_MODEL,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="Write a report with pictures to an HTML file.")
    ] = None,
    csv_file: Annotated[
        Path | None,
        typer.Option("--csv", help="Write a row for each picture and finding to a CSV file."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
    as_json: Json = False,
) -> None:
    """Find what may be wrong with a dataset: duplicates, leaks, wrong labels, bad pictures."""
    from dataclasses import replace

    from core.data.health.check import check_health
    from core.data.health.findings import open_findings
    from core.data.health.report import check_target, summary_lines, to_json, write_report
    from core.data.open_dataset import edits_of

    for file, ending in ((html_file, ".html"), (csv_file, ".csv")):
        if file is not None:
            if file.suffix.lower() != ending:
                raise typer.BadParameter(f"{file.name} does not end in {ending}.")
            check_target(file, force=force)
    index = scan_dataset(dataset_path(dataset, sample), allow_unlabelled=True)
    with progress() as on_progress, stop_on_interrupt() as should_stop:
        vectors = None
        if features:
            from core.features.dataset_features import index_features

            vectors = index_features(
                index,
                new_recipe({"model": model}),
                on_progress=on_progress,
                should_stop=should_stop,
            )
        report = check_health(
            index, features=vectors, on_progress=on_progress, should_stop=should_stop
        )
        still_open = open_findings(report.findings, edits_of(index))
        dismissed = len(report.findings) - len(still_open)
        report = replace(report, findings=still_open)
        for file in (html_file, csv_file):
            if file is not None:
                write_report(index, report, file, on_progress=on_progress, should_stop=should_stop)
    for file in (html_file, csv_file):
        if file is not None:
            messages.print(f"Written: {escape(str(file))}", soft_wrap=True)
    if as_json:
        print_json({**to_json(report, index), "dismissed": dismissed})
        return
    out = answer_console()
    name = escape(index.name)
    count = len(report.findings)
    table = Table(
        "kind", Column("files", overflow="fold"), Column("why", overflow="fold"), "suggested",
    )  # fmt: skip
    for kind, files, why, action, more in summary_lines(report, most=_MOST):
        table.add_row(kind, escape(files), escape(why), escape(action))
        if more:
            table.add_row("", f"and {more:,} more", "", "")
    summary = f"{count:,} finding{'' if count == 1 else 's'}" if count else "nothing found."
    out.print(f"{name}: {report.images:,} images, {summary}", soft_wrap=True)
    if report.findings:
        out.print(table)
    if dismissed:
        out.print(f"{dismissed:,} more were kept or answered by your edits.")
    for note in report.notes:
        out.print(escape(note), soft_wrap=True)
    out.print(f"{report.read:,} files read now; the others are known from before.")
