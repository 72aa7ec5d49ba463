"""The command line: the same engine and recipe as the window.

`--json` prints one JSON document on stdout; messages go to stderr. Exit codes: 0 done, 2 wrong
usage, 1 failed.
"""

from __future__ import annotations

import csv
import glob
import json
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from core.errors import AppError, Cancelled, DatasetError
from core.events import EpochDone, Event, Notice, OnProgress, RunStarted
from core.events import Progress as ProgressEvent
from core.recipe import DEFAULT_MODEL, Recipe, make_recipe, read_recipe

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex
    from core.evaluation.report import Report

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Transfer learning for image classification. Without a command the window opens.",
)
_messages = Console(stderr=True, highlight=False)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Dataset = Annotated[
    Path | None, typer.Argument(help="A folder with one folder per class, or with train and val.")
]
Sample = Annotated[
    str | None, typer.Option("--sample", help="A ready-made dataset in place of DATASET: digits.")
]
Model = Annotated[str, typer.Option("--model", help="Model id, see `graftwork models`.")]


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit code."""
    logging.captureWarnings(True)
    try:
        app(arguments, prog_name="graftwork")
    except SystemExit as exit_:  # typer's own way out: 0 done, 2 wrong usage
        return exit_.code if isinstance(exit_.code, int) else 1
    except AppError as error:
        _messages.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True)
        return 1
    except (Cancelled, KeyboardInterrupt):
        _messages.print("Stopped. What was computed stays in the cache.")
        return 1
    except BrokenPipeError:
        return 1
    return 0


@app.command("gui", help="Open the window, with a dataset if a path is given.")
def open_gui() -> None:
    # main.py takes this command before the command line is loaded; it stands here for --help.
    raise AppError("The window is opened by `graftwork` or `graftwork gui [PATH]`.")


@app.command()
def scan(
    dataset: Dataset = None,
    sample: Sample = None,
    headers_only: Annotated[
        bool, typer.Option("--quick", help="Read headers only; cut-off files are not found.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Classes, counts, splits, problems, duplicates and leaks of a dataset."""
    from core.data.scan import to_json

    index = _scan(_dataset_path(dataset, sample), verify=not headers_only)
    if as_json:
        _print_json(to_json(index))
        return
    table = Table(title=f"{index.name}: {len(index):,} images", title_justify="left")
    table.add_column("class")
    splits = list(index.split_counts())
    for split in splits:
        table.add_column(split, justify="right")
    counts = index.class_split_counts()
    from core.data.dataset import SPLITS

    for label, name in enumerate(index.classes):
        table.add_row(escape(name), *(f"{counts[label, SPLITS.index(s)]:,}" for s in splits))
    out = Console()
    out.print(table)
    origin = "your own folders" if index.split_origin == "folders" else "80/20, stratified, seed 0"
    out.print(f"Split: {origin}.")
    for problem in index.problems:
        out.print(f"[yellow]{problem.kind}[/]: {escape(problem.file)}: {escape(problem.reason)}")
    for group in index.duplicates:
        out.print(f"[yellow]same bytes[/]: {escape(', '.join(group))}")
    for group in index.leaks:
        out.print(f"[red]in two splits[/]: {escape(', '.join(group))}")
    if index.ignored:
        out.print(f"{len(index.ignored)} file(s) ignored: hidden, or not pictures.")


@app.command()
def models(
    query: Annotated[str, typer.Argument(help="Words, or a pattern such as *vit*.")] = "",
    source: Annotated[str | None, typer.Option(help="torchvision, timm or bundled.")] = None,
    max_params: Annotated[float | None, typer.Option(help="Millions of parameters.")] = None,
    max_gmacs: Annotated[float | None, typer.Option(help="Billions of multiply-adds.")] = None,
    min_top1: Annotated[float | None, typer.Option(help="ImageNet top-1 in percent.")] = None,
    license: Annotated[str | None, typer.Option(help="Part of the licence's name.")] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Only models whose weights are on this machine.")
    ] = False,
    sort: Annotated[str, typer.Option(help="Column to sort by.")] = "",
    as_json: Json = False,
) -> None:
    """Search the catalog of pretrained models."""
    from core.models import catalog, weights

    cards = catalog.load().search(
        query,
        source=source,
        max_params_m=max_params,
        max_gmacs=max_gmacs,
        min_top1=min_top1,
        license=license,
        sort=sort,
    )
    here = {card.id for card in cards if weights.is_here(card)}
    if offline:
        cards = [card for card in cards if card.id in here]
    if as_json:
        _print_json(
            {
                "models": [
                    {
                        "id": card.id,
                        "source": card.source,
                        "family": card.family,
                        "params": card.params,
                        "macs": card.macs,
                        "top1": card.top1,
                        "top5": card.top5,
                        "input_size": card.input_size,
                        "num_classes": card.num_classes,
                        "license": card.license,
                        "weights": card.weights,
                        "weights_here": card.id in here,
                    }
                    for card in cards
                ]
            }
        )
        return
    table = Table(title=f"{len(cards):,} models", title_justify="left")
    for name in ("model", "family"):
        table.add_column(name, overflow="fold")
    for name in ("params M", "GMACs", "top-1 %", "input", "weights"):
        table.add_column(name, justify="right")
    for card in cards:
        table.add_row(
            card.id,
            card.family,
            _number(card.params, 1e6),
            _number(card.macs, 1e9),
            _number(card.top1, 1),
            "×".join(map(str, card.input_size)) if card.input_size else "",
            "here" if card.id in here else "online",
        )
    Console().print(table)


@app.command()
def layers(
    model: Annotated[str, typer.Argument(help="Model id.")],
    classes: Annotated[
        int | None, typer.Option("--classes", min=1, help="With a new head for so many classes.")
    ] = None,
    depth: Annotated[int | None, typer.Option(min=1, help="Levels to show.")] = None,
    as_json: Json = False,
) -> None:
    """The layer tree of a model: shapes, parameters, MACs. Needs no weights."""
    from core.models import catalog
    from core.models.layers import LayerNode, layer_tree, to_json

    tree = layer_tree(catalog.load().resolve(model), num_classes=classes, depth=depth)
    if as_json:
        _print_json(to_json(tree))
        return
    table = Table(title=tree.model, title_justify="left")
    for name in ("layer", "type", "output"):
        table.add_column(name)
    for name in ("params", "MMACs", "trains"):
        table.add_column(name, justify="right")

    def add(nodes: tuple[LayerNode, ...], level: int) -> None:
        for node in nodes:
            table.add_row(
                "  " * level + escape(node.name),
                node.type,
                "×".join(map(str, node.output_shape or ())),
                f"{node.total_params:,}",
                _number(node.macs, 1e6),
                "yes" if node.trainable else "",
            )
            add(node.children, level + 1)

    add(tree.layers, 0)
    out = Console()
    out.print(table)
    share = tree.trainable_params / tree.params if tree.params else 0
    out.print(
        f"{tree.trainable_params:,} of {tree.params:,} parameters train ({share:.2%}); "
        f"{_number(tree.macs, 1e9)} GMACs."
    )


@app.command()
def advise(
    dataset: Dataset = None,
    sample: Sample = None,
    model: Model = DEFAULT_MODEL,
    domain: Annotated[
        str, typer.Option(help="auto (measured), similar, somewhat or different.")
    ] = "auto",
    budget: Annotated[str | None, typer.Option(help="Time to train, e.g. 90s, 10m, 1h.")] = None,
    as_json: Json = False,
) -> None:
    """Which strategy, why, and what to expect: rules and measured evidence."""
    from core.advice.advise import advise as ask
    from core.advice.advise import parse_budget
    from core.advice.rules import DOMAINS

    if domain != "auto" and domain not in DOMAINS:
        raise typer.BadParameter(f"--domain takes auto, {', '.join(DOMAINS)}; not “{domain}”.")
    seconds = parse_budget(budget) if budget else None
    index = _scan(_dataset_path(dataset, sample))
    with _progress() as on_progress, _stop_on_interrupt() as should_stop:
        advice = ask(
            index,
            make_recipe({"model": model}),
            domain=domain,  # type: ignore[arg-type]
            budget_seconds=seconds,
            on_progress=on_progress,
            should_stop=should_stop,
        )
    if as_json:
        _print_json(advice.to_dict())
        return
    out = Console()
    out.print(f"[bold]{_phrase(advice.strategy, advice.augmentation, advice.gradual)}[/]")
    for reason in advice.reasons:
        out.print(f"• {escape(reason)}")
    table = Table("rule", "row that applies", "says")
    for row in advice.rules:
        table.add_row(row.rule + (" (decides)" if row.decided else ""), row.row, row.says)
    out.print(table)
    low, high = advice.estimate.interval
    out.print(
        f"Feature extraction here: about {advice.estimate.seconds:,.1f} s, "
        f"{advice.estimate.memory_mb:,.0f} MB, accuracy {low:.1%}–{high:.1%}."
    )


@app.command()
def train(
    dataset: Dataset = None,
    sample: Sample = None,
    model: Annotated[str | None, typer.Option("--model", help="Model id.")] = None,
    strategy: Annotated[str | None, typer.Option(help="auto or feature-extraction.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Most passes over the images.")] = None,
    recipe_file: Annotated[Path | None, typer.Option("--recipe", help="A recipe in TOML.")] = None,
    values: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of the recipe; repeatable.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the new run.")] = None,
    as_json: Json = False,
) -> None:
    """Train a classifier on a folder of images and evaluate it."""
    path = _dataset_path(dataset, sample)
    recipe = _recipe(recipe_file, values or [], model=model, strategy=strategy, epochs=epochs)
    from core.training.fit import fit
    from core.training.runs import RunStore, create_run

    if out is not None and out.exists():
        raise AppError(f"{out} exists already.", "A run is never overwritten: name a new folder.")
    start = time.perf_counter()
    index = _scan(path)
    run = create_run(out, recipe) if out else RunStore().create(index.name, recipe)
    with _progress() as on_progress, _stop_on_interrupt() as should_stop:
        result = fit(recipe, index, run, sink=_console_sink(on_progress), should_stop=should_stop)
    seconds = time.perf_counter() - start
    report = result.report
    if as_json:
        _print_json(
            {
                "run": str(result.run),
                "strategy": result.strategy,
                "model": result.model,
                "epochs": result.epochs,
                "best_selection_accuracy": result.best_selection_accuracy,
                "val_accuracy": report.top1 if report else None,
                "seconds": seconds,
                "status": result.status,
            }
        )
        return
    out_console = Console()
    if report:
        _print_report(out_console, report)
    out_console.print(f"{seconds:.1f} s from folder to report. Run: {escape(str(result.run))}")


@app.command()
def evaluate(
    run: Annotated[str, typer.Argument(help="Folder or name of a run.")],
    split: Annotated[str | None, typer.Option(help="train, val or test.")] = None,
    as_json: Json = False,
) -> None:
    """Evaluate a run once more, from its files."""
    from core.evaluation.evaluate import evaluate as judge
    from core.training.runs import RunStore

    with _progress() as on_progress, _stop_on_interrupt() as should_stop:
        report = judge(
            RunStore().open(run), split=split, on_progress=on_progress, should_stop=should_stop
        )
    if as_json:
        _print_json(report.to_dict())
    else:
        _print_report(Console(), report)


@app.command()
def classify(
    ref: Annotated[str, typer.Argument(metavar="RUN|MODEL", help="A run, or a model id.")],
    paths: Annotated[list[str], typer.Argument(metavar="PATH…", help="Image, folder or pattern.")],
    top: Annotated[int, typer.Option(min=1, help="Guesses per image.")] = 5,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write the answers to a CSV file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What an image shows, by a trained run or a pretrained model."""
    from core.classify import Classification, Classifier

    pictures = _pictures(paths)
    classifier = Classifier.open(ref)
    with _progress() as on_progress, _stop_on_interrupt() as should_stop:
        answers: list[Classification] = classifier.classify(
            pictures, top=top, on_progress=on_progress, should_stop=should_stop
        )
    if csv_file:
        _write_csv(csv_file, answers, top)
    if as_json:
        _print_json(
            {
                "model": classifier.name,
                "results": [
                    {
                        "file": answer.file,
                        "top": [
                            {"label": guess.label, "probability": guess.probability}
                            for guess in answer.top
                        ],
                        "unlike_training": answer.unlike_training,
                        "error": answer.error or None,
                    }
                    for answer in answers
                ],
            }
        )
    else:
        out = Console()
        for answer in answers:
            said = ", ".join(f"{g.label} {g.probability:.1%}" for g in answer.top)
            note = " [yellow](unlike the training images)[/]" if answer.unlike_training else ""
            error = f"[red]{escape(answer.error)}[/]"
            out.print(
                f"{escape(answer.file)}: {error if answer.error else escape(said)}{note}",
                soft_wrap=True,
            )
    if all(answer.error for answer in answers):
        raise AppError("None of the pictures could be read.")


@app.command()
def runs(as_json: Json = False) -> None:
    """All runs, newest first."""
    from core.training.runs import RunStore

    store = RunStore()
    found = store.runs()
    if as_json:
        _print_json(
            {
                "runs": [
                    {
                        "run": str(run.path),
                        "name": run.name,
                        "started": run.started.isoformat(),
                        "model": run.model,
                        "strategy": run.strategy,
                        "dataset": run.dataset,
                        "status": run.status,
                        "val_accuracy": run.report_accuracy,
                        "classes": run.classes,
                    }
                    for run in found
                ]
            }
        )
        return
    table = Table("run", "model", "strategy", "classes", "accuracy", "status")
    for run in found:
        accuracy = "" if run.report_accuracy is None else f"{run.report_accuracy:.1%}"
        table.add_row(
            escape(run.name), run.model, run.strategy, str(run.classes), accuracy, run.status
        )
    out = Console()
    out.print(table if found else f"No runs yet in {store.root}.")


@app.command()
def doctor(as_json: Json = False) -> None:
    """What this machine has, and what to do where something is missing."""
    from core.doctor import examine

    findings = examine()
    if as_json:
        _print_json({"checks": [finding.to_dict() for finding in findings]})
    else:
        out = Console()
        for finding in findings:
            mark = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "problem": "[red]problem[/]"}
            out.print(f"{mark[finding.status]:<16} {finding.name}: {escape(finding.text)}")
    if any(finding.status == "problem" for finding in findings):
        raise typer.Exit(1)


@app.command()
def catalog(
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make the catalog anew from the installed libraries.")
    ] = False,
    tables: Annotated[
        Path | None, typer.Option(help="Folder with timm's published result tables (CSV).")
    ] = None,
) -> None:
    """The catalog of models: how many there are; --rebuild makes it anew."""
    from core import places

    if rebuild:
        from core.models.catalog_build import rebuild as make

        with _progress() as on_progress, _stop_on_interrupt() as should_stop:
            count = make(
                places.resource("catalog.json"),
                tables=tables,
                on_progress=on_progress,
                should_stop=should_stop,
            )
    else:
        from core.models import catalog as cards

        count = len(cards.load().cards)
    Console().print(f"{count:,} models in the catalog.")


# -- what the commands share --------------------------------------------------------------


def _dataset_path(dataset: Path | None, sample: str | None) -> Path:
    """Raises: typer.BadParameter unless exactly one of the two is given."""
    if (dataset is None) == (sample is None):
        raise typer.BadParameter("Give a dataset folder or --sample digits, not both or neither.")
    if dataset is not None:
        return dataset
    if sample != "digits":
        raise typer.BadParameter(f"There is no sample “{sample}”; there is: digits.")
    from core.data.samples import digits

    return digits()


def _scan(path: Path, *, verify: bool = False) -> DatasetIndex:
    from core.data.scan import scan as scan_folder

    with _progress() as on_progress, _stop_on_interrupt() as should_stop:
        return scan_folder(path, verify=verify, on_progress=on_progress, should_stop=should_stop)


def _recipe(
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


def _pictures(paths: list[str]) -> list[Path]:
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


def _write_csv(path: Path, answers: list[Any], top: int) -> None:
    columns = [f"{name}{k}" for k in range(1, top + 1) for name in ("label", "probability")]
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["file", *columns, "unlike_training", "error"])
            for answer in answers:
                cells: list[Any] = []
                for guess in answer.top:
                    cells += [guess.label, f"{guess.probability:.6f}"]
                cells += [""] * (len(columns) - len(cells))
                unlike = "" if answer.unlike_training is None else answer.unlike_training
                writer.writerow([answer.file, *cells, unlike, answer.error])
    except OSError as error:
        raise AppError(f"{path} cannot be written: {error.strerror or error}.") from error


def _console_sink(on_progress: OnProgress) -> Callable[[Event], None]:
    def sink(event: Event) -> None:
        match event:
            case ProgressEvent():
                on_progress(event.done, event.total, event.note)
            case RunStarted():
                _messages.print(
                    f"{event.model}, {event.strategy}, {event.device} in {event.precision}: "
                    f"{event.train_images:,} training and {event.report_images:,} report images"
                )
            case EpochDone():
                _messages.print(
                    f"epoch {event.epoch + 1:3d}  train loss {event.train_loss:.4f}  "
                    f"selection loss {event.selection_loss:.4f}  "
                    f"accuracy {event.selection_accuracy:.2%}  L2 {event.l2:.2g}"
                )
            case Notice():
                _messages.print(f"[yellow]{escape(event.text)}[/]", soft_wrap=True)
            case _:
                pass

    return sink


@contextmanager
def _progress() -> Iterator[OnProgress]:
    """A bar on stderr that is there only while there is something to wait for."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        TimeRemainingColumn(),
        console=_messages,
        transient=True,
        disable=not _messages.is_terminal,
    ) as bar:
        task = bar.add_task("", total=1, visible=False)

        def on_progress(done: int, total: int, note: str) -> None:
            bar.update(task, completed=done, total=total or None, description=note, visible=True)

        yield on_progress


@contextmanager
def _stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """The first Ctrl+C asks the job to stop at its next boundary; the second one breaks it off."""
    asked = False

    def ask(number: int, frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        _messages.print("Stopping at the next boundary; Ctrl+C again breaks off.")

    try:
        before = signal.signal(signal.SIGINT, ask)
    except ValueError:  # not in the main thread: there is no Ctrl+C to catch
        yield lambda: False
        return
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


def _print_json(document: Any) -> None:
    json.dump(document, sys.stdout, ensure_ascii=False, default=str)
    sys.stdout.write("\n")


def _print_report(out: Console, report: Report) -> None:
    low, high = report.interval
    out.print(
        f"[bold]{report.top1:.1%}[/] of {report.n:,} {report.split} images right "
        f"(95 % interval {low:.1%}–{high:.1%}); balanced {report.balanced_accuracy:.1%}, "
        f"macro F1 {report.macro_f1:.3f}, calibration error {report.ece:.3f}."
    )
    if report.selected_on:
        out.print(f"{escape(report.selected_on)}.")
    table = Table("class", "images", "precision", "recall", "F1")
    for score in report.per_class:
        table.add_row(
            escape(score.name),
            f"{score.n:,}",
            f"{score.precision:.1%}",
            f"{score.recall:.1%}",
            f"{score.f1:.3f}",
        )
    out.print(table)


def _phrase(strategy: str, augmentation: bool, gradual: bool) -> str:
    from core.advice.rules import Decision, describe

    return describe(Decision(strategy, augmentation, gradual, "")).capitalize()  # type: ignore[arg-type]


def _number(value: float | None, unit: float) -> str:
    return "" if value is None else f"{value / unit:,.2f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
