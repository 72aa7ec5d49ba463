"""What the map of pictures shows: points with a class each, and the sentences about them. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from core.catalog.names import shown_name
from gui.kit.words import count, isolate

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex
    from core.evaluation.embedding_map import PictureMap

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class MapPoints:
    """The pictures of a dataset on the map: N points, those that are taken out left away.

    xy: float32 [N, 2], upwards is up; labels: int32 [N], −1 for none; suspects: bool [N].
    """

    files: tuple[str, ...]
    xy: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int32]
    classes: tuple[str, ...]
    suspects: Flags
    agreeing: int
    judged: int
    layout: str
    arranged: int
    explained: float
    model: str

    def __len__(self) -> int:
        return len(self.files)

    def class_of(self, row: int) -> str:
        """The name of a point's class, or `no label`."""
        label = int(self.labels[row])
        return isolate(self.classes[label]) if label >= 0 else "no label"

    def say_layout(self) -> str:
        """How the points were placed, in a sentence."""
        model = shown_name(self.model)
        if self.layout == "PCA":
            return (
                f"The two principal components of the features of {model}: "
                f"{100 * self.explained:.0f} % of their variance."
            )
        if self.arranged < len(self):
            return (
                f"Features of {model}, {self.arranged:,} pictures arranged by t-SNE, each of the "
                "others beside its nearest of these. Distances between far groups mean little."
            )
        return f"Features of {model}, arranged by t-SNE. Distances between far groups mean little."

    def say_agreement(self) -> str:
        """How many pictures lie beside one of their own class, in a sentence."""
        if not self.judged:
            return "No picture has a label yet."
        share = f"{100 * self.agreeing / self.judged:.0f} %"
        if share == "100 %" and self.agreeing < self.judged:
            share = f"{100 * self.agreeing / self.judged:.1f} %"
        few = int(self.suspects.sum())
        more = ""
        if few:
            more = f" {count(few, 'picture lies', 'pictures lie')} among another class: look there."
        return (
            f"{share} of the {count(self.judged, 'labelled picture')} have a nearest neighbour of "
            f"their own class.{more}"
        )

    def twin(self) -> str:
        """The map in words."""
        labelled = self.labels[self.labels >= 0]
        counts = np.bincount(labelled, minlength=len(self.classes))
        parts = [f"{isolate(c)} {n:,}" for c, n in zip(self.classes, counts, strict=True) if n]
        bare = len(self) - len(labelled)
        if bare:
            parts.append(f"no label {bare:,}")
        shown = ", ".join(parts[:20]) + (" …" if len(parts) > 20 else "")
        return f"{count(len(self), 'picture')}: {shown}. {self.say_agreement()}"


def points_of(made: PictureMap, dataset: DatasetIndex) -> MapPoints:
    """The map with the labels the dataset has now."""
    from core.evaluation.embedding_map import agreement, suspects

    label = dict(zip(dataset.files, dataset.labels.tolist(), strict=True))
    labels = np.array([label.get(file, -2) for file in made.files], dtype=np.int32)
    at = np.flatnonzero(labels > -2)
    known = np.maximum(labels, -1)  # what is taken out counts as nobody's neighbour
    same, judged = agreement(known, made.neighbours)
    ringed = np.zeros(len(labels), dtype=np.bool_)
    ringed[suspects(known, made.neighbours)] = True
    return MapPoints(
        files=tuple(made.files[i] for i in at.tolist()),
        xy=made.xy[at],
        labels=labels[at],
        classes=dataset.classes,
        suspects=ringed[at],
        agreeing=same,
        judged=judged,
        layout=made.layout,
        arranged=made.arranged,
        explained=made.explained,
        model=made.model,
    )
