"""Names, lists and finds the run folders in the folder of all runs. No torch."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import AppError, RunError
from core.runs.run_folder import Run, RunSummary, create_run, is_run
from core.system import paths

if TYPE_CHECKING:
    from core.recipe.recipe import Recipe


class RunStore:
    """The folder of all runs."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root if root is not None else paths.runs_dir()

    def create(self, name: str, recipe: Recipe, *, like: str = "") -> Run:
        """Create a run folder, named after the dataset and the time; `like` as in `create_run`.

        Raises: AppError if it cannot be written.
        """
        path = first = self.free_path(name)
        for attempt in range(2, 100):
            try:
                return create_run(path, recipe, like=like)
            except FileExistsError:
                path = first.with_name(f"{first.name}-{attempt}")
        raise RunError(
            f"The runs folder {self.root} has 99 runs of this second already.",
            "Try it again in a second.",
        )

    def free_path(self, name: str) -> Path:
        """The folder for a run on the dataset `name` that starts now; it is not created."""
        stem = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run"
        return self.root / f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"

    def runs(self) -> list[RunSummary]:
        """All runs, newest first; folders that are not runs are ignored."""
        found = []
        for path in self.root.iterdir() if self.root.is_dir() else ():
            try:
                found.append(Run(path).summary())
            except AppError:
                continue
        return sorted(found, key=lambda run: (run.started, run.name), reverse=True)

    def open(self, reference: str | Path) -> Run:
        """The run at a path, or the run with that name in this store.

        Raises: RunError that lists the newest runs.
        """
        for path in (Path(reference), self.root / str(reference).removeprefix("run:")):
            if is_run(path):
                return Run(path)
        names = [run.name for run in self.runs()[:5]]
        hint = f"The newest runs here: {', '.join(names)}." if names else "There are no runs yet."
        raise RunError(f"“{reference}” is not a run.", hint)
