"""Undo and redo of what the next run is to do: the model and the recipe, wherever they change.

Every change is one step: a tick in the layer tree, a field of the Train page, a model taken into
use, the advice taken over. So nothing clears the history, and each step finds the state it left.
Choosing a model of another architecture drops the rates that were given to layers of the last
one; that belongs to the same step, is said, and comes back with it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from PySide6.QtCore import QObject
from PySide6.QtGui import QUndoCommand, QUndoStack

from core.catalog.names import shown_name
from core.errors import AppError
from gui.base.session import Session
from gui.kit.words import count

_MOST_STEPS = 200
_FORM_STEP = 1
_ONE_CHANGE_SECONDS = 2.0
"""Changes of one field that follow each other faster are one step: a person is typing."""
_NAMED_BY_ARCHITECTURE = ("timm/", "torchvision/", "bundled/")


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What the next run is to do."""

    model: str = ""
    values: dict[str, Any] = field(default_factory=dict)


class PlanHistory(QObject):
    """Main thread only."""

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._known = self.now
        self._is_applying = False
        self.dropped = ""
        """What the last change of the model cost, in a sentence; empty where it cost nothing."""
        self.stack = QUndoStack(self)
        self.stack.setUndoLimit(_MOST_STEPS)
        session.recipe_changed.connect(self._look)
        session.models_changed.connect(self._look)

    @property
    def now(self) -> PlanRequest:
        """The model and the recipe values in force."""
        return PlanRequest(self._session.model_id, dict(self._session.recipe_values))

    def change(self, text: str, request: PlanRequest) -> None:
        """Apply a change as one step of undo with this name."""
        self.stack.push(_Step(self, text, self.now, request))

    def apply(self, request: PlanRequest) -> None:
        """Set model and recipe values without adding a step; called by the steps themselves."""
        self._known = request
        if request == self.now:
            return
        self._is_applying = True
        try:
            self._session.set_recipe_values({**request.values, "model": request.model})
        finally:
            self._is_applying = False

    def _look(self) -> None:
        """Something changed elsewhere: make a step of it."""
        if self._is_applying:
            return
        self.dropped = ""
        before, after = self._known, self.now
        if after == before:
            return
        if not before.model:  # the first model comes with the catalog
            self._known = after
            return
        if after.model != before.model:
            after = self._fitting(before, after)
        changed = _changed_keys(before, after)
        if after.model == before.model and not changed:
            self._known = after  # a default was written down
            return
        key = next(iter(changed)) if len(changed) == 1 and after.model == before.model else ""
        self.stack.push(_Step(self, _name_change(before, after, changed), before, after, key))
        if self.dropped:
            self._session.notice("here", self.dropped, "warning")

    def _fitting(self, before: PlanRequest, after: PlanRequest) -> PlanRequest:
        """Without the layer rates that were given to another architecture."""
        rates = after.values.get("layer_rates")
        if not rates or rates != before.values.get("layer_rates"):
            return after  # none, or they came with the model
        if _architecture(before.model) == _architecture(after.model):
            return after
        values = {key: value for key, value in after.values.items() if key != "layer_rates"}
        if values.get("strategy") == "partial" and values.get("layer_groups") == 0:
            values = with_strategy(values, "feature-extraction")
        places = count(len(rates), "layer")
        self.dropped = (
            f"The rates set by hand for {places} belong to {shown_name(before.model)} and were "
            f"dropped. Undo (Ctrl+Z) brings them and the model back."
        )
        return PlanRequest(after.model, values)


class _Step(QUndoCommand):
    def __init__(
        self,
        history: PlanHistory,
        text: str,
        before: PlanRequest,
        after: PlanRequest,
        key: str = "",
    ) -> None:
        super().__init__(text)
        self._history = history
        self._before, self._after, self._key = before, after, key
        self._made_at = time.monotonic()

    def redo(self) -> None:
        self._history.apply(self._after)

    def undo(self) -> None:
        self._history.apply(self._before)

    def id(self) -> int:
        return _FORM_STEP if self._key else -1

    def mergeWith(self, other: QUndoCommand) -> bool:
        if not isinstance(other, _Step) or other._key != self._key:
            return False
        if other._made_at - self._made_at > _ONE_CHANGE_SECONDS:
            return False
        self._after, self._made_at = other._after, other._made_at
        return True


def with_strategy(values: dict[str, Any], strategy: str) -> dict[str, Any]:
    """The values with another strategy; what suited one way of training is no default of the
    other."""
    solver = "feature-extraction"
    values = dict(values)
    if (values.get("strategy", solver) == solver) != (strategy == solver):
        values.pop("max_epochs", None)
    values["strategy"] = strategy
    return values


def _architecture(model: str) -> str:
    """The same for all weights of one architecture; files and repositories are each their own."""
    if model.startswith(_NAMED_BY_ARCHITECTURE):
        return model.rpartition("/")[2].partition(".")[0]
    return model


def _changed_keys(before: PlanRequest, after: PlanRequest) -> set[str]:
    """Keys of the recipe that have another value now; a default need not stand there."""
    old, new = _in_full(before.values), _in_full(after.values)
    return {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}


def _in_full(values: dict[str, Any]) -> dict[str, Any]:
    from core.recipe.recipe import make_recipe

    try:
        recipe = make_recipe(values)
    except AppError:  # half typed: compared as it stands
        return values
    return {**recipe.model_dump(exclude={"model"}), "max_epochs": recipe.max_epochs_or_default}


def _name_change(before: PlanRequest, after: PlanRequest, changed: set[str]) -> str:
    if after.model != before.model:
        return f"use {shown_name(after.model)}"
    if "layer_rates" in changed and not after.values.get("layer_rates"):
        return "clear the layer rates"
    if "strategy" in changed:
        return "change the strategy"
    if len(changed) == 1:
        return f"change {next(iter(changed)).replace('_', ' ')}"
    return "change the recipe"
