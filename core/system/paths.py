"""The application's own folders on this machine, and the files shipped with it.

`GRAFTWORK_HOME` puts all folders under one (tests, portable use). The user's own folders are
never written to. Does not know what the files in these folders hold.
"""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import PlatformDirs

from core.errors import AppError
from core.system import preferences

_DIRS = PlatformDirs("graftwork", appauthor=False)


def _make_folder(kind: str, default: Path) -> Path:
    """`default`, or the folder `kind` in GRAFTWORK_HOME, created if missing. Raises: AppError."""
    home = os.environ.get("GRAFTWORK_HOME")
    folder = Path(home) / kind if home else default
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AppError(
            f"Graftwork's own folder {folder} cannot be created: {error.strerror or error}.",
            "Make it writable, or set GRAFTWORK_HOME to another folder.",
        ) from error
    return folder


def data_dir() -> Path:
    """The folder of data worth keeping: sample datasets, journals."""
    return _make_folder("data", _DIRS.user_data_path)


def sample_dir(name: str) -> Path:
    """The folder of the ready-made dataset `name`, whether it is on the disk yet or not."""
    return data_dir() / "samples" / name


def cache_dir() -> Path:
    """The folder of data that can be computed again: features, timings. May be deleted."""
    return _make_folder("cache", _DIRS.user_cache_path)


def runs_dir() -> Path:
    """The folder of the runs: that of the preferences, else the default.

    Raises: AppError if the preferred folder cannot be used, e.g. on a drive that is not connected.
    The default is not used then: runs must not be written elsewhere without a notice.
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
    """The folder of the runs without preferences: in the user's documents."""
    home = os.environ.get("GRAFTWORK_HOME")
    return _make_folder(
        "runs", _DIRS.user_documents_path / "Graftwork" / "runs" if not home else Path()
    )


def config_dir() -> Path:
    """The folder of the preferences and the window layout."""
    return _make_folder("config", _DIRS.user_config_path)


def preferences_file() -> Path:
    """The file of the preferences; it may be missing."""
    return config_dir() / "preferences.toml"


def read_preferences() -> tuple[preferences.Preferences, str]:
    """The preferences, and a sentence to show if something in their file is wrong, else ""."""
    return preferences.read(preferences_file())


def log_dir() -> Path:
    """The folder of the log files."""
    return _make_folder("log", _DIRS.user_log_path)


def resource(name: str) -> Path:
    """The path of a file shipped with the application, in a checkout or an installed wheel."""
    # `resources` is beside `core` in both. importlib.resources cannot read a folder without code
    # from an editable install: its namespace path has an entry that is not a directory.
    return Path(__file__).parents[2] / "resources" / name
