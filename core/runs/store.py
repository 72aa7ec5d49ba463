"""The folder of all runs: a name for a new run, all runs as a list, a run by its name. No torch."""

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
        """A new folder named after the dataset and the time; `like` as of `create_run`.

        Raises: AppError where it cannot be written.
        """
        path = first = self.free_path(name)
        for attempt in range(2, 100):
            try:
                return create_run(path, recipe, like=like)
            except FileExistsError:
                path = first.with_name(f"{first.name}-{attempt}")
        raise RunError(f"The runs folder {self.root} already holds 99 runs of this second.")

    def free_path(self, name: str) -> Path:
        """Where a run of a dataset that begins now would have its folder; nothing is made."""
        stem = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run"
        return self.root / f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"

    def runs(self) -> list[RunSummary]:
        """Newest first; folders that are not runs are passed over."""
        found = []
        for path in self.root.iterdir() if self.root.is_dir() else ():
            try:
                found.append(Run(path).summary())
            except AppError:
                continue
        return sorted(found, key=lambda run: (run.started, run.name), reverse=True)

    def open(self, reference: str | Path) -> Run:
        """The run at a path, or the one of that name in this store.

        Raises: RunError naming the runs there are.
        """
        for path in (Path(reference), self.root / str(reference).removeprefix("run:")):
            if is_run(path):
                return Run(path)
        names = [run.name for run in self.runs()[:5]]
        hint = f"The newest runs here: {', '.join(names)}." if names else "There are no runs yet."
        raise RunError(f"“{reference}” is not a run.", hint)
