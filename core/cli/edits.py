"""The commands `split` and `edits`: draw a split, list edits, undo and redo them."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from core.cli.arguments import Datasets, Json, Sample, dataset_paths, scan_dataset
from core.cli.console import answer_console, print_json, progress, stop_on_interrupt
from core.words import list_some

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex
    from core.data.journal import RecordedEdit

edits = typer.Typer(help="Your changes to a dataset; your files are never changed.")


@edits.command("list")
def list_edits(dataset: Datasets = None, sample: Sample = None, as_json: Json = False) -> None:
    """List the edits that apply, oldest first."""
    from core.data.open_dataset import edits_of

    found = edits_of(scan_dataset(dataset_paths(dataset, sample)))
    if as_json:
        print_json({"edits": [_document(edit) for edit in found]})
        return
    table = Table("when", "what", Column("of", overflow="fold"), Column("to", overflow="fold"))
    for edit in found:
        when = f"{datetime.fromtimestamp(edit.time):%Y-%m-%d %H:%M}"
        table.add_row(when, edit.kind, escape(list_some(edit.files)), escape(_value(edit)))
    answer_console().print(table if found else "Nothing was changed.")


@edits.command()
def undo(dataset: Datasets = None, sample: Sample = None) -> None:
    """Undo the last edit."""
    _turn(dataset_paths(dataset, sample), is_undo=True)


@edits.command()
def redo(dataset: Datasets = None, sample: Sample = None) -> None:
    """Redo the edit that was undone last."""
    _turn(dataset_paths(dataset, sample), is_undo=False)


def _turn(path: Any, *, is_undo: bool) -> None:
    from core.data.open_dataset import journal_of

    journal = journal_of(scan_dataset(path))
    edit = journal.undo() if is_undo else journal.redo()
    what = "Taken back" if is_undo else "Brought back"
    nothing = "There is nothing to take back." if is_undo else "There is nothing to bring back."
    out = answer_console()
    out.print(nothing if edit is None else f"{what}: {edit.kind} {escape(list_some(edit.files))}")


def split(
    dataset: Datasets = None,
    sample: Sample = None,
    val: Annotated[float, typer.Option(help="Share of the images for val (validation).")] = 0.2,
    test: Annotated[
        float, typer.Option(help="Share of the images for test, used only when asked for.")
    ] = 0.0,
    seed: Annotated[
        int, typer.Option(help="Seed of the draw: another seed gives another split.")
    ] = 0,
    folds: Annotated[
        int, typer.Option(help="Make val one of so many folds, in place of --val.")
    ] = 0,
    fold: Annotated[int, typer.Option(min=1, help="Number of that fold, from 1.")] = 1,
    near_copies: Annotated[
        bool,
        typer.Option("--near-copies", help="Find near duplicates and keep them in the same split."),
    ] = False,
    own: Annotated[
        bool, typer.Option("--own", help="Go back to the split of the folders or the table.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Draw train, val and test anew: stratified, seeded, duplicates and groups in the same split.

    Kept as an edit: the window and every training use it, `edits undo` takes it back.
    """
    from core.data.journal import Edit
    from core.data.open_dataset import journal_of, with_edits_of
    from core.data.splits import SplitPlan, draw

    index = scan_dataset(dataset_paths(dataset, sample))
    value = ""
    if not own:
        plan = SplitPlan(val=val, test=test, seed=seed, folds=folds, fold=fold - 1)
        if near_copies:
            plan = dataclasses.replace(plan, together=_near_copies(index))
        draw(index, plan)  # refused here, before anything is kept
        value = plan.to_json()
    journal_of(index).add(Edit("split", value=value))
    drawn = with_edits_of(index)
    if as_json:
        print_json({"splits": drawn.split_counts(), "split_origin": drawn.split_origin})
        return
    parts = ", ".join(f"{name} {count:,}" for name, count in drawn.split_counts().items())
    answer_console().print(f"{parts}. `graftwork edits undo` takes it back.")


def _near_copies(index: DatasetIndex) -> tuple[tuple[str, ...], ...]:
    from core.data.health.check import check_health

    with progress() as on_progress, stop_on_interrupt() as should_stop:
        report = check_health(index, on_progress=on_progress, should_stop=should_stop)
    kinds = ("near duplicates", "leak", "two labels")
    return tuple(f.files for f in report.findings if f.kind in kinds and len(f.files) > 1)


def _value(edit: RecordedEdit) -> str:
    from core.data.open_dataset import plan_in_force

    if edit.kind != "split":
        return edit.value
    plan = plan_in_force([edit])
    return plan.in_words if plan is not None else "the dataset's own"


def _document(edit: RecordedEdit) -> dict[str, object]:
    return {
        "time": datetime.fromtimestamp(edit.time).isoformat(),
        "kind": edit.kind,
        "files": list(edit.files),
        "value": edit.value,
    }
