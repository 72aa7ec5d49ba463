"""Output of the command line: progress, results, tables; and what Ctrl+C does."""

from __future__ import annotations

import csv
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from core import events
from core.catalog.names import full_name
from core.errors import AppError
from core.events import OnProgress

if TYPE_CHECKING:
    from core.evaluation.classifier import Classification
    from core.runs.report import Report

messages = Console(stderr=True, highlight=False)
"""Progress and notices go to stderr, results to stdout."""


def answer_console() -> Console:
    """A console for results, on stdout; wide for a pipe, where names must not be cut off."""
    return Console() if sys.stdout.isatty() else Console(width=160)


@contextmanager
def progress() -> Iterator[OnProgress]:
    """A progress bar on stderr, shown only while a job runs."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        TimeRemainingColumn(),
        console=messages,
        transient=True,
        disable=not messages.is_terminal,
    ) as bar:
        task = bar.add_task("", total=1, visible=False)

        def on_progress(done: int, total: int, note: str) -> None:
            bar.update(task, completed=done, total=total or None, description=note, visible=True)

        yield on_progress


@contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """The first Ctrl+C asks the job to stop at its next boundary; the second one breaks it off.

    So does a request to terminate. Under torchrun, which hands on both, a second one breaks nothing
    off: all processes have to come to the boundary together.
    """
    asked = False
    is_one_of_several = int(os.environ.get("WORLD_SIZE", "1")) > 1

    def ask(number: int, frame: object) -> None:
        nonlocal asked
        if asked and not is_one_of_several:
            raise KeyboardInterrupt
        asked = True
        messages.print("Stopping at the next boundary; Ctrl+C again breaks off.")

    try:
        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: there is no Ctrl+C to catch
        yield lambda: False
        return
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_sink(on_progress: OnProgress) -> Callable[[events.Event], None]:
    steps_per_epoch = 1
    tasks: tuple[str, ...] = ()

    def sink(event: events.Event) -> None:
        nonlocal steps_per_epoch, tasks
        match event:
            case events.Progress():
                on_progress(event.done, event.total, event.note)
            case events.RunStarted():
                steps_per_epoch, tasks = max(1, event.steps_per_epoch), event.tasks
                messages.print(
                    f"{full_name(event.model)}, {event.strategy}, {event.device} in "
                    f"{event.precision}: {event.train_images:,} training and "
                    f"{event.report_images:,} report images"
                )
            case events.StepDone():
                on_progress(event.step % steps_per_epoch, steps_per_epoch, f"epoch {event.epoch}")
            case events.DryRun():
                messages.print(
                    f"two steps on trial: {event.seconds_per_step:.2f} s a step, "
                    f"{event.memory_mb / 1024:.2f} GB of memory, about "
                    f"{event.seconds_total / 60:.1f} min of steps in all"
                )
            case events.PlanChanged():
                messages.print(f"epoch {event.epoch:3d}  now trains: {', '.join(event.opened)}")
            case events.EpochDone():
                tail = f"L2 {event.l2:.2g}" if event.l2 else f"{event.images_per_s:.1f} images/s"
                messages.print(
                    f"epoch {event.epoch:3d}  train loss {event.train_loss:.4f}  "
                    f"held-out loss {event.selection_loss:.4f}  "
                    f"accuracy {event.selection_accuracy:.2%}  {tail}"
                )
                for name, share in zip(tasks, event.task_accuracies, strict=False):
                    if share is not None:
                        messages.print(f"           {escape(name)}: accuracy {share:.2%}")
            case events.Notice():
                messages.print(f"[yellow]{escape(event.text)}[/]", soft_wrap=True)
            case _:
                pass

    return sink


def print_json(document: Any) -> None:
    # ASCII: any terminal, pipe and code page carries it, and names that are not UTF-8 survive.
    json.dump(document, sys.stdout, default=str)
    sys.stdout.write("\n")


def print_report(out: Console, report: Report) -> None:
    low, high = report.interval
    out.print(
        f"[bold]{report.top1:.1%}[/] of {report.n:,} {report.split} images right "
        f"(95 % interval {low:.1%}–{high:.1%}); balanced {report.balanced_accuracy:.1%}, "
        f"macro F1 {report.macro_f1:.3f}, calibration error {report.ece:.3f}."
    )
    if report.selected_on:
        out.print(f"{escape(report.selected_on[:1].upper() + report.selected_on[1:])}.")
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
    for task in report.tasks:
        low, high = task.interval
        out.print(
            f"{escape(task.name)}: [bold]{task.accuracy:.1%}[/] of {task.n:,} right (95 % interval "
            f"{low:.1%}–{high:.1%}); balanced {task.balanced_accuracy:.1%}."
        )


def write_csv(path: Path, answers: Sequence[Classification], top: int) -> None:
    columns = [f"{name}{k}" for k in range(1, top + 1) for name in ("label", "probability")]
    try:
        with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            writer = csv.writer(file)
            named = next((answer.tasks for answer in answers if answer.tasks), ())
            tasks = [cell for task in named for cell in (task.name, f"{task.name} probability")]
            writer.writerow(["file", *columns, *tasks, "unlike_training", "error"])
            for answer in answers:
                cells: list[Any] = []
                for guess in answer.top:
                    cells += [guess.label, f"{guess.probability:.6f}"]
                cells += [""] * (len(columns) - len(cells))
                for task in answer.tasks:
                    cells += [task.top[0].label, f"{task.top[0].probability:.6f}"]
                cells += [""] * (len(columns) + len(tasks) - len(cells))
                unlike = "" if answer.unlike_training is None else answer.unlike_training
                writer.writerow([answer.file, *cells, unlike, answer.error])
    except OSError as error:
        raise AppError(f"{path} cannot be written: {error.strerror or error}.") from error


def number(value: float | None, unit: float) -> str:
    return "" if value is None else f"{value / unit:,.2f}"
