"""What the Results page has done in worker threads. Core is imported inside the functions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import AppError
from core.events import EpochDone
from gui.kit.workers import JobContext

if TYPE_CHECKING:
    from core.evaluation.image_files import ImagesState
    from core.runs.report import Report
    from core.runs.run_folder import Prediction, Run, RunSummary


@dataclass(frozen=True)
class RunResults:
    """What a run folder tells of how good its model is."""

    summary: RunSummary
    report: Report | None
    predictions: tuple[Prediction, ...]
    images: ImagesState
    classes: tuple[str, ...]
    dataset: str
    probe: float | None = None
    """Fine-tuning: selection accuracy of the head on frozen features that it began with."""
    note: str = ""
    """A sentence about how these results came to be, where there is something to say."""

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.summary.path


def read_results(path: Path, context: JobContext) -> RunResults:
    """Everything of a run's folder that Results shows; whether its images are still there, too."""
    from core.evaluation.image_files import check_images
    from core.runs.run_folder import Run, is_run

    if not is_run(path):
        raise AppError(
            f"The run {path.name} is no longer there.", "It was moved or deleted; choose another."
        )
    run = Run(path)
    summary = run.summary()
    report = run.read_report()
    predictions = run.read_predictions()
    document = run.read_dataset()
    atomic_files = [prediction.file for prediction in predictions]
    context.on_progress(0, len(atomic_files), "looking for the images")
    images = check_images(
        document, atomic_files, since=summary.started.timestamp(), should_stop=context.should_stop
    )
    name = document.get("name") or summary.dataset
    return RunResults(
        summary, report, predictions, images, run.read_classes(), name, probe=_read_probe(run)
    )


def _read_probe(run: Run) -> float | None:
    if run.read_recipe().strategy == "feature-extraction":
        return None
    first = (event for event in run.read_events() if isinstance(event, EpochDone))
    probe = next(first, None)
    return probe.selection_accuracy if probe is not None and probe.epoch == 0 else None


def evaluate_again(path: Path, split: str | None, context: JobContext) -> RunResults:
    """Ask the run's model about every image of `split` and keep what it says in the run folder.

    A report that is there already stays as it is: it was made when the run ended.
    """
    from core.evaluation.evaluate import evaluate_images
    from core.runs.run_folder import Run

    run = Run(path)
    context.on_progress(0, 0, "opening the model")
    found = evaluate_images(
        run, split=split, on_progress=context.on_progress, should_stop=context.should_stop
    )
    before = run.read_report()
    if before is None:
        run.write_report(found.report)
    run.write_predictions(found.predictions)
    results = read_results(path, context)
    if before is None or found.report.confusion == before.confusion:
        return results
    return replace(
        results,
        note=f"Evaluated again, {found.report.top1:.1%} of {found.report.n:,} images are right; "
        f"the report of the run says {before.top1:.1%} of {before.n:,}. Images were changed, or "
        "this machine reckons a little differently.",
    )
