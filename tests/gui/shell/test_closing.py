"""The way out: closing the window and cancelling from the status line, in every state."""

from __future__ import annotations

import threading

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox, QPushButton

from core.errors import AppError, Cancelled
from gui.data import jobs as data_jobs
from gui.kit.workers import JobContext
from gui.shell import start_up
from gui.strategy import jobs as strategy_jobs
from gui.train import jobs as train_jobs

_LEFT = Qt.MouseButton.LeftButton


class Gated:
    """A job that says it has begun and then waits for its gate, or to be stopped."""

    def __init__(self, function) -> None:
        self._function = function
        self.has_begun = threading.Event()
        self.was_stopped = threading.Event()
        self.gate = threading.Event()

    def __call__(self, *arguments):
        context: JobContext = arguments[-1]
        self.has_begun.set()
        context.on_progress(1, 4, "reading")
        while not self.gate.wait(0.01):
            if context.should_stop():
                self.was_stopped.set()
                raise Cancelled
        return self._function(*arguments)


@pytest.fixture
def hold(fake_core, monkeypatch):
    """Put a gate before one of the window's jobs."""

    def put(module, name: str) -> Gated:
        gated = Gated(getattr(module, name))
        monkeypatch.setattr(module, name, gated)
        return gated

    return put


def train(window, qtbot, strategy="full"):
    window.session.set_recipe_values({"strategy": strategy, "max_epochs": 2})
    window.start_training()
    qtbot.waitUntil(lambda: len(window.session.live_run.steps) >= 4)
    return window.session.live_run


def answer(window, qtbot, text: str) -> None:
    """Press a button of the one question that is open."""
    (question,) = window.findChildren(QMessageBox)
    (button,) = [b for b in question.findChildren(QPushButton) if b.text() == text]
    qtbot.mouseClick(button, _LEFT)


def cancel(window, qtbot) -> None:
    """Press the button of the status line."""
    (button,) = window.status.findChildren(QPushButton)
    assert button.isVisible()
    assert button.isEnabled()
    qtbot.mouseClick(button, _LEFT)


def assert_gone(window, qtbot) -> None:
    """Closed, and every thread has ended by itself."""
    qtbot.waitUntil(lambda: not window.isVisible())
    qtbot.waitUntil(lambda: window.runner.is_idle)
    qtbot.waitUntil(lambda: not window.findChildren(QMessageBox))


# -- closing ---------------------------------------------------------------------------------


def test_closing_while_idle_asks_nothing(opened, qtbot) -> None:
    qtbot.waitUntil(lambda: opened.runner.is_idle)
    assert opened.close()
    assert_gone(opened, qtbot)


def test_closing_before_anything_was_opened(window, fake_core, qtbot) -> None:
    window.commands.start_up.begin()
    assert window.close()
    assert_gone(window, qtbot)


def test_closing_while_scanning_stops_the_scan(window, fake_core, hold, qtbot) -> None:
    scan = hold(data_jobs, "scan_folder")
    window.commands.opening.open_dataset(fake_core.dataset.root)
    qtbot.waitUntil(scan.has_begun.is_set)
    assert window.close()
    assert_gone(window, qtbot)
    assert scan.was_stopped.is_set()
    assert window.session.dataset is None


def test_closing_while_training_asks_and_keeps_training(opened, fake_core, qtbot) -> None:
    live = train(opened, qtbot)
    assert not opened.close()
    assert not opened.close()  # asked again: there is one question, not two
    answer(opened, qtbot, "Keep training")
    qtbot.waitUntil(lambda: not opened.findChildren(QMessageBox))
    assert opened.isVisible()
    assert live.is_on
    fake_core.train_gate.set()
    qtbot.waitUntil(lambda: live.phase == "done")
    assert opened.isVisible()
    assert opened.close()
    assert_gone(opened, qtbot)


def test_escape_keeps_training(opened, qtbot) -> None:
    live = train(opened, qtbot)
    opened.close()
    (question,) = opened.findChildren(QMessageBox)
    qtbot.keyClick(question, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: not opened.findChildren(QMessageBox))
    assert opened.isVisible()
    assert live.is_on


def test_closing_while_training_stops_saves_and_closes(opened, qtbot) -> None:
    live = train(opened, qtbot)
    opened.close()
    answer(opened, qtbot, "Stop, save and close")
    assert_gone(opened, qtbot)
    assert live.phase == "stopped"
    assert live.result is not None


def test_closing_while_paused_asks_and_the_stop_ends_the_pause(opened, fake_core, qtbot) -> None:
    live = train(opened, qtbot)
    opened.commands.train.pause()
    assert live.phase == "paused"
    fake_core.train_gate.set()
    assert not opened.close()
    qtbot.wait(50)
    assert live.phase == "paused"
    answer(opened, qtbot, "Stop, save and close")
    assert_gone(opened, qtbot)
    assert live.phase == "stopped"


def test_a_run_that_ends_while_the_question_is_open_lets_the_window_close(
    opened, fake_core, qtbot
) -> None:
    live = train(opened, qtbot)
    opened.close()
    fake_core.train_gate.set()
    qtbot.waitUntil(lambda: live.phase == "done")
    answer(opened, qtbot, "Stop, save and close")
    assert_gone(opened, qtbot)
    assert live.phase == "done"


def test_a_run_that_fails_while_it_is_stopped_lets_the_window_close(
    opened, fake_core, qtbot
) -> None:
    live = train(opened, qtbot)
    fake_core.fails_with = AppError("The disk is full.")
    opened.close()
    answer(opened, qtbot, "Stop, save and close")
    assert_gone(opened, qtbot)
    assert live.phase == "failed"


def test_closing_while_a_run_waits_for_its_turn(window, fake_core, hold, qtbot) -> None:
    warm_up = hold(start_up, "warm_up")
    window.commands.start_up.begin()
    window.commands.opening.open_dataset(fake_core.dataset.root)
    qtbot.waitUntil(warm_up.has_begun.is_set)
    qtbot.waitUntil(lambda: window.session.scan_state == "ready")
    window.start_training()
    assert window.session.live_run.phase == "waiting"
    assert not window.close()
    answer(window, qtbot, "Stop, save and close")
    assert_gone(window, qtbot)
    assert warm_up.was_stopped.is_set()
    assert not fake_core.trained_with


def test_closing_while_pictures_wait_for_the_run(opened, fake_core, image_folder, qtbot) -> None:
    train(opened, qtbot)
    opened.commands.classify.add_pictures([image_folder / "ant" / "0.png"])
    qtbot.waitUntil(lambda: opened.runner.find("classify") is not None)
    assert opened.runner.is_waiting(opened.runner.find("classify"))
    opened.close()
    answer(opened, qtbot, "Stop, save and close")
    assert_gone(opened, qtbot)
    assert not fake_core.classified_with


def test_closing_while_a_plan_is_drawn(opened, hold, qtbot) -> None:
    qtbot.waitUntil(lambda: opened.runner.is_idle)
    plan = hold(train_jobs, "plan_of")
    opened.show_page("train")
    opened.session.set_recipe_values({"strategy": "partial"})
    qtbot.waitUntil(plan.has_begun.is_set)
    assert opened.close()
    assert_gone(opened, qtbot)
    assert plan.was_stopped.is_set()


# -- cancelling in the status line -----------------------------------------------------------


def test_a_scan_is_cancelled(window, fake_core, hold, qtbot) -> None:
    scan = hold(data_jobs, "scan_folder")
    window.commands.opening.open_dataset(fake_core.dataset.root)
    qtbot.waitUntil(scan.has_begun.is_set)
    cancel(window, qtbot)
    qtbot.waitUntil(lambda: "cancelled" in window.page("data").notices.text)
    qtbot.waitUntil(lambda: window.status.text == "Ready")
    scan.gate.set()
    window.commands.opening.open_dataset(fake_core.dataset.root)
    qtbot.waitUntil(lambda: window.session.scan_state == "ready")


def test_a_run_is_stopped_and_saved(opened, qtbot) -> None:
    live = train(opened, qtbot)
    cancel(opened, qtbot)
    assert live.phase in ("stopping", "stopped")
    qtbot.waitUntil(lambda: live.phase == "stopped")
    assert live.result is not None
    qtbot.waitUntil(lambda: opened.status.text == "Ready")


def test_a_paused_run_is_stopped(opened, qtbot) -> None:
    live = train(opened, qtbot)
    opened.commands.train.pause()
    cancel(opened, qtbot)
    qtbot.waitUntil(lambda: live.phase == "stopped")


def test_what_a_run_waits_for_is_cancelled_and_its_turn_comes(
    window, fake_core, hold, qtbot
) -> None:
    warm_up = hold(start_up, "warm_up")
    window.commands.start_up.begin()
    window.commands.opening.open_dataset(fake_core.dataset.root)
    qtbot.waitUntil(warm_up.has_begun.is_set)
    qtbot.waitUntil(lambda: window.session.scan_state == "ready")
    window.start_training()
    assert "waits for" in window.status.text
    # The foremost job has the button, which is what the run waits for.
    cancel(window, qtbot)
    qtbot.waitUntil(lambda: window.session.live_run.phase == "training")
    window.commands.train.stop()
    qtbot.waitUntil(lambda: window.session.live_run.phase == "stopped")


def test_advice_is_cancelled(opened, hold, qtbot) -> None:
    advise = hold(strategy_jobs, "advise")
    opened.show_page("strategy")
    page = opened.page("strategy")
    page.go_to(3)
    qtbot.waitUntil(advise.has_begun.is_set)
    cancel(opened, qtbot)
    qtbot.waitUntil(lambda: "cancelled" in page.notices.text)
    assert page.step == 2


# -- after a failure -------------------------------------------------------------------------


def test_after_a_scan_that_failed_the_window_works(window, fake_core, qtbot) -> None:
    fake_core.fails_with = AppError("The folder holds no images.")
    window.commands.opening.open_dataset(fake_core.dataset.root)
    qtbot.waitUntil(lambda: "no images" in window.page("data").notices.text)
    fake_core.fails_with = None
    window.commands.opening.open_dataset(fake_core.dataset.root)
    qtbot.waitUntil(lambda: window.session.scan_state == "ready")
    assert not window.page("data").notices.text
    assert window.close()
    assert_gone(window, qtbot)


def test_after_a_run_that_failed_another_one_runs(opened, fake_core, qtbot) -> None:
    fake_core.fails_with = AppError("The disk is full.")
    first = train(opened, qtbot)
    fake_core.train_gate.set()
    qtbot.waitUntil(lambda: first.phase == "failed")
    fake_core.fails_with = None
    second = train(opened, qtbot)
    qtbot.waitUntil(lambda: second.phase == "done")
    assert second is not first
    assert opened.close()
    assert_gone(opened, qtbot)
