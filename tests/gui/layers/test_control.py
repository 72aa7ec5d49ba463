"""The layer tree as the control: ticks, factors, presets, undo, and what the next run gets."""

from __future__ import annotations

import csv
import functools
import io
from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QApplication, QLineEdit, QVBoxLayout, QWidget

from core.catalog import catalog
from core.recipe.recipe import make_recipe
from gui.base.session import Session
from gui.kit.notice_bar import NoticeBar
from gui.kit.settings import Settings
from gui.kit.theme import Theme
from gui.kit.workers import JobRunner
from gui.layers import jobs, undo
from gui.layers.control import LayerControl
from gui.layers.delegate import tick_rect
from gui.layers.jobs import Layers
from gui.layers.model import FACTOR, KIND, MACS, NAME, OUTPUT, RATE, LayerModel
from gui.layers.view import LayerView
from gui.shell.commands import Commands

RESNET = "torchvision/resnet18.IMAGENET1K_V1"
CHECK = Qt.ItemDataRole.CheckStateRole
ON, PART, OFF = (
    Qt.CheckState.Checked, Qt.CheckState.PartiallyChecked, Qt.CheckState.Unchecked,
)  # fmt: skip


@pytest.fixture
def page(window, fake_core, qtbot):
    """The Models page with ResNet-18 as the model of the next run, its layers shown."""
    window.session.end_scan(fake_core.dataset)
    window.show_page("models")
    page = window.page("models")
    qtbot.waitUntil(lambda: page.table.table_model.rowCount() > 1000)
    window.commands.start_up.begin()
    qtbot.waitUntil(lambda: window.session.machine is not None)
    window.session.set_model(RESNET)
    page.tabs.setCurrentWidget(page.layers)
    page.choose(RESNET)
    qtbot.waitUntil(lambda: page.layers.shown_model == RESNET)
    return page


@dataclass
class Bench:
    """A view of layers and what it is tied to, without the window around it."""

    view: LayerView
    session: Session
    commands: Commands
    notices: NoticeBar
    control: LayerControl

    @property
    def stack(self):
        return self.commands.layers.history.stack


@pytest.fixture
def bench(qtbot, qapp, fake_core):
    look = Theme()
    holder = QWidget()
    session, runner = Session(holder), JobRunner(holder)
    commands = Commands(session, runner, Settings(), holder)
    notices, view = NoticeBar(look, holder), LayerView(look)
    control = LayerControl(view, session, commands.layers, notices)
    session.noticed.connect(lambda notice: notices.show_notice(notice.text, notice.level))
    column = QVBoxLayout(holder)
    column.addWidget(notices)
    column.addWidget(view)
    look.dress(holder)
    holder.resize(700, 640)
    qtbot.addWidget(holder)
    holder.show()
    session.end_scan(fake_core.dataset)
    session.set_model(RESNET)
    made = Bench(view, session, commands, notices, control)
    show(made, RESNET)
    yield made
    runner.shut_down()


@pytest.fixture
def view(bench):
    """The layers of ResNet-18, which is the model of the next run."""
    return bench.view


@functools.cache
def worked_out(model: str) -> Layers:
    """Once for all tests: a tree does not change."""
    card = catalog.load().resolve(model)
    return jobs.work_out_layers(jobs.LayerQuestion(card, 2), None)


def show(bench: Bench, model: str) -> None:
    bench.view.show_layers(worked_out(model))


def line(view, path: str):
    """The index of a layer, with the way to it opened."""
    index = next(i for i in view.model.find(path) if view.model.line(i).path == path)
    view.tree.go_to(index)
    return index


def state(view, path: str) -> Qt.CheckState:
    return Qt.CheckState(line(view, path).data(CHECK))


def click_tick(view, qtbot, path: str) -> None:
    rect = view.tree.visualRect(line(view, path))
    point = tick_rect(rect).center().toPoint()
    qtbot.mouseClick(view.tree.viewport(), Qt.MouseButton.LeftButton, pos=point)


def write_factor(view, qtbot, path: str, text: str) -> None:
    line(view, path)
    qtbot.keyClick(view.tree, Qt.Key.Key_F2)
    editor = view.tree.findChild(QLineEdit)
    editor.selectAll()
    qtbot.keyClicks(editor, text)
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    QApplication.processEvents()  # the field is read when the key has been dealt with


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
