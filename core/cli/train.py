"""The commands that train: `train` and `resume`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from core.cli.arguments import Datasets, Json, Sample, dataset_paths, recipe_from, scan_dataset
from core.cli.console import (
    answer_console,
    messages,
    print_json,
    print_report,
    progress,
    run_sink,
    stop_on_interrupt,
)
from core.errors import AppError
from core.events import no_sink

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex
    from core.recipe.recipe import Recipe
    from core.runs.curve_findings import CurveFinding
    from core.runs.report import RunResult


def train(
    dataset: Datasets = None,
    sample: Sample = None,
    model: Annotated[str | None, typer.Option("--model", help="Model id.")] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="auto (as advised), feature-extraction, partial, full, gradual or scratch."
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Largest number of epochs (passes over the training images).")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Preset of recipe values: textbook, fast or best.")
    ] = None,
    recipe_file: Annotated[Path | None, typer.Option("--recipe", help="A recipe in TOML.")] = None,
    values: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of the recipe; repeatable.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the new run.")] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            "--folds", help="Cross-validation: train so many times, each fold once as val."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a classifier on a folder of images and evaluate it."""
    path = dataset_paths(dataset, sample)
    is_auto = strategy == "auto"
    recipe = recipe_from(
        recipe_file,
        values or [],
        model=model,
        strategy=None if is_auto else strategy,
        epochs=epochs,
        preset=preset,
    )
    like = recipe_file.read_text(encoding="utf-8") if recipe_file else ""
    from core.compute import distributed
    from core.plan.check import check
    from core.runs.run_folder import Run, create_run
    from core.runs.store import RunStore
    from core.training.fit import fit
    from core.training.torchrun import fit_with_torchrun, process_count

    if folds is not None and out is not None:
        raise typer.BadParameter("--folds makes a run per fold: --out cannot name them all.")
    if out is not None and out.exists():
        raise AppError(f"{out} exists already.", "A run is never overwritten: name a new folder.")
    start = time.perf_counter()
    world = distributed.init_distributed(recipe.device)
    if world.world_size > 1 and folds is not None:
        raise typer.BadParameter("--folds trains in one process.")

    def open_and_advise() -> tuple[DatasetIndex, Recipe]:
        index = scan_dataset(path)
        chosen = _advised(index, recipe) if is_auto else recipe
        check(chosen, index)
        return index, chosen

    index, recipe = world.broadcast_call(open_and_advise)
    if folds is not None:
        _cross_validate(recipe, index, folds, start, as_json=as_json)
        return

    def make_run() -> Path:
        try:
            run = (
                create_run(out, recipe, like=like)
                if out
                else RunStore().create(index.name, recipe, like=like)
            )
        except FileExistsError as error:  # made since it was looked for, or a link to nowhere
            raise AppError(f"{out} exists already.", "Name a new folder.") from error
        return run.path

    with progress() as on_progress, stop_on_interrupt() as should_stop:
        sink = run_sink(on_progress) if world.is_global_zero else no_sink
        if world.world_size == 1 and process_count(recipe) > 1:
            result = fit_with_torchrun(recipe, index, path=out, sink=sink, should_stop=should_stop)
        else:
            run = Run(world.broadcast_call(make_run))
            result = fit(recipe, index, run, sink=sink, should_stop=should_stop, world=world)
    if world.is_global_zero:
        _print_result(result, time.perf_counter() - start, as_json=as_json)


def _cross_validate(
    recipe: Recipe, index: DatasetIndex, folds: int, start: float, *, as_json: bool
) -> None:
    from core.runs.store import RunStore
    from core.training.cross_validation import cross_validate

    with progress() as on_progress, stop_on_interrupt() as should_stop:
        found = cross_validate(
            recipe,
            index,
            folds=folds,
            store=RunStore(),
            sink=run_sink(on_progress),
            should_stop=should_stop,
        )
    seconds = time.perf_counter() - start
    if as_json:
        print_json({**found.to_dict(), "seconds": seconds})
        return
    out = answer_console()
    for number, fold in enumerate(found.folds, start=1):
        out.print(f"fold {number}: {fold.accuracy:.1%} of {fold.n:,}  {escape(str(fold.run))}")
    low, high = found.interval
    out.print(
        f"[bold]{found.accuracy:.1%}[/] of {found.n:,} images right (95 % interval {low:.1%}–"
        f"{high:.1%}), each judged by a model that never saw it; the folds spread by "
        f"{100 * found.deviation:.1f} points (standard deviation). {seconds:.1f} s."
    )
    if len(found.folds) < found.asked:
        out.print(f"Stopped: {len(found.folds)} of {found.asked} folds are done.")


def resume(
    run: Annotated[str, typer.Argument(help="Folder or name of a run.")],
    rate_factor: Annotated[
        float | None,
        typer.Option(
            min=1e-6,
            max=1.0,
            help="Multiply the learning rates by this. Default: 1; a third after a loss that"
            " was not a number.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Resume a fine-tuning that was stopped or cut off, or whose loss was not a number."""
    from core.compute import distributed
    from core.runs.store import RunStore
    from core.training.fit import resume as go_on
    from core.training.torchrun import process_count, resume_with_torchrun

    start = time.perf_counter()
    opened = RunStore().open(run)
    recipe = opened.read_recipe()
    world = distributed.init_distributed(recipe.device)
    with progress() as on_progress, stop_on_interrupt() as should_stop:
        sink = run_sink(on_progress) if world.is_global_zero else no_sink
        if world.world_size == 1 and process_count(recipe) > 1:
            result = resume_with_torchrun(
                opened, sink=sink, should_stop=should_stop, rate_factor=rate_factor
            )
        else:
            result = go_on(
                opened, sink=sink, should_stop=should_stop, rate_factor=rate_factor, world=world
            )
    if not world.is_global_zero:
        return
    _print_result(result, time.perf_counter() - start, as_json=as_json)


def _advised(index: DatasetIndex, recipe: Recipe) -> Recipe:
    """The advised recipe, with the values that were given by hand."""
    from core.advice.advise import advise

    with progress() as on_progress, stop_on_interrupt() as should_stop:
        advice = advise(index, recipe, on_progress=on_progress, should_stop=should_stop)
    for reason in advice.reasons:
        messages.print(f"• {escape(reason)}", soft_wrap=True)
    return advice.recipe


def _read_curves(path: Path) -> tuple[CurveFinding, ...]:
    """What the curves of the run show."""
    from core.runs.curve_findings import analyze_events
    from core.runs.run_folder import Run

    return analyze_events(Run(path).read_events())


def _print_result(result: RunResult, seconds: float, *, as_json: bool) -> None:
    report = result.report
    found = _read_curves(result.run)
    if as_json:
        print_json(
            {
                "run": str(result.run),
                "strategy": result.strategy,
                "model": result.model,
                "epochs": result.epochs,
                "best_epoch": result.best_epoch,
                "best_selection_accuracy": result.best_selection_accuracy,
                "probe_selection_accuracy": result.probe_selection_accuracy,
                "val_accuracy": report.top1 if report else None,
                "tasks": {
                    task.name: {
                        "n": task.n,
                        "accuracy": task.accuracy,
                        "interval": task.interval,
                        "balanced_accuracy": task.balanced_accuracy,
                    }
                    for task in (report.tasks if report else ())
                },
                "seconds": seconds,
                "status": result.status,
                "reading": [
                    {"kind": f.kind, "level": f.level, "says": f.message, "todo": f.advice}
                    for f in found
                ],
            }
        )
        return
    out = answer_console()
    if report:
        print_report(out, report)
    if result.probe_selection_accuracy is not None:
        out.print(
            f"Epoch {result.best_epoch} was best in the held-out check: "
            f"{result.best_selection_accuracy:.1%}; the classifier on frozen features (epoch 0) "
            f"had {result.probe_selection_accuracy:.1%}."
        )
    for finding in found:
        out.print(f"• {escape(finding.text)}", soft_wrap=True)
    out.print(f"{seconds:.1f} s. Run: {escape(str(result.run))}")
