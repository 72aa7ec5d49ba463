"""All commands of the window, made once and tied to each other.

A command starts a job and puts its result in the session; none of them blocks. Each page gets the
commands that it uses.
"""

from __future__ import annotations

from PySide6.QtCore import QObject

from gui.base.session import Session
from gui.classify.commands import ClassifyCommands
from gui.data.open_commands import OpenCommands
from gui.edits.commands import DataCommands
from gui.kit.settings import Settings
from gui.kit.workers import JobRunner
from gui.labelling.commands import FeatureCommands, LabellingCommands, MapCommands
from gui.layers.commands import LayerCommands
from gui.models.commands import ModelCommands
from gui.runs.commands import RunsCommands
from gui.shell.start_up import StartUp
from gui.start.ready_made_commands import ReadyMadeCommands
from gui.strategy.commands import AdviceCommands
from gui.train.augmentation_commands import PreviewCommands
from gui.train.commands import TrainCommands
from gui.train.lr_commands import RateCommands
from gui.train.plan_commands import PlanCommands


class Commands(QObject):
    """Main thread only."""

    def __init__(
        self, session: Session, runner: JobRunner, settings: Settings, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        runner.failed.connect(session.notice_error)
        self.data = DataCommands(session, runner, self)
        self.layers = LayerCommands(session, runner, self)
        self.models = ModelCommands(session, runner, self)
        self.runs = RunsCommands(session, runner, self)
        self.classify = ClassifyCommands(session, runner, self.runs, self)
        self.features = FeatureCommands(session, runner, self)
        self.maps = MapCommands(self.features, runner, self)
        self.labelling = LabellingCommands(session, self.features, runner, self)
        self.opening = OpenCommands(session, runner, settings, self.models, self.classify, self)
        self.ready_made = ReadyMadeCommands(
            runner, self.opening.open_dataset, self.opening.open_sample, self
        )
        self.train = TrainCommands(session, runner, self.runs, self.classify, self)
        self.queue = self.train.queue
        self.plans = PlanCommands(session, runner, self)
        self.previews = PreviewCommands(session, runner, self)
        self.rates = RateCommands(session, runner, self.layers.history, self)
        self.advice = AdviceCommands(session, runner, self)
        self.models.file_recognised.connect(self.classify.choose_classifier)
        self.advice.advised.connect(self.layers.remember_advice)
        self.runs.refreshed.connect(self.queue.refresh)
        self.start_up = StartUp(session, runner, self.runs, self)
