"""Write a recipe as TOML: every key explained in a comment, a person's own comments kept."""

from __future__ import annotations

import re
from typing import Any

import tomlkit
from pydantic import BaseModel
from tomlkit.items import Item, Table

from core.errors import AppError
from core.recipe.explanations import EXPLANATIONS
from core.recipe.formats import FORMAT, rename_in_text

_FIRST_TABLE = re.compile(r"^(?:[ \t]*#.*\n)*[ \t]*\[", re.MULTILINE)
"""The header of a table with the comments just above it: no key of the recipe may follow."""
_FORMAT_LINES = f"""\
# Format of this file. Without it, keys are read with their older meanings.
format = {FORMAT}
"""


def to_toml(recipe: BaseModel) -> str:
    """The recipe as TOML text: the format, then each key under a comment that explains it."""
    return f"{_FORMAT_LINES}\n{_written(recipe, list(type(recipe).model_fields))}"


def to_toml_like(recipe: BaseModel, text: str) -> str:
    """The recipe as TOML text with the comments, order and blank lines of `text`, a recipe file
    of any format that a person wrote. Keys that it does not name follow, explained.

    Raises: AppError where `text` is not TOML.
    """
    try:
        document = tomlkit.parse(text)
    except ValueError as error:
        raise AppError(f"The recipe is not valid TOML: {error}.") from error
    if document.get("format") != FORMAT:
        document = tomlkit.parse(rename_in_text(text))
        document.pop("format", None)
    names = list(type(recipe).model_fields)
    for name in names:
        value = getattr(recipe, name)
        if name not in document or _plain(document[name]) == _plain(value):
            continue
        if isinstance(document[name], Table) and isinstance(value, dict):
            table = tomlkit.table()
            table.update(value)
            document[name] = table
        else:
            document[name] = "" if value is None else _item(value)
    own = tomlkit.dumps(document)
    missing = _written(recipe, [name for name in names if name not in document])
    found = _FIRST_TABLE.search(own)
    at = found.start() if found else len(own)
    lead = "" if "format" in document else _FORMAT_LINES
    parts = (lead.strip("\n"), own[:at].strip("\n"), missing.strip("\n"), own[at:].strip("\n"))
    return "\n\n".join(part for part in parts if part) + "\n"


def _written(recipe: BaseModel, names: list[str]) -> str:
    document = tomlkit.document()
    for name in names:
        document.add(tomlkit.comment(EXPLANATIONS[name]))
        value = getattr(recipe, name)
        if value is None:
            document.add(tomlkit.comment(f"{name} ="))
        else:
            document.add(name, _item(value))
        document.add(tomlkit.nl())
    return tomlkit.dumps(document)


def _item(value: Any) -> Item:
    """The value as a TOML item on one line; an inline table may stand anywhere."""
    if isinstance(value, dict):
        table = tomlkit.inline_table()
        table.update(value)
        return table
    item: Item = tomlkit.item(_plain(value))
    return item


def _plain(value: Any) -> Any:
    value = value.unwrap() if isinstance(value, Item) else value
    return list(value) if isinstance(value, tuple) else value
