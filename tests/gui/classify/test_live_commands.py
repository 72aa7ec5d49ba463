"""Classify asks the model in training: listed first while a run is on, answered on the way."""

from __future__ import annotations

import pytest

from gui.base.session import IN_TRAINING
from gui.kit.workers import Job, JobSpec


@pytest.fixture
def run(opened, fake_core, qtbot):
    """A fine-tuning in its second epoch."""
    window = opened
    window.session.set_recipe_values({"strategy": "full", "max_epochs": 2})
    window.start_training()
    qtbot.waitUntil(lambda: window.session.live_run is not None)
    qtbot.waitUntil(lambda: len(window.session.live_run.steps) >= 4)
    yield window.session.live_run
    fake_core.train_gate.set()


def choose_the_model_in_training(page):
    page.model.setCurrentIndex(0)
    page.model.activated.emit(0)


def test_the_model_in_training_answers_while_it_trains(window, run, fake_core, qtbot) -> None:
    page = window.page("classify")
    assert page.model.itemData(0) == IN_TRAINING
    assert page.model.itemText(0) == "The model in training"
    choose_the_model_in_training(page)
    window.commands.classify.add_pictures([fake_core.dataset.path(0)])
    qtbot.waitUntil(lambda: page.answer.text() == "ant" and page.answer.isVisible())
    assert page._by.text() == "Answered by the model in training, step 4 (epoch 2)"
    assert run.is_on
    assert fake_core.classified_with == []  # no job had to wait for the compute slot


def test_it_is_no_longer_listed_when_the_run_is_over_and_the_run_answers(
    window, run, fake_core, qtbot
) -> None:
    page = window.page("classify")
    choose_the_model_in_training(page)
    fake_core.train_gate.set()
    qtbot.waitUntil(lambda: run.phase == "done")
    assert window.session.classifier == str(fake_core.run_path)
    assert page.model.findData(IN_TRAINING) < 0


def test_what_is_still_asked_when_the_run_ends_is_answered_by_what_it_left(
    window, run, fake_core, qtbot, monkeypatch
) -> None:
    page = window.page("classify")
    choose_the_model_in_training(page)
    monkeypatch.setattr(fake_core, "_answer", lambda paths, context, by: None)  # too late for it
    window.commands.classify.add_pictures([fake_core.dataset.path(0)])
    qtbot.waitUntil(lambda: bool(window.session.pictures))
    qtbot.waitUntil(lambda: window.session.pictures[0].asked == IN_TRAINING)
    assert "next step of the training" in page.waiting.text()
    monkeypatch.undo()
    # What `undo` took back of the fakes is not needed any more but for the classifying itself.
    monkeypatch.setattr("gui.classify.jobs.classify", fake_core.classify)
    monkeypatch.setattr("gui.runs.jobs.list_runs", lambda context: ())
    fake_core.train_gate.set()
    qtbot.waitUntil(lambda: not window.session.pictures[0].is_waiting)
    assert fake_core.classified_with == [str(fake_core.run_path)]


def test_no_model_is_offered_where_no_fine_tuning_is_on(window, fake_core) -> None:
    assert window.page("classify").model.findData(IN_TRAINING) < 0


def test_a_job_takes_a_few_questions_at_a_time_and_withdrawn_ones_never(qtbot) -> None:
    job = Job(JobSpec("train", "Training", lambda context: None))
    job.ask_about(range(20))
    assert job._take_questions() == list(range(16))
    job.withdraw()
    assert job._take_questions() == []
    assert not job._is_held()
    job.pause()
    assert job._is_held()


def test_a_paused_run_answers_too() -> None:
    """The real listener: held at its boundary, it goes on answering."""
    from types import SimpleNamespace

    from gui.kit.workers import JobContext
    from gui.train.jobs import ProgressFromEvents

    answers, held = [], iter([True, True, False])
    questions = [[], ["a.png"], []]
    classifier = SimpleNamespace(classify=lambda paths, top: [f"answer to {p}" for p in paths])
    model = SimpleNamespace(step=4, epoch=2, classifier=lambda: classifier)
    context = JobContext(
        lambda *_: None,
        answers.append,
        lambda: False,
        lambda: questions.pop(0) if questions else [],
        lambda: next(held, False),
    )
    ProgressFromEvents(context).answer(model)
    assert [(a.path, a.classification) for a in answers] == [("a.png", "answer to a.png")]
    assert answers[0].by == "the model in training, step 4 (epoch 2)"
