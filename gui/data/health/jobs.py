"""What the Problems tab has done in worker threads. Core is imported inside the functions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gui.kit.workers import JobContext

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex
    from core.data.health.check import HealthReport
    from core.features.dataset_features import FeatureCost


def look_at_health(dataset: DatasetIndex, context: JobContext) -> HealthReport:
    """What may be wrong with the pictures; only new and changed files are read."""
    from core.data.health.check import check_health

    return check_health(dataset, on_progress=context.on_progress, should_stop=context.should_stop)


def ask_for_cost(dataset: DatasetIndex, values: dict[str, Any], context: JobContext) -> FeatureCost:
    """How long the look for label errors would take."""
    from core.features.dataset_features import cost_of_features
    from core.recipe.recipe import new_recipe

    context.on_progress(0, 0, "timing a few pictures")
    return cost_of_features(dataset, new_recipe(values), should_stop=context.should_stop)


def look_for_label_errors(
    dataset: DatasetIndex, values: dict[str, Any], context: JobContext
) -> HealthReport:
    """The same with the features of the recipe's model: suspected label errors, odd ones out."""
    import numpy as np

    from core.data.health.check import IndexFeatures, check_health
    from core.features.dataset_features import picture_features
    from core.recipe.recipe import new_recipe

    found = picture_features(
        dataset,
        new_recipe(values),
        on_progress=context.on_progress,
        should_stop=context.should_stop,
    )
    position = {file: i for i, file in enumerate(dataset.files)}
    rows = [position[file] for file in found.files]
    vectors = np.zeros((len(dataset), found.vectors.shape[1]), dtype=np.float32)
    is_ok = np.zeros(len(dataset), dtype=np.bool_)
    vectors[rows], is_ok[rows] = found.vectors, True
    return check_health(
        dataset,
        on_progress=context.on_progress,
        should_stop=context.should_stop,
        features=IndexFeatures(vectors, is_ok, found.model),
    )


def save_report(
    dataset: DatasetIndex, report: HealthReport, path: Path, context: JobContext
) -> Path:
    """Write the findings as a page to read or a table, as the ending of the path says."""
    from core.data.health.report import write_report

    write_report(dataset, report, path)
    return path
