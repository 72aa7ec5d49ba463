"""What the Models page has done in worker threads: the catalog as rows, files of weights.

Core is imported inside the functions: what stands behind it takes seconds to load.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.catalog.search import ADDED_SOURCES
from gui.kit.words import count
from gui.kit.workers import JobContext
from gui.models.rows import ModelRow, make_row

if TYPE_CHECKING:
    from core.catalog.card import Latency, ModelCard
    from core.catalog.catalog import Catalog


@dataclass(frozen=True, slots=True)
class CatalogRows:
    """The catalog with what the table shows of it; rows in the order of its cards."""

    catalog: Catalog
    rows: tuple[ModelRow, ...]

    @property
    def cards_here(self) -> tuple[ModelCard, ...]:
        """The models whose weights are on this machine."""
        return tuple(row.card for row in self.rows if row.is_here)


@dataclass(frozen=True, slots=True)
class RecognisedFile:
    """A file of weights: how a classifier is asked for it, and what it is in a sentence."""

    reference: str
    text: str


def list_models(context: JobContext) -> tuple[ModelCard, ...]:
    """The models whose weights are on this machine, those that come with the application first."""
    from core.models.resolve import with_added
    from core.models.weights import weights

    cards = with_added().cards
    here = weights.cards_here(cards)
    return tuple(card for card in cards if card.id in here)


def recognise_file(path: Path, context: JobContext) -> RecognisedFile:
    """What a file of weights is. Raises: AppError where it is refused or fits no architecture."""
    from core.evaluation.classifier import FILE_PREFIX
    from core.models.weights.files import open_model_file

    context.on_progress(0, 0, "comparing with the catalog")
    found = open_model_file(path, should_stop=context.should_stop)
    classes = count(found.num_classes, "class", "classes")
    return RecognisedFile(
        f"{FILE_PREFIX}{path}",
        f"“{path.name}” holds the weights of {found.card.arch} ({found.card.source}) with "
        f"{classes}. Pictures dropped here are classified with it; dropped on Models, the file "
        "is put among the models.",
    )


def list_catalog(context: JobContext) -> CatalogRows:
    """Every card, whether its weights are here, and its latency where it was measured here."""
    from core.catalog.search import CardFilter
    from core.compute import benchmark
    from core.models.resolve import with_added
    from core.models.weights import weights

    known = with_added()
    known.positions(CardFilter())  # it prepares what the first key would have to wait for
    here, latencies = weights.cards_here(known.cards), benchmark.known_latencies()

    def row(card: ModelCard) -> ModelRow:
        # Of the shipped cards that are not here it is known without looking.
        is_asked = card.id in here or card.source in ADDED_SOURCES
        return make_row(
            card,
            is_here=card.id in here,
            latency=latencies.get(card.id),
            state=weights.state_of(card)
            if is_asked
            else weights.WeightsState("online", None, None, card.weights),
        )

    return CatalogRows(known, tuple(row(card) for card in known.cards))


def measure_latency(card: ModelCard, context: JobContext) -> Latency:
    """Time one image on this machine. Raises: AppError where it cannot be run here."""
    from core.compute import benchmark

    return benchmark.measure(card, on_progress=context.on_progress, should_stop=context.should_stop)
