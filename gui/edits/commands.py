"""Editing the dataset: relabel, exclude, restore, merge, rename, move, split, undo and redo.

Every edit goes to the journal first; the session gets the dataset as the journal has it. The
user's files are never written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoStack

from core.errors import AppError
from gui.base.commands import CommandSet
from gui.base.session import Session
from gui.edits import jobs
from gui.edits.jobs import Ask, Edited
from gui.edits.text import say_edits, steps
from gui.edits.undo import JournalStack
from gui.kit.workers import JobRunner

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex
    from core.data.journal import Edit, EditKind, History
    from core.data.splits import SplitPlan
    from gui.edits.picture_index import PictureIndex

_KEY = "edit"


class DataCommands(CommandSet):
    """One job at a time; the edits asked for meanwhile wait and are written together.

    Files are relative to the dataset, classes are keys (`DatasetIndex.keys`). A notice on the
    page shown says what was done.
    """

    history_changed = Signal()
    """The journal was read and says something new, be it that a finding is dismissed."""

    def __init__(self, session: Session, runner: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(session, runner, parent)
        self._waiting: list[Ask] = []
        self._scanned: DatasetIndex | None = None
        self._history: History | None = None
        self._pictures: PictureIndex | None = None
        self._mirror = JournalStack(self, self._undo_step, self._redo_step)
        session.dataset_changed.connect(self._follow)

    @property
    def stack(self) -> QUndoStack:
        """What the Edit menu undoes on the pages where the dataset is edited."""
        return self._mirror.stack

    @property
    def is_busy(self) -> bool:
        """Whether an edit is on its way to the disk."""
        return self._runner.find(_KEY) is not None

    @property
    def pictures(self) -> PictureIndex | None:
        """The open dataset with its pictures looked up, made once for each state of it."""
        dataset = self._session.dataset
        if dataset is None:
            return None
        from gui.edits.picture_index import PictureIndex  # with numpy: not before the first paint

        if self._pictures is None or self._pictures.dataset is not dataset:
            self._pictures = PictureIndex(dataset).take_over(self._pictures)
        return self._pictures

    @property
    def history(self) -> History | None:
        """The journal as it was last read; None before that."""
        return self._history

    # -- asking ------------------------------------------------------------------------------

    def relabel(self, files: Sequence[str], class_key: str) -> None:
        """Give pictures a class; a new key makes a new class."""
        self._write("relabel", tuple(files), class_key.strip())

    def exclude(self, files: Sequence[str]) -> None:
        self._write("exclude", tuple(files))

    def restore(self, files: Sequence[str]) -> None:
        self._write("restore", tuple(files))

    def merge(self, keys: Sequence[str], into: str) -> None:
        """Make one class of several."""
        self._write("merge", tuple(keys), into.strip())

    def rename(self, key: str, shown: str) -> None:
        """Show a class under another name."""
        self._write("rename", (key,), shown.strip())

    def move(self, files: Sequence[str], split: str) -> None:
        """Let pictures stand in train, val or test."""
        self._write("move", tuple(files), split)

    def draw_split(self, plan: SplitPlan | None) -> None:
        """Draw train and val (and test) anew; None: the dataset's own again."""
        self._write("split", (), plan.to_json() if plan is not None else "")

    def keep(self, kind: str, files: Sequence[str]) -> None:
        """Dismiss the findings of a kind about these pictures."""
        self._write("keep", tuple(files), kind)

    def write(self, edits: Sequence[Edit]) -> None:
        """Write several edits as one step, undone and redone together."""
        asked = tuple(edit for edit in edits if edit.files or edit.kind == "split")
        if asked and self._session.dataset is not None:
            self._ask(asked)

    def _write(self, kind: EditKind, files: Sequence[str], value: str = "") -> None:
        from core.data.journal import Edit  # with numpy: not before the first paint

        self.write([Edit(kind, tuple(files), value)])

    def undo(self) -> None:
        """Take back the last edit, also of an earlier session."""
        self.stack.undo()

    def redo(self) -> None:
        self.stack.redo()

    def look_again(self) -> None:
        """Read the journal: another window may have written it."""
        if self._session.dataset is not None and not self.is_busy and self._history is not None:
            self._submit(["look"], is_light=True)

    def _undo_step(self) -> None:
        self._ask("undo")

    def _redo_step(self) -> None:
        self._ask("redo")

    @property
    def plan(self) -> SplitPlan | None:
        """How the split in force was drawn by hand; None where nobody drew one."""
        from core.data.open_dataset import plan_in_force

        return plan_in_force(self._history.done) if self._history is not None else None

    # -- dismissed findings ------------------------------------------------------------------

    @property
    def dismissed(self) -> frozenset[tuple[str, str]]:
        """(kind, file) of the findings that a person decided to keep as they are."""
        edits = self._history.done if self._history is not None else ()
        return frozenset(
            (edit.value, file) for edit in edits if edit.kind == "keep" for file in edit.files
        )

    # -- doing -------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Another dataset, or another scan of it: read its journal."""
        dataset = self._session.dataset
        if dataset is None or self._session.scan_state != "ready":
            return
        if dataset.scanned is self._scanned:
            return
        if self._scanned is None or self._scanned.opened != dataset.opened:
            self._history = None
            self._waiting.clear()
            self.stack.clear()
        self._scanned = dataset.scanned
        self._ask("look")

    def _ask(self, ask: Ask) -> None:
        self._waiting.append(ask)
        if not self.is_busy:
            self._pump()

    def _pump(self) -> None:
        if self._waiting:
            asks, self._waiting = self._waiting, []
            self._submit(asks)

    def _submit(self, asks: list[Ask], *, is_light: bool = False) -> None:
        dataset = self._session.dataset
        if dataset is None:
            return
        seen = self._history.last if self._history is not None else -1
        job, arguments = (jobs.look, ()) if is_light else (jobs.edit, (asks,))
        self._runner.start(
            job, dataset, seen, *arguments,
            title="Editing the dataset", key=_KEY, on_done=self._edited, on_failed=self._failed,
            quiet=True, queue_up=True,
        )  # fmt: skip

    def _edited(self, edited: Edited) -> None:
        dataset = self._session.dataset
        if dataset is None or edited.scanned.opened != dataset.opened:
            self._pump()
            return
        if edited.history is not None and edited.dataset is not None:
            before, self._history = self._history, edited.history
            self._mirror.show_history(edited.history)
            if edited.scanned is not dataset.scanned:
                # Scanned anew meanwhile: the edits are written, and apply to that.
                self._waiting.insert(0, "look")
            elif not _is_same(dataset, edited.dataset):
                if edited.pictures is not None:
                    self._pictures = edited.pictures.take_over(self._pictures)
                self._session.set_edited(edited.dataset)
            self.history_changed.emit()
            self._say(edited, before)
        if edited.refused is not None:
            self._session.notice("here", str(edited.refused), "error")
        self._pump()

    def _failed(self, error: AppError) -> None:
        if self._history is not None:  # the stack has taken its step already
            self._mirror.show_history(self._history)
        self._session.notice("here", str(error), "error")
        self._pump()

    def _say(self, edited: Edited, before: History | None) -> None:
        """In the notice bar, what the edits have done."""
        dataset, now = edited.dataset, edited.history
        if dataset is None or now is None or before is None:
            return
        wanted = [ask for ask in edited.answered if ask != "look"]
        if edited.is_from_elsewhere:
            theirs = [step for step in steps(now.done) if step[0].id > before.last]
            detail = f": {say_edits(theirs[-1], dataset)}" if theirs and not wanted else ""
            text = f"Another window edited this dataset{detail}. Its edits are in force here too."
            self._session.notice("here", text)
        elif wanted and wanted[-1] == "undo" and now.undone:
            text = f"Undone: {say_edits(steps(now.undone)[-1], dataset)}."
            self._session.notice("here", text, action="redo")
        elif wanted and now.done:
            text = f"{say_edits(steps(now.done)[-1], dataset)}."
            self._session.notice("here", text, action="undo")


def _is_same(before: DatasetIndex, after: DatasetIndex) -> bool:
    return (
        before.files == after.files
        and before.classes == after.classes
        and before.keys == after.keys
        and bool((before.labels == after.labels).all())
        and bool((before.splits == after.splits).all())
        and before.split_origin == after.split_origin
        and before.problems == after.problems
    )
