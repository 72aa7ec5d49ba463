"""Edits of a dataset in words: what the menu would undo, and what has happened. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gui.kit.words import count, quote

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex
    from core.data.journal import Edit, RecordedEdit


def name_edits(edits: Sequence[Edit]) -> str:
    """`exclude 3 pictures`: edits of one step, as the menu names them after “Undo”."""
    if len({edit.kind for edit in edits}) > 1 or len({edit.value for edit in edits}) > 1:
        return f"edit {_pictures(edits)}"
    edit = edits[0]
    if edit.kind == "merge":
        return f"merge {count(len(edit.files), 'class', 'classes')}"
    if edit.kind == "rename":
        return f"rename {quote(edit.files[0])}"
    if edit.kind == "split":
        return "draw a split" if edit.value else "use the dataset's own split"
    verb = {"relabel": "relabel", "exclude": "exclude", "restore": "restore", "move": "move"}
    return f"{verb.get(edit.kind, 'dismiss the finding of')} {_pictures(edits)}"


def name_written(edits: Sequence[Edit]) -> str:
    """`Exclude 14 pictures`: edits that would be written as one step."""
    kinds, values = {edit.kind for edit in edits}, {edit.value for edit in edits}
    verb = {"exclude": "Exclude", "move": "Move", "relabel": "Relabel"}.get(min(kinds), "Edit")
    if len(kinds) > 1:
        verb = "Edit"
    to = f" to {min(values)}" if kinds == {"move"} and len(values) == 1 else ""
    return f"{verb} {_pictures(edits)}{to}"


def say_edits(edits: Sequence[Edit], dataset: DatasetIndex) -> str:
    """`3 pictures excluded`: what edits of one step have done; no full stop."""
    kinds, values = {edit.kind for edit in edits}, {edit.value for edit in edits}
    if len(kinds) > 1:
        return f"{_pictures(edits)} edited"
    edit, pictures = edits[0], _pictures(edits)
    shown = dict(zip(dataset.keys, dataset.classes, strict=True))
    value = quote(shown.get(edit.value, edit.value))
    if edit.kind == "relabel":
        return f"{pictures} relabelled" + (f" to {value}" if len(values) == 1 else "")
    if edit.kind == "move":
        return f"{pictures} moved" + (f" to {edit.value}" if len(values) == 1 else "")
    if edit.kind == "merge":
        return f"{count(len(edit.files), 'class', 'classes')} merged into {value}"
    if edit.kind == "rename":
        return f"{quote(edit.files[0])} is shown as {quote(edit.value)}"
    if edit.kind == "split":
        return _say_split(edit, dataset)
    done = {"exclude": "excluded", "restore": "restored"}.get(edit.kind, "kept as they are")
    if edit.kind == "keep" and pictures.startswith("1 "):
        done = "kept as it is"
    return f"{pictures} {done}"


def _say_split(edit: Edit, dataset: DatasetIndex) -> str:
    if not edit.value:
        return "The split is the dataset's own again"
    sizes = ", ".join(f"{n:,} {name}" for name, n in dataset.split_counts().items())
    return f"A new split is drawn: {sizes}"


def _pictures(edits: Sequence[Edit]) -> str:
    return count(len({file for edit in edits for file in edit.files}), "picture")


def steps(edits: Sequence[RecordedEdit]) -> list[tuple[RecordedEdit, ...]]:
    """Edits in order, those written together as one step."""
    found: list[list[RecordedEdit]] = []
    for edit in edits:
        if found and found[-1][-1].time == edit.time:
            found[-1].append(edit)
        else:
            found.append([edit])
    return [tuple(step) for step in found]
