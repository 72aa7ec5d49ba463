"""Where things live on this machine: the application's own folders and the shipped resources.

`GRAFTWORK_HOME` puts all of them under one folder (tests, portable use). The user's own folders
are never written.
"""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import PlatformDirs

from core.errors import AppError
from core.system import preferences

_DIRS = PlatformDirs("graftwork", appauthor=False)


def _place(kind: str, default: Path) -> Path:
    home = os.environ.get("GRAFTWORK_HOME")
    folder = Path(home) / kind if home else default
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AppError(
            f"Graftwork's own folder {folder} cannot be made: {error.strerror or error}.",
            "Make it writable, or name another place in GRAFTWORK_HOME.",
        ) from error
    return folder


def data_dir() -> Path:
    """Made by the application and worth keeping: samples, journals."""
    return _place("data", _DIRS.user_data_path)


def sample_dir(name: str) -> Path:
    """Where a ready-made dataset stands once it is written."""
    return data_dir() / "samples" / name


def cache_dir() -> Path:
    """May be deleted at any time: features, timings."""
    return _place("cache", _DIRS.user_cache_path)


def runs_dir() -> Path:
    """Where runs are kept: the folder of the preferences, else the default.

    Raises: AppError where the chosen folder is out of reach, e.g. on a drive that is not there;
    runs must not turn up elsewhere without a word.
    """
    chosen = read_preferences()[0].runs_dir
    if not chosen:
        return default_runs_dir()
    folder = Path(chosen)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AppError(
            f"The folder of runs {folder} cannot be used: {error.strerror or error}.",
            "Choose another one in the settings (Ctrl+,), or remove runs_dir from "
            f"{preferences_file()}.",
        ) from error
    return folder


def default_runs_dir() -> Path:
    home = os.environ.get("GRAFTWORK_HOME")
    return _place("runs", _DIRS.user_documents_path / "Graftwork" / "runs" if not home else Path())


def config_dir() -> Path:
    """Settings and window layout."""
    return _place("config", _DIRS.user_config_path)


def preferences_file() -> Path:
    return config_dir() / "preferences.toml"


def read_preferences() -> tuple[preferences.Preferences, str]:
    """What the person prefers, and a sentence where the file is not as it should be."""
    return preferences.read(preferences_file())


def log_dir() -> Path:
    return _place("log", _DIRS.user_log_path)


def resource(name: str) -> Path:
    """A file shipped with the application, in a checkout as in an installed wheel."""
    # `resources` stands beside `core` in both; importlib.resources cannot read a folder without
    # code from an editable install (its namespace path has an entry that is no directory).
    return Path(__file__).parents[2] / "resources" / name
