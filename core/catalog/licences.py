"""What a licence asks of whoever uses the weights, where that is certain. No torch here."""

from __future__ import annotations

from core.catalog.card import ModelCard

_NOTES = {
    "cc-by-nc": "for non-commercial use only, with the authors named",
    "fair-noncommercial-research-license": "for non-commercial research only",
    "apple-amlr": "for research only",
}
"""Beginning of a licence's name → what it asks. A licence that is not here may ask for something,
too: it is named, and nothing is claimed of it."""


def licence_note(card: ModelCard) -> str:
    """A warning about the licence of the weights; empty where nothing is certain."""
    name = card.license.lower()
    for beginning, asks in _NOTES.items():
        if name.startswith(beginning):
            return f"The weights of {card.id} are {asks} ({card.license})."
    return ""
