"""The Results page: real run folders with small contents, read by the real jobs."""

from __future__ import annotations

import json
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication

from core.errors import AppError
from core.events import EpochDone, RunEnded, never_stop, no_progress
from core.recipe.recipe import make_recipe
from core.runs.report import ClassScore, Report
from core.runs.run_folder import Prediction, Run, create_run
from gui.base.live_run import LiveRun
from gui.kit.workers import JobContext
from gui.pictures.entries import PredictionEntries
from gui.results import jobs
from gui.results.confusion import ConfusionMatrix, describe_confusion
from gui.results.scores import ScoreModel
from helpers import WAIT_S, small_recipe, train


def _report(predictions: list[Prediction], classes: tuple[str, ...]) -> Report:
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    for said in predictions:
        confusion[said.label, said.predicted] += 1
    right = sum(said.label == said.predicted for said in predictions)
    return Report(
        split="val", n=len(predictions), top1=right / len(predictions), interval=(0.2, 0.9),
        balanced_accuracy=0.5, macro_f1=0.4, ece=0.1, classes=classes,
        per_class=tuple(
            ClassScore(name, int(confusion[i].sum()), 0.5, 0.25 * (i + 1), 0.4)
            for i, name in enumerate(classes)
        ),
        confusion=tuple(map(tuple, confusion.tolist())), selected_on="nothing was chosen",
    )  # fmt: skip


@pytest.fixture
def make_run(image_folder: Path, tmp_path: Path):
    """A finished run on the pictures of `image_folder`, with or without predictions."""

    def make(
        name: str = "insects-20260101-120000",
        *,
        has_predictions: bool = True,
        has_report: bool = True,
        classes: tuple[str, ...] = ("ant", "bee"),
        strategy: str = "feature-extraction",
    ) -> Path:
        run: Run = create_run(tmp_path / "runs" / name, make_recipe({"strategy": strategy}))
        run.append_event(
            EpochDone(
                epoch=0,
                train_loss=1.0,
                train_accuracy=0.5,
                selection_loss=1.0,
                selection_accuracy=0.5,
                seconds=0.1,
            )
        )
        files = sorted(p.relative_to(image_folder).as_posix() for p in image_folder.rglob("*.png"))
        said = [
            Prediction(file, int(file.startswith("bee")), int(i % 3 == 0), 0.5 + i / 20)
            for i, file in enumerate(files)
        ]
        run.write_classes(classes)
        run.write_dataset(
            {
                "root": str(image_folder), "name": "insects", "files": files,
                "labels": [p.label for p in said], "roles": ["val"] * len(files),
                "hashes": ["0" * 32] * len(files), "test_files": [], "test_labels": [],
            }
        )  # fmt: skip
        if has_report:
            run.write_report(_report(said, classes))
        if has_predictions:
            run.write_predictions(said)
        run.append_event(RunEnded("done", 3, 0.75))
        old = 1_000_000.0  # from long before the run
        for file in files:
            os.utime(image_folder / file, (old, old))
        return run.path

    return make


@pytest.fixture
def results(window, fake_core, make_run, qtbot):
    """The page with a run on it."""
    window.session.show_run(make_run())
    window.show_page("results")
    page = window.page("results")
    qtbot.waitUntil(lambda: page.asked.state == "ready")
    return page


def test_without_a_run_the_page_leads_to_train(window, fake_core, qtbot) -> None:
    window.show_page("results")
    page = window.page("results")
    assert page.stack.currentWidget().accessibleName() == "No run yet"
    page._show_train()
    assert window.current_page == "train"


def test_the_page_can_be_built_while_a_run_is_already_chosen(window, fake_core, make_run) -> None:
    window.session.show_run(make_run())
    assert window.page("results").asked.state == "busy"


def test_the_figures_of_the_run_are_shown(results) -> None:
    assert results.summary.accuracy.text() == "37.5%"
    assert results.summary.caption.text() == "Validation accuracy"
    assert results.summary.interval.text() == "95% interval 20.0% – 90.0%"
    assert "would reach 50.0%" in results.summary.bar.accessibleDescription()
    assert results.summary.stats["held-out check"].value == "75.0%"
    assert results.summary.stats["frozen features"].isHidden()
    assert results.summary.selected_on.text() == "Judged on 8 images. Nothing was chosen."
    assert results.summary.trouble.isHidden()


def test_worst_mistakes_come_first_the_surest_at_the_top(results, qtbot) -> None:
    entries = results.pictures.gallery.entries
    assert results.pictures.heading.text() == "Worst mistakes"
    said = [prediction.probability for prediction in entries.predictions]
    assert said == sorted(said, reverse=True)
    assert all(prediction.label != prediction.predicted for prediction in entries.predictions)
    qtbot.waitUntil(lambda: results.pictures.gallery.filled_count == len(entries))
    results.pictures.all_button.click()
    assert len(results.pictures.gallery.entries) == 8


def test_a_cell_of_the_matrix_opens_its_pictures_by_mouse_and_by_keyboard(results, qtbot) -> None:
    matrix = results.matrix
    layout = matrix._layout()
    point = QPoint(int(layout.left + layout.side * 1.5), int(layout.top + layout.side / 2))
    qtbot.mouseClick(matrix.viewport(), Qt.MouseButton.LeftButton, pos=point)
    assert results.pictures.heading.text() == "ant → bee"
    assert len(results.pictures.gallery.entries) == 2
    qtbot.keyClick(matrix, Qt.Key.Key_Down)
    qtbot.keyClick(matrix, Qt.Key.Key_Left)
    assert "3 of “bee” answered as “ant” (75% of its 4)" in results.twin.text()
    assert "3 of “bee” answered as “ant”" in matrix.accessibleDescription()
    qtbot.keyClick(matrix, Qt.Key.Key_Return)
    assert results.pictures.heading.text() == "bee → ant"
    assert len(results.pictures.gallery.entries) == 3


def test_a_class_of_the_table_opens_its_pictures_however_it_is_sorted(results) -> None:
    results.scores.sortByColumn(3, Qt.SortOrder.DescendingOrder)
    assert results.scores.model().index(0, 0).data() == "bee"
    results.scores.selectRow(0)
    assert results.pictures.heading.text() == "bee"
    assert results.pictures.detail.text() == "4 pictures, 3 mistakes"


def test_a_picture_can_be_inspected_and_classified_with_the_runs_model(
    window, results, fake_core, qtbot
) -> None:
    results.pictures.gallery.opened.emit(0)
    assert results.inspector.facts["True"] == "bee"
    assert results.inspector.facts["Answered"] == "ant"
    qtbot.waitUntil(lambda: "Pixels" in results.inspector.facts)
    results.inspector.classify_button.click()
    assert window.current_page == "classify"
    qtbot.waitUntil(lambda: fake_core.classified_with == [str(results._shown.path)])


def test_the_report_can_be_copied_and_the_table_saved(window, results, tmp_path, qtbot) -> None:
    results.copy_button.click()
    assert "- Accuracy: 37.5%" in QApplication.clipboard().text()
    results._save_table(str(tmp_path / "out.csv"))
    qtbot.waitUntil(lambda: "is saved as" in results.notices.text)
    assert (tmp_path / "out.csv").read_text().startswith("class,images")
    results._save_table(str(tmp_path / "no" / "out.csv"))
    qtbot.waitUntil(lambda: "cannot be written" in results.notices.text)


def test_another_run_is_chosen_at_the_top(window, results, make_run, qtbot) -> None:
    other = make_run("insects-20260102-120000", classes=("wasp", "fly"))
    window.session.set_runs((Run(other).summary(), Run(results._shown.path).summary()))
    assert results.chooser.count() == 2
    assert results.chooser.currentIndex() == 1
    results.chooser.activated.emit(0)
    qtbot.waitUntil(lambda: results._shown is not None and results._shown.path == other)
    assert results.scores.model().index(0, 0).data() == "fly"


def test_the_newest_run_is_shown_where_nobody_chose_one(window, fake_core, make_run, qtbot) -> None:
    window.session.set_runs((Run(make_run()).summary(),))
    window.show_page("results")
    page = window.page("results")
    qtbot.waitUntil(lambda: page.asked.state == "ready")


def test_a_dataset_that_is_gone_leaves_the_figures(window, fake_core, make_run, qtbot) -> None:
    path = make_run()
    shutil.rmtree(fake_core.dataset.root)
    window.session.show_run(path)
    page = window.page("results")
    qtbot.waitUntil(lambda: page.asked.state == "ready")
    assert "The dataset is no longer at" in page.summary.trouble.text()
    assert page.summary.accuracy.text() == "37.5%"


def test_missing_and_changed_pictures_are_counted(window, fake_core, make_run, qtbot) -> None:
    path = make_run()
    (fake_core.dataset.root / "ant/0.png").unlink()
    (fake_core.dataset.root / "ant/1.png").write_bytes(b"another")
    window.session.show_run(path)
    page = window.page("results")
    qtbot.waitUntil(lambda: page.asked.state == "ready")
    said = page.summary.trouble.text()
    assert "1 of the 8 pictures are no longer there and 1 picture was changed since" in said


def test_a_run_that_is_gone_is_said_to_be_gone(window, results, qtbot) -> None:
    path = results._shown.path
    shutil.rmtree(path)
    window.session.show_run(path.parent / "other")
    qtbot.waitUntil(lambda: results.asked.state == "failed")
    assert "no longer there" in results._failed.hint
    assert results.stack.currentWidget() is results._failed


def test_a_damaged_report_is_an_error_of_the_page_not_a_crash(
    window, fake_core, make_run, qtbot
) -> None:
    path = make_run()
    (path / "report.json").write_text(json.dumps({"split": "val"}))
    window.session.show_run(path)
    page = window.page("results")
    qtbot.waitUntil(lambda: page.asked.state == "failed")
    assert "damaged" in page._failed.hint


def test_a_run_shown_while_it_trains_is_read_again_when_it_has_ended(
    window, fake_core, make_run, qtbot
) -> None:
    path = make_run(has_predictions=False, has_report=False)
    finished = make_run("insects-20260101-130000")
    live = LiveRun("insects", phase="training", path=path)
    window.session.begin_run(live)
    window.session.show_run(path)
    page = window.page("results")
    qtbot.waitUntil(lambda: page.asked.state == "ready")
    assert page.summary.caption.text() == "Accuracy in the held-out check"
    for name in ("report.json", "predictions.json"):
        shutil.copy(finished / name, path / name)
    live.phase = "done"
    window.session.run_changed.emit()
    qtbot.waitUntil(lambda: page.summary.caption.text() == "Validation accuracy")
    assert len(page.pictures.gallery.entries) > 0


def test_a_fine_tuned_run_is_compared_with_the_head_it_began_with(
    window, fake_core, make_run, qtbot
) -> None:
    path = make_run(strategy="full")
    window.session.show_run(path)
    page = window.page("results")
    qtbot.waitUntil(lambda: page.asked.state == "ready")
    assert page.summary.stats["frozen features"].value == "50.0%"
    assert "went from 50.0%, of a classifier on frozen features, to 75.0%" in (
        page.summary.selected_on.text()
    )


# -- runs without predictions --------------------------------------------------------------------


@pytest.fixture
def old_run(window, fake_core, make_run, qtbot):
    window.session.show_run(make_run(has_predictions=False))
    window.show_page("results")
    page = window.page("results")
    qtbot.waitUntil(lambda: page.asked.state == "ready")
    return page


def test_an_old_run_offers_to_be_evaluated_again(old_run, make_run, monkeypatch, qtbot) -> None:
    gate = threading.Event()
    known = jobs.read_results

    def evaluate(path: Path, split: str | None, context):
        assert split == "val"
        context.on_progress(3, 8, "classifying")
        gate.wait(WAIT_S)
        found = known(path, context)
        files = ["ant/0.png", "bee/0.png"]
        return replace(
            found, predictions=tuple(Prediction(f, i, 0, 0.9) for i, f in enumerate(files))
        )

    monkeypatch.setattr(jobs, "evaluate_again", evaluate)
    assert "does not say what it answered" in old_run.pictures.offer_text.text()
    assert old_run.summary.accuracy.text() == "37.5%"
    old_run.pictures.evaluate_button.click()
    qtbot.waitUntil(lambda: "3 / 8" in old_run.pictures.offer_text.text())
    assert old_run.pictures.evaluate_button.isHidden()
    gate.set()
    qtbot.waitUntil(lambda: len(old_run.pictures.gallery.entries) == 1)
    assert old_run.pictures.heading.text() == "Worst mistakes"


def test_an_evaluation_can_fail_or_be_cancelled_and_changes_nothing(
    window, old_run, monkeypatch, qtbot
) -> None:
    def fail(path: Path, split: str | None, context):
        raise AppError("The weights are missing.")

    monkeypatch.setattr(jobs, "evaluate_again", fail)
    old_run.pictures.evaluate_button.click()
    qtbot.waitUntil(lambda: old_run.notices.text == "The weights are missing.")
    assert not old_run.pictures.evaluate_button.isHidden()

    def wait(path: Path, split: str | None, context):
        from core.events import check_stop

        while True:
            check_stop(context.should_stop)

    monkeypatch.setattr(jobs, "evaluate_again", wait)
    old_run.pictures.evaluate_button.click()
    old_run.pictures.cancel_button.click()
    qtbot.waitUntil(lambda: "was cancelled" in old_run.notices.text)


def test_a_run_without_a_report_says_so(window, fake_core, make_run, qtbot) -> None:
    window.session.show_run(make_run(has_predictions=False, has_report=False))
    page = window.page("results")
    qtbot.waitUntil(lambda: page.asked.state == "ready")
    assert page.summary.caption.text() == "Accuracy in the held-out check"
    assert page.summary.accuracy.text() == "75.0%"
    assert page.tabs.isHidden()
    assert page.copy_button.isHidden()


# -- the matrix ----------------------------------------------------------------------------------


def _many(size: int, name: str = "class") -> Report:
    confusion = np.eye(size, dtype=np.int64) * 20
    confusion[size - 1, 0] = 7
    return Report(
        split="val", n=int(confusion.sum()), top1=0.9, interval=(0.8, 0.95),
        balanced_accuracy=0.9, macro_f1=0.9, ece=0.1,
        classes=tuple(f"{name} {i}" for i in range(size)), per_class=(),
        confusion=tuple(map(tuple, confusion.tolist())),
    )  # fmt: skip


@pytest.mark.parametrize("size", [2, 13, 40, 150])
def test_a_matrix_of_any_size_can_be_walked_to_its_last_cell(window, qtbot, size: int) -> None:
    matrix = ConfusionMatrix(window.look)
    qtbot.addWidget(matrix)
    matrix.resize(360, 300)
    matrix.show()
    matrix.show_report(_many(size))
    assert matrix.current == (size - 1, 0)  # the largest confusion
    chosen = []
    matrix.cell_chosen.connect(chosen.append)
    for _ in range(size):
        qtbot.keyClick(matrix, Qt.Key.Key_Up)
    qtbot.keyClick(matrix, Qt.Key.Key_End)
    qtbot.keyClick(matrix, Qt.Key.Key_Space)
    assert chosen == [(0, size - 1)]
    layout = matrix._layout()
    cell = matrix._cell(layout, 0, size - 1)
    assert matrix.viewport().rect().contains(cell.center().toPoint())
    assert matrix.cell_at(cell.center().toPoint()) == (0, size - 1)
    matrix.grab()


def test_long_names_stand_in_full_where_the_cell_is_described(window, qtbot) -> None:
    matrix = ConfusionMatrix(window.look)
    qtbot.addWidget(matrix)
    name = "a very long name of a class that no cell could ever hold " * 3
    matrix.show_report(_many(3, name))
    assert f"7 of “{name} 2” answered as “{name} 0”" in matrix.describe_cell((2, 0))
    matrix.grab()


def test_names_from_right_to_left_leave_the_numbers_in_place() -> None:
    said = describe_confusion(_many(2, "نملة"))
    assert "“\u2068نملة 1\u2069” answered as “\u2068نملة 0\u2069” (7)" in said
    entries = PredictionEntries(Path(), ("نملة", "bee"), [Prediction("a", 0, 1, 0.9)])
    assert entries.caption(0) == ("\u2068نملة\u2069\n90% → bee", "bad")


def test_the_score_model_keeps_the_rules_of_item_models(qtmodeltester) -> None:
    model = ScoreModel()
    model.show_report(_report([Prediction("a", 0, 0, 0.9)], ("ant", "bee")))
    qtmodeltester.check(model)
    assert model.index(1, 3).data() == "50.0%"


@pytest.mark.usefixtures("tiny_weights")
def test_evaluating_an_old_run_again_writes_its_predictions_and_leaves_its_report(
    tmp_path, make_image_folder
) -> None:
    folder = make_image_folder(tmp_path / "shapes", per_class=5)
    run = train(folder, small_recipe(strategy="feature-extraction")).run
    report, kept = run.read_report(), run.read_predictions()
    run.write_predictions(())
    found = jobs.evaluate_again(run.path, "val", JobContext(no_progress, print, never_stop))
    assert [said.predicted for said in found.predictions] == [said.predicted for said in kept]
    assert run.read_predictions() == found.predictions
    assert run.read_report() == report
    assert found.note == ""


# -- editing from here -------------------------------------------------------------------------


def test_a_mistake_is_relabelled_marked_and_trained_again(
    window, results, fake_core, qtbot
) -> None:
    gallery, data = results.pictures.gallery, window.commands.data
    gallery.setFocus()
    qtbot.keyClick(gallery, Qt.Key.Key_Delete)
    assert "is not the dataset that is open" in results.notices.text
    window.commands.opening.open_dataset(fake_core.dataset.root)
    qtbot.waitUntil(lambda: data.history is not None and not data.is_busy)
    window.show_page("results")
    gallery.setFocus()
    file = gallery.entries.predictions[0].file
    qtbot.keyClick(gallery, Qt.Key.Key_Home)
    qtbot.keyClick(gallery, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: window.session.dataset.excluded == (file,))
    assert results.notices.text == "1 picture excluded."
    assert gallery.entries.caption(0)[0].startswith("excluded")
    assert results.again_button.isVisible()
    results.again_button.click()
    qtbot.waitUntil(lambda: window.current_page == "train")
    window.show_page("results")
    window.actions_by_name["undo"].trigger()
    qtbot.waitUntil(lambda: window.session.dataset.excluded == ())
    assert results.again_button.isHidden()
