"""The user's preferences for new runs, in one small file shared by window and command line.

No torch and no pydantic: the file is read before the window is first painted. Does not know where
its file is; `core.system.paths` does.
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
    """Defaults for new runs; `auto` and an empty folder leave the choice to the application."""

    runs_dir: str = ""
    device: str = "auto"
    precision: str = "auto"

    def recipe_values(self) -> dict[str, str]:
        """Values for recipe keys that the user did not set; `auto` is left out."""
        values = {"device": self.device, "precision": self.precision}
        return {key: value for key, value in values.items() if value != "auto"}


def read(file: Path) -> tuple[Preferences, str]:
    """The preferences, and a sentence to show if something in the file is wrong, else "".

    A missing or unreadable file gives the defaults; a wrong value is left out, the others count.
    """
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Preferences(), ""
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return (
            Preferences(),
            f"The preferences in {file} cannot be read: {error}. The defaults are used.",
        )
    kept: dict[str, str] = {}
    wrong: list[str] = []
    for key, value in values.items():
        if _is_valid(key, value):
            kept[key] = value
        else:
            wrong.append(f"{key} = {value!r}")
    sentence = f"Ignored in the preferences {file}: {', '.join(wrong)}." if wrong else ""
    return Preferences(**kept), sentence


def write(file: Path, preferences: Preferences) -> None:
    """Write the preferences to `file`; keys that this version does not know are kept.

    Raises: OSError.
    """
    try:
        document = tomlkit.parse(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # missing, or not TOML: there is nothing to keep
        document = tomlkit.document()
    for field in fields(preferences):
        document[field.name] = getattr(preferences, field.name)
    atomic_files.write_text(file, tomlkit.dumps(document))


def _is_valid(key: str, value: object) -> bool:
    if not isinstance(value, str):
        return False
    if key == "runs_dir":
        return not value or Path(value).is_absolute()
    return value in _CHOICES.get(key, ())
