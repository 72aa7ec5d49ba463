"""After the full check: what may be wrong with the pictures is looked for in the background.

Never while a run is on. What was measured is kept on the disk, so a look that was cancelled goes
on where it stopped, and one after an edit reads no picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from core.errors import AppError
from gui.base.commands import CommandSet
from gui.base.session import Session
from gui.data.check import CheckState, DatasetCheck
from gui.data.health import jobs
from gui.kit.basics import delayed
from gui.kit.workers import JobRunner

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex
    from core.data.health.check import HealthReport

_KEY, _LABELS, _COST = "health", "label errors", "cost of features"
_AFTER_EDIT_MS = 1500
_MOST_AGAIN = 20_000
"""Images up to which every edit is followed by another look: it compares all pictures anew."""


class HealthCheck(CommandSet):
    """One look at a time, at the session's dataset. Main thread only."""

    changed = Signal()
    found = Signal()
    """There is another report."""
    cost_measured = Signal(object)

    def __init__(
        self,
        session: Session,
        runner: JobRunner,
        check: DatasetCheck,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(session, runner, parent)
        self._check = check
        self._looked_at: DatasetIndex | None = None
        self._values: dict[str, Any] = {}
        self.report: HealthReport | None = None
        self.has_labels = False
        """The report was made with features: it tells of suspected label errors."""
        self.state: CheckState = "none"
        self.is_looking_for_labels = False
        self.progress: tuple[int, int, str] = (0, 0, "")
        self._again = delayed(self, _AFTER_EDIT_MS, self.start)
        session.dataset_changed.connect(self._follow)
        session.run_changed.connect(self._follow)
        check.changed.connect(self._follow)

    # -- asking ------------------------------------------------------------------------------

    def start(self) -> None:
        """Look for problems, again where that was done before."""
        dataset = self._session.dataset
        if dataset is None or self.is_looking_for_labels:
            return
        self._again.stop()
        self._looked_at = dataset
        if self._session.is_run_on:
            self._set_state("waiting")
            return
        self.progress = (0, 0, "")
        self._set_state("busy")
        # With the features of the last look where there are any: they are in the cache.
        look = jobs.look_for_label_errors if self.has_labels else jobs.look_at_health
        arguments = (dataset, self._values) if self.has_labels else (dataset,)
        self._runner.start(
            look, *arguments,
            title="Looking for problems", key=_KEY, on_done=self._found, on_failed=self._failed,
            on_cancel=self._cancelled, on_progress=self._show_progress,
            needs_compute=self.has_labels, quiet=True,
        )  # fmt: skip

    def cancel(self) -> None:
        """Stop looking; what was found so far stays."""
        self._again.stop()
        for key in (_KEY, _LABELS, _COST):
            self._runner.supersede(key)
        self.is_looking_for_labels = False
        self._set_state("cancelled" if self.report is None else "done")
        self.changed.emit()

    def ask_for_cost(self, values: dict[str, Any]) -> None:
        """Work out how long the look for label errors takes; `cost_measured` carries the answer."""
        dataset = self._session.dataset
        if dataset is None:
            return
        self._values = values
        self._runner.start(
            jobs.ask_for_cost, dataset, values,
            title="Timing a few pictures", key=_COST, on_done=self.cost_measured.emit,
            on_failed=self._failed, needs_compute=True,
        )  # fmt: skip

    def look_for_label_errors(self) -> None:
        """Look for label errors with the model whose cost was asked for."""
        dataset = self._session.dataset
        if dataset is None:
            return
        self._again.stop()
        self._runner.supersede(_KEY)
        self._looked_at = dataset
        self.is_looking_for_labels = True
        self.progress = (0, 0, "")
        self._set_state("busy")
        self._runner.start(
            jobs.look_for_label_errors, dataset, self._values,
            title="Looking for label errors", key=_LABELS, on_done=self._labels_found,
            on_failed=self._failed, on_cancel=self._cancelled, on_progress=self._show_progress,
            needs_compute=True,
        )  # fmt: skip

    # -- following ---------------------------------------------------------------------------

    def _follow(self) -> None:
        dataset = self._session.dataset
        if dataset is None or self._session.scan_state != "ready":
            self._forget()
            return
        known = self._looked_at
        if known is None or known.scanned is not dataset.scanned:
            is_other = known is None or known.opened != dataset.opened
            if is_other and known is not None:
                self._forget()
            if self._check.state in ("done", "cancelled", "failed"):
                self.start()
        elif self.state == "busy" and self._session.is_run_on and not self.is_looking_for_labels:
            self._runner.supersede(_KEY)
            self._set_state("waiting")
        elif self.state == "waiting" and not self._session.is_run_on:
            self.start()
        elif dataset is not known and len(dataset) <= _MOST_AGAIN and self.state != "cancelled":
            self._again.start()

    def _forget(self) -> None:
        self._again.stop()
        for key in (_KEY, _LABELS, _COST):
            if self._runner.find(key) is not None:
                self._runner.supersede(key)
        self._looked_at, self.report = None, None
        self.has_labels = self.is_looking_for_labels = False
        self._set_state("none")

    # -- hearing -----------------------------------------------------------------------------

    def _show_progress(self, done: int, total: int, note: str) -> None:
        self.progress = (done, total, note)
        self.changed.emit()

    def _found(self, report: HealthReport) -> None:
        self.report = report
        self._set_state("done")
        self.found.emit()
        if self._session.dataset is not self._looked_at:
            self._follow()  # edited meanwhile

    def _labels_found(self, report: HealthReport) -> None:
        self.has_labels = True
        self.is_looking_for_labels = False
        self._found(report)

    def _failed(self, error: AppError) -> None:
        self.is_looking_for_labels = False
        self._set_state("failed" if self.report is None else "done")
        self._session.notice("data", f"The look for problems ended early. {error}", "warning")

    def _cancelled(self) -> None:
        self.is_looking_for_labels = False
        self._set_state("cancelled" if self.report is None else "done")

    def _set_state(self, state: CheckState) -> None:
        if state != self.state:
            self.state = state
            self.changed.emit()
