"""What window tests share: the offscreen platform, a window, fakes of core, and real drops."""

from __future__ import annotations

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import shiboken6
from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent, QImage
from PySide6.QtWidgets import QApplication, QWidget

from core.catalog.card import ModelCard
from core.data.dataset import DatasetIndex
from core.data.health.check import HealthReport
from core.diagnostics.warmup import Machine
from core.events import (
    CheckpointSaved,
    EpochDone,
    PlanChanged,
    Progress,
    RunResumed,
    RunStarted,
    StepDone,
)
from core.recipe.plan import Plan, make_plan
from core.recipe.recipe import make_recipe
from core.runs.report import ClassScore, Report, RunResult
from gui.app import make_window
from gui.classify import jobs as classify_jobs
from gui.data import jobs as data_jobs
from gui.data.health import jobs as health_jobs
from gui.kit.workers import Job, JobContext
from gui.models import jobs as model_jobs
from gui.runs import jobs as run_jobs
from gui.shell import crashes, start_up
from gui.shell.main_window import MainWindow
from gui.train import jobs as train_jobs
from helpers import WAIT_MS


@pytest.fixture
def window(qtbot, qapp) -> Iterator[MainWindow]:
    """The real window, shown; every thread it started has ended when the test is over."""
    made = make_window()
    made.resize(1024, 700)
    qtbot.addWidget(made)
    made.show()
    qtbot.waitUntil(lambda: made.painted_at is not None)
    yield made
    made.runner.shut_down()
    crashes.stop_log()


@pytest.fixture(autouse=True)
def no_widget_outlives_its_test(qapp) -> Iterator[None]:
    """pytest-qt closes them and asks Qt to delete them, which Qt does in the next test: what that
    one does to the whole application, as to choose a theme, it would do to a thousand more."""
    yield
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture(autouse=True)
def no_job_outlives_its_test(monkeypatch) -> Iterator[None]:
    """A thread left running would take the process down in some later, innocent test.

    It is named here by its work's key. Requested first, so checked after `window` has ended.
    """
    made: weakref.WeakSet[Job] = weakref.WeakSet()
    begin = Job.__init__

    def remember(job: Job, *arguments: object) -> None:
        begin(job, *arguments)
        made.add(job)

    monkeypatch.setattr(Job, "__init__", remember)
    yield
    left = [job for job in made if shiboken6.isValid(job) and job.isRunning()]
    for job in left:
        job.ask_to_stop()
        job.wait(WAIT_MS)
    assert not left, "still running: " + ", ".join(sorted(job.spec.key for job in left))


@pytest.fixture(autouse=True)
def empty_clipboard(qapp) -> Iterator[None]:
    """What a test copied is let go while Python lives: Qt's own clipboard is destroyed after it,
    and a QMimeData made in Python then takes the process down with it."""
    yield
    qapp.clipboard().clear()


@dataclass
class FakeCore:
    """Core's jobs in an instant, with gates to hold them open."""

    dataset: DatasetIndex
    run_path: Path
    train_gate: threading.Event = field(default_factory=threading.Event)
    """A run ends when this is set, or when it is stopped."""
    fails_with: Exception | None = None
    trained_with: list[dict] = field(default_factory=list)
    classified_with: list[str] = field(default_factory=list)
    resumed: list[Path] = field(default_factory=list)
    health: HealthReport | None = None
    """None: no look came to an end, and the findings are those of the scan."""
    boundaries: int = 0
    """How often a fine-tuning went past its gate."""

    def scan_folder(self, path: Path, context: JobContext) -> DatasetIndex:
        if self.fails_with is not None:
            raise self.fails_with
        return self.dataset

    def verify_dataset(self, root: Path, context: JobContext) -> DatasetIndex:
        return replace(self.dataset, verified=True)

    def look_at_health(self, dataset: DatasetIndex, context: JobContext) -> HealthReport | None:
        return self.health

    def scan_sample(self, context: JobContext) -> DatasetIndex:
        return self.scan_folder(self.dataset.root, context)

    def train(self, values: dict, dataset: DatasetIndex, context: JobContext) -> RunResult:
        self.trained_with.append(values)
        if values.get("strategy", "feature-extraction") != "feature-extraction":
            return self._fine_tune(values["strategy"], context, first_epoch=1)
        context.sink(
            RunStarted(
                run=str(self.run_path), model="bundled/tf_efficientnet_lite0",
                strategy="feature-extraction", device="cpu", precision="float32",
                train_images=6, selection_images=6, report_images=2, epochs=3,
            )
        )  # fmt: skip
        context.sink(
            Progress(done=8, total=8, note="reading and embedding images", images_per_s=99)
        )
        for epoch in (1, 2):
            context.sink(
                EpochDone(
                    epoch=epoch, train_loss=1 / epoch, train_accuracy=0.5,
                    selection_loss=1.1 / epoch, selection_accuracy=0.4 + epoch / 10, seconds=0.1,
                )
            )  # fmt: skip
        while not self.train_gate.wait(0.01) and not context.should_stop():
            pass
        if self.fails_with is not None:
            raise self.fails_with
        status = "stopped" if context.should_stop() else "done"
        return RunResult(
            run=self.run_path, status=status, model="bundled/tf_efficientnet_lite0",
            strategy="feature-extraction", epochs=2, best_selection_accuracy=0.6,
            report=make_report(), seconds=1.5,
        )  # fmt: skip

    def resume_run(self, path: Path, context: JobContext) -> RunResult:
        """Goes on after the first epoch, which is told again."""
        self.resumed.append(path)
        return self._fine_tune("full", context, first_epoch=1, is_resumed=True)

    def _fine_tune(
        self, strategy: str, context: JobContext, *, first_epoch: int, is_resumed: bool = False
    ) -> RunResult:
        """Two epochs of three steps; the second waits for the gate in its middle."""
        context.sink(
            RunStarted(
                run=str(self.run_path), model="bundled/tf_efficientnet_lite0", strategy=strategy,
                device="cpu", precision="float32", train_images=6, selection_images=2,
                report_images=2, epochs=2, groups=("stem", "blocks.0", "head"), steps_per_epoch=3,
            )
        )  # fmt: skip
        context.sink(_epoch(0, 0.5))
        context.sink(CheckpointSaved("best", 0, "best"))
        context.sink(PlanChanged(1, ("head",), ("stem", "blocks.0")))
        self._steps(context, 1, range(1, 4))
        context.sink(_epoch(1, 0.75))
        context.sink(CheckpointSaved("best", 1, "best"))
        context.sink(PlanChanged(2, ("blocks.0",), ("stem",)))
        self._steps(context, 2, range(4, 5))
        if is_resumed:
            context.sink(RunResumed(step=3, epoch=1))
            self._steps(context, 2, range(4, 5))
        while not self.train_gate.wait(0.01) and not context.should_stop():
            self._answer(
                context.take_questions(), context, "the model in training, step 4 (epoch 2)"
            )
        self.boundaries += 1
        if self.fails_with is not None:
            raise self.fails_with
        is_stopped = context.should_stop()
        if not is_stopped:
            self._steps(context, 2, range(5, 7))
            context.sink(_epoch(2, 0.7))
        return RunResult(
            run=self.run_path, status="stopped" if is_stopped else "done",
            model="bundled/tf_efficientnet_lite0", strategy=strategy, epochs=1 if is_stopped else 2,
            best_selection_accuracy=0.75, report=make_report(), seconds=61.0, best_epoch=1,
            probe_selection_accuracy=0.5,
        )  # fmt: skip

    def _steps(self, context: JobContext, epoch: int, steps: range) -> None:
        for step in steps:
            rates = (0.0, 1e-4 if epoch == 2 else 0.0, 3e-4)
            context.sink(StepDone(step, epoch, 1 / step, rates, 20.0, 1536.0))

    def classify(self, reference: str, paths: tuple[Path, ...], context: JobContext) -> None:
        self.classified_with.append(reference)
        self._answer(paths, context)

    def _answer(self, paths, context: JobContext, by: str = "") -> None:
        for path in paths:
            # Shaped like core.evaluation.classifier's records, whose import would bring torch.
            top = tuple(
                SimpleNamespace(label=name, probability=share)
                for name, share in (("ant", 0.9), ("bee", 0.1))
            )
            answer = SimpleNamespace(
                file=path.name, top=top, unlike_training=True, error="", tasks=()
            )
            context.sink(classify_jobs.Answer(path, answer, by))


def _epoch(epoch: int, accuracy: float) -> EpochDone:
    return EpochDone(
        epoch=epoch, train_loss=0.5, train_accuracy=0.9, selection_loss=1 - accuracy,
        selection_accuracy=accuracy, seconds=30.0, step=3 * epoch, images_per_s=20.0,
    )  # fmt: skip


def make_report() -> Report:
    return Report(
        split="val", n=2, top1=0.5, interval=(0.1, 0.9), balanced_accuracy=0.5, macro_f1=0.4,
        ece=0.1, classes=("ant", "bee"),
        per_class=(ClassScore("ant", 1, 1.0, 1.0, 1.0), ClassScore("bee", 1, 0.0, 0.0, 0.0)),
        confusion=((1, 0), (1, 0)),
        selected_on="regularisation and epoch chosen on selection: cross-fitted over 5 folds",
    )  # fmt: skip


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Two classes of four small pictures, written with Qt: no core in the making."""
    root = tmp_path / "insects"
    for label, name in enumerate(("ant", "bee")):
        (root / name).mkdir(parents=True)
        for number in range(4):
            image = QImage(32, 24, QImage.Format.Format_RGB32)
            image.fill(0xFF000000 + 0x30 * (number + 1) + 0xB00000 * label)
            assert image.save(str(root / name / f"{number}.png"))
    return root


@pytest.fixture
def fake_core(image_folder: Path, tmp_path: Path, monkeypatch) -> FakeCore:
    """The window's jobs without core's work; pictures are still decoded by the real decoder."""
    files = tuple(sorted(p.relative_to(image_folder).as_posix() for p in image_folder.rglob("*.*")))
    count = len(files)
    dataset = DatasetIndex(
        root=image_folder,
        classes=("ant", "bee"),
        files=files,
        labels=np.array([f.startswith("bee") for f in files], np.int32),
        splits=np.array([i % 4 == 3 for i in range(count)], np.uint8),
        bytes=np.full(count, 100, np.int64),
        widths=np.full(count, 32, np.int32),
        heights=np.full(count, 24, np.int32),
        split_origin="graftwork",
        name="insects",
    )
    fake = FakeCore(dataset, tmp_path / "runs" / "insects-20260101-000000")
    for module, names in (
        (data_jobs, ("scan_folder", "scan_sample", "verify_dataset")),
        (train_jobs, ("train", "resume_run")),
        (classify_jobs, ("classify",)),
    ):
        for name in names:
            monkeypatch.setattr(module, name, getattr(fake, name))
    monkeypatch.setattr(health_jobs, "look_at_health", fake.look_at_health)
    monkeypatch.setattr(start_up, "warm_up", _fake_machine)
    monkeypatch.setattr(train_jobs, "plan_of", _fake_plan)
    monkeypatch.setattr(model_jobs, "list_models", _fake_models)
    monkeypatch.setattr(run_jobs, "list_runs", _no_runs)
    return fake


def _fake_machine(context: JobContext) -> Machine:
    return Machine("Test CPU", 2, 8.0, "", "float32")


def _fake_plan(values: dict, classes: int, context: JobContext) -> Plan:
    """The plan of a model with three layer groups: none has to be outlined with torch."""
    head = 1280 * classes + classes
    sizes = {"stem": 928, "blocks.0": 2_000_000, "head": head}
    return make_plan(make_recipe(values), [(name, {f"{name}.w": n}) for name, n in sizes.items()])


def _fake_models(context: JobContext) -> tuple[ModelCard, ...]:
    return tuple(
        ModelCard(
            id=f"bundled/tf_efficientnet_lite{size}", source="bundled",
            arch=f"tf_efficientnet_lite{size}", tag="", family="EfficientNet-Lite",
            params=4_652_008, top1=74.8, input_size=(224, 224),
        )
        for size in range(3)
    )  # fmt: skip


def _no_runs(context: JobContext) -> tuple[()]:
    return ()


@pytest.fixture
def opened(window, fake_core, qtbot) -> MainWindow:
    """The window with the fake dataset open, and the machine and the models known."""
    window.commands.start_up.begin()
    window.commands.opening.open_dataset(fake_core.dataset.root)
    qtbot.waitUntil(lambda: window.session.scan_state == "ready")
    qtbot.waitUntil(lambda: bool(window.session.models) and window.session.machine is not None)
    return window


@pytest.fixture
def drop() -> Callable[..., bool]:
    """Drop paths on the child under a point of the window, as the platform would."""
    return drop_paths


def drop_paths(window: QWidget, paths: list[Path], point: QPoint | None = None) -> bool:
    """DragEnter, DragMove and Drop; returns whether the drop was taken."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    return drop_mime(window, mime, point)


def drop_mime(window: QWidget, mime: QMimeData, point: QPoint | None = None) -> bool:
    point = point or window.rect().center()
    child = window.childAt(point) or window
    at = QPointF(child.mapFrom(window, point))
    rest = (Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton)
    none = Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(at.toPoint(), *rest, none)
    QApplication.sendEvent(child, enter)
    if not enter.isAccepted():
        return False
    QApplication.sendEvent(child, QDragMoveEvent(at.toPoint(), *rest, none))
    event = QDropEvent(at, *rest, none)
    QApplication.sendEvent(child, event)
    return event.isAccepted()
