"""The models a person added: files of weights, hub ids, entries of torch.hub repositories.

A small list in the application's data folder; the files themselves are neither copied nor
changed. A file that is gone keeps its entry, which says where it was. No torch here.
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
        """Whether the file is as it was, or gone: nothing newer can be known of it."""
        try:
            about = self.path.stat()
        except OSError:
            return True
        return (about.st_size, about.st_mtime_ns) == (self.size_bytes, self.modified_ns)


def file_id(path: Path | str) -> str:
    """The model id of a file; relative paths are taken from the folder we are in."""
    text = str(path).removeprefix(FILE_PREFIX)
    return f"{FILE_PREFIX}{Path(text).expanduser().absolute()}"


def cards() -> tuple[ModelCard, ...]:
    """What was added, in the order of adding. A list that cannot be read counts as empty."""
    try:
        document = json.loads(_list_file().read_text(encoding="utf-8"))
        return tuple(from_json(fields) for fields in document["models"])
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def find(model_id: str) -> ModelCard | None:
    """The added card with this id."""
    return next((card for card in cards() if card.id == model_id), None)


def add(card: ModelCard) -> None:
    """Put a card on the list; one with the same id is replaced.

    Raises: OSError where the list cannot be written.
    """
    path = _list_file()
    known = cards()
    if not known and path.exists():
        _keep_damaged(path)
    _write([*(other for other in known if other.id != card.id), card])


def remove(model_id: str) -> bool:
    """Take a card off the list; the file or repository itself stays. Whether it was there."""
    known = cards()
    kept = [card for card in known if card.id != model_id]
    if len(kept) == len(known):
        return False
    _write(kept)
    return True


def to_json(card: ModelCard) -> dict[str, Any]:
    """What `from_json` makes the same card of."""
    return dataclasses.asdict(card)


def from_json(fields: dict[str, Any]) -> ModelCard:
    """Raises: TypeError, KeyError for something else than `to_json` gave."""
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
    """A list that cannot be read is set aside before it is written anew; an empty one is not."""
    try:
        if json.loads(path.read_text(encoding="utf-8"))["models"] == []:
            return
    except (OSError, ValueError, KeyError, TypeError):
        pass
    path.replace(path.with_suffix(".damaged.json"))
