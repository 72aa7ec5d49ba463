"""The job that suggests labels. Core is imported inside: it takes seconds to load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.events import check_stop
from gui.kit.workers import JobContext

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex
    from core.evaluation.suggest import Suggestions
    from core.features.dataset_features import PictureFeatures


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What the labels of `dataset` teach: nothing before two classes have a picture, then
    `first` are the pictures to begin with."""

    dataset: DatasetIndex
    suggestions: Suggestions | None
    first: tuple[str, ...] = ()


def learn(dataset: DatasetIndex, features: PictureFeatures, context: JobContext) -> Learned:
    """Suggest labels from those there are. Loads no torch and needs no compute slot."""
    from core.errors import DatasetError
    from core.evaluation.suggest import check_labels, first_to_label, suggest

    check_stop(context.should_stop)
    try:
        check_labels(dataset)
        suggestions = suggest(features, dataset)
    except DatasetError:
        return Learned(dataset, None, first_to_label(features, dataset))
    return Learned(dataset, suggestions)
