"""The plots of a run: looked at closer by mouse and keyboard, markers, smoothing, saving."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from core.events import CheckpointSaved, EpochDone, PlanChanged, RunResumed, RunStarted, StepDone
from gui.base.live_run import LiveRun
from gui.kit.theme import Theme
from gui.plots.canvas import Marker
from gui.train.run_plots import RunPlots

EPOCHS, STEPS = 10, 100


def a_run(epochs=EPOCHS, steps=STEPS) -> LiveRun:
    """Ten epochs of a hundred steps: layers open at 4, the rate drops at 6, resumed after 8."""
    live = LiveRun("insects")
    live.apply(
        RunStarted(
            "runs/r", "m", "full", "cpu", "float32", 80, 20, 20, epochs,
            groups=("stem", "head"), steps_per_epoch=steps, classes=2,
        )
    )  # fmt: skip
    live.apply(EpochDone(0, 0.6, 0.7, 0.6, 0.7, 1.0))
    for epoch in range(1, epochs + 1):
        if epoch == 4:
            live.apply(PlanChanged(4, ("stem",), ()))
        if epoch == 9:
            live.apply(RunResumed((epoch - 1) * steps, epoch - 1))
        head = 1e-3 if epoch <= 6 else 1e-4
        for step in range((epoch - 1) * steps + 1, epoch * steps + 1):
            rates = (head / 10 if epoch >= 4 else 0.0, head)
            live.apply(StepDone(step, epoch, 1 / epoch + step % 7 / 50, rates, 20.0, 1024.0))
        live.apply(EpochDone(epoch, 1 / epoch, 0.9, 1.1 / epoch, 0.7 + epoch / 50, 5.0))
        live.apply(CheckpointSaved("best", epoch, "best"))
    return live


@pytest.fixture
def plots(qtbot):
    made = RunPlots(Theme())
    qtbot.addWidget(made)
    made.resize(900, 560)
    made.show()
    live = a_run()
    made.begin(live)
    made.live = live
    draw(made)
    return made


def draw(plots) -> int:
    drawn = 0
    while plots.draw_next(plots.live):
        drawn += 1
    return drawn


def test_openings_drops_resumes_and_the_best_epoch_are_marked(plots) -> None:
    assert plots.loss.markers == (
        Marker(3, "layers open", "opened", "opened: stem"),
        Marker(6.01, "rate drops", "dropped", "rate dropped × 0.1"),
        Marker(8, "resumed", "resumed"),
    )
    assert [m.kind for m in plots.rates.markers] == ["opened", "dropped"]
    assert [(m.kind, m.epoch) for m in plots.accuracy.markers] == [("resumed", 8), ("best", 10)]


def test_the_markers_are_told_in_words_too(plots) -> None:
    said = plots.loss.canvas.accessibleDescription()
    assert "Opened: stem at epoch 3; rate dropped × 0.1 at epoch 6.01; resumed at epoch 8." in said


def test_keys_zoom_pan_and_show_all_again(plots) -> None:
    canvas = plots.loss.canvas
    canvas.setFocus()
    assert canvas.is_whole
    before = plots.loss.points("steps")
    for _ in range(4):
        QTest.keyClick(canvas, Qt.Key.Key_Plus)
    low, high = canvas.shown
    assert high - low == pytest.approx(10 / 1.5**4, rel=0.2)
    assert not canvas.is_whole
    draw(plots)
    assert plots.loss.points("steps") < before  # only the part that is shown
    QTest.keyClick(canvas, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert canvas.shown[0] == pytest.approx(low + 0.2 * (high - low))
    QTest.keyClick(canvas, Qt.Key.Key_Home)
    draw(plots)
    assert canvas.is_whole
    assert plots.loss.points("steps") == before


def test_a_view_that_was_chosen_stays_while_the_run_goes_on(plots) -> None:
    canvas = plots.loss.canvas
    canvas.zoom(4)
    shown = canvas.shown
    plots.live.apply(StepDone(1001, 10, 0.1, (1e-4, 1e-4), 20.0, 1024.0))
    assert draw(plots) > 0
    assert canvas.shown == shown


def test_the_crosshair_moves_by_key_and_reads_what_is_there(plots) -> None:
    plot = plots.loss
    plot.canvas.setFocus()
    assert plot.readout == ""
    QTest.keyClick(plot.canvas, Qt.Key.Key_Right)
    at = plot.canvas.crosshair
    step = round(at * STEPS)
    told = float(plot.readout.split("steps ")[1].split(" ")[0])
    assert told == pytest.approx(plots.live.steps.loss[step - 1], rel=1e-2)
    assert plot.canvas.accessibleDescription() == plot.readout
    plot.canvas.move_crosshair(3.0)
    assert "opened: stem" in plot.readout
    QTest.keyClick(plot.canvas, Qt.Key.Key_Escape)
    assert plot.readout == ""


def test_the_axis_turns_logarithmic_by_key_and_by_menu(plots) -> None:
    plot = plots.loss
    QTest.keyClick(plot.canvas, Qt.Key.Key_L)
    assert plot.canvas.getPlotItem().getAxis("left").logMode
    assert plot._log_action.isChecked()
    plot._log_action.trigger()
    assert not plot.canvas.getPlotItem().getAxis("left").logMode


def test_the_slider_smooths_anew_and_a_new_run_keeps_it(plots) -> None:
    slider, steps = plots.smoothing_slider, plots.live.steps
    slider.setValue(0)
    draw(plots)
    assert steps.smooth[:] == steps.loss[:]
    assert slider.toolTip() == "Smoothing: none"
    slider.setValue(slider.maximum())
    draw(plots)
    assert slider.toolTip() == "Smoothing: the mean of about 1,000 steps"
    assert steps.smooth[-1] > steps.loss[-1]  # it still remembers the first epochs
    plots.live = a_run()
    plots.begin(plots.live)
    draw(plots)
    assert plots.live.steps.smoothing == pytest.approx(0.999)


def test_a_long_run_is_drawn_with_few_points_and_all_its_peaks(plots) -> None:
    live = plots.live = a_run(epochs=2, steps=30_000)
    live.apply(StepDone(60_001, 3, 99.0, (1e-4, 1e-4), 20.0, 1024.0))
    plots.begin(live)
    draw(plots)
    assert plots.loss.points("steps") <= 4_000
    _x, y = plots.loss._lines["steps"].getOriginalDataset()
    assert y.max() == 99.0
