"""The Strategy page: the wizard by mouse and by keyboard, with core's advice faked."""

from __future__ import annotations

import threading

import pytest
from PySide6.QtCore import Qt

from core.advice.advise import Advice, Alternative, Estimate
from core.advice.check import Arm, Check
from core.advice.evidence import Evidence
from core.advice.rules import decide, published_rules
from core.errors import AppError
from core.recipe.plan import make_plan
from core.recipe.recipe import make_recipe
from gui.kit.words import strategy_in_words
from gui.strategy import jobs
from gui.strategy.jobs import Question
from gui.train.jobs import plan_of

_SIZES = {"stem": 900, "blocks.0": 2_000, "blocks.1": 4_000, "head": 100}
_GROUPS = [(name, {f"{name}.weight": size}) for name, size in _SIZES.items()]


def make_advice(domain="similar") -> Advice:
    options = []
    for name in ("feature-extraction", "partial", "full"):
        recipe = make_recipe({"strategy": name, "gradual": name == "partial", "seed": 0})
        varied = "none" if not options else "light"
        plan = make_plan(recipe, _GROUPS)
        options.append(
            Alternative(
                strategy=name, gradual=recipe.gradual, augmentation=varied,
                trains="the head alone" if not options else "more", params=plan.params,
                trainable_params=plan.trainable_params, seconds=12.0 * (len(options) + 1),
                memory_mb=900, fits_budget=True, risk="low", why="because", is_advised=not options,
                recipe=recipe, plan=plan,
            )
        )  # fmt: skip
    table = decide(6, domain)
    return Advice(
        decision=table, table=table, domain=domain, domain_origin="measured", images_per_class=6,
        rules=published_rules(6, domain), reasons=("few images", "uncertainty 0.21", "head good"),
        recipe=options[0].recipe, evidence=Evidence(12, 0.21, 12, 0.9, (0.7, 0.97), 88.0),
        estimate=Estimate(12, 900, 0.9, (0.7, 0.97)), alternatives=tuple(options),
    )  # fmt: skip


class FakeAdvice:
    def __init__(self) -> None:
        self.questions: list[Question] = []
        self.gate = threading.Event()
        self.gate.set()
        self.fails_with: Exception | None = None

    def advise(self, question, context):
        from core.errors import Cancelled

        self.questions.append(question)
        context.on_progress(1, 2, "reading")
        while not self.gate.wait(0.01):
            if context.should_stop():
                raise Cancelled
        if self.fails_with is not None:
            raise self.fails_with
        return make_advice()

    def check(self, question, advice, context):
        arms = (
            Arm("feature-extraction", 0.9, (0.8, 0.96), 1),
            Arm("partial", 0.94, (0.84, 0.98), 9),
        )
        return Check(150, 50, 3, arms)


@pytest.fixture
def fake_advice(fake_core, monkeypatch) -> FakeAdvice:
    fake = FakeAdvice()
    monkeypatch.setattr(jobs, "advise", fake.advise)
    monkeypatch.setattr(jobs, "check", fake.check)
    return fake


@pytest.fixture
def page(fake_advice, opened):
    opened.show_page("strategy")
    return opened.page("strategy")


def press(qtbot, window, key):
    qtbot.keyClick(window.focusWidget(), key)


def test_without_a_dataset_the_page_invites_to_open_one(qtbot, window, fake_advice):
    page = window.page("strategy")
    window.show_page("strategy")
    with qtbot.waitSignal(page.folder_wanted):
        qtbot.mouseClick(page.stack.currentWidget(), Qt.MouseButton.LeftButton)


def test_the_wizard_is_walked_with_the_enter_key_alone(qtbot, window, page, fake_advice):
    page.data_step.model.setFocus()
    for step in (1, 2, 3):
        press(qtbot, window, Qt.Key.Key_Return)
        assert page.step == step
    qtbot.waitUntil(lambda: page.advice_view.advice is not None)
    qtbot.waitUntil(lambda: page.next_button.isEnabled())
    press(qtbot, window, Qt.Key.Key_Return)
    assert window.current_page == "train"
    assert window.session.recipe_values["strategy"] == "feature-extraction"
    (question,) = fake_advice.questions
    assert (question.domain, question.budget_seconds) == ("auto", None)


def test_the_wizard_is_walked_by_mouse_and_what_was_said_is_asked(qtbot, window, page, fake_advice):
    left = Qt.MouseButton.LeftButton
    qtbot.mouseClick(page.next_button, left)
    qtbot.mouseClick(page.domain_step.choices["different"].explanation, left)
    qtbot.mouseClick(page.next_button, left)
    qtbot.mouseClick(page.back_button, left)
    assert page.step == 1
    qtbot.mouseClick(page.bar.buttons[2], left)
    page.budget_step.choices["10m"].button.click()
    page.budget_step.medium.setValue(500)
    qtbot.mouseClick(page.next_button, left)
    qtbot.waitUntil(lambda: page.advice_view.advice is not None)
    (question,) = fake_advice.questions
    assert (question.domain, question.budget_seconds) == ("different", 600)
    assert question.thresholds.medium == 500


def reach_advice(qtbot, page):
    page.go_to(3)
    qtbot.waitUntil(lambda: page.advice_view.advice is not None)


def test_choosing_an_alternative_shows_its_plan_and_finish_takes_it(qtbot, window, page):
    reach_advice(qtbot, page)
    view = page.advice_view
    assert view.headline.text() == "Feature extraction"
    assert "stem (900 parameters): frozen" in view.picture.text
    view.table.setFocus()
    press(qtbot, window, Qt.Key.Key_Down)
    assert view.headline.text().startswith("Partial fine-tuning, gradual")
    assert "blocks.0 (2,000 parameters): trains" in view.picture.text
    press(qtbot, window, Qt.Key.Key_Return)
    assert window.current_page == "train"
    values = window.session.recipe_values
    assert (values["strategy"], values["gradual"]) == ("partial", True)
    assert make_recipe(values).strategy == "partial"


def test_the_context_line_says_the_strategy_of_the_next_run(qtbot, window, page):
    window.session.set_recipe_values({"strategy": "partial", "gradual": True})
    shown = [child.text() for child in window.context.findChildren(type(page.note))]
    assert any("Partial fine-tuning, gradual" in text for text in shown)


def test_reasons_evidence_and_the_rows_that_applied_are_on_the_page(qtbot, page):
    reach_advice(qtbot, page)
    view = page.advice_view
    assert view.reasons == ["few images", "uncertainty 0.21", "head good"]
    assert view.stats["accuracy"].value == "90.0%"
    assert "70.0%–97.0%" in view.interval.text()
    assert [grid.applied for grid in view._grids] == ["feature extraction"] * 3
    assert "uncertainty 0.21" in page.domain_step.measured.text()


def test_the_same_question_is_not_asked_twice_and_another_one_is(qtbot, page, fake_advice):
    reach_advice(qtbot, page)
    page.go_back()
    page.go_on()
    assert len(fake_advice.questions) == 1
    page.go_to(1)
    page.domain_step.choices["somewhat"].button.click()
    page.go_to(3)
    qtbot.waitUntil(lambda: len(fake_advice.questions) == 2)


def test_a_time_that_is_none_is_refused_on_its_step(qtbot, page, fake_advice):
    page.go_to(2)
    page.budget_step.custom.setText("soon")
    page.budget_step.choices["custom"].button.click()
    page.go_on()
    assert page.step == 2
    assert "soon" in page.budget_step.problem.text()
    page.budget_step.custom.setText("90s")
    page.budget_step.large.setValue(10)
    page.go_on()
    assert page.step == 2
    assert "more images" in page.budget_step.problem.text()
    assert not fake_advice.questions


def test_cancelling_goes_back_to_the_budget_and_says_so(qtbot, page, fake_advice):
    fake_advice.gate.clear()
    page.go_to(3)
    qtbot.waitUntil(lambda: bool(fake_advice.questions))
    assert not page.next_button.isEnabled()
    page.cancel_button.click()
    qtbot.waitUntil(lambda: page.step == 2)
    assert "cancelled" in page.notices.text


def test_a_failure_is_said_in_its_sentence_and_can_be_tried_again(qtbot, page, fake_advice):
    fake_advice.fails_with = AppError("The class “bee” has no image left to train on.")
    page.go_to(3)
    qtbot.waitUntil(lambda: "bee" in page.notices.text)
    assert page.step == 2
    fake_advice.fails_with = None
    reach_advice(qtbot, page)
    assert not page.notices.text


def test_another_model_or_dataset_lets_the_advice_go(qtbot, window, page, fake_advice):
    reach_advice(qtbot, page)
    window.session.set_model(window.session.models[1].id)
    assert page.step == 0
    page.go_to(3)
    qtbot.waitUntil(lambda: len(fake_advice.questions) == 2)
    assert fake_advice.questions[1].values["model"] == window.session.models[1].id


def test_the_check_says_what_chance_gives(qtbot, page):
    reach_advice(qtbot, page)
    page.advice_view.check_button.click()
    qtbot.waitUntil(lambda: "within what chance gives" in page.advice_view.check_line.text())
    assert "94.0% (84%–98%)" in page.advice_view.check_line.text()
    assert page.advice_view.check_button.isEnabled()


def test_the_alternatives_are_a_proper_model(qtmodeltester, qtbot, page):
    reach_advice(qtbot, page)
    qtmodeltester.check(page.advice_view.table.alternatives)


def test_every_strategy_has_a_name():
    assert strategy_in_words("full", gradual=True) == "Full fine-tuning, gradual"
    assert strategy_in_words("feature-extraction", gradual=True) == "Feature extraction"
    assert strategy_in_words("alchemy") == "alchemy"


def test_the_plan_of_recipe_values_is_made_in_a_job():
    from gui.kit.workers import JobContext

    context = JobContext(lambda *_: None, lambda _: None, lambda: False)
    plan = plan_of({"strategy": "partial", "layer_groups": 1}, 3, context)
    assert [group.is_trained for group in plan.groups][-3:] == [False, True, True]
