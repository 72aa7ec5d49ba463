"""Layer trees, worked out in worker threads; core is imported inside the functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import AppError, ModelError
from gui.kit.workers import JobContext

if TYPE_CHECKING:
    from core.catalog.card import ModelCard
    from core.models.layers.rows import LayerLine
    from core.models.layers.tree import LayerTree


@dataclass(frozen=True, slots=True)
class LayerQuestion:
    """Whose layers. `num_classes` None: with the head it was published with."""

    card: ModelCard
    num_classes: int | None


@dataclass(frozen=True, slots=True)
class Layers:
    """The answer: the tree, and its lines with equal blocks folded together."""

    question: LayerQuestion
    tree: LayerTree
    lines: tuple[LayerLine, ...]


def work_out_layers(question: LayerQuestion, context: JobContext) -> Layers:
    """Raises: AppError where the model cannot be outlined."""
    from core.models.layers.rows import collapse
    from core.models.layers.tree import layer_tree

    try:
        tree = layer_tree(question.card, num_classes=question.num_classes)
    except AppError:
        raise
    except (RuntimeError, TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
        # The libraries' own models, outlined without numbers: some of them may resist.
        raise ModelError(
            f"The layers of {question.card.shown_name} cannot be worked out without its "
            f"weights: {type(error).__name__}.",
            "It can still be used.",
        ) from error
    return Layers(question, tree, collapse(tree.layers))
