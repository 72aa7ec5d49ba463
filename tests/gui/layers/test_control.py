"""The layer tree as the control: ticks, factors, presets, undo, and what the next run gets."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit

from gui.layers import undo
from gui.layers.model import FACTOR, RATE
from layer_bench import (
    CHECK,
    OFF,
    ON,
    PART,
    RESNET,
    click_tick,
    line,
    show,
    state,
    write_factor,
)

# -- ticks -----------------------------------------------------------------------------------


def test_a_tick_lets_a_stage_learn_and_all_figures_follow_at_once(bench, view, qtbot) -> None:
    assert state(view, "fc") == ON
    assert state(view, "layer4") == OFF

    click_tick(view, qtbot, "layer4")

    assert (state(view, "layer4"), state(view, "layer4.0.conv1")) == (ON, ON)
    assert (state(view, "layer3"), state(view, "layer4.0.conv2")) == (OFF, ON)
    assert view.totals.trained.text() == "8,394,754 of 11,177,538 parameters train, 75 %"
    assert "the last layer group, all open from epoch 1" in view.totals.strategy.text()
    assert "gradients 33.6 MB, optimizer 67.2 MB, EMA 44.7 MB" in view.totals.text()
    assert view.bar.presets["last"].isChecked()
    assert bench.session.recipe_values == {"strategy": "partial", "layer_groups": 1}


def test_ancestors_show_that_a_part_of_them_trains_and_a_second_click_trains_all(
    view, qtbot
) -> None:
    click_tick(view, qtbot, "layer2.1.conv1")
    assert [state(view, p) for p in ("layer2.1.conv1", "layer2.1", "layer2", "layer1")] == [
        ON, PART, PART, OFF,
    ]  # fmt: skip
    assert "what is set by hand in 1 place" in view.totals.strategy.text()
    click_tick(view, qtbot, "layer2")
    assert state(view, "layer2.0.bn1") == ON
    click_tick(view, qtbot, "layer2")
    assert state(view, "layer2") == OFF
    assert view.bar.presets["head"].isChecked()


def test_space_ticks_what_is_chosen_and_nothing_where_there_are_no_parameters(view, qtbot) -> None:
    line(view, "layer1.0.conv2")
    qtbot.keyClick(view.tree, Qt.Key.Key_Space)
    assert state(view, "layer1.0.conv2") == ON
    relu = line(view, "layer1.0.relu")
    assert relu.data(CHECK) is None
    qtbot.keyClick(view.tree, Qt.Key.Key_Space)
    assert view.plan.recipe.layer_rates == {"layer1.0.conv2": 1.0}


def test_the_head_is_ticked_and_locked_and_says_why(view, qtbot) -> None:
    click_tick(view, qtbot, "fc")
    fc = line(view, "fc")
    assert state(view, "fc") == ON
    assert not fc.flags() & Qt.ItemFlag.ItemIsUserCheckable
    assert not fc.siblingAtColumn(FACTOR).flags() & Qt.ItemFlag.ItemIsEditable
    assert "always learns" in fc.data(Qt.ItemDataRole.ToolTipRole)


def test_a_run_of_equal_blocks_is_ticked_as_one_and_stays_folded(bench, view, qtbot) -> None:
    model = "torchvision/resnet50.IMAGENET1K_V2"
    bench.session.set_model(model)
    show(bench, model)
    run = line(view, "layer3.1").parent()
    title = run.data()
    members = [child.path for child in view.model.line(run).children]
    assert title.endswith(f"Bottleneck × {len(members)}")
    view.tree.setCurrentIndex(run)
    qtbot.keyClick(view.tree, Qt.Key.Key_Space)
    assert len(members) >= 5
    assert all(state(view, path) == ON for path in members)
    assert state(view, "layer4") == OFF
    click_tick(view, qtbot, "layer3.3")
    run = line(view, "layer3.1").parent()
    assert run.data() == title
    assert Qt.CheckState(run.data(CHECK)) == PART


# -- factors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "shown"), [("0.1", "0.1"), ("1/10", "0.1"), ("×0.5", "0.5")])
def test_a_factor_is_written_in_place_and_changes_the_rate(view, qtbot, text, shown) -> None:
    view.bar.presets["last"].click()
    assert line(view, "layer4").siblingAtColumn(RATE).data() == "2.2e-4"
    write_factor(view, qtbot, "layer4", text)
    index = line(view, "layer4")
    assert index.siblingAtColumn(FACTOR).data() == shown
    assert view.plan.of("layer4").highest_rate == pytest.approx(2.25e-4 * float(shown))


def test_the_factor_nought_freezes(view, qtbot) -> None:
    view.bar.presets["all"].click()
    write_factor(view, qtbot, "layer1", "0")
    assert state(view, "layer1") == OFF
    assert line(view, "layer1").siblingAtColumn(RATE).data() == "frozen"
    assert view.plan.recipe.layer_rates == {"layer1": 0.0}


def test_text_that_is_no_factor_is_refused_in_a_sentence_and_the_value_kept(
    bench, view, qtbot
) -> None:
    view.bar.presets["all"].click()
    steps = bench.stack.count()
    write_factor(view, qtbot, "layer1", "quick")
    assert "“quick” is no factor on a learning rate" in bench.notices.text
    assert line(view, "layer1").siblingAtColumn(FACTOR).data() == "1"
    assert bench.stack.count() == steps


def test_a_double_click_opens_the_field_and_escape_leaves_it(view, qtbot) -> None:
    view.bar.presets["all"].click()
    factor = line(view, "layer2").siblingAtColumn(FACTOR)
    middle = view.tree.visualRect(factor).center()
    for act in (qtbot.mouseClick, qtbot.mouseDClick):
        act(view.tree.viewport(), Qt.MouseButton.LeftButton, pos=middle)
    editor = view.tree.findChild(QLineEdit)
    assert "layer2" in editor.accessibleName()
    qtbot.keyClicks(editor, "7")
    qtbot.keyClick(editor, Qt.Key.Key_Escape)
    assert line(view, "layer2").siblingAtColumn(FACTOR).data() == "1"


# -- presets and undo ------------------------------------------------------------------------


def test_presets_mark_what_the_recipe_is_now(bench, view) -> None:
    presets = view.bar.presets
    for key in ("last two", "all", "head", "last"):
        presets[key].click()
        assert [name for name, made in presets.items() if made.isChecked()] == [key]
    assert presets["advice"].isHidden()
    assert bench.session.recipe_values["strategy"] == "partial"


def test_every_step_is_undone_and_done_again_by_name(bench, view, qtbot) -> None:
    session, stack = bench.session, bench.stack
    while stack.canUndo():
        stack.undo()
    before = dict(session.recipe_values)
    view.bar.presets["all"].click()
    click_tick(view, qtbot, "layer3")
    write_factor(view, qtbot, "layer4", "0.5")
    after = dict(session.recipe_values)
    names = []
    while stack.canUndo():
        names.append(view.bar.undo_button.accessibleName())
        view.bar.undo_button.click()
    assert names == [
        "Undo “rate × 0.5 for layer4”",
        "Undo “freeze layer3”",
        "Undo “train all layers”",
    ]
    assert session.recipe_values == before
    assert state(view, "layer4") == OFF
    for _ in names:
        view.bar.redo_button.click()
    assert session.recipe_values == after
    assert state(view, "layer3") == OFF
    assert not view.bar.redo_button.isEnabled()


def test_ctrl_z_and_ctrl_shift_z_and_the_menu_undo_and_redo(page, window, qtbot) -> None:
    view = page.layers
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    line(view, "layer4")
    view.tree.setFocus()
    qtbot.keyClick(view.tree, Qt.Key.Key_Space)
    undo, redo = (window.actions_by_name[name] for name in ("undo", "redo"))
    assert undo.text() == "&Undo train layer4"
    control, shift = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
    qtbot.keyClick(view.tree, Qt.Key.Key_Z, control)
    assert state(view, "layer4") == OFF
    assert redo.text() == "&Redo train layer4"
    qtbot.keyClick(view.tree, Qt.Key.Key_Z, control | shift)
    assert state(view, "layer4") == ON
    undo.trigger()
    assert state(view, "layer4") == OFF


def test_a_change_on_the_train_page_is_a_step_too_and_keeps_the_layers(page, window, qtbot) -> None:
    view, session, undo = page.layers, window.session, window.actions_by_name["undo"]
    view.bar.presets["all"].click()
    click_tick(view, qtbot, "layer1")
    form = window.page("train").form
    form.box("learning_rate").setText("0.001")
    form.box("learning_rate").editingFinished.emit()
    assert session.recipe_values["layer_rates"] == {"layer1": 0.0}
    assert view.plan.recipe.learning_rate == 0.001
    assert undo.text() == "&Undo change learning rate"
    undo.trigger()
    assert form.box("learning_rate").text() == "0.0003"
    assert session.recipe_values["layer_rates"] == {"layer1": 0.0}
    _clear_and_look(window, form, undo)


def _clear_and_look(window, form, undo) -> None:
    """The Train page says what is set by hand, clears it, and leads to where it is set."""
    window.show_page("train")
    assert form.by_hand_text.text() == "1 layer set by hand in Models → Layers"
    form.clear_rates_button.click()
    assert "layer_rates" not in window.session.recipe_values
    assert form.by_hand.isHidden()
    undo.trigger()
    assert not form.by_hand.isHidden()
    form.show_tree_button.click()
    assert window.current_page == "models"
    assert window.page("models").layers.isVisible()


def test_what_suits_a_head_is_no_default_of_fine_tuning(bench, view) -> None:
    bench.session.set_recipe_values({"strategy": "feature-extraction", "max_epochs": 25})
    view.bar.presets["last"].click()
    assert view.plan.recipe.max_epochs_or_default == 10
    bench.stack.undo()
    assert bench.session.recipe_values["max_epochs"] == 25


def test_typing_in_one_field_is_one_step(bench, monkeypatch) -> None:
    monkeypatch.setattr(undo, "_ONE_CHANGE_SECONDS", 3600.0)
    steps = bench.stack.count()
    for epochs in (11, 12, 13):
        bench.session.set_recipe_values({"max_epochs": epochs})
    assert bench.stack.count() == steps + 1
    assert bench.stack.undoText() == "change max epochs"
    bench.stack.undo()
    assert bench.session.recipe_values == {}


# -- the next run ----------------------------------------------------------------------------


def test_a_run_is_started_with_exactly_what_the_tree_says(page, window, fake_core, qtbot) -> None:
    view = page.layers
    view.bar.presets["last"].click()
    click_tick(view, qtbot, "layer2.0")
    write_factor(view, qtbot, "layer4", "0.5")
    window.start_training()
    qtbot.waitUntil(lambda: bool(fake_core.trained_with))
    values = fake_core.trained_with[0]
    assert values["model"] == RESNET
    assert values["strategy"] == "partial"
    assert values["layer_rates"] == {"layer2.0": 1.0, "layer4": 0.5}
    fake_core.train_gate.set()
    qtbot.waitUntil(lambda: not window.session.live_run.is_on)
