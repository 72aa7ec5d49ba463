"""What edits of the dataset have done in worker threads: the journal written, edits applied.

Core is imported inside the functions: what stands behind it takes seconds to load.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from core.errors import AppError
from gui.kit.workers import JobContext

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex
    from core.data.journal import Edit, History, Journal
    from gui.edits.picture_index import PictureIndex

Ask = tuple["Edit", ...] | Literal["undo", "redo", "look"]
"""One step a person asks for: edits to write together, or what to do with those that were written.
`look` reads the journal, in case another window wrote it."""


@dataclass(frozen=True)
class Edited:
    """The dataset as the journal now has it; None where nothing changed since `seen`."""

    scanned: DatasetIndex
    dataset: DatasetIndex | None
    history: History | None
    answered: tuple[Ask, ...] = ()
    is_from_elsewhere: bool = False
    """Another window or process has written since the journal was read."""
    refused: AppError | None = None
    """Why the last one asked for was not done."""
    pictures: PictureIndex | None = None
    """The dataset looked up: made here, where it keeps nobody waiting."""


def look(dataset: DatasetIndex, seen: int, context: JobContext) -> Edited:
    """The dataset with the edits another window may have written since; cheap where none has."""
    from core.data.open_dataset import journal_of

    scanned = dataset.scanned
    if journal_of(scanned).last() == seen:
        return Edited(scanned, None, None)
    return edit(dataset, seen, ["look"], context)


def edit(dataset: DatasetIndex, seen: int, asks: Sequence[Ask], context: JobContext) -> Edited:
    """Do what was asked, in order; `seen` is the last row of the journal that the window knows,
    below 0 where it knows nothing of it yet.

    An undo or redo that would meet edits of another window is not done: the person has not seen
    what it would take back. A plan of a split that cannot be drawn is not written.

    Raises: AppError where the journal cannot be used.
    """
    from core.data.edits import apply
    from core.data.open_dataset import journal_of
    from gui.edits.picture_index import PictureIndex

    scanned = dataset.scanned
    journal = journal_of(scanned)
    before = journal.last()
    is_from_elsewhere = before != seen and seen >= 0
    answered, refused = [], None
    for ask in asks:
        if ask in ("undo", "redo") and is_from_elsewhere:
            continue
        try:
            _do(ask, scanned, journal)
        except AppError as error:
            refused = error
            break
        answered.append(ask)
    if journal.last() == seen and "look" not in asks:
        return Edited(scanned, None, None, (), refused=refused)
    history = journal.history()
    pictures = PictureIndex(apply(scanned, history.done)).prepare()
    return Edited(
        scanned, pictures.dataset, history, tuple(answered), is_from_elsewhere, refused, pictures
    )


def _do(ask: Ask, scanned: DatasetIndex, journal: Journal) -> None:
    from core.data.edits import apply

    if ask == "undo":
        journal.undo()
    elif ask == "redo":
        journal.redo()
    elif ask != "look":
        if any(edit.kind == "split" for edit in ask):
            apply(scanned, [*journal.edits(), *ask])
        journal.add(*ask)


def preview_split(dataset: DatasetIndex, plan: str, context: JobContext) -> DatasetIndex:
    """The dataset as it would be with this plan's split (empty: that of the scan); not written.

    Raises: DatasetError where it cannot be drawn.
    """
    from core.data.edits import apply
    from core.data.journal import Edit
    from core.data.open_dataset import edits_of

    return apply(dataset.scanned, [*edits_of(dataset), Edit("split", value=plan)])
