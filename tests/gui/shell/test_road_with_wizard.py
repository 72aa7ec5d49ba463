"""From a dataset through the wizard to Runs: by mouse, and by keyboard alone."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt

from core.advice.advise import Advice, Alternative, Estimate
from core.advice.evidence import Evidence
from core.advice.rules import decide, published_rules
from core.recipe.plan import make_plan
from core.recipe.recipe import make_recipe
from gui.strategy import jobs

_LEFT = Qt.MouseButton.LeftButton


def _advise(question, context) -> Advice:
    recipe = make_recipe({"strategy": "full", "max_epochs": 2, "seed": 0})
    plan = make_plan(
        recipe, [("stem", {"a": 900}), ("blocks.0", {"b": 2_000}), ("head", {"c": 100})]
    )
    option = Alternative(
        strategy="full", gradual=False, augmentation="light", trains="every layer",
        params=plan.params, trainable_params=plan.trainable_params, seconds=12.0, memory_mb=900,
        fits_budget=True, risk="low", why="because", is_advised=True, recipe=recipe, plan=plan,
    )  # fmt: skip
    table = decide(6, "similar")
    return Advice(
        decision=table, table=table, domain="similar", domain_origin="measured",
        images_per_class=6, rules=published_rules(6, "similar"), reasons=("few", "near", "good"),
        recipe=recipe, evidence=Evidence(12, 0.21, 12, 0.9, (0.7, 0.97), 88.0),
        estimate=Estimate(12, 900, 0.9, (0.7, 0.97)), alternatives=(option,),
    )  # fmt: skip


@pytest.fixture
def ready(opened, fake_core, monkeypatch):
    """The window with a dataset open; a training ends as soon as it begins."""
    monkeypatch.setattr(jobs, "advise", _advise)
    fake_core.train_gate.set()
    return opened


def _assert_trained(window, fake_core, qtbot) -> None:
    qtbot.waitUntil(lambda: window.session.live_run is not None)
    qtbot.waitUntil(lambda: window.session.live_run.phase == "done")
    (values,) = fake_core.trained_with
    assert values["strategy"] == "full"


def test_the_road_with_the_wizard_by_mouse(ready, fake_core, qtbot) -> None:
    rail = ready.rail
    ready.show_page("strategy")
    page = ready.page("strategy")
    for _step in range(3):
        qtbot.mouseClick(page.next_button, _LEFT)
    qtbot.waitUntil(lambda: page.advice_view.advice is not None)
    qtbot.mouseClick(page.next_button, _LEFT)
    assert ready.current_page == "train"
    train = ready.page("train")
    qtbot.mouseClick(train.start_button, _LEFT)
    _assert_trained(ready, fake_core, qtbot)
    qtbot.mouseClick(train.run_view.results_button, _LEFT)
    assert ready.current_page == "results"
    assert ready.session.shown_run == fake_core.run_path
    rail.chosen.emit("runs")
    assert ready.current_page == "runs"


def test_the_road_with_the_wizard_by_keyboard_alone(ready, fake_core, qtbot) -> None:
    control = Qt.KeyboardModifier.ControlModifier
    qtbot.keyClick(ready, "4", control)
    page = ready.page("strategy")
    for step in (1, 2, 3):
        qtbot.keyClick(ready.focusWidget(), Qt.Key.Key_Return)
        assert page.step == step
    qtbot.waitUntil(lambda: page.advice_view.advice is not None)
    qtbot.keyClick(ready.focusWidget(), Qt.Key.Key_Return)
    assert ready.current_page == "train"
    qtbot.keyClick(ready, Qt.Key.Key_F5)
    _assert_trained(ready, fake_core, qtbot)
    qtbot.keyClick(ready, "6", control)
    assert ready.current_page == "results"
    assert ready.session.shown_run == fake_core.run_path
    qtbot.keyClick(ready, "8", control)
    assert ready.current_page == "runs"
