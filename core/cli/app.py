"""The command line: the same engine and recipe as the window.

`--json` prints one JSON document on stdout; messages go to stderr. Exit codes: 0 done, 2 wrong
usage, 1 failed.
"""

from __future__ import annotations

import importlib.metadata
import io
import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from core.cli.arguments import (
    Dataset,
    Datasets,
    Json,
    Model,
    Sample,
    dataset_path,
    dataset_paths,
    picture_paths,
    scan_dataset,
)
from core.cli.console import (
    answer_console,
    messages,
    print_json,
    print_report,
    progress,
    stop_on_interrupt,
    write_csv,
)
from core.cli.datasets import datasets
from core.cli.edits import edits, split
from core.cli.features import features
from core.cli.health import health
from core.cli.label import suggest
from core.cli.layers import layers
from core.cli.lr_find import lr_find
from core.cli.models import catalog, compare, models
from core.cli.preview import augment_preview
from core.cli.queue import queue
from core.cli.runs import runs
from core.cli.train import resume, train
from core.cli.weights import hub, weights
from core.errors import AppError, Cancelled
from core.recipe.recipe import DEFAULT_MODEL, new_recipe

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Transfer learning for image classification. Without a command the window opens.",
)


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit code."""
    logging.captureWarnings(True)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a pipe on Windows has a code page of its own
            stream.reconfigure(errors="backslashreplace")
    try:
        app(arguments, prog_name="graftwork")
    except SystemExit as exit_:  # typer's own way out: 0 done, 2 wrong usage
        return exit_.code if isinstance(exit_.code, int) else 1
    except AppError as error:
        messages.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True)
        return 1
    except (Cancelled, KeyboardInterrupt):
        messages.print("Stopped. What was computed stays in the cache.")
        return 1
    except BrokenPipeError:
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        messages.print(f"[bold red]Error:[/] {escape(where + (error.strerror or str(error)))}")
        return 1
    return 0


def _print_version(wanted: bool) -> None:
    if wanted:
        answer_console().print(f"graftwork {importlib.metadata.version('graftwork')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Options that every command has."""


def is_command(word: str) -> bool:
    """Whether a first argument is a command or an option; any other opens the window with it."""
    names = {
        info.name or info.callback.__name__ for info in app.registered_commands if info.callback
    } | {group.name for group in app.registered_groups}
    return word in names or word.startswith("-") or not os.path.exists(word)  # noqa: PTH110 - False where it may not be looked at


@app.command("gui", help="Open the window, with a dataset if a path is given.")
def open_gui() -> None:
    # main.py takes this command before the command line is loaded; it stands here for --help.
    raise AppError("The window is opened by `graftwork` or `graftwork gui [PATH]`.")


@app.command()
def scan(
    dataset: Datasets = None,
    sample: Sample = None,
    headers_only: Annotated[
        bool,
        typer.Option(
            "--quick", help="Read only the headers of the images; truncated files are not found."
        ),
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Read every file again, also unchanged ones.")
    ] = False,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="Include pictures without a label.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the classes, counts, splits, problems, duplicates and leaks of a dataset."""
    from core.data.sources.scan import to_json

    index = scan_dataset(
        dataset_paths(dataset, sample),
        verify=not headers_only,
        allow_unlabelled=unlabelled,
        fresh=fresh,
    )
    if as_json:
        print_json(to_json(index))
        return
    out = answer_console()
    out.print(f"{escape(index.name)}: {len(index):,} images", soft_wrap=True)
    table = Table(Column("class", overflow="fold"))
    splits = list(index.split_counts())
    for name in splits:
        table.add_column(name, justify="right")
    counts = index.class_split_counts()
    from core.data.dataset import SPLITS

    for label, name in enumerate(index.classes):
        table.add_row(escape(name), *(f"{counts[label, SPLITS.index(s)]:,}" for s in splits))
    if index.classes:
        out.print(table)
    if index.split_counts():
        out.print(f"Split: {_split_origin(index)}.")
    if index.unlabelled.size:
        out.print(f"{len(index.unlabelled):,} images without a label.")
    for note in index.notes:
        out.print(escape(note))
    for problem in index.problems:
        out.print(f"[yellow]{problem.kind}[/]: {escape(problem.file)}: {escape(problem.reason)}")
    for group in index.duplicates:
        out.print(f"[yellow]same bytes[/]: {escape(', '.join(group))}")
    for group in index.leaks:
        out.print(f"[red]in two splits[/]: {escape(', '.join(group))}")
    if index.ignored:
        out.print(f"{len(index.ignored)} file(s) ignored: hidden, or not pictures.")


def _split_origin(index: DatasetIndex) -> str:
    from core.data.open_dataset import edits_of, plan_in_force

    plan = plan_in_force(edits_of(index))
    if plan is not None:
        return f"drawn as you asked, {plan.in_words}"
    return "your own" if index.split_origin == "folders" else "80/20, stratified, seed 0"


app.command()(health)
app.command()(models)
app.command()(layers)
app.add_typer(datasets, name="datasets")
app.add_typer(weights, name="weights")
app.add_typer(hub, name="hub")
app.add_typer(runs, name="runs")
app.add_typer(queue, name="queue")
app.add_typer(edits, name="edits")
app.command()(split)
app.command()(compare)
app.command()(features)


@app.command()
def advise(
    dataset: Dataset = None,
    sample: Sample = None,
    model: Model = DEFAULT_MODEL,
    domain: Annotated[
        str,
        typer.Option(
            help="How far the images are from photographs: auto (measured), similar, somewhat or"
            " different."
        ),
    ] = "auto",
    budget: Annotated[
        str | None, typer.Option(help="Most time for the training, e.g. 90s, 10m, 1h.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Also try fine-tuning on up to 200 images.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Advise a strategy, with reasons, measurements, and an estimate of time and accuracy."""
    from core.advice.advise import advise as ask
    from core.advice.check import check as try_arms
    from core.advice.rules import DOMAINS, describe, parse_budget

    if domain != "auto" and domain not in DOMAINS:
        raise typer.BadParameter(f"--domain takes auto, {', '.join(DOMAINS)}; not “{domain}”.")
    seconds = parse_budget(budget) if budget else None
    index = scan_dataset(dataset_path(dataset, sample))
    with progress() as on_progress, stop_on_interrupt() as should_stop:
        advice = ask(
            index,
            new_recipe({"model": model}),
            domain=domain,  # type: ignore[arg-type]
            budget_seconds=seconds,
            on_progress=on_progress,
            should_stop=should_stop,
        )
        if check:
            found = try_arms(index, advice, on_progress=on_progress, should_stop=should_stop)
    if as_json:
        tried = {"check": {**asdict(found), "verdict": found.verdict}} if check else {}
        print_json({**advice.to_dict(), **tried})
        return
    out = answer_console()
    out.print(f"[bold]{describe(advice.decision).capitalize()}[/]")
    for reason in advice.reasons:
        out.print(f"• {escape(reason)}")
    table = Table("rule", "row that applies", "says")
    for row in advice.rules:
        table.add_row(row.rule + (" (decides)" if row.decided else ""), row.row, row.says)
    out.print(table)
    low, high = advice.estimate.interval
    table = Table("strategy", "trains", "parameters", "about", "memory", "risk")
    for option in advice.alternatives:
        table.add_row(
            option.strategy + (" (advised)" if option.is_advised else ""),
            option.trains,
            f"{option.trainable_params:,} of {option.params:,}",
            f"{option.seconds:,.0f} s",
            f"{option.memory_mb:,.0f} MB",
            option.risk,
        )
    out.print(table)
    out.print(f"Frozen features reach {low:.1%}–{high:.1%}; fine-tuning begins there.")
    if check:
        out.print(f"Checked on {found.selection_images} held-out images: {found.verdict}")
        for arm in found.arms:
            low, high = arm.interval
            out.print(f"• {arm.strategy}: {arm.accuracy:.1%} ({low:.1%}–{high:.1%})")


app.command()(train)
app.command()(resume)
app.command("lr-find")(lr_find)


@app.command()
def evaluate(
    run: Annotated[str, typer.Argument(help="Folder or name of a run.")],
    split: Annotated[
        str | None, typer.Option(help="Images to evaluate on: train, val or test.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Evaluate a trained run again, from its files."""
    from core.evaluation.evaluate import evaluate as judge
    from core.runs.store import RunStore

    with progress() as on_progress, stop_on_interrupt() as should_stop:
        report = judge(
            RunStore().open(run), split=split, on_progress=on_progress, should_stop=should_stop
        )
    if as_json:
        print_json(report.to_dict())
    else:
        print_report(answer_console(), report)


@app.command()
def classify(
    ref: Annotated[str, typer.Argument(metavar="RUN|MODEL", help="A run, or a model id.")],
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH…", help="Images, folders or patterns such as *.jpg."),
    ],
    top: Annotated[int, typer.Option(min=1, help="Number of classes to show per image.")] = 5,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write the predictions to a CSV file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Classify images with a trained run or a pretrained model."""
    from core.evaluation.classifier import Classification, Classifier

    pictures = picture_paths(paths)
    classifier = Classifier.open(ref)
    with progress() as on_progress, stop_on_interrupt() as should_stop:
        answers: list[Classification] = classifier.classify(
            pictures, top=top, on_progress=on_progress, should_stop=should_stop
        )
    if csv_file:
        write_csv(csv_file, answers, top)
    if as_json:
        print_json(
            {
                "model": classifier.name,
                "results": [
                    {
                        "file": answer.file,
                        "top": [
                            {"label": guess.label, "probability": guess.probability}
                            for guess in answer.top
                        ],
                        "tasks": {
                            task.name: [
                                {"label": guess.label, "probability": guess.probability}
                                for guess in task.top
                            ]
                            for task in answer.tasks
                        },
                        "unlike_training": answer.unlike_training,
                        "error": answer.error or None,
                    }
                    for answer in answers
                ],
            }
        )
    else:
        out = answer_console()
        for answer in answers:
            guesses = ", ".join(f"{g.label} {g.probability:.1%}" for g in answer.top)
            note = " [yellow](unlike the training images)[/]" if answer.unlike_training else ""
            for task in answer.tasks:
                guesses += f"; {task.name}: {task.top[0].label} {task.top[0].probability:.1%}"
            error = f"[red]{escape(answer.error)}[/]"
            out.print(
                f"{escape(answer.file)}: {error if answer.error else escape(guesses)}{note}",
                soft_wrap=True,
            )
    if all(answer.error for answer in answers):
        raise AppError("None of the pictures could be read.")


@app.command()
def doctor(as_json: Json = False) -> None:
    """Show what this machine has, and what to do where something is missing."""
    from core.diagnostics.doctor import examine

    findings = examine()
    if as_json:
        print_json({"checks": [finding.to_dict() for finding in findings]})
    else:
        out = answer_console()
        for finding in findings:
            mark = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "problem": "[red]problem[/]"}
            out.print(f"{mark[finding.status]:<16} {finding.name}: {escape(finding.text)}")
    if any(finding.status == "problem" for finding in findings):
        raise typer.Exit(1)


app.command()(catalog)
app.command("augment-preview")(augment_preview)
app.command()(suggest)
