"""The commands `runs`, `runs note` and `runs archive`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from core.cli.arguments import Json
from core.cli.console import answer_console, messages, print_json

if TYPE_CHECKING:
    from core.runs.run_folder import RunSummary

runs = typer.Typer(help="List runs, newest first; note and archive.")
RunName = Annotated[str, typer.Argument(metavar="RUN", help="Folder or name of a run.")]


@runs.callback(invoke_without_command=True)
def list_runs(
    context: typer.Context,
    archived: Annotated[bool, typer.Option("--archived", help="Include archived runs.")] = False,
    as_json: Json = False,
) -> None:
    """List runs, newest first."""
    if context.invoked_subcommand is not None:
        return
    from core.runs.store import RunStore

    store = RunStore()
    every = store.runs()
    found = [run for run in every if archived or not run.is_archived]
    if as_json:
        print_json({"runs": [_as_document(run) for run in found]})
        return
    table = Table(
        Column("run", overflow="fold"),
        "model",
        "strategy",
        "classes",
        "accuracy",
        "status",
        Column("note", overflow="fold"),
    )
    for run in found:
        accuracy = "" if run.report_accuracy is None else f"{run.report_accuracy:.1%}"
        status = f"{run.status}, archived" if run.is_archived else run.status
        table.add_row(
            escape(run.name),
            run.model,
            run.strategy,
            str(run.classes),
            accuracy,
            status,
            escape(run.note),
        )
    out = answer_console()
    out.print(table if found else f"No runs yet in {store.root}.")
    if len(found) < len(every):
        messages.print(f"{len(every) - len(found)} archived; --archived lists them.")


def _as_document(run: RunSummary) -> dict[str, object]:
    return {
        "run": str(run.path),
        "name": run.name,
        "started": run.started.isoformat(),
        "model": run.model,
        "strategy": run.strategy,
        "dataset": run.dataset,
        "status": run.status,
        "val_accuracy": run.report_accuracy,
        "classes": run.classes,
        "note": run.note,
        "archived": run.is_archived,
    }


@runs.command()
def note(
    run: RunName,
    text: Annotated[
        str | None, typer.Argument(help="Text of the note; an empty text removes it.")
    ] = None,
) -> None:
    """Write a note about a run; without a text, print it."""
    from core.runs.store import RunStore

    opened = RunStore().open(run)
    if text is None:
        answer_console().print(escape(opened.read_note()))
    else:
        opened.write_note(text)


@runs.command()
def archive(
    run: RunName,
    back: Annotated[bool, typer.Option("--back", help="Bring the run back.")] = False,
) -> None:
    """Archive a run: it stays on the disk and is listed only with --archived."""
    from core.runs.store import RunStore

    RunStore().open(run).set_archived(not back)
