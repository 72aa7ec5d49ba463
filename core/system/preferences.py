"""What a person prefers for new runs, in one small file that window and command line share.

No torch and no pydantic: it is read before the first paint. It does not know where its file lies;
`core.system.paths` does.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

import tomlkit

from core.system import atomic_files

DEVICES = ("auto", "cpu", "cuda", "mps", "xpu")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
_CHOICES = {"device": DEVICES, "precision": PRECISIONS}


@dataclass(frozen=True, slots=True)
class Preferences:
    """`auto` and an empty folder leave the choice to the application."""

    runs_dir: str = ""
    device: str = "auto"
    precision: str = "auto"

    def recipe_values(self) -> dict[str, str]:
        """What a recipe that says nothing of these keys takes from here."""
        wishes = {"device": self.device, "precision": self.precision}
        return {key: wish for key, wish in wishes.items() if wish != "auto"}


def read(file: Path) -> tuple[Preferences, str]:
    """The preferences and, where the file is not as it should be, a sentence that says so.

    A missing file means the defaults; of a broken one nothing is taken, of one with a wrong value
    the rest.
    """
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Preferences(), ""
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return Preferences(), f"The preferences in {file} cannot be read: {error}. Defaults hold."
    kept: dict[str, str] = {}
    wrong: list[str] = []
    for key, value in values.items():
        if _is_right(key, value):
            kept[key] = value
        else:
            wrong.append(f"{key} = {value!r}")
    sentence = f"Left out of the preferences in {file}: {', '.join(wrong)}." if wrong else ""
    return Preferences(**kept), sentence


def write(file: Path, preferences: Preferences) -> None:
    """Replace the file; keys that another version knows and this one does not are kept.

    Raises: OSError.
    """
    try:
        document = tomlkit.parse(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # a broken file says nothing that could be kept
        document = tomlkit.document()
    for field in fields(preferences):
        document[field.name] = getattr(preferences, field.name)
    atomic_files.write_text(file, tomlkit.dumps(document))


def _is_right(key: str, value: object) -> bool:
    if not isinstance(value, str):
        return False
    if key == "runs_dir":
        return not value or Path(value).is_absolute()
    return value in _CHOICES.get(key, ())
