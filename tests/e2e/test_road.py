"""The whole road in the real window: drop a folder, train, drop an image, read the answer.

Nothing is faked: real pixels, real weights, real training in its thread, real drops.
"""

from __future__ import annotations

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent
from PySide6.QtWidgets import QApplication

from gui.app import make_window
from gui.shell import crashes
from gui.shell.main_window import MainWindow


@pytest.fixture
def window(qtbot) -> Iterator[MainWindow]:
    made = make_window()
    made.resize(1024, 700)
    qtbot.addWidget(made)
    made.show()
    qtbot.waitUntil(lambda: made.painted_at is not None)
    made.commands.start_up.begin()
    yield made
    made.runner.shut_down()
    crashes.stop_log()


def _drop(window: MainWindow, path: Path) -> None:
    """A drop on the child in the middle of the window, as the platform delivers it."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    middle = window.rect().center()
    child = window.childAt(middle)
    assert child is not None
    at = QPointF(child.mapFrom(window, middle))
    rest = (
        Qt.DropAction.CopyAction,
        mime,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(child, QDragEnterEvent(at.toPoint(), *rest))
    QApplication.sendEvent(child, QDragMoveEvent(at.toPoint(), *rest))
    drop = QDropEvent(at, *rest)
    QApplication.sendEvent(child, drop)
    assert drop.isAccepted()


def _drop_and_train(window: MainWindow, qtbot, folder: Path) -> list[int]:
    """Drop the folder, press Train and Start; returns how many points the plot had, over time."""
    _drop(window, folder)
    qtbot.waitUntil(lambda: window.session.scan_state == "ready")
    assert window.current_page == "data"
    data = window.page("data")
    qtbot.waitUntil(lambda: data.pictures.grid.filled_count > 0)
    qtbot.mouseClick(data.train_button, Qt.MouseButton.LeftButton)
    train = window.page("train")
    qtbot.waitUntil(lambda: len(window.session.models) == 3)
    qtbot.mouseClick(train.start_button, Qt.MouseButton.LeftButton)
    lengths: list[int] = []

    def has_ended() -> bool:
        if train.run_view is not None:
            points = train.run_view.plots.loss.points("held-out check")
            if not lengths or points != lengths[-1]:
                lengths.append(points)
        return not window.session.live_run.is_on

    qtbot.waitUntil(has_ended)
    live = window.session.live_run
    assert live.phase == "done", train.notices.text
    qtbot.waitUntil(lambda: train.run_view.plots.loss.points("held-out check") == len(live.epochs))
    has_ended()
    return lengths


def _classify(window: MainWindow, qtbot, image: Path) -> str:
    _drop(window, image)
    page = window.page("classify")
    qtbot.waitUntil(
        lambda: (
            bool(window.session.pictures)
            and window.session.pictures[0].path == image
            and not window.session.pictures[0].is_waiting
        ),
    )
    assert page.answer.isVisible(), page.notices.text
    return page.answer.text()


def test_the_road_with_the_digits(window, qtbot, tmp_path: Path) -> None:
    from core.data.sources import samples

    # A fifth of the digits: the road is the same, and the suite stays short.
    digits = tmp_path / "digits"
    for source in sorted(samples.digits().rglob("*.png"))[::5]:
        target = digits / source.relative_to(samples.digits())
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    lengths = _drop_and_train(window, qtbot, digits)
    assert len(lengths) > 1, "the plots stood still"

    result = window.session.live_run.result
    assert (result.run / "report.json").is_file()
    assert (result.run / "events.jsonl").is_file()
    view = window.page("train").run_view
    assert view.accuracy.text() == f"{result.report.top1:.1%}"
    assert result.report.top1 > 0.85

    images = sorted((digits / "val").rglob("*.png"))[::9]
    answers = [_classify(window, qtbot, image) == image.parent.name for image in images]
    assert sum(answers) >= 0.8 * len(answers)


def test_the_road_with_ants_and_bees(window, qtbot, shared_data: Path) -> None:
    lengths = _drop_and_train(window, qtbot, shared_data / "hymenoptera")
    assert len(lengths) > 1, "the plots stood still"
    assert window.session.live_run.result.report.top1 >= 0.92
    image = sorted((shared_data / "hymenoptera" / "val" / "bees").iterdir())[3]
    assert _classify(window, qtbot, image) == "bees"


def test_a_pretrained_model_names_a_photo_without_any_training(
    window, qtbot, shared_data: Path
) -> None:
    photo = shared_data / "photos_known_class" / "pytorch_hub_dog_samoyed.jpg"
    assert "amoyed" in _classify(window, qtbot, photo)


def test_a_run_folder_dropped_later_classifies_again(
    window, qtbot, tmp_path: Path, make_image_folder
) -> None:
    folder = make_image_folder(tmp_path / "shapes")
    _drop_and_train(window, qtbot, folder)
    run = window.session.live_run.result.run
    window.commands.classify.choose_classifier("bundled/tf_efficientnet_lite0")
    _drop(window, run)
    assert window.current_page == "results"
    assert window.session.shown_run == run
    window.commands.classify.choose_classifier(str(run))
    image = sorted((folder / "val" / "circle").iterdir())[0]
    assert _classify(window, qtbot, image) == "circle"


def test_closing_during_a_real_run_saves_it(
    window, qtbot, tmp_path: Path, make_image_folder
) -> None:
    from PySide6.QtWidgets import QMessageBox, QPushButton

    from core.runs.store import RunStore

    _drop(window, make_image_folder(tmp_path / "shapes", per_class=40))
    qtbot.waitUntil(lambda: window.session.scan_state == "ready")
    window.start_training()
    qtbot.waitUntil(
        lambda: len(window.session.live_run.epochs) > 0 or not window.session.live_run.is_on,
    )
    window.close()
    for question in window.findChildren(QMessageBox):
        (leave,) = [b for b in question.findChildren(QPushButton) if "save" in b.text()]
        qtbot.mouseClick(leave, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not window.isVisible())
    (run,) = RunStore().runs()
    assert run.status in ("stopped", "done")
    assert (run.path / "checkpoints" / "best" / "model.safetensors").is_file()
