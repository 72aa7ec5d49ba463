"""The jobs of the Data page: scans, and what a run took for another class.

Core is imported inside the functions: what stands behind it takes seconds to load.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import AppError
from core.events import check_stop
from gui.kit.workers import JobContext

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex


def scan_folder(path: Path | tuple[Path, ...], context: JobContext) -> DatasetIndex:
    """Pictures that nobody has labelled are there as well: they can be labelled in the window."""
    from core.data.open_dataset import open_dataset

    return open_dataset(
        path,
        allow_unlabelled=True,
        on_progress=context.on_progress,
        should_stop=context.should_stop,
    )


def scan_sample(context: JobContext) -> DatasetIndex:
    """Write the handwritten digits where they are missing, and scan them."""
    from core.data.sources import samples

    context.on_progress(0, 0, "writing the sample")
    return scan_folder(samples.digits(), context)


def verify_dataset(opened: tuple[Path, ...], context: JobContext) -> DatasetIndex:
    """Scan once more and decode every picture to its end."""
    from core.data.open_dataset import open_dataset

    return open_dataset(
        opened[0] if len(opened) == 1 else opened,
        verify=True,
        allow_unlabelled=True,
        on_progress=context.on_progress,
        should_stop=context.should_stop,
    )


@dataclass(frozen=True)
class WrongPredictions:
    """What a run took for another class than the dataset has it now; `run` is empty where no run
    on the dataset keeps its predictions."""

    run: str
    predicted: dict[str, str]
    """File → the class that was answered."""


def read_wrong(
    dataset: DatasetIndex, runs: Sequence[Path], context: JobContext
) -> WrongPredictions:
    """Of the first of these runs that is on this dataset and keeps its predictions."""
    from core.runs.run_folder import Run

    for path in runs:
        check_stop(context.should_stop)
        try:
            run = Run(path)
            if run.read_dataset().get("root") != str(dataset.root):
                continue
            predictions, classes = run.read_predictions(), run.read_classes()
        except AppError:  # damaged or gone: the next one may tell
            continue
        if predictions:
            names = {
                file: {dataset.classes[label], dataset.keys[label]}
                for file, label in zip(dataset.files, dataset.labels.tolist(), strict=True)
                if label >= 0
            }
            wrong = {
                each.file: classes[each.predicted]
                for each in sorted(predictions, key=lambda each: -each.probability)
                if each.file in names and classes[each.predicted] not in names[each.file]
            }
            return WrongPredictions(run.summary().name, wrong)
    return WrongPredictions("", {})
