"""Finds the pictures that a table names, and the table of labels in a folder.

Tables are written on other machines and for other tools: paths may be relative to the table or to
a folder beside it, start with folders that are not on this machine, or have no suffix.
"""

from __future__ import annotations

import ntpath
import os
import re
from collections.abc import Sequence
from pathlib import Path

from core.data.sources.folders import IMAGE_SUFFIXES
from core.data.sources.split_names import is_generic, split_of
from core.data.sources.table_columns import find_columns, read_text
from core.errors import DatasetError

_TABLE_SUFFIXES = (".csv", ".tsv", ".tab")
_SAMPLE = 200
_MOST_FOLDERS = 60
_MOST_DROPPED = 6
"""How many leading folders of a path may be dropped, as those of another machine."""


def is_table(path: Path) -> bool:
    """Whether a file is a table, by its suffix."""
    return path.suffix.lower() in (*_TABLE_SUFFIXES, ".txt")


def table_in(folder: Path) -> Path | None:
    """The table of labels in a folder; None if its folders are classes, or several tables match.

    The table may be up to three folders deeper, if each of these is the only one.
    """
    level = folder
    for _ in range(4):
        try:
            with os.scandir(level) as entries:
                visible = [e for e in entries if e.name[0] != "."]
                tables = [e for e in visible if e.name.lower().endswith(_TABLE_SUFFIXES)]
                if not tables and len(visible) > 16:
                    return None
                folders = [e.name for e in visible if e.is_dir() and e.name != "__MACOSX"]
        except OSError:
            return None
        if tables:
            names = sorted(e.name for e in tables)
            return _labels_of(level, names) if _are_flat(level, folders) else None
        if len(folders) != 1:
            return None
        level = level / folders[0]
    return None


def _are_flat(level: Path, folders: list[str]) -> bool:
    """Whether no folder is a class: their names are generic or splits, without subfolders."""
    for name in folders:
        if split_of(name) is None and not is_generic(name):
            return False
        try:
            with os.scandir(level / name) as entries:
                if any(entry.is_dir() for entry in entries if entry.name[0] != "."):
                    return False
        except OSError:
            return False
    return True


def _labels_of(level: Path, names: list[str]) -> Path | None:
    """The one of these files that is a table of labels; None if there is none or several."""
    found = []
    for name in names:
        if "submission" in name.lower():  # a contest's empty table for predictions
            continue
        try:
            find_columns(name, read_text(level / name)[0])
        except DatasetError:
            continue
        found.append(level / name)
    return found[0] if len(found) == 1 else None


class PathResolver:
    """Finds the file of each path in a table, by one rule for all rows.

    The rule (base folder, leading folders to drop, whether a suffix must be added) is the one that
    finds most files of a sample.
    """

    def __init__(self, table: Path, raw: Sequence[str]) -> None:
        self._stems: dict[str, dict[str, str]] = {}
        step = max(1, len(raw) // _SAMPLE)
        sample = list(dict.fromkeys(normalized(path) for path in raw[::step]))
        candidates = [str(folder) for folder in _folders_near(table)]
        depth = max((path.count("/") for path in sample), default=0)
        rules = [
            (base, dropped, is_stem)
            for is_stem in (False, True)
            for dropped in range(min(depth, _MOST_DROPPED) + 1)
            for base in candidates
        ]
        self._rule = rules[0]
        most = 0
        for rule in rules:
            hits = sum(self._is_there(rule, path) for path in sample)
            if hits > most:
                self._rule, most = rule, hits
            if hits == len(sample):
                break

    @property
    def base(self) -> str:
        """The folder of relative paths."""
        return self._rule[0]

    def file_of(self, raw: str) -> str:
        """The absolute path of the file; it may be missing."""
        return self._file(self._rule, normalized(raw))

    def _is_there(self, rule: tuple[str, int, bool], path: str) -> bool:
        return os.path.isfile(self._file(rule, path))  # noqa: PTH113 - of text

    def _file(self, rule: tuple[str, int, bool], path: str) -> str:
        base, dropped, is_stem = rule
        if dropped:
            path = path.split("/", dropped)[-1]
        elif path.startswith("/") or ntpath.splitdrive(path)[0]:
            return path
        full = f"{base}/{path}"
        if is_stem:
            folder, _, stem = full.rpartition("/")
            full = f"{folder}/{self._stems_in(folder).get(stem, stem)}"
        return full

    def _stems_in(self, folder: str) -> dict[str, str]:
        """Name without suffix → full name, of the pictures in a folder."""
        found = self._stems.get(folder)
        if found is None:
            try:
                names = sorted(os.listdir(folder))  # noqa: PTH208 - names, and many
            except (OSError, ValueError):
                names = []
            pairs = (os.path.splitext(name) for name in names)  # noqa: PTH122
            found = {s: s + suffix for s, suffix in pairs if suffix.lower() in IMAGE_SUFFIXES}
            self._stems[folder] = found
        return found


_UNTIDY = re.compile(r"//|/\./|/\.\./|^\./|/\.\.?$")


def normalized(path: str) -> str:
    """A path with slashes and without `./`; a leading `..` stays."""
    path = path.strip()
    if "\\" in path:
        path = path.replace("\\", "/")
    if path.lower().startswith("file://"):
        path = path[7:]
    return os.path.normpath(path).replace(os.sep, "/") if _UNTIDY.search(path) else path


def _folders_near(table: Path) -> list[Path]:
    """The table's folder and its subfolders, then its parent folder and those subfolders."""
    found = []
    for level in (table.parent, table.parent.parent):
        try:
            inside = [
                entry.name for entry in os.scandir(level) if entry.name[0] != "." and entry.is_dir()
            ]
        except OSError:
            inside = []
        inside.sort(key=lambda name: (not is_generic(name), split_of(name) is None, name))
        found += [level, *(level / name for name in inside[:_MOST_FOLDERS])]
    return list(dict.fromkeys(found))
