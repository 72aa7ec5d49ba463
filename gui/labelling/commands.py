"""Asking for features of pictures, for the map drawn of them, and for suggested labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from PySide6.QtCore import QObject, Signal

from core.errors import AppError
from gui.base.commands import CommandSet
from gui.base.session import Session
from gui.kit.workers import JobRunner
from gui.labelling import jobs as labelling_jobs
from gui.labelling.map import jobs as map_jobs

if TYPE_CHECKING:
    from pathlib import Path

    from core.evaluation.embedding_map import PictureMap
    from core.features.dataset_features import FeatureCost, PictureFeatures

FeatureState = Literal["unknown", "asking", "missing", "reading", "ready"]
_KEPT = ("device", "precision")
"""Keys of the recipe that have a say in how features are computed."""


class FeatureCommands(CommandSet):
    """The features of the open dataset by the session's model, read once for all who want them.

    Main thread only. unknown: nobody has asked; asking: being counted; missing: `cost` says what
    they take; reading: under way; ready: `features` are there. Edits do not change them.
    """

    changed = Signal()

    def __init__(self, session: Session, runner: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(session, runner, parent)
        self._about: tuple[tuple[Path, ...], str] | None = None
        self.state: FeatureState = "unknown"
        self.cost: FeatureCost | None = None
        self.features: PictureFeatures | None = None
        self.trouble = ""
        session.dataset_changed.connect(self._follow)
        session.models_changed.connect(self._follow)

    @property
    def model_id(self) -> str:
        return self._session.model_id

    @property
    def progress(self) -> tuple[int, int, str]:
        """(done, total, what) of the job that reads them."""
        job = self._runner.find("features")
        return (0, 0, "") if job is None else job.progress

    @property
    def is_waiting(self) -> bool:
        """Whether another job has the compute slot."""
        jobs = [self._runner.find(key) for key in ("features", "feature cost")]
        return any(job is not None and self._runner.is_waiting(job) for job in jobs)

    def ask(self) -> None:
        """Find out what is missing; where nothing is, they are read at once."""
        dataset = self._session.dataset
        if dataset is None or self.state != "unknown":
            return
        self.trouble = ""
        self._submit("feature cost", "Counting features", map_jobs.ask_cost, self._costed)
        self._set("asking")

    def read(self) -> None:
        """Have them computed where they are missing."""
        if self._session.dataset is None or self.state in ("reading", "ready"):
            return
        self.trouble = ""
        self._runner.supersede("feature cost")
        self._submit("features", "Reading features", map_jobs.read_features, self._read)
        self._set("reading")

    def cancel(self) -> None:
        """Stop reading; what was read is kept in the cache."""
        self._runner.cancel("features")

    def _submit(self, key: str, title: str, function: Any, on_success: Any) -> None:
        dataset = self._session.dataset
        assert dataset is not None
        values = {k: v for k, v in self._session.recipe_values.items() if k in _KEPT}
        values["model"] = self._session.model_id
        self._runner.start(
            function, dataset.scanned, values,
            title=title, key=key, on_done=on_success, on_failed=self._failed,
            on_cancel=self._cancelled, needs_compute=True, quiet=key == "feature cost",
        )  # fmt: skip

    def _follow(self) -> None:
        """Another dataset or model: other features."""
        dataset = self._session.dataset
        about = None
        if dataset is not None and self._session.scan_state == "ready":
            about = dataset.opened, self._session.model_id
        if about is None or about == self._about:
            return
        self._about = about
        self._runner.supersede("features")
        self._runner.supersede("feature cost")
        self.features = self.cost = None
        self.trouble = ""
        self._set("unknown")

    def _costed(self, cost: FeatureCost) -> None:
        self.cost = cost
        self._set("missing")
        if not cost.missing:
            self.read()

    def _read(self, features: PictureFeatures) -> None:
        self.features = features
        self._set("ready")

    def _failed(self, error: AppError) -> None:
        self.trouble = str(error)
        self._set("missing")

    def _cancelled(self) -> None:
        self.cost = None
        self._set("missing")

    def _set(self, state: FeatureState) -> None:
        self.state = state
        self.changed.emit()


class MapCommands(QObject):
    """Main thread only. `drawn` comes several times for one map, each time further arranged."""

    drawn = Signal(object)
    ended = Signal(str)
    """No more comes of this map; why, where that is worth saying."""

    def __init__(
        self, features: FeatureCommands, runner: JobRunner, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._features = features
        self._runner = runner
        self.map: PictureMap | None = None
        self._drawn_of: PictureFeatures | None = None
        features.changed.connect(self._follow)

    @property
    def is_drawing(self) -> bool:
        return self._runner.find("map") is not None

    def draw(self) -> None:
        """Draw the map of the features there are, once for each."""
        features = self._features.features
        if features is None or features is self._drawn_of:
            return
        self._drawn_of = features
        self._runner.start(
            map_jobs.draw, features,
            title="Arranging the map", key="map", on_item=self._show, on_done=self._done,
            on_failed=self._failed, on_cancel=self._cancelled, needs_compute=True,
        )  # fmt: skip

    def cancel(self) -> None:
        """Stop arranging; the map stays as far as it has come."""
        self._runner.cancel("map")

    def _follow(self) -> None:
        if self._features.features is None and self._drawn_of is not None:
            self._runner.supersede("map")
            self.map = self._drawn_of = None

    def _show(self, made: PictureMap) -> None:
        self.map = made
        self.drawn.emit(made)

    def _done(self, made: PictureMap) -> None:
        self._show(made)
        self.ended.emit("")

    def _failed(self, error: AppError) -> None:
        self._drawn_of = None
        self.ended.emit(str(error))

    def _cancelled(self) -> None:
        self.ended.emit("Arranging was stopped; the map stays as far as it had come.")


class LabellingCommands(CommandSet):
    """Main thread only. The newest labels count."""

    learned = Signal(object)
    """`Learned`."""

    def __init__(
        self,
        session: Session,
        features: FeatureCommands,
        runner: JobRunner,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(session, runner, parent)
        self._features = features

    def learn(self) -> None:
        """Suggest labels from those there are now; `learned` answers, in a moment."""
        dataset, features = self._session.dataset, self._features.features
        if dataset is None or features is None:
            return
        self._runner.start(
            labelling_jobs.learn, dataset, features,
            title="Suggesting labels", on_done=self.learned.emit, quiet=True,
        )  # fmt: skip
