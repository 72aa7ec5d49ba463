"""What the dialog of ready-made datasets has done in worker threads; core is imported inside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gui.kit.workers import JobContext

if TYPE_CHECKING:
    from core.data.sources.downloads import ReadyMade


@dataclass(frozen=True, slots=True)
class Offer:
    """A set and whether it is on this machine."""

    entry: ReadyMade
    is_here: bool


def list_offers(context: JobContext) -> tuple[Offer, ...]:
    from core.data.sources import downloads

    return tuple(Offer(entry, downloads.is_here(entry)) for entry in downloads.all_sets())


def download(name: str, context: JobContext) -> Path:
    from core.data.sources import downloads

    return downloads.download(
        name, on_progress=context.on_progress, should_stop=context.should_stop
    )


def remove(name: str, context: JobContext) -> Path:
    from core.data.sources import downloads

    return downloads.remove(name)
