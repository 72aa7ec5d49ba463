"""Which cards fit a person's words and bounds: one rule for the command line and the window.

Compiled once per question, so that asking it of every card costs a keystroke nothing. No torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import translate

from core.catalog.card import ModelCard, Source

SHIPPED_SOURCES: tuple[Source, ...] = ("bundled", "torchvision", "timm")
"""Of the cards in the shipped catalog; a bare name is looked for in this order."""
ADDED_SOURCES: tuple[Source, ...] = ("hub", "hf-hub", "file")
"""Of models that a person put on the list, and may take off it."""
SOURCES = (*SHIPPED_SOURCES, *ADDED_SOURCES)


@dataclass(frozen=True, slots=True)
class CardFilter:
    """The conditions of a search. Empty text and None set no condition.

    Each word of `query` must occur in the id or the family; a word with `*`, `?` or `[` is a
    pattern for the whole architecture name or id. Case does not matter. `license` may be a part
    (`apache`), and so may `pretraining` (`laion`). A bound on a figure leaves out cards where it
    is unknown; `max_input_px` bounds the longer side. `classifies` leaves out models whose head
    gives no classes: features, or a space that images share with text.
    """

    query: str = ""
    source: str | None = None
    family: str | None = None
    max_params_m: float | None = None
    max_gmacs: float | None = None
    min_top1: float | None = None
    max_input_px: int | None = None
    license: str | None = None
    pretraining: str | None = None
    classifies: bool = False


Matcher = Callable[[ModelCard, str], bool]
"""Whether a card with this haystack fits."""


def haystack_of(card: ModelCard) -> str:
    """The text that plain words of a query are searched in."""
    return f"{card.id} {card.family}".lower()


def matcher(wanted: CardFilter) -> Matcher:
    """Compile a filter to a function of a card and its `haystack_of`."""
    words = wanted.query.lower().split()
    patterns = [re.compile(translate(word)).match for word in words if set(word) & set("*?[")]
    plain = [word for word in words if not set(word) & set("*?[")]
    bounds = _bounds(wanted)

    def fits(card: ModelCard, haystack: str) -> bool:
        for word in plain:
            if word not in haystack:
                return False
        for bound in bounds:
            if not bound(card):
                return False
        if patterns:
            arch, card_id = card.arch.lower(), card.id.lower()
            return all(match(arch) or match(card_id) for match in patterns)
        return True

    return fits


def _bounds(wanted: CardFilter) -> list[Callable[[ModelCard], bool]]:
    """One test for each condition beside the query."""
    bounds: list[Callable[[ModelCard], bool]] = []
    source, family, longest = wanted.source, wanted.family, wanted.max_input_px
    if source is not None:
        bounds.append(lambda card: card.source == source)
    if family is not None:
        bounds.append(lambda card: card.family == family)
    if wanted.max_params_m is not None:
        most_params = wanted.max_params_m * 1e6
        bounds.append(lambda card: card.params is not None and card.params <= most_params)
    if wanted.max_gmacs is not None:
        most_macs = wanted.max_gmacs * 1e9
        bounds.append(lambda card: card.macs is not None and card.macs <= most_macs)
    if wanted.min_top1 is not None:
        least = wanted.min_top1
        bounds.append(lambda card: card.top1 is not None and card.top1 >= least)
    if longest is not None:
        bounds.append(lambda card: card.input_size is not None and max(card.input_size) <= longest)
    if wanted.license is not None:
        part = wanted.license.lower()
        bounds.append(lambda card: part in card.license.lower())
    if wanted.pretraining is not None:
        data = wanted.pretraining.lower()
        bounds.append(lambda card: data in card.pretraining.lower())
    if wanted.classifies:
        bounds.append(lambda card: card.label_set != "")
    return bounds
