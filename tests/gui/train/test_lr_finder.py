"""The learning-rate finder of the Train page: the curve grows, is read, and gives its rate."""

from __future__ import annotations

import math
import threading

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtWidgets import QDialog

from core.errors import AppError
from core.events import Notice, check_stop
from core.training.lr_finder.curve import (
    RateCurve,
    RatePoint,
    Smoother,
    has_diverged,
    rate_at,
    read,
)
from gui.train import lr_jobs


class FakeFinder:
    """A test of a model that is torn after 1e-3; `gate` holds it open after ten steps."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.asked: list[lr_jobs.RateQuestion] = []
        self.fails_with: AppError | None = None

    def find(self, question: lr_jobs.RateQuestion, context) -> RateCurve:
        self.asked.append(question)
        if self.fails_with is not None:
            raise self.fails_with
        context.sink(Notice("info", "One file was left out."))
        smoother = Smoother(question.lowest, question.highest, question.steps)
        points: list[RatePoint] = []
        for step in range(1, question.steps + 1):
            if step == 11:
                while not self.gate.wait(0.01):
                    check_stop(context.should_stop)
            rate = rate_at(step, question.lowest, question.highest, question.steps)
            loss = 0.05 + (0.01 if step % 2 else 0.0) + (rate / 1e-3) ** 3
            points.append(RatePoint(step, rate, loss, smoother.add(loss)))
            context.sink(points[-1])
            context.on_progress(step, question.steps, "testing rates")
            if has_diverged(points, 2):
                break
        groups = (("blocks.6", 0.75), ("head", 1.0))
        reading = read(points, "diverged", smoother.keep)
        return RateCurve(tuple(points), "diverged", reading, "m", "partial", groups, 3.0)


@pytest.fixture
def core(fake_core, monkeypatch) -> FakeFinder:
    fake = FakeFinder()
    monkeypatch.setattr(lr_jobs, "find_rate", fake.find)
    return fake


@pytest.fixture
def page(opened, core, qtbot):
    qtbot.waitUntil(lambda: bool(opened.session.model_id))
    opened.show_page("train")
    opened.session.set_recipe_values({"strategy": "partial", "seed": 7})
    return opened.page("train")


@pytest.fixture
def finder(page, core, qtbot):
    """Open, and through with its test."""
    core.gate.set()
    made = page.open_rate_finder()
    qtbot.waitUntil(lambda: made.curve is not None)
    return made


def click_at(finder, rate: float, qtbot) -> None:
    plot = finder.plot
    view = plot.getPlotItem().getViewBox()
    middle = view.viewRect().center().y()
    at = plot.mapFromScene(view.mapViewToScene(QPointF(math.log10(rate), middle)))
    qtbot.mouseClick(plot.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(at.x(), at.y()))


def test_the_button_belongs_to_fine_tuning(window, page) -> None:
    assert page.rate_button.isVisible()
    assert page.rate_button.isEnabled()
    window.session.set_recipe_values({"strategy": "feature-extraction"})
    assert page.rate_button.isHidden()
    page.form.box("strategy").setCurrentIndex(2)
    page.form.box("strategy").activated.emit(2)  # as a person chooses it
    assert page.rate_button.isVisible()


def test_the_curve_grows_while_the_test_is_on_and_is_then_read(page, core, qtbot) -> None:
    qtbot.mouseClick(page.rate_button, Qt.MouseButton.LeftButton)
    (finder,) = page.findChildren(QDialog)
    qtbot.waitUntil(lambda: len(finder.plot.points) == 10)
    assert finder.cancel_button.isVisible()
    assert not finder.again_button.isVisible()
    assert not finder.use_button.isEnabled()
    assert "10 of 70" in finder.state.text()
    assert "left out" in finder.notices.text
    assert core.asked[0].values["seed"] == 7
    assert core.asked[0].values["model"]
    core.gate.set()
    qtbot.waitUntil(lambda: finder.curve is not None)
    suggestion = finder.curve.reading.suggestion
    assert 1e-5 < suggestion < 1e-3
    assert finder.plot.rate == suggestion
    assert finder.curve.reading.reason in finder.reading.text()
    assert "blocks.6 × 0.75" in finder.state.text()
    assert finder.use_button.isEnabled()
    assert not finder.cancel_button.isVisible()
    assert "Smoothed loss" in finder.plot.accessibleDescription()
    assert finder.reading.text() in finder.plot.accessibleDescription()


def test_use_puts_the_rate_into_the_recipe_and_undo_takes_it_back(window, finder, page) -> None:
    before = page.form.box("learning_rate").text()
    rate = finder.plot.rate
    finder.use_button.click()
    assert not finder.isVisible()
    assert window.session.recipe_values["learning_rate"] == pytest.approx(rate, rel=0.05)
    assert float(page.form.box("learning_rate").text()) == pytest.approx(rate, rel=0.05)
    stack = window.commands.layers.history.stack
    assert "learning rate" in stack.undoText()
    stack.undo()
    assert page.form.box("learning_rate").text() == before
    assert window.session.recipe_values["seed"] == 7


def test_a_click_moves_the_marker_and_takes_the_value(window, finder, qtbot) -> None:
    click_at(finder, 1e-5, qtbot)
    assert finder.plot.rate == pytest.approx(1e-5, rel=0.1)
    assert "At 1e-5" in finder.at_marker.text() or "At 9." in finder.at_marker.text()
    finder.use_button.click()
    assert window.session.recipe_values["learning_rate"] == pytest.approx(1e-5, rel=0.1)


def test_arrow_keys_move_the_marker_from_rate_to_rate(finder, qtbot) -> None:
    plot = finder.plot
    rates = [point.rate for point in plot.points]
    plot.move_marker(rates[20])
    qtbot.keyClick(plot, Qt.Key.Key_Left)
    assert plot.rate == rates[19]
    qtbot.keyClick(plot, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert plot.rate == rates[24]
    assert finder.at_marker.text() in plot.accessibleDescription()
    assert finder.back_button.isEnabled()
    qtbot.keyClick(plot, Qt.Key.Key_Home)
    assert plot.rate == plot.suggestion
    assert not finder.back_button.isEnabled()


def test_a_cancelled_test_says_so_and_can_be_made_again(page, core, qtbot) -> None:
    finder = page.open_rate_finder()
    qtbot.waitUntil(lambda: len(finder.plot.points) == 10)
    finder.cancel_button.click()
    qtbot.waitUntil(lambda: "cancelled" in finder.notices.text)
    assert len(finder.plot.points) == 10
    assert not finder.use_button.isEnabled()
    core.gate.set()
    finder.again_button.click()
    qtbot.waitUntil(lambda: finder.curve is not None)
    assert finder.use_button.isEnabled()


def test_closing_the_dialog_ends_its_test(window, page, core, qtbot) -> None:
    finder = page.open_rate_finder()
    qtbot.waitUntil(lambda: len(finder.plot.points) == 10)
    finder.reject()
    assert window.runner.find("rates") is None
    qtbot.waitUntil(lambda: window.runner.is_idle)


def test_bounds_that_are_none_are_refused_in_the_dialog(finder, core) -> None:
    asked = len(core.asked)
    finder.lowest.setText("much")
    finder.again_button.click()
    assert "“much” is no number for “Lowest rate”" in finder.notices.text
    finder.lowest.setText("1")
    finder.again_button.click()
    assert "no range" in finder.notices.text
    assert len(core.asked) == asked


def test_an_error_of_the_test_is_shown_where_it_was_asked_for(page, core, qtbot) -> None:
    core.fails_with = AppError("No training image can be read any more.", "Put the files back.")
    finder = page.open_rate_finder()
    qtbot.waitUntil(lambda: "Put the files back" in finder.notices.text)
    assert not finder.use_button.isEnabled()
    assert finder.again_button.isVisible()


def test_curve_and_picture_are_exported(finder, tmp_path) -> None:
    finder.save_values(str(tmp_path / "curve.csv"))
    lines = (tmp_path / "curve.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(finder.plot.points) + 1
    finder.save_picture(str(tmp_path / "curve.png"))
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    finder.save_values(str(tmp_path / "nowhere" / "curve.csv"))
    assert "cannot be written" in finder.notices.text
