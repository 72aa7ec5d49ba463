"""What is done about weights in worker threads: downloads, files and repositories that are added.

Core is imported inside the functions: what stands behind it takes seconds to load.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gui.kit.workers import JobContext

if TYPE_CHECKING:
    from core.catalog.card import ModelCard
    from core.models.weights.torch_hub import Entry, Sources

_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Fetched:
    """How far a download is; `total_bytes` 0 while unknown."""

    card_id: str
    done_bytes: int
    total_bytes: int


def download(card: ModelCard, context: JobContext) -> ModelCard:
    """Fetch the card's weights, telling of it in `Fetched`. Raises: AppError."""
    from core.models.weights import download as downloads

    def report(done: int, total: int, note: str) -> None:
        # In megabytes: a progress bar counts in 31 bits, and files are larger.
        context.on_progress(done // _MB, total // _MB, f"{note}, MB" if total else note)
        context.sink(Fetched(card.id, done, total))

    downloads.download(card, on_progress=report, should_stop=context.should_stop)
    return card


def add_file(path: Path, context: JobContext) -> ModelCard:
    """Recognise a file of weights and put it on the list. Raises: AppError where it is refused."""
    from core.models import resolve

    context.on_progress(0, 0, "comparing with the catalog")
    return resolve.add_file(path, should_stop=context.should_stop)


def add_id(name: str, context: JobContext) -> ModelCard:
    """Put a model on the list by its id. Raises: ModelError for a name of another form."""
    from core.models import resolve

    return resolve.add_id(name)


def remove(card: ModelCard, context: JobContext) -> ModelCard:
    """Take a model off the list; its file or repository stays."""
    from core.catalog import added

    added.remove(card.id)
    return card


def look_at_repository(name: str, context: JobContext) -> Sources:
    """What of a torch.hub repository would run; nothing of it runs. Raises: ModelError."""
    from core.models.weights import torch_hub

    return torch_hub.sources_of(name)


def trust_repository(name: str, context: JobContext) -> tuple[Entry, ...]:
    """Keep the person's yes, then list what the repository offers."""
    from core.models.weights import torch_hub

    torch_hub.trust(name)
    return list_entries(name, context)


def list_entries(name: str, context: JobContext) -> tuple[Entry, ...]:
    """The models of a trusted repository. Raises: ModelError, NotTrusted."""
    from core.models.weights import torch_hub

    context.on_progress(0, 0, "asking the repository")
    return tuple(torch_hub.entries(name, should_stop=context.should_stop))


def help_of_entry(name: str, entry: str, context: JobContext) -> str:
    """What a trusted repository says of one of its models. Raises: ModelError, NotTrusted."""
    from core.models.weights import torch_hub

    return torch_hub.help_of(name, entry, should_stop=context.should_stop)
