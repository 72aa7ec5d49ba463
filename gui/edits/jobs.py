"""What edits of the dataset have done in worker threads: the journal written, edits applied.

As in `jobs`: each function calls core, imported inside, and hands back values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from core.errors import AppError
from gui.kit.workers import JobContext

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex
    from core.data.journal import EditKind, History, Journal
    from gui.edits.picture_index import PictureIndex

Written = tuple["EditKind", tuple[str, ...], str]
"""An edit to write: kind, files (or classes), value."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One step a person asks for; `look`: read the journal, in case another window wrote it."""

    what: Literal["add", "undo", "redo", "look"]
    edits: tuple[Written, ...] = ()


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
    return edit(dataset, seen, [Ask("look")], context)


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
        if ask.what in ("undo", "redo") and is_from_elsewhere:
            continue
        try:
            _do(ask, scanned, journal)
        except AppError as error:
            refused = error
            break
        answered.append(ask)
    if journal.last() == seen and not any(ask.what == "look" for ask in asks):
        return Edited(scanned, None, None, (), refused=refused)
    history = journal.history()
    pictures = PictureIndex(apply(scanned, history.done)).prepare()
    return Edited(
        scanned, pictures.dataset, history, tuple(answered), is_from_elsewhere, refused, pictures
    )


def _do(ask: Ask, scanned: DatasetIndex, journal: Journal) -> None:
    from core.data.edits import apply
    from core.data.journal import Edit

    if ask.what == "undo":
        journal.undo()
    elif ask.what == "redo":
        journal.redo()
    elif ask.what == "add":
        if any(kind == "split" for kind, _files, _value in ask.edits):
            tried = [Edit(0, 0.0, *written) for written in ask.edits]
            apply(scanned, [*journal.edits(), *tried])
        journal.add_all(ask.edits)


def preview_split(dataset: DatasetIndex, plan: str, context: JobContext) -> DatasetIndex:
    """The dataset as it would be with this plan's split (empty: that of the scan); not written.

    Raises: DatasetError where it cannot be drawn.
    """
    from core.data.edits import apply
    from core.data.journal import Edit
    from core.data.open_dataset import edits_of

    tried = Edit(0, 0.0, "split", (), plan)
    return apply(dataset.scanned, [*edits_of(dataset), tried])
