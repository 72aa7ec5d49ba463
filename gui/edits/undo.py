"""The journal of edits as Qt's undo stack sees it: the menu names steps, the journal takes them.

The stack mirrors the journal and decides nothing: its commands ask for undo and redo, and what
the journal then says is laid out anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtGui import QUndoCommand, QUndoStack

from gui.edits.text import name_edits, steps

if TYPE_CHECKING:
    from core.data.journal import Edit, History

_MOST_STEPS = 100
"""Steps laid out in either direction; older ones come up as the newer ones are undone."""


class JournalStack(QObject):
    """Main thread only. `undo` and `redo` are called when a person asks through the stack."""

    def __init__(self, parent: QObject, undo: Callable[[], None], redo: Callable[[], None]) -> None:
        super().__init__(parent)
        self._undo, self._redo = undo, redo
        self._is_filling = False
        self._shown: tuple[list[int], list[int]] = ([], [])
        self.stack = QUndoStack(self)

    def show_history(self, history: History) -> None:
        """Lay out the steps of the journal as Qt's undo stack."""
        done = steps(history.done)[-_MOST_STEPS:]
        undone = [step[::-1] for step in steps(history.undone)[-_MOST_STEPS:]][::-1]
        shown = ([step[0].id for step in done], [step[0].id for step in undone])
        self._is_filling = True
        try:
            before = self._shown
            if [*before[0], *before[1]] == [*shown[0], *shown[1]]:
                self.stack.setIndex(len(done))  # walked along what is laid out
            elif self._is_one_more(shown):
                self.stack.push(_Step(self, done[-1]))
            else:
                self._lay_out([*done, *undone], len(done))
            self._shown = shown
        finally:
            self._is_filling = False

    def _is_one_more(self, shown: tuple[list[int], list[int]]) -> bool:
        """Whether the stack need only push the last step."""
        done, undone = shown
        known = self._shown[0]
        return (
            not undone
            and len(done) > 1
            and known[1 - len(done) :] == done[:-1]
            and self.stack.index() == self.stack.count() - len(self._shown[1])
        )

    def _lay_out(self, all_steps: Sequence[Sequence[Edit]], index: int) -> None:
        self.stack.clear()
        for step in all_steps:
            self.stack.push(_Step(self, step))
        self.stack.setIndex(index)

    def ask(self, *, is_undo: bool) -> None:
        """Pass on an undo or redo that a person asked for."""
        if not self._is_filling:
            (self._undo if is_undo else self._redo)()


class _Step(QUndoCommand):
    def __init__(self, owner: JournalStack, edits: Sequence[Edit]) -> None:
        super().__init__(name_edits(edits))
        self._owner = owner

    def undo(self) -> None:
        self._owner.ask(is_undo=True)

    def redo(self) -> None:
        self._owner.ask(is_undo=False)
