"""The commands `datasets`: list, download and remove ready-made datasets."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from core.cli.arguments import Json
from core.cli.console import answer_console, messages, print_json, progress, stop_on_interrupt
from core.errors import AppError

if TYPE_CHECKING:
    from core.data.sources.downloads import ReadyMade

datasets = typer.Typer(
    invoke_without_command=True,
    help="List ready-made datasets with size and licence; download or remove one.",
)

Name = Annotated[
    str, typer.Argument(metavar="ID", help="Id of a dataset, as `graftwork datasets` lists it.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation; for scripts.")]


@datasets.callback()
def list_datasets(context: typer.Context, as_json: Json = False) -> None:
    """List ready-made datasets with size and licence."""
    if context.invoked_subcommand is not None:
        return
    from core.data.sources import downloads

    entries = downloads.all_sets()
    if as_json:
        print_json({"datasets": [_fields(entry) for entry in entries]})
        return
    table = Table(
        Column("id", no_wrap=True), "name", "shows", Column("images", justify="right"),
        Column("classes", justify="right"), Column("download", justify="right"), "licence", "here",
    )  # fmt: skip
    for entry in entries:
        table.add_row(
            entry.id,
            escape(entry.title),
            escape(entry.shows),
            f"{entry.images:,}",
            f"{entry.classes:,}",
            f"{entry.download_mb:,} MB" if entry.download_mb else "–",
            escape(entry.licence),
            "yes" if downloads.is_here(entry) else "",
        )
    out = answer_console()
    out.print(table)
    out.print("Get one: graftwork datasets download ID. Use one: graftwork train --sample ID.")


@datasets.command("download")
def download(name: Name, yes: Yes = False, as_json: Json = False) -> None:
    """Download a dataset with torchvision's own code, after showing licence and size and asking."""
    from core.data.sources import downloads

    entry = downloads.find(name)
    if not downloads.is_here(entry):
        _ask(entry, yes)
    with progress() as on_progress, stop_on_interrupt() as should_stop:
        folder = downloads.download(name, on_progress=on_progress, should_stop=should_stop)
    if as_json:
        print_json({**_fields(entry), "path": str(folder)})
        return
    answer_console().print(
        escape(f"{entry.title} is in {folder}. Use it: graftwork train --sample {entry.id}"),
        soft_wrap=True,
    )


@datasets.command("remove")
def remove(name: Name) -> None:
    """Move a downloaded dataset to the trash."""
    from core.data.sources import downloads

    folder = downloads.remove(name)
    answer_console().print(escape(f"{folder} is in the trash."), soft_wrap=True)


def _ask(entry: ReadyMade, yes: bool) -> None:
    """Show size and licence and ask for a yes. Raises: AppError for a no."""
    messages.print(
        escape(
            f"{entry.title}: {entry.images:,} images, {entry.classes:,} classes.\n"
            f"Licence: {entry.licence}.\n"
            f"By {entry.home}. Cite: {entry.citation}\n"
            f"Download: about {entry.download_mb:,} MB; up to {entry.disk_mb:,} MB on the disk "
            "while it is unpacked."
        ),
        soft_wrap=True,
    )
    if yes:
        return
    if not sys.stdin.isatty():
        raise AppError(
            f"{entry.title} was not downloaded: nobody can be asked here.",
            "Read the licence, then say yes with --yes.",
        )
    if not typer.confirm("Download it?", err=True):
        raise AppError(f"{entry.title} was not downloaded.")


def _fields(entry: ReadyMade) -> dict[str, Any]:
    from core.data.sources import downloads

    here = downloads.is_here(entry)
    return {
        **asdict(entry),
        "here": here,
        "path": str(downloads.folder_of(entry)) if here else None,
    }
