"""The command `queue`: trainings that run one after the other."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from core.cli.arguments import Dataset, Json, Sample, dataset_path, recipe_from
from core.cli.console import (
    answer_console,
    messages,
    print_json,
    progress,
    run_sink,
    stop_on_interrupt,
)
from core.errors import AppError, Cancelled

queue = typer.Typer(help="Trainings that run one after the other; the queue survives a restart.")
EntryId = Annotated[
    int, typer.Argument(metavar="ENTRY", help="Number of the entry, as `graftwork queue` lists it.")
]


@queue.callback(invoke_without_command=True)
def list_queue(context: typer.Context, as_json: Json = False) -> None:
    """List what waits, runs and has ended."""
    if context.invoked_subcommand is not None:
        return
    from core.runs.queue import Queue

    entries = Queue().entries()
    if as_json:
        print_json(
            {
                "queue": [
                    {
                        "entry": entry.id,
                        "name": entry.name,
                        "dataset": [str(path) for path in entry.opened],
                        "state": entry.state,
                        "added": datetime.fromtimestamp(entry.added).isoformat(),
                        "run": entry.run or None,
                        "error": entry.error or None,
                    }
                    for entry in entries
                ]
            }
        )
        return
    table = Table("entry", "dataset", "model", "strategy", "state", Column("", overflow="fold"))
    for entry in entries:
        try:
            recipe = entry.recipe()
            model, strategy = recipe.model, str(recipe.strategy)
        except AppError:  # of another version; the error is shown when it is trained
            model = strategy = "?"
        outcome = entry.error or entry.run
        table.add_row(
            str(entry.id), escape(entry.name), model, strategy, entry.state, escape(outcome)
        )
    answer_console().print(table if entries else "The queue is empty.")


@queue.command()
def add(
    dataset: Dataset = None,
    sample: Sample = None,
    model: Annotated[str | None, typer.Option("--model", help="Model id.")] = None,
    strategy: Annotated[
        str | None, typer.Option(help="feature-extraction, partial, full, gradual or scratch.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Largest number of epochs (passes over the training images).")
    ] = None,
    recipe_file: Annotated[Path | None, typer.Option("--recipe", help="A recipe in TOML.")] = None,
    values: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of the recipe; repeatable.")
    ] = None,
) -> None:
    """Put a training at the end of the queue; `queue run` or the window trains it."""
    from core.plan.check import check
    from core.runs.queue import Queue

    path = dataset_path(dataset, sample).absolute()
    if not path.exists():
        raise AppError(f"There is no dataset {path}.", "Check the path.")
    recipe = recipe_from(recipe_file, values or [], model=model, strategy=strategy, epochs=epochs)
    check(recipe)
    entry = Queue().add([path], path.stem if path.is_file() else path.name, recipe)
    answer_console().print(f"Entry {entry} waits.")


@queue.command()
def remove(entry: EntryId) -> None:
    """Remove an entry; its run on the disk stays."""
    from core.runs.queue import Queue

    Queue().remove(entry)


@queue.command()
def move(
    entry: EntryId,
    place: Annotated[int, typer.Argument(min=1, help="New position; 1 is the first.")],
) -> None:
    """Move an entry to another position."""
    from core.runs.queue import Queue

    Queue().move(entry, place - 1)


@queue.command("again")
def put_back(entry: EntryId) -> None:
    """Queue an entry that has ended once more."""
    from core.runs.queue import Queue

    Queue().requeue(entry)


@queue.command()
def run(as_json: Json = False) -> None:
    """Train what waits, one after the other. Ctrl+C stops the current run and then ends."""
    from core.runs.queue import Queue
    from core.training.queue_runner import train_entry

    waiting = Queue()
    done = []
    with progress() as on_progress, stop_on_interrupt() as should_stop:
        while not should_stop() and (entry := waiting.start_next()) is not None:
            start = time.perf_counter()
            messages.print(f"[bold]Entry {entry.id}: {escape(entry.name)}[/]")
            row: dict[str, Any] = {
                "entry": entry.id,
                "run": None,
                "val_accuracy": None,
                "error": None,
            }
            try:
                result = train_entry(
                    waiting, entry, on_progress=on_progress, sink=run_sink(on_progress),
                    should_stop=should_stop,
                )  # fmt: skip
                accuracy = result.report.top1 if result.report else None
                row |= {
                    "run": str(result.run), "status": result.status, "val_accuracy": accuracy,
                }  # fmt: skip
                accuracy_text = "no report" if accuracy is None else f"{accuracy:.1%}"
                messages.print(
                    f"{result.status}, {accuracy_text}, {time.perf_counter() - start:.1f} s"
                )
            except Cancelled:
                row["status"] = "stopped"
            except AppError as error:  # one that cannot be trained holds nobody else up
                row |= {"status": "failed", "error": str(error)}
                messages.print(f"[red]{escape(str(error))}[/]", soft_wrap=True)
            done.append(row)
    if as_json:
        print_json({"done": done})
    else:
        answer_console().print(f"{len(done)} worked off.")
    if any(row["status"] == "failed" for row in done):
        raise typer.Exit(1)
