"""After the quick scan: every picture of the open dataset is read to its end, in the background.

A scan of the headers counts files that were cut off as readable. What the full check finds
replaces the dataset, split and all, so that the same folder always gives the same draw; never
while a run is on, and never a dataset that is no longer open.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import QObject, Signal

from core.errors import AppError
from gui.base.commands import CommandSet
from gui.base.session import Session
from gui.data import jobs
from gui.kit.words import count, quote, quote_some
from gui.kit.workers import JobRunner

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex

CheckState = Literal["none", "waiting", "busy", "done", "cancelled", "failed"]
_KEY = "verify"


class DatasetCheck(CommandSet):
    """One check at a time, of the session's dataset. Main thread only."""

    changed = Signal()

    def __init__(self, session: Session, runner: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(session, runner, parent)
        self._checked: DatasetIndex | None = None
        self._sound: DatasetIndex | None = None  # as scanned, and found the same by the check
        self.state: CheckState = "none"
        self.progress: tuple[int, int] = (0, 0)
        session.dataset_changed.connect(self._follow)
        session.run_changed.connect(self._follow)
        self._follow()

    # -- asking ------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Stop, and leave this dataset alone until `start` is called."""
        if self.state in ("waiting", "busy"):
            self._runner.supersede(_KEY)
            self._set_state("cancelled")

    def start(self) -> None:
        """Check the open dataset, also after a cancel."""
        self._checked = None
        self._follow()

    def _follow(self) -> None:
        """Start, wait or stop, as the session's dataset and its run have it."""
        dataset = self._session.dataset
        if dataset is None or self._session.scan_state != "ready":
            if self.state in ("waiting", "busy"):
                self._runner.supersede(_KEY)
            self._checked = None
            self._set_state("none")
        elif dataset.scanned is not self._checked:  # edits do not change what is to be read
            self._runner.supersede(_KEY)
            self._checked = dataset.scanned
            if dataset.verified or dataset.scanned is self._sound:
                self._set_state("done")
            else:
                self._begin_or_wait(dataset)
        elif self.state == "busy" and self._session.is_run_on:
            # The run reads the same files and needs the processor.
            self._runner.supersede(_KEY)
            self._set_state("waiting")
        elif self.state == "waiting" and not self._session.is_run_on:
            self._begin_or_wait(dataset)

    def _begin_or_wait(self, dataset: DatasetIndex) -> None:
        if self._session.is_run_on:
            self._set_state("waiting")
            return
        self.progress = (0, len(dataset))
        self._set_state("busy")
        self._runner.start(
            jobs.verify_dataset, dataset.opened,
            title="Checking every picture", key=_KEY, on_done=self._verified,
            on_failed=self._failed, on_cancel=self._cancelled,
            on_progress=self._show_progress, quiet=True,
        )  # fmt: skip

    # -- hearing -----------------------------------------------------------------------------

    def _show_progress(self, done: int, total: int, note: str) -> None:
        if note == "Checking pictures":
            self.progress = (done, total)
            self.changed.emit()

    def _verified(self, found: DatasetIndex) -> None:
        before = self._session.dataset
        if before is None or before.scanned is not self._checked or self._session.is_run_on:
            return
        if is_same(before.scanned, found.scanned):
            self._sound = before.scanned
            self._set_state("done")
            return
        self._checked = found.scanned
        self.state = "done"
        self._session.end_scan(found)
        self.changed.emit()
        self._session.notice("data", describe_difference(before.scanned, found.scanned), "warning")

    def _failed(self, error: AppError) -> None:
        self._set_state("failed")
        self._session.notice(
            "data", f"The full check of the pictures ended early. {error}", "warning"
        )

    def _cancelled(self) -> None:
        self._set_state("cancelled")

    def _set_state(self, state: CheckState) -> None:
        if state != self.state:
            self.state = state
            self.changed.emit()


def is_same(before: DatasetIndex, found: DatasetIndex) -> bool:
    """Whether the check leaves everything as the scan had it."""
    return (
        before.files == found.files
        and before.classes == found.classes
        and bool((before.labels == found.labels).all())
        and bool((before.splits == found.splits).all())
        and before.problems == found.problems
    )


def describe_difference(before: DatasetIndex, found: DatasetIndex) -> str:
    """What the full check found, in sentences."""
    there, known = set(found.files), set(before.files)
    lost = [file for file in before.files if file not in there]
    added = len(there - known)
    is_lost = set(lost)
    reasons = Counter(p.reason for p in found.problems if p.file in is_lost)
    parts = []
    if lost:
        one = len(lost) == 1
        why = reasons.most_common(1)[0][0] if len(reasons) == 1 else ""
        because = f" ({why if one else 'each: ' + why})" if why else ""
        parts.append(
            f"{count(len(lost), 'file')} cannot be read to {'its' if one else 'the'} end and "
            f"{'is' if one else 'are'} left out: {quote_some(lost)}{because}."
        )
    if added:
        parts.append(f"{count(added, 'file')} came to the folder since it was opened.")
    emptied = sorted(set(before.classes) - set(found.classes))
    if emptied:
        named = ", ".join(quote(name) for name in emptied[:3])
        parts.append(f"No picture is left to train on in {named}.")
    if not parts:
        parts.append("The full check found other problems than the quick scan.")
    if found.split_origin == "graftwork":
        parts.append("The pictures for validation were drawn anew from those that can be read.")
    return " ".join(parts)
