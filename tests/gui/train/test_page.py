"""Train: the form by strategy, a fine-tuning live, paused, stopped, resumed and failing."""

from __future__ import annotations

import csv

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from core.errors import AppError
from core.events import DryRun, EpochDone, RunStarted, StepDone
from core.recipe.recipe import make_recipe
from gui.base.live_run import LiveRun


@pytest.fixture
def page(opened):
    opened.show_page("train")
    return opened.page("train")


def begin(window, page, qtbot, strategy="full"):
    window.session.set_recipe_values({"strategy": strategy, "max_epochs": 2})
    qtbot.mouseClick(page.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.session.live_run is not None)
    qtbot.waitUntil(lambda: len(window.session.live_run.steps) >= 4)
    return window.session.live_run


def choose(page, qtbot, strategy):
    box = page.form.box("strategy")
    box.setCurrentIndex(box.findData(strategy))
    box.activated.emit(box.currentIndex())


def test_the_form_shows_what_belongs_to_the_strategy(page, qtbot) -> None:
    form = page.form
    assert form.box("learning_rate").isHidden()
    choose(page, qtbot, "partial")
    assert not form.box("learning_rate").isHidden()
    assert not form.box("layer_groups").isHidden()
    assert form.number("max_epochs").value() == 10
    choose(page, qtbot, "full")
    assert form.box("layer_groups").isHidden()
    choose(page, qtbot, "feature-extraction")
    assert form.number("max_epochs").value() == 40
    assert set(form.values()) == {
        "strategy", "max_epochs", "patience", "selection_folds", "l2", "seed", "model",
    }  # fmt: skip


def test_a_preset_fills_the_form_and_is_named_until_a_value_is_changed(window, page, qtbot) -> None:
    form = page.form
    assert form.preset.currentData() == "fast"  # what the application begins with
    form.preset.setCurrentIndex(form.preset.findData("textbook"))
    form.preset.activated.emit(form.preset.currentIndex())
    values = window.session.recipe_values
    assert (values["optimizer"], values["schedule"], values["step_epochs"]) == ("adam", "step", 5)
    assert form.box("learning_rate").text() == "0.001"
    assert "Adam at 1e-3" in form.preset_about.text()
    form.number("max_epochs").setValue(12)
    assert form.preset.currentText() == "Own values"
    assert form.preset_about.isHidden()
    form.number("max_epochs").setValue(10)
    assert form.preset.currentData() == "textbook"


def test_fields_of_no_use_are_hidden(page, qtbot) -> None:
    form = page.form
    choose(page, qtbot, "scratch")
    assert form.box("layer_decay").isHidden()
    assert form.box("l2").isHidden()
    assert form.number("max_epochs").value() == 30
    for key, value, key_of_use in (
        ("optimizer", "sgd", "momentum"),
        ("schedule", "plateau", "step_factor"),
        ("loss", "focal", "focal_gamma"),
    ):
        assert form.box(key_of_use).isHidden()
        box = form.box(key)
        box.setCurrentIndex(box.findData(value))
        box.activated.emit(box.currentIndex())
        assert not form.box(key_of_use).isHidden()


def test_lists_and_tables_are_shown_as_they_are_typed(window, page) -> None:
    window.session.set_recipe_values(
        {"strategy": "full", "open_at": (4, 7), "class_weights": {"bee": 2.0}}
    )
    assert page.form.box("open_at").text() == "4, 7"
    assert page.form.box("class_weights").text() == "bee=2"
    recipe = make_recipe(page.form.values())
    assert (recipe.open_at, recipe.class_weights) == ((4, 7), {"bee": 2.0})
    window.session.set_recipe_values({"strategy": "full"})
    assert make_recipe(page.form.values()).class_weights == "none"


def test_what_is_chosen_in_the_form_is_the_sessions_and_comes_back(window, page, qtbot) -> None:
    choose(page, qtbot, "partial")
    page.form.number("layer_groups").setValue(3)
    page.form.box("gradual").setChecked(True)
    values = window.session.recipe_values
    assert (values["strategy"], values["layer_groups"], values["gradual"]) == ("partial", 3, True)
    assert window.context.value("strategy") == "Partial fine-tuning, gradual"
    window.session.set_recipe_values({"strategy": "full", "learning_rate": 1e-4})
    assert page.form.strategy == "full"
    assert page.form.box("learning_rate").text() == "0.0001"
    assert not page.form.box("gradual").isChecked()


def test_a_model_that_is_none_of_those_here_can_be_trained_too(window, page) -> None:
    window.session.set_model("timm/resnet50.a1_in1k")
    assert page.form.values()["model"] == "timm/resnet50.a1_in1k"
    assert page.form.model.currentText() == "resnet50.a1_in1k"


def test_a_wrong_value_is_refused_in_words_and_nothing_begins(
    window, page, qtbot, monkeypatch
) -> None:
    def refuse(values, dataset, context):
        from core.recipe.recipe import make_recipe

        make_recipe(values)

    monkeypatch.setattr("gui.train.jobs.train", refuse)
    choose(page, qtbot, "full")
    page.form.box("learning_rate").setText("fast")
    qtbot.mouseClick(page.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "fast" in page.notices.text)
    assert "learning_rate" in page.notices.text


def test_a_fine_tuning_is_followed_live(window, page, fake_core, qtbot) -> None:
    live = begin(window, page, qtbot)
    plots = page.run_view.plots
    qtbot.waitUntil(lambda: plots.loss.points("steps") == 4)
    qtbot.waitUntil(lambda: plots.loss.points("held-out check") == 2)
    qtbot.waitUntil(lambda: plots.memory.points("GB") == 4)
    assert all(plot.isVisible() for plot in plots.plots)
    assert all(plot.twin for plot in plots.plots)
    assert plots.rates.points("head") == 4
    assert plots.rates.points("blocks.0") == 1  # open since the second epoch
    assert plots.rates.points("stem") == 0
    assert [marker.text for marker in plots.loss.markers] == ["layers open"]
    qtbot.waitUntil(lambda: [marker.epoch for marker in plots.accuracy.markers] == [1])
    assert "1.5 GB in use" in plots.memory.twin
    assert "Epoch 2 of at most 2 · step 4 · 20.0 images/s" in page.run_view.phase.text()
    # Two steps of 4 images in all at 20 a second, then twice what an epoch takes beside its steps:
    # for the selection images and, as many, those of the report.
    assert live.seconds_left() == pytest.approx(2 / 3 * 4 / 20 + 2 * (30 - 4 / 20))
    fake_core.train_gate.set()
    qtbot.waitUntil(lambda: live.phase == "done")
    view = page.run_view
    assert (
        "50.0% with a classifier on frozen features, 75.0% after fine-tuning (epoch 1)"
        in view.comparison.text()
    )
    assert "1 min 1 s in all" in view.interval.text()
    qtbot.mouseClick(view.results_button, Qt.MouseButton.LeftButton)
    assert window.current_page == "results"
    assert window.session.shown_run == fake_core.run_path


def test_a_paused_run_stands_still_and_goes_on(window, page, fake_core, qtbot) -> None:
    live = begin(window, page, qtbot)
    qtbot.mouseClick(page.pause_button, Qt.MouseButton.LeftButton)
    assert live.phase == "paused"
    assert page.pause_button.accessibleName() == "Go on"
    assert "Paused" in page.run_view.phase.text()
    fake_core.train_gate.set()
    qtbot.wait(100)
    assert live.phase == "paused"
    qtbot.keyClick(window, Qt.Key.Key_F5, Qt.KeyboardModifier.ControlModifier)
    assert page.pause_button.accessibleName() == "Pause"
    qtbot.waitUntil(lambda: live.phase == "done")
    assert len(live.steps) == 6


def test_a_paused_run_can_be_stopped(window, page, fake_core, qtbot) -> None:
    live = begin(window, page, qtbot)
    qtbot.mouseClick(page.pause_button, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(page.stop_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: live.phase == "stopped")
    assert "It can be resumed" in page.notices.text


def test_a_stopped_run_is_resumed_and_no_step_is_shown_twice(
    window, page, fake_core, qtbot
) -> None:
    live = begin(window, page, qtbot)
    assert not page.resume_button.isVisible()
    qtbot.keyClick(window, Qt.Key.Key_F5, Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: live.phase == "stopped")
    qtbot.mouseClick(page.resume_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.session.live_run is not live)
    again = window.session.live_run
    qtbot.waitUntil(lambda: fake_core.resumed == [fake_core.run_path])
    fake_core.train_gate.set()
    qtbot.waitUntil(lambda: again.phase == "done")
    assert list(again.steps.step) == [1, 2, 3, 4, 5, 6]
    assert [epoch.epoch for epoch in again.epochs] == [0, 1, 2]


def test_a_run_that_fails_says_why_and_the_form_is_free_again(
    window, page, fake_core, qtbot
) -> None:
    fake_core.fails_with = AppError("The disk is full.", "Free some space.")
    live = begin(window, page, qtbot)
    fake_core.train_gate.set()
    qtbot.waitUntil(lambda: live.phase == "failed")
    assert "The disk is full." in page.notices.text
    assert page.start_button.isVisible()
    assert page.form.isEnabled()
    assert page.resume_button.isVisible()  # its last state is there


def test_what_the_dry_steps_foretell_is_said_until_the_first_step(window, page, qtbot) -> None:
    live = LiveRun("insects")
    window.session.begin_run(live)
    started = RunStarted("r", "m", "full", "cpu", "float32", 100, 20, 20, 10, steps_per_epoch=5)
    for event in (started, EpochDone(0, 0.5, 0.9, 0.4, 0.8, 1.0), DryRun(1536.0, 0.8123, 40.6)):
        window.session.apply_event(event)
    told = "0.81 s a step, 1.5 GB of memory, about 41 s of steps"
    qtbot.waitUntil(lambda: told in page.run_view.phase.text())
    window.session.apply_event(StepDone(1, 1, 0.5, (0.1,), 10.0, 100.0))
    qtbot.waitUntil(lambda: told not in page.run_view.phase.text())


def test_plots_are_saved_as_picture_and_as_values(window, page, fake_core, qtbot, tmp_path) -> None:
    begin(window, page, qtbot)
    plot = page.run_view.plots.loss
    qtbot.waitUntil(lambda: plot.points("steps") == 4)
    for name in ("loss.png", "loss.svg", "loss.csv"):
        save = plot.save_values if name.endswith("csv") else plot.save_picture
        save(str(tmp_path / name))
        assert (tmp_path / name).stat().st_size > 100
    with (tmp_path / "loss.csv").open(encoding="utf-8") as file:
        assert len(list(csv.reader(file))) >= 5
    fake_core.train_gate.set()


def test_a_single_epoch_is_a_dot_whatever_the_theme(window, page, qtbot) -> None:
    live = LiveRun("insects")
    window.session.begin_run(live)
    plot = page.run_view.plots.accuracy
    window.session.apply_event(EpochDone(1, 0.5, 0.9, 0.4, 0.8, 1.0))
    qtbot.waitUntil(lambda: plot.points("held-out check") == 1)
    window.look.choose("dark")
    assert plot._lines["held-out check"].opts["symbol"] == "o"


def test_building_the_pages_opens_no_window_of_its_own(window, fake_core, qtbot) -> None:
    """A widget shown before it has a parent is one, and takes every shortcut with it."""
    window.activateWindow()
    for name in ("models", "data", "strategy", "train", "results", "classify", "runs"):
        window.page(name)
        assert QApplication.activeWindow() is window, name
    qtbot.keyClick(window, "8", Qt.KeyboardModifier.ControlModifier)
    assert window.current_page == "runs"


def test_the_crosshair_tells_the_values_there(window, page, fake_core, qtbot) -> None:
    begin(window, page, qtbot)
    plot = page.run_view.plots.accuracy
    qtbot.waitUntil(lambda: plot.points("held-out check") == 2)
    canvas = plot.canvas
    canvas._hover(canvas.getPlotItem().getViewBox().sceneBoundingRect().center())
    assert plot.readout.startswith("epoch ")
    assert "train 90.0% · held-out check" in plot.readout
    assert plot._twin.text() == plot.readout  # where the sentence stood
    fake_core.train_gate.set()
