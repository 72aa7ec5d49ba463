"""Opening a dataset: what the scan finds, with the edits of the person in force.

The window and the command line open every dataset here, so that both train on the same images.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.data.dataset import DatasetIndex
from core.data.edits import apply
from core.data.journal import Edit, Journal
from core.data.scan import scan
from core.events import OnProgress, ShouldStop, never_stop, no_progress


def open_dataset(
    source: Path | str | Sequence[Path],
    *,
    verify: bool = False,
    with_edits: bool = True,
    on_progress: OnProgress = no_progress,
    should_stop: ShouldStop = never_stop,
) -> DatasetIndex:
    """The dataset at a path, or at several; `verify` as in `scan`.

    Raises: DatasetError, Cancelled.
    """
    index = scan(source, verify=verify, on_progress=on_progress, should_stop=should_stop)
    return with_edits_of(index) if with_edits else index


def with_edits_of(index: DatasetIndex) -> DatasetIndex:
    """`index` with the edits that its journal holds now; no picture is read.

    Raises: DatasetError where the journal cannot be read.
    """
    return apply(index, edits_of(index))


def edits_of(index: DatasetIndex) -> tuple[Edit, ...]:
    """The edits in force, oldest first."""
    return journal_of(index).edits()


def journal_of(index: DatasetIndex) -> Journal:
    return Journal(index.opened)
