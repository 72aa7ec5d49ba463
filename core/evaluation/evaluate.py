"""Evaluates the model of a run on any split of the dataset it was trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from core.errors import RunError
from core.evaluation.classifier import Classifier
from core.evaluation.metrics import make_report, score_tasks
from core.events import OnProgress, ShouldStop, never_stop, no_progress
from core.runs.dataset_record import root_of
from core.runs.report import Report
from core.runs.run_folder import Prediction, Run


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A report and the predictions from which it was computed."""

    report: Report
    predictions: tuple[Prediction, ...]


def evaluate(
    run: Run,
    *,
    split: str | None = None,
    on_progress: OnProgress = no_progress,
    should_stop: ShouldStop = never_stop,
) -> Report:
    """The report of `run` on `split`: `evaluate_images` without the predictions."""
    return evaluate_images(
        run, split=split, on_progress=on_progress, should_stop=should_stop
    ).report


def evaluate_images(
    run: Run,
    *,
    split: str | None = None,
    on_progress: OnProgress = no_progress,
    should_stop: ShouldStop = never_stop,
) -> Evaluation:
    """Evaluate the model of `run` on the images of `split` (default: its report set).

    Reads the image files as they are now; the run folder is not changed.

    Raises: RunError if the split has no images, the dataset is missing, or no image can be read;
    Cancelled.
    """
    dataset = run.read_dataset()
    roles = dataset["roles"]
    report_split = next((role for role in roles if role != "train"), "val")
    wanted = split or report_split
    if wanted == "test":
        files, labels = dataset["test_files"], dataset["test_labels"]
        chosen = [len(roles) + i for i in range(len(files))]
    else:
        chosen = [i for i, role in enumerate(roles) if role == wanted and dataset["hashes"][i]]
        files = [dataset["files"][i] for i in chosen]
        labels = [dataset["labels"][i] for i in chosen]
    if not files:
        there = sorted(set(roles) | ({"test"} if dataset["test_files"] else set()))
        raise RunError(
            f"The run {run.path.name} has no images in the split “{wanted}”.",
            f"It has: {', '.join(there)}.",
        )
    root = root_of(run, dataset)
    classifier = Classifier.open(run.path)
    scores = classifier.score(
        [root / file for file in files], on_progress=on_progress, should_stop=should_stop
    )
    read = [i for i in range(len(files)) if i not in scores.errors]
    if not read:
        raise RunError(
            f"None of the {len(files)} images of the split “{wanted}” can be read.",
            f"Check that the files in {root} open in an image viewer.",
        )
    probabilities = scores.probabilities[read]
    true = torch.tensor([labels[i] for i in read])
    report = make_report(
        probabilities,
        true,
        classes=run.read_classes(),
        split=wanted,
        selected_on=_selected_on(wanted, len(scores.errors)),
    )
    known = {task["name"]: task["labels"] for task in dataset.get("tasks", ())}
    tasks = score_tasks(
        (
            task.name,
            task.classes,
            scores.tasks[number][read],
            torch.tensor([known[task.name][chosen[i]] for i in read]),
        )
        for number, task in enumerate(classifier.tasks)
        if task.name in known
    )
    return Evaluation(
        dataclasses.replace(report, tasks=tasks),
        make_predictions(probabilities, true, [files[i] for i in read]),
    )


def _selected_on(split: str, unreadable: int) -> str:
    note = {
        "train": "the head was fitted to these very images: no estimate of its accuracy elsewhere",
        "test": "test images: no choice was made on them",
    }.get(split, f"no {split} image chose anything")
    return note + (f"; {unreadable} unreadable file(s) left out" if unreadable else "")


def make_predictions(
    probabilities: torch.Tensor, labels: torch.Tensor, files: Sequence[str]
) -> tuple[Prediction, ...]:
    """The prediction for each image, in the order of the rows.

    probabilities: float [N, C], each row sums to 1. labels: int64 [N]. files: N paths relative to
    the dataset. If classes have the same probability, the first one is predicted, as in the report.
    """
    predicted = probabilities.argmax(1)
    probability = probabilities.gather(1, predicted.unsqueeze(1)).squeeze(1)
    rows = zip(files, labels.tolist(), predicted.tolist(), probability.tolist(), strict=True)
    return tuple(Prediction(*row) for row in rows)
