"""The jobs behind the map of pictures and the suggested labels: features, and what is drawn.

Core is imported inside: it takes seconds to load.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gui.kit.workers import JobContext

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex
    from core.evaluation.embedding_map import PictureMap
    from core.features.dataset_features import FeatureCost, PictureFeatures


def ask_cost(dataset: DatasetIndex, values: dict[str, Any], context: JobContext) -> FeatureCost:
    """How many features are missing and about how long they take.

    Raises: AppError where the model cannot be used; Cancelled.
    """
    from core.features.dataset_features import cost_of_features
    from core.recipe.recipe import new_recipe

    return cost_of_features(dataset, new_recipe(values), should_stop=context.should_stop)


def read_features(
    dataset: DatasetIndex, values: dict[str, Any], context: JobContext
) -> PictureFeatures:
    """Raises: AppError where the model cannot be used; Cancelled."""
    from core.features.dataset_features import picture_features
    from core.recipe.recipe import new_recipe

    return picture_features(
        dataset,
        new_recipe(values),
        on_progress=context.on_progress,
        should_stop=context.should_stop,
    )


def draw(features: PictureFeatures, context: JobContext) -> PictureMap:
    """The map; on the way it is sent as far as it is arranged. Raises: DatasetError, Cancelled."""
    from core.evaluation.embedding_map import draw_map

    return draw_map(
        features,
        on_stage=context.sink,
        on_progress=context.on_progress,
        should_stop=context.should_stop,
    )
