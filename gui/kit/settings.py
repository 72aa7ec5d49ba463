"""What the window remembers between two starts, in one INI file of the application's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from PySide6.QtCore import QByteArray, QSettings

from core.system import paths

ThemeChoice = Literal["system", "light", "dark"]
_RECENT_DATASETS = 6


class Settings:
    """Typed access to the settings file. Main thread only."""

    def __init__(self, path: Path | None = None) -> None:
        path = path or paths.config_dir() / "window.ini"
        self._store = QSettings(str(path), QSettings.Format.IniFormat)

    @property
    def theme(self) -> ThemeChoice:
        """The theme a person chose."""
        value = self._store.value("theme", "system")
        return value if value in ("light", "dark") else "system"

    @theme.setter
    def theme(self, choice: ThemeChoice) -> None:
        self._store.setValue("theme", choice)

    @property
    def geometry(self) -> QByteArray | None:
        """Size and place of the window at the last close; None at the first start."""
        value = self._store.value("geometry")
        return value if isinstance(value, QByteArray) else None

    @geometry.setter
    def geometry(self, geometry: QByteArray) -> None:
        self._store.setValue("geometry", geometry)

    @property
    def recent_datasets(self) -> list[Path]:
        """Paths of the datasets opened last, newest first, without those that no longer exist."""
        value = self._store.value("recent_datasets") or []
        names = [value] if isinstance(value, str) else list(value)
        return [Path(name) for name in names if _is_there(Path(name))]

    def remember_dataset(self, path: Path) -> None:
        """Put a path first among the recent datasets."""
        rest = [known for known in self.recent_datasets if known != path]
        self._store.setValue("recent_datasets", [str(p) for p in [path, *rest][:_RECENT_DATASETS]])

    @property
    def last_folder(self) -> Path:
        """The folder in which a file dialog opens."""
        value = self._store.value("last_folder")
        folder = Path(value) if isinstance(value, str) else Path.home()
        return folder if _is_folder(folder) else Path.home()

    @last_folder.setter
    def last_folder(self, folder: Path) -> None:
        self._store.setValue("last_folder", str(folder))

    def save(self) -> None:
        """Write the settings to the disk now."""
        self._store.sync()


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
