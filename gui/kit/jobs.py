"""Jobs that every feature may want."""

from __future__ import annotations

from pathlib import Path

from core.errors import AppError
from gui.kit.workers import JobContext


def save_text(path: Path, text: str, context: JobContext) -> Path:
    """Raises: AppError where the file cannot be written."""
    from core.system import atomic_files

    try:
        atomic_files.write_text(path, text)
    except OSError as error:
        raise AppError(
            f"{path} cannot be written: {error.strerror or error}.", "Choose another place."
        ) from error
    return path
