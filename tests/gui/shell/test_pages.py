"""Each page in each of its states: what stands on the screen."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox

from core.errors import AppError
from core.events import Notice
from core.runs.report import Report
from core.runs.run_folder import RunSummary
from gui.classify import jobs as classify_jobs
from gui.data import jobs as data_jobs
from gui.results.confusion import describe_confusion
from helpers import WAIT_S


@pytest.fixture
def data(opened):
    """The Data page with the fake dataset on it."""
    return opened.page("data")


def _train(window, qtbot):
    window.start_training()
    qtbot.waitUntil(lambda: len(window.session.live_run.epochs) == 2)
    return window.page("train")


# -- Start -----------------------------------------------------------------------------------


def test_start_says_what_is_not_there_yet(window) -> None:
    start = window.page("start")
    assert start.datasets.names == []
    assert "Looking at this machine" in start.machine.text()


def test_start_lists_recent_datasets_and_opens_one_again(window, data, qtbot) -> None:
    start = window.page("start")
    assert start.datasets.names == ["insects"]
    window.show_page("start")
    start.datasets.click(0)
    assert window.session.scan_state == "busy"
    qtbot.waitUntil(lambda: window.session.scan_state == "ready")
    assert window.current_page == "data"


def test_start_lists_runs_and_opens_the_results_of_one(window, fake_core, tmp_path) -> None:
    summary = RunSummary(
        path=tmp_path / "digits-1", name="digits-1", started=datetime(2026, 1, 2, 3, 4),
        model="bundled/tf_efficientnet_lite0", strategy="feature-extraction", dataset="digits",
        status="done", report_accuracy=0.967, classes=10,
    )  # fmt: skip
    window.session.set_runs((summary,))
    start = window.page("start")
    assert start.runs.names == ["digits"]
    start.runs.click(0)
    assert window.current_page == "results"
    assert window.session.shown_run == tmp_path / "digits-1"


def test_start_and_context_line_name_the_machine(window, data, qtbot) -> None:
    qtbot.waitUntil(lambda: window.session.machine is not None)
    assert "2 cores · 8 GB" in window.page("start").machine.text()
    assert window.context.value("device") == "CPU, float32"
    assert window.context.value("dataset") == "insects · 8 images"


# -- Data ------------------------------------------------------------------------------------


def test_data_is_an_invitation_at_first(window) -> None:
    window.show_page("data")
    page = window.page("data")
    assert page.stack.currentWidget().accessibleName() == "No dataset is open"
    assert not page.train_button.isVisible()


def test_data_says_what_it_scans(window, fake_core, monkeypatch, qtbot, image_folder) -> None:
    gate = threading.Event()

    def slow(path: Path, context):
        context.on_progress(3, 8, "reading")
        gate.wait(WAIT_S)
        return fake_core.dataset

    monkeypatch.setattr(data_jobs, "scan_folder", slow)
    window.commands.opening.open_dataset(image_folder)
    page = window.page("data")
    qtbot.waitUntil(lambda: page._busy_count.text() == "reading · 3 / 8")
    assert "Scanning “insects”" in page._busy_text.text()
    assert "Scanning “insects”: reading 3 / 8" in window.status.text
    gate.set()
    qtbot.waitUntil(lambda: window.session.scan_state == "ready")
    assert window.status.text == "Ready"


# -- Train -----------------------------------------------------------------------------------


def test_train_asks_for_a_dataset_first(window, fake_core) -> None:
    window.show_page("train")
    page = window.page("train")
    assert not page.start_button.isEnabled()
    window.actions_by_name["start_training"].trigger()
    assert "Open a folder of images first" in page.notices.text


def test_the_form_fills_the_recipe(window, data, fake_core, qtbot) -> None:
    window.show_page("train")
    page = window.page("train")
    page.form.number("max_epochs").setValue(12)
    page.form.model.setCurrentIndex(1)
    page.form.box("l2").setText("0.5")
    _train(window, qtbot)
    fake_core.train_gate.set()
    assert fake_core.trained_with[0] == {
        "strategy": "feature-extraction",
        "max_epochs": 12,
        "seed": 0,
        "patience": 8,
        "selection_folds": 5,
        "model": "bundled/tf_efficientnet_lite1",
        "l2": "0.5",
    }


def test_curves_move_while_a_run_is_on_and_have_a_text_twin(window, data, qtbot) -> None:
    page = _train(window, qtbot)
    qtbot.waitUntil(lambda: page.run_view.plots.loss.points("training") == 2)
    qtbot.waitUntil(lambda: page.run_view.plots.accuracy.points("held-out check") == 2)
    assert "loss in the held-out check lowest at epoch 2" in page.run_view.plots.loss.twin
    assert "highest 60.0% at epoch 2" in page.run_view.plots.accuracy.twin
    assert page.stop_button.isVisible()
    assert not page.start_button.isVisible()
    assert "epoch 2 of at most 3" in page.run_view.phase.text()


def test_a_finished_run_shows_its_accuracy_with_interval_and_what_chose_what(
    window, data, fake_core, qtbot
) -> None:
    page = _train(window, qtbot)
    fake_core.train_gate.set()
    qtbot.waitUntil(lambda: window.session.live_run.phase == "done")
    view = page.run_view
    assert view.accuracy.text() == "50.0%"
    assert view.interval.text() == "95% interval 10.0% – 90.0% · 2 images · 2 s in all"
    assert "cross-fitted over 5 folds" in view._selected_on.text()
    qtbot.mouseClick(view.classify_button, Qt.MouseButton.LeftButton)
    assert window.current_page == "classify"
    assert window.session.classifier == str(fake_core.run_path)


def test_a_report_names_its_dataset_and_says_when_the_window_holds_another(
    window, data, fake_core, qtbot, tmp_path
) -> None:
    page = _train(window, qtbot)
    fake_core.train_gate.set()
    qtbot.waitUntil(lambda: window.session.live_run.phase == "done")
    view = page.run_view
    assert view.of_dataset.text() == "“insects” · run insects-20260101-000000"
    assert view.of_another.isHidden()
    fake_core.dataset = replace(fake_core.dataset, root=tmp_path / "other", name="other")
    window.commands.opening.open_dataset(fake_core.dataset.root)
    qtbot.waitUntil(lambda: window.session.dataset is fake_core.dataset)
    assert view.of_another.text() == "This result is of “insects”."
    assert not view.of_another.isHidden()


def test_files_left_out_are_told_while_training_and_beside_the_result(
    window, data, fake_core, qtbot
) -> None:
    page = _train(window, qtbot)
    view = page.run_view
    assert view.notices.isHidden()
    for text in (
        "Left out (4), copies of others: a.png, b.png, c.png and 1 more.",
        "2 files left out, too small: c.png, d.png.",
        "bee/7.png cannot be read and was left out: truncated file.",
        "Folders without images were passed over.",
    ):
        window.session.apply_event(Notice("warning", text))
    assert view.notices.toggle.text() == "7 files left out · 1 note"
    assert view.notices.text.isHidden()
    view.notices.toggle.setFocus()
    qtbot.keyClick(view.notices.toggle, Qt.Key.Key_Space)
    assert view.notices.text.isVisible()
    assert view.notices.text.accessibleName() == "Notices of the run"
    assert "bee/7.png cannot be read" in view.notices.text.toPlainText()
    fake_core.train_gate.set()
    qtbot.waitUntil(lambda: window.session.live_run.phase == "done")
    assert view.result_notices.isVisible()
    assert "bee/7.png cannot be read" in view.result_notices.text.toPlainText()


def _report_of(confusion: np.ndarray) -> Report:
    return Report(
        split="val", n=int(confusion.sum()), top1=0.5, interval=(0.1, 0.9), balanced_accuracy=0.5,
        macro_f1=0.4, ece=0.1, classes=tuple(f"class {i}" for i in range(len(confusion))),
        per_class=(), confusion=tuple(map(tuple, confusion.tolist())),
    )  # fmt: skip


def test_a_confusion_is_called_frequent_only_when_it_happened_twice_and_ties_are_named() -> None:
    confusion = np.eye(4, dtype=np.int64) * 3
    assert describe_confusion(_report_of(confusion)) == "All 12 answers are right."
    confusion[0, 1] = confusion[2, 3] = 1
    assert "Most often" not in describe_confusion(_report_of(confusion))
    confusion[0, 1] = 2
    assert "confused: “class 0” answered as “class 1” (2)." in describe_confusion(
        _report_of(confusion)
    )
    confusion[2, 3] = 2
    assert "“class 0” answered as “class 1” and “class 2” answered as “class 3” (2 each)" in (
        describe_confusion(_report_of(confusion))
    )


def test_a_small_window_scrolls_the_run_instead_of_squeezing_it(
    window, data, fake_core, qtbot
) -> None:
    window.session.set_recipe_values({"strategy": "full", "max_epochs": 2})
    page = _train(window, qtbot)
    fake_core.train_gate.set()
    qtbot.waitUntil(lambda: window.session.live_run.phase == "done")
    view = page.run_view
    window.resize(880, 600)
    window.session.notice("train", "The run was stopped after 12 epochs.")
    qtbot.waitUntil(lambda: view.verticalScrollBar().maximum() > 0)
    assert view.plots.loss.canvas.height() >= 118
    for plot in (view.plots.loss, view.plots.accuracy):
        assert plot.canvas.geometry().bottom() < plot._twin.geometry().top()
    qtbot.waitUntil(lambda: view.widget().width() <= view.viewport().width())
    qtbot.keyClick(view, Qt.Key.Key_PageDown)
    assert view.verticalScrollBar().value() > 0


def test_stop_keeps_what_was_trained(window, data, fake_core, qtbot) -> None:
    page = _train(window, qtbot)
    qtbot.mouseClick(page.stop_button, Qt.MouseButton.LeftButton)
    assert "Stopping" in page.run_view.phase.text()
    qtbot.waitUntil(lambda: window.session.live_run.phase == "stopped")
    assert "is saved and can be used" in page.notices.text
    assert page.start_button.isEnabled()


def test_a_crash_in_training_is_logged_and_shown_once_and_nothing_is_lost(
    window, data, fake_core, qtbot
) -> None:
    fake_core.fails_with = RuntimeError("boom")
    page = _train(window, qtbot)
    fake_core.train_gate.set()
    qtbot.waitUntil(lambda: window.session.live_run.phase == "failed")
    (dialog,) = window.findChildren(QMessageBox)
    assert "RuntimeError: boom" in dialog.informativeText()
    dialog.close()
    from gui.shell.crashes import log_file

    assert "RuntimeError: boom" in log_file().read_text(encoding="utf-8")
    assert "unexpected error" in page.notices.text
    assert window.session.dataset is fake_core.dataset
    assert page.start_button.isEnabled()


# -- Classify --------------------------------------------------------------------------------


def test_classify_shows_the_picture_its_answers_and_the_badge(
    window, fake_core, image_folder, qtbot
) -> None:
    window.commands.classify.add_pictures([image_folder / "ant" / "0.png"])
    page = window.page("classify")
    qtbot.waitUntil(lambda: page.answer.text() == "ant")
    assert [guess.label for guess in page.bars.guesses] == ["ant", "bee"]
    assert page.bars.accessibleDescription() == "ant 90.0%, bee 10.0%"
    assert page.badge.isVisible()
    assert not page.list.isVisible()
    assert fake_core.classified_with == ["bundled/tf_efficientnet_lite0"]


def test_several_pictures_make_a_list(window, fake_core, image_folder, qtbot) -> None:
    window.commands.classify.add_pictures([image_folder / "ant" / f"{i}.png" for i in range(3)])
    page = window.page("classify")
    qtbot.waitUntil(lambda: page.list.count() == 3 and "90%" in page.list.item(2).text())
    assert page.list.isVisible()
    assert page.list.item(0).text() == "2.png\nant · 90%"


def test_another_model_answers_again(window, fake_core, image_folder, qtbot) -> None:
    window.commands.start_up.begin()
    page = window.page("classify")
    qtbot.waitUntil(lambda: page.model.count() == 3)
    window.commands.classify.add_pictures([image_folder / "ant" / "0.png"])
    qtbot.waitUntil(lambda: len(fake_core.classified_with) == 1)
    page.model.setCurrentIndex(2)
    page.model.activated.emit(2)
    qtbot.waitUntil(lambda: len(fake_core.classified_with) == 2)
    assert fake_core.classified_with[1] == "bundled/tf_efficientnet_lite2"


def test_an_answer_names_the_model_that_gave_it_after_a_run_has_ended(
    window, data, fake_core, image_folder, qtbot
) -> None:
    window.commands.classify.add_pictures([image_folder / "ant" / "0.png"])
    page = window.page("classify")
    qtbot.waitUntil(lambda: page.answer.text() == "ant")
    said = page._by.text()
    assert said.startswith("Answered by EfficientNet-Lite0")
    fake_core.train_gate.set()
    _train(window, qtbot)
    qtbot.waitUntil(lambda: window.session.live_run.phase == "done")
    assert page._by.text() == said
    assert page.model.currentData() == "bundled/tf_efficientnet_lite0"


def test_a_run_that_ends_leaves_a_model_chosen_by_hand(window, data, fake_core, qtbot) -> None:
    window.commands.classify.choose_classifier("bundled/tf_efficientnet_lite1")
    fake_core.train_gate.set()
    _train(window, qtbot)
    qtbot.waitUntil(lambda: window.session.live_run.phase == "done")
    assert window.session.classifier == "bundled/tf_efficientnet_lite1"


def test_no_model_is_named_where_nothing_was_answered(
    window, fake_core, image_folder, monkeypatch, qtbot
) -> None:
    def refuse(reference: str, paths: tuple[Path, ...], context) -> None:
        raise AppError("The weights are missing.")

    monkeypatch.setattr(classify_jobs, "classify", refuse)
    window.commands.classify.add_pictures([image_folder / "ant" / "0.png"])
    page = window.page("classify")
    qtbot.waitUntil(lambda: page.waiting.text() == "Not classified.")
    assert not page._by.isVisible()


def test_classifying_waits_visibly_for_a_run(window, data, fake_core, image_folder, qtbot) -> None:
    _train(window, qtbot)
    window.commands.classify.add_pictures([image_folder / "ant" / "0.png"])
    page = window.page("classify")
    qtbot.waitUntil(lambda: "Waits for the training run" in page.waiting.text())
    said = "“Classifying a picture” waits for the training run"
    qtbot.waitUntil(lambda: said in window.status.text)
    fake_core.train_gate.set()
    qtbot.waitUntil(lambda: page.answer.text() == "ant")


def test_clear_empties_the_page(window, fake_core, image_folder, qtbot) -> None:
    window.commands.classify.add_pictures([image_folder / "ant" / "0.png"])
    page = window.page("classify")
    qtbot.waitUntil(lambda: page.answer.text() == "ant")
    qtbot.mouseClick(page.clear_button, Qt.MouseButton.LeftButton)
    assert page.stack.currentWidget().accessibleName() == "Drop images here"
