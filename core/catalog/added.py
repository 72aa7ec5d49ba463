"""The models a person added: files of weights, hub ids, entries of torch.hub repositories.

A small list in the application's data folder; the files themselves are neither copied nor
changed. A file that was removed keeps its entry, with its path. No torch here.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.catalog.card import ModelCard
from core.system import paths
from core.system.atomic_files import write_json

FILE_PREFIX = "file:"
"""Before the path of a file with weights, where a model is named."""

_FORMAT = 1
_PAIRS = ("input_size", "mean", "std")
"""Fields that JSON turns into lists."""


@dataclass(frozen=True, slots=True)
class FileCard(ModelCard):
    """A file of weights. `weights` is its path, `num_classes` 0 where it has no classifier."""

    base: str = ""
    """Id of the catalog's card whose architecture and preprocessing the file has."""
    size_bytes: int = 0
    modified_ns: int = 0
    """Of the file when it was looked at: a file that has changed since is looked at again."""

    @property
    def path(self) -> Path:
        return Path(self.weights)

    @property
    def is_current(self) -> bool:
        """Whether the file is unchanged, or missing: then this card is all that is known of it."""
        try:
            about = self.path.stat()
        except OSError:
            return True
        return (about.st_size, about.st_mtime_ns) == (self.size_bytes, self.modified_ns)


def file_id(path: Path | str) -> str:
    """The model id of a file; a relative path is resolved in the working directory."""
    text = str(path).removeprefix(FILE_PREFIX)
    return f"{FILE_PREFIX}{Path(text).expanduser().absolute()}"


def cards() -> tuple[ModelCard, ...]:
    """The added cards, oldest first. A list that cannot be read counts as empty."""
    try:
        document = json.loads(_list_file().read_text(encoding="utf-8"))
        return tuple(from_json(fields) for fields in document["models"])
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def find(model_id: str) -> ModelCard | None:
    """The added card with this id; None where there is none."""
    return next((card for card in cards() if card.id == model_id), None)


def add(card: ModelCard) -> None:
    """Add a card to the list; one with the same id is replaced.

    Raises: OSError where the list cannot be written.
    """
    path = _list_file()
    known = cards()
    if not known and path.exists():
        _keep_damaged(path)
    _write([*(other for other in known if other.id != card.id), card])


def remove(model_id: str) -> bool:
    """Remove a card from the list; its file or repository stays. Returns whether it was there."""
    known = cards()
    kept = [card for card in known if card.id != model_id]
    if len(kept) == len(known):
        return False
    _write(kept)
    return True


def to_json(card: ModelCard) -> dict[str, Any]:
    """The card as a JSON document, which `from_json` reads."""
    return dataclasses.asdict(card)


def from_json(fields: dict[str, Any]) -> ModelCard:
    """The card of a document of `to_json`. Raises: TypeError, KeyError for another document."""
    kind = FileCard if fields["source"] == "file" else ModelCard
    known = {field.name for field in dataclasses.fields(kind)}
    values = {name: value for name, value in fields.items() if name in known}
    for name in _PAIRS:
        if values.get(name) is not None:
            values[name] = tuple(values[name])
    return kind(**values)


def _list_file() -> Path:
    return paths.data_dir() / "models.json"


def _write(kept: list[ModelCard]) -> None:
    write_json(_list_file(), {"format": _FORMAT, "models": [to_json(card) for card in kept]})


def _keep_damaged(path: Path) -> None:
    """Rename a list that cannot be read before a new one is written; an empty one is kept."""
    try:
        if json.loads(path.read_text(encoding="utf-8"))["models"] == []:
            return
    except (OSError, ValueError, KeyError, TypeError):
        pass
    path.replace(path.with_suffix(".damaged.json"))
