"""The layer tree as it is read: other models, the schedule, searching, copies, room."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from types import SimpleNamespace

from PySide6.QtCore import Qt
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QApplication

from core.recipe.recipe import make_recipe
from gui.layers.model import KIND, MACS, NAME, OUTPUT, RATE, LayerModel
from layer_bench import (
    CHECK,
    OFF,
    ON,
    RESNET,
    click_tick,
    line,
    show,
    state,
)

# -- models ----------------------------------------------------------------------------------


def test_a_tick_on_another_model_takes_it_into_use_and_says_so(bench, view, qtbot) -> None:
    other = "timm/test_resnet.r160_in1k"
    click_tick(view, qtbot, "layer3.0")
    show(bench, other)
    assert "Not the model of the next run" in view.totals.text()
    click_tick(view, qtbot, "layer4")
    assert bench.session.model_id == other
    assert bench.session.recipe_values["layer_groups"] == 1
    assert f"{other} is now the model of the next run, in place of {RESNET}" in bench.notices.text
    assert "needs a network" in bench.notices.text
    assert "Not the model" not in view.totals.text()
    bench.stack.undo()
    assert bench.session.model_id == RESNET
    assert bench.session.recipe_values["layer_rates"] == {"layer3.0": 1.0}


def test_rates_of_another_architecture_are_dropped_said_and_brought_back(
    bench, view, qtbot
) -> None:
    click_tick(view, qtbot, "layer3.0")
    bench.session.set_model("bundled/tf_efficientnet_lite0")
    assert bench.session.recipe_values == {"strategy": "feature-extraction", "layer_groups": 0}
    assert "The rates set by hand for 1 layer belong to resnet18" in bench.notices.text
    bench.stack.undo()
    assert bench.session.model_id == RESNET
    assert bench.session.recipe_values["layer_rates"] == {"layer3.0": 1.0}


def test_other_weights_of_one_architecture_keep_the_rates(bench, view, qtbot) -> None:
    click_tick(view, qtbot, "layer3.0")
    bench.session.set_model("timm/resnet18.a1_in1k")
    assert bench.session.recipe_values["layer_rates"] == {"layer3.0": 1.0}


def test_rates_that_fit_no_layer_are_said_in_the_place_of_the_tree(bench, view) -> None:
    bench.session.set_recipe_values({"strategy": "full", "layer_rates": {"blocks.9": 0.0}})
    assert "“blocks.9”" in view.message.text()


def test_finish_of_the_wizard_is_one_step(bench, view, qtbot) -> None:
    click_tick(view, qtbot, "layer3.0")
    mine = dict(bench.session.recipe_values)
    bench.session.set_recipe_values(
        {"model": "bundled/tf_efficientnet_lite0", "strategy": "full", "augmentation": "light",
         "gradual": True}
    )  # fmt: skip
    assert bench.stack.undoText() == "use EfficientNet-Lite0"
    bench.stack.undo()
    assert (bench.session.model_id, bench.session.recipe_values) == (RESNET, mine)


def test_the_advice_is_a_preset_as_long_as_it_holds(bench, view) -> None:
    assert view.bar.presets["advice"].isHidden()
    recipe = make_recipe(
        {"model": RESNET, "strategy": "partial", "layer_groups": 2, "gradual": True}
    )
    bench.commands.advice.advised.emit(SimpleNamespace(recipe=recipe))
    advice = view.bar.presets["advice"]
    assert not advice.isHidden()
    assert not advice.isChecked()
    advice.click()
    assert advice.isChecked()
    assert bench.session.recipe_values == {
        "strategy": "partial",
        "layer_groups": 2,
        "gradual": True,
    }
    bench.session.end_scan(replace(bench.session.dataset))
    show(bench, RESNET)
    assert advice.isHidden()


# -- the schedule ----------------------------------------------------------------------------


def test_the_unfreezing_is_stepped_through_in_the_tree_and_the_totals(bench, view, qtbot) -> None:
    bench.session.set_recipe_values({"strategy": "partial", "layer_groups": 2, "gradual": True})
    schedule = view.schedule
    assert not schedule.isHidden()
    assert view.totals.trained.text() == "10,494,466 of 11,177,538 parameters train, 94 %"
    schedule.slider.setFocus()
    qtbot.keyClick(schedule.slider, Qt.Key.Key_Home)
    assert schedule.number.text() == "1 of 10"
    assert schedule.text.text() == "head opens. Next in epoch 4: layer4."
    assert view.totals.trained.text() == (
        "1,026 of 11,177,538 parameters train in epoch 1, 0.0092 %"
    )
    assert line(view, "layer4").siblingAtColumn(RATE).data() == "from epoch 4"
    assert state(view, "layer4") == ON  # the plan trains it, only not yet
    for _ in range(3):
        qtbot.keyClick(schedule.slider, Qt.Key.Key_Right)
    assert line(view, "layer4").siblingAtColumn(RATE).data() == "2.2e-4"
    assert line(view, "layer3").siblingAtColumn(RATE).data() == "from epoch 7"
    schedule.slider.setValue(10)
    assert "in epoch" not in view.totals.trained.text()


def test_without_gradual_unfreezing_all_is_said_to_open_at_once(view) -> None:
    view.bar.presets["all"].click()
    assert view.schedule.isHidden()
    assert "all open from epoch 1" in view.totals.strategy.text()


# -- reading ---------------------------------------------------------------------------------


def test_the_chosen_layer_is_explained(view) -> None:
    line(view, "layer3.0.conv1")
    said = view.info.text()
    assert "layer3.0.conv1 · Conv2d" in said
    assert "294,912 parameters" in said
    assert "slides small filters" in said
    assert "parts of objects" in said
    line(view, "fc")
    assert "new classes need a new one" in view.info.text()


def test_hits_are_counted_and_gone_through_in_both_directions(view, qtbot) -> None:
    qtbot.keyClicks(view.search, "downsample conv")
    assert view.hits.text() == "3 hits"
    view.next_button.click()
    assert view.hits.text() == "2 of 3 hits"
    qtbot.keyClick(view.search, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    assert view.hits.text() == "1 of 3 hits"
    view.back_button.click()
    assert view.model.line(view.tree.currentIndex()).path == "layer4.0.downsample.0"


def test_levels_open_and_close(view) -> None:
    view.expand_two()
    run = line(view, "layer1.0").parent()
    assert run.data() == "0 … 1  BasicBlock × 2"
    assert view.tree.isExpanded(run)
    assert not view.tree.isExpanded(line(view, "layer1.1"))
    view.expand_all()
    assert view.tree.isExpanded(line(view, "layer1.1"))
    view.collapse()
    assert not any(view.tree.isExpanded(index) for index in view.tree.parents())


def test_copies_say_what_trains_and_at_which_rate(view, qtbot) -> None:
    view.bar.presets["last"].click()
    view.copy_csv()
    rows = {r["layer"]: r for r in csv.DictReader(io.StringIO(QApplication.clipboard().text()))}
    assert (rows["layer4"]["rate factor"], rows["layer4"]["learning rate"]) == ("1", "2.2e-4")
    assert rows["layer3"]["learning rate"] == "frozen"
    view.copy_markdown()
    assert "8,394,754 of 11,177,538 parameters train" in QApplication.clipboard().text()


def test_a_table_is_saved_and_a_disk_that_refuses_is_said(bench, view, tmp_path, qtbot) -> None:
    path = tmp_path / "layers.csv"
    bench.control.save(str(path))
    qtbot.waitUntil(lambda: "is saved as" in bench.notices.text)
    assert path.read_text(encoding="utf-8").startswith("layer,type,kind")
    bench.control.save(str(tmp_path / "missing" / "layers.md"))
    qtbot.waitUntil(lambda: "cannot be written" in bench.notices.text)
    assert not (tmp_path / "missing").exists()


def test_a_narrow_tree_does_without_some_columns_and_keeps_the_controls(view) -> None:
    view.tree.resize(420, 300)
    hidden = {column for column in range(7) if view.tree.isColumnHidden(column)}
    assert hidden == {OUTPUT, MACS, KIND}
    view.tree.resize(900, 300)
    assert not any(view.tree.isColumnHidden(column) for column in range(7))


def test_the_layers_take_the_whole_page_and_give_it_back(page) -> None:
    view = page.layers
    view.room_button.click()
    assert page.filters.isHidden()
    assert page.stack.isHidden()
    page.tabs.setCurrentWidget(page.card)
    assert not page.filters.isHidden()
    page.tabs.setCurrentWidget(view)
    view.room_button.click()
    assert not page.stack.isHidden()


def test_each_control_has_a_name_for_those_who_cannot_see_it(view) -> None:
    parts = [view.search, view.back_button, view.expand_button, view.explain_button,
             view.room_button, *view.bar.presets.values(), view.bar.undo_button,
             view.schedule.slider, view.tree]  # fmt: skip
    assert all(part.accessibleName() for part in parts)
    said = line(view, "layer4").data(Qt.ItemDataRole.AccessibleTextRole)
    assert said == "layer4  Sequential, frozen"


def test_the_model_stays_proper_while_ticks_change_it(view) -> None:
    fatal = QAbstractItemModelTester.FailureReportingMode.Fatal
    model = LayerModel()
    tester = QAbstractItemModelTester(model, fatal)
    model.show_lines(view.layers.lines, macs=view.layers.tree.macs)
    model.show_plan(view.plan)
    view.bar.presets["all"].click()
    model.show_plan(view.plan)
    asked = []
    model.tick_wanted.connect(lambda line, trains: asked.append((line.path, trains)))
    assert model.setData(model.index(0, NAME), OFF, CHECK)
    assert not model.setData(model.index(0, KIND), OFF, CHECK)
    assert asked == [("conv1", False)]
    assert tester
