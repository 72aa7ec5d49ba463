"""Opens a dataset: scans it and applies the edits of its journal.

The window and the command line open every dataset here, so that both train on the same images.
Knows nothing of how files are read (`sources`) or what an edit does (`edits`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.data.dataset import DatasetIndex
from core.data.edits import apply
from core.data.journal import Edit, Journal, RecordedEdit
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
    """Open the dataset at a path, or at several; `verify` and `fresh` as in `scan`.

    Without `allow_unlabelled` pictures without a label are refused or left out, as in `scan`,
    unless there are edits: then all pictures are kept, as the window shows them.

    Raises: DatasetError, Cancelled.
    """

    def run_scan(*, allow_unlabelled: bool, fresh: bool) -> DatasetIndex:
        return scan(
            source,
            verify=verify,
            allow_unlabelled=allow_unlabelled,
            fresh=fresh,
            on_progress=on_progress,
            should_stop=should_stop,
        )

    found = run_scan(allow_unlabelled=True, fresh=fresh)
    index = with_edits_of(found) if with_edits else found
    if allow_unlabelled:
        return index
    is_as_found = index.unedited is None
    if len(index.classes) < 2 or (is_as_found and index.unlabelled.size):
        # Scan again for its error message, or for its way to leave pictures out; the files are
        # in the scan cache now.
        plain = run_scan(allow_unlabelled=False, fresh=False)
        return plain if is_as_found else with_edits_of(plain)
    return index


def with_edits_of(index: DatasetIndex) -> DatasetIndex:
    """`index` with the current edits of its journal applied; no picture is read.

    Raises: DatasetError if the journal cannot be read.
    """
    return apply(index, edits_of(index))


def edits_of(index: DatasetIndex) -> tuple[RecordedEdit, ...]:
    """The edits of a dataset that are in force, oldest first. Raises: DatasetError."""
    return journal_of(index).edits()


def plan_in_force(edits: Sequence[Edit]) -> SplitPlan | None:
    """The plan by which the split was drawn; None if the split is the dataset's own.

    Raises: DatasetError for a plan that cannot be read.
    """
    drawn = [edit.value for edit in edits if edit.kind == "split"]
    return SplitPlan.from_json(drawn[-1]) if drawn and drawn[-1] else None


def journal_of(index: DatasetIndex) -> Journal:
    """The journal of a dataset. Raises: DatasetError if it cannot be used."""
    return Journal(index.opened)
