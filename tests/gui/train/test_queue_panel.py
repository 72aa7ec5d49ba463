"""The queue on the Train page: filled while a run is on, put in order, worked off, held."""

from __future__ import annotations

from functools import partial

import pytest
from PySide6.QtCore import Qt

from core.errors import AppError
from core.recipe.recipe import Recipe
from core.runs.queue import Queue
from gui.runs import jobs
from gui.train import queue_jobs
from gui.train.queue_panel import QueuePanel
from helpers import small_recipe


@pytest.fixture
def trained(fake_core, monkeypatch) -> list[str]:
    """The names of what the queue trained, by a trainer that waits for the gate."""
    names: list[str] = []

    def train_entry(entry, context):
        names.append(entry.name)
        result = fake_core.train({}, fake_core.dataset, context)
        Queue().finish(entry.id, result.status)
        return result

    monkeypatch.setattr(queue_jobs, "train_entry", train_entry)
    return names


@pytest.fixture
def page(window, fake_core, qtbot):
    window.commands.opening.open_dataset(fake_core.dataset.root)
    qtbot.waitUntil(lambda: window.session.dataset is not None)
    window.show_page("train")
    return window.page("train")


@pytest.fixture
def panel(page) -> QueuePanel:
    return page.findChild(QueuePanel)


def add(page, qtbot, waiting: int) -> None:
    qtbot.mouseClick(page.queue_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: page.window().commands.queue.waiting == waiting)


def test_the_panel_is_there_only_while_something_is_in_it(page, panel, qtbot) -> None:
    assert not panel.isVisible()
    add(page, qtbot, 1)
    assert panel.isVisible()
    assert panel.list.item(0).text().startswith("insects")
    assert "waits" in panel.list.item(0).text()
    qtbot.keyClick(panel.list, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: not panel.isVisible())
    assert Queue().entries() == ()


def test_the_form_is_free_during_a_run_and_what_is_added_then_follows_it(
    window, page, panel, fake_core, trained, qtbot
) -> None:
    window.commands.train.start({})
    qtbot.waitUntil(lambda: bool(fake_core.trained_with))
    assert page.form.isEnabled()
    add(page, qtbot, 1)
    qtbot.mouseClick(panel.go_button, Qt.MouseButton.LeftButton)
    assert trained == []
    fake_core.train_gate.set()
    qtbot.waitUntil(lambda: trained == ["insects"])
    qtbot.waitUntil(lambda: [e.state for e in Queue().entries()] == ["done"])
    qtbot.waitUntil(lambda: not window.commands.queue.is_going)
    qtbot.waitUntil(lambda: "done" in panel.list.item(0).text())
    qtbot.mouseClick(panel.clear_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not panel.isVisible())


def test_entries_are_put_in_order_by_keys(window, page, panel, qtbot) -> None:
    for name in "abc":
        Queue().add([page.session.dataset.root], name, Recipe())
    window.commands.queue.refresh()
    qtbot.waitUntil(lambda: panel.list.count() == 3)
    panel.list.setCurrentRow(2)
    qtbot.keyClick(panel.list, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    qtbot.waitUntil(lambda: [e.name for e in Queue().entries()] == ["a", "c", "b"])
    qtbot.waitUntil(lambda: panel.list.currentRow() == 1)
    assert panel.chosen.name == "c"


def test_a_stop_holds_the_queue_and_says_what_still_waits(
    window, page, panel, fake_core, trained, qtbot
) -> None:
    for waiting in (1, 2):
        add(page, qtbot, waiting)
    qtbot.mouseClick(panel.go_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(fake_core.trained_with))
    window.commands.train.stop()
    qtbot.waitUntil(lambda: [e.state for e in Queue().entries()] == ["stopped", "waiting"])
    qtbot.waitUntil(lambda: not window.commands.queue.is_going)
    assert "queue holds: 1 training" in page.notices.text
    assert trained == ["insects"]


def test_one_that_fails_is_shown_with_its_reason_and_the_next_is_trained(
    window, page, panel, fake_core, trained, qtbot, monkeypatch
) -> None:
    follow = queue_jobs.train_entry

    def refuse_first(entry, context):
        if not trained:
            trained.append("refused")
            Queue().finish(entry.id, "failed", error="The folder is gone.")
            raise AppError("The folder is gone.")
        return follow(entry, context)

    monkeypatch.setattr(queue_jobs, "train_entry", refuse_first)
    for waiting in (1, 2):
        add(page, qtbot, waiting)
    fake_core.train_gate.set()
    qtbot.mouseClick(panel.go_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: trained == ["refused", "insects"])
    qtbot.waitUntil(lambda: [e.state for e in Queue().entries()] == ["failed", "done"])
    qtbot.waitUntil(lambda: "The folder is gone." in panel.list.item(0).text())


def test_what_waited_is_there_after_a_restart(page, panel, window, qtbot) -> None:
    Queue().add([page.session.dataset.root], "yesterday", Recipe())
    window.commands.runs.refresh()  # what every start does
    qtbot.waitUntil(lambda: panel.list.count() == 1)
    assert "yesterday" in panel.list.item(0).text()
    assert not window.commands.queue.is_going


def test_a_value_the_recipe_refuses_is_said_when_it_is_added(page, qtbot) -> None:
    page.window().commands.queue.add({"learning_rate": "fast", "strategy": "full"})
    qtbot.waitUntil(lambda: "fast" in page.notices.text)
    assert Queue().entries() == ()


@pytest.mark.usefixtures("tiny_weights")
def test_the_trainer_of_the_queue_trains_for_real(tmp_path, make_image_folder) -> None:
    folder = make_image_folder(tmp_path / "shapes", per_class=4)
    queue = Queue()
    queue.add([folder], "shapes", small_recipe(strategy="feature-extraction"))
    heard: list[object] = []
    context = queue_jobs.JobContext(lambda *_: None, heard.append, lambda: False)
    result = queue_jobs.train_entry(queue.start_next(), context)
    assert result.status == "done"
    assert [e.state for e in queue.entries()] == ["done"]
    assert heard
    assert partial(jobs.list_runs, context)()[0].path == result.run


def test_a_long_queue_leaves_a_low_window_to_the_curves(window, page, panel, qtbot) -> None:
    window.resize(1024, 1000)
    for waiting in (1, 2, 3, 4):
        add(page, qtbot, waiting)
    high = panel.list.height()
    window.resize(1024, 700)
    qtbot.waitUntil(lambda: panel.list.height() < high)
    assert panel.list.count() == 4
    assert panel.list.visualItemRect(panel.list.item(1)).bottom() <= panel.list.height()
