"""Opening a dataset: what the scan finds, with the edits of the person in force.

The window and the command line open every dataset here, so that both train on the same images.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.data.dataset import DatasetIndex
from core.data.edits import apply
from core.data.journal import Edit, Journal
from core.data.sources.scan import scan
from core.data.splits import SplitPlan
from core.events import OnProgress, ShouldStop, never_stop, no_progress


def open_dataset(
    source: Path | str | Sequence[Path],
    *,
    verify: bool = False,
    with_edits: bool = True,
    allow_unlabelled: bool = False,
    fresh: bool = False,
    on_progress: OnProgress = no_progress,
    should_stop: ShouldStop = never_stop,
) -> DatasetIndex:
    """The dataset at a path, or at several; `verify` and `fresh` as in `scan`.

    Without `allow_unlabelled` pictures that nobody labelled are refused or left out as in `scan`,
    unless edits have given labels: then all are there, as the window shows them.

    Raises: DatasetError, Cancelled.
    """

    def look(*, allow_unlabelled: bool, fresh: bool) -> DatasetIndex:
        return scan(
            source,
            verify=verify,
            allow_unlabelled=allow_unlabelled,
            fresh=fresh,
            on_progress=on_progress,
            should_stop=should_stop,
        )

    found = look(allow_unlabelled=True, fresh=fresh)
    index = with_edits_of(found) if with_edits else found
    if allow_unlabelled:
        return index
    is_as_found = index.unedited is None
    if len(index.classes) < 2 or (is_as_found and index.unlabelled.size):
        # Its own sentence says best what is missing; what was read is in the cache by now.
        plain = look(allow_unlabelled=False, fresh=False)
        return plain if is_as_found else with_edits_of(plain)
    return index


def with_edits_of(index: DatasetIndex) -> DatasetIndex:
    """`index` with the edits that its journal holds now; no picture is read.

    Raises: DatasetError where the journal cannot be read.
    """
    return apply(index, edits_of(index))


def edits_of(index: DatasetIndex) -> tuple[Edit, ...]:
    """The edits in force, oldest first."""
    return journal_of(index).edits()


def plan_in_force(edits: Sequence[Edit]) -> SplitPlan | None:
    """How the person had the split drawn; None where it is the dataset's own.

    Raises: DatasetError for a plan that cannot be read.
    """
    drawn = [edit.value for edit in edits if edit.kind == "split"]
    return SplitPlan.from_json(drawn[-1]) if drawn and drawn[-1] else None


def journal_of(index: DatasetIndex) -> Journal:
    return Journal(index.opened)
