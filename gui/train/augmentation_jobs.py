"""The job of the augmentation preview. Core is imported inside: it takes seconds to load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtGui import QImage

from gui.kit.workers import JobContext

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from core.data.dataset import DatasetIndex

PICTURES, VIEWS = 2, 6


@dataclass(frozen=True, slots=True)
class VariedPicture:
    """A picture as it is, then its views; `words` says each, in the same order."""

    images: tuple[QImage, ...]
    words: tuple[str, ...]


def vary(
    dataset: DatasetIndex, values: dict[str, Any], pick: int, roll: int, context: JobContext
) -> tuple[VariedPicture, ...]:
    """Vary a few pictures of a dataset several times each.

    Raises: AppError for a value the recipe refuses and for pictures that cannot be read.
    """
    from core.batches.augment_preview import choose, preview
    from core.recipe.recipe import make_recipe

    rows = preview(
        dataset,
        choose(dataset, PICTURES, pick=pick),
        make_recipe(values),
        views=VIEWS,
        roll=roll,
        should_stop=context.should_stop,
    )
    return tuple(
        VariedPicture(
            tuple(_to_qimage(pixels) for pixels in (row.plain, *row.views)),
            (
                f"{row.path.name}: {row.label}, as it is",
                *(_words(dataset.classes, shares) for shares in row.shares),
            ),
        )
        for row in rows
    )


def _words(classes: tuple[str, ...], shares: npt.NDArray[np.float32]) -> str:
    """The label of a view, e.g. `70 % ant, 30 % bee`."""
    there = sorted(((float(s), c) for s, c in zip(shares, classes, strict=True)), reverse=True)
    mixed = [(share, name) for share, name in there if share > 0.005]
    if len(mixed) == 1:
        return f"Varied: {mixed[0][1]}"
    return "Varied: " + ", ".join(f"{share:.0%} {name}" for share, name in mixed)


def _to_qimage(pixels: npt.NDArray[np.uint8]) -> QImage:
    height, width, _ = pixels.shape
    # copy(): a QImage made from a buffer does not keep it alive.
    return QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888).copy()
