"""The command `lr-find`: a learning-rate range test and the rate it suggests."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from core.catalog.names import full_name
from core.cli.arguments import Dataset, Json, Sample, dataset_path, recipe_from, scan_dataset
from core.cli.console import answer_console, messages, print_json, progress, stop_on_interrupt
from core.events import Notice
from core.training.lr_finder.curve import (
    HIGHEST,
    LOWEST,
    STEPS,
    check_bounds,
    rate_text,
    rate_values,
)

if TYPE_CHECKING:
    from core.recipe.recipe import Recipe
    from core.training.lr_finder.curve import RateCurve, RatePoint

_ROWS, _BAR = 24, 40


def lr_find(
    dataset: Dataset = None,
    sample: Sample = None,
    model: Annotated[str | None, typer.Option("--model", help="Model id.")] = None,
    strategy: Annotated[
        str | None, typer.Option(help="partial, full or gradual. Default: as the recipe says.")
    ] = None,
    recipe_file: Annotated[Path | None, typer.Option("--recipe", help="A recipe in TOML.")] = None,
    values: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of the recipe; repeatable.")
    ] = None,
    lowest: Annotated[
        float, typer.Option("--lowest", help="Lowest learning rate of the head.")
    ] = LOWEST,
    highest: Annotated[
        float, typer.Option("--highest", help="Highest learning rate of the head.")
    ] = HIGHEST,
    steps: Annotated[int, typer.Option("--steps", help="Number of steps, one batch each.")] = STEPS,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write the curve to a CSV file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Find a learning rate: raise it step by step on the recipe's own training until it diverges.

    Rates of all layer groups rise together; what is shown and suggested is the head's
    (`--set learning_rate=…`). Nothing is kept.
    """
    path = dataset_path(dataset, sample)
    check_bounds(lowest, highest, steps)
    recipe = recipe_from(recipe_file, values or [], model=model, strategy=strategy, epochs=None)
    index = scan_dataset(path)
    from core.training.lr_finder.find import find_rate

    def sink(point: RatePoint | Notice) -> None:
        if isinstance(point, Notice):
            messages.print(f"[yellow]{escape(point.text)}[/]", soft_wrap=True)

    with progress() as on_progress, stop_on_interrupt() as should_stop:
        curve = find_rate(
            recipe,
            index,
            lowest=lowest,
            highest=highest,
            steps=steps,
            sink=sink,
            on_progress=on_progress,
            should_stop=should_stop,
        )
    if csv_file is not None:
        curve.write_csv(csv_file)
    if as_json:
        print_json(curve.to_dict())
    else:
        _print_curve(curve, recipe)


def _print_curve(curve: RateCurve, recipe: Recipe) -> None:
    out = answer_console()
    right = {"justify": "right"}
    table = Table(
        Column("rate of the head", **right),  # type: ignore[arg-type]
        Column("loss", **right),  # type: ignore[arg-type]
        Column("smoothed", **right),  # type: ignore[arg-type]
        "",
    )
    marked = _nearest(curve)
    longest = max((math.log1p(point.smooth * 1000) for point in curve.points), default=0.0)
    every = -(-len(curve.points) // _ROWS)
    for number, point in enumerate(curve.points):
        if number % every and point is not marked and point is not curve.points[-1]:
            continue
        # By the logarithm, as the curve is read: a fitted head begins near zero.
        length = math.log1p(point.smooth * 1000) / longest if longest else 0.0
        bar = "█" * round(_BAR * length)
        note = " ← suggested" if point is marked else ""
        table.add_row(rate_text(point.rate), f"{point.loss:.4f}", f"{point.smooth:.4f}", bar + note)
    out.print(table)
    reading = curve.reading
    if reading.suggestion is None:
        out.print("[bold]No rate can be suggested.[/]")
    else:
        values = rate_values(recipe, reading.suggestion)
        options = " ".join(f"--set {key}={value:g}" for key, value in values.items())
        out.print(f"[bold]{rate_text(reading.suggestion)}[/] for the head: {options}")
    out.print(escape(reading.reason))
    for name, rate in (
        ("fastest fall", reading.steepest),
        ("a tenth of the lowest", reading.tenth),
    ):
        if rate is not None:
            out.print(f"• {name}: {rate_text(rate)}")
    shares = ", ".join(f"{name} × {share:.3g}" for name, share in reversed(curve.groups))
    out.print(f"Rates by layer group: {escape(shares)}.")
    ended = "the loss ran away" if curve.end == "diverged" else "the highest rate was reached"
    out.print(
        f"{len(curve.points)} steps in {curve.seconds:.0f} s; {ended}. {full_name(curve.model)}, "
        f"{curve.strategy}."
    )


def _nearest(curve: RateCurve) -> RatePoint | None:
    wanted = curve.reading.suggestion
    if wanted is None:
        return None
    return min(curve.points, key=lambda point: abs(point.rate / wanted - 1))
