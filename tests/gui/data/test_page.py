"""The Data page: classes, gallery, inspector, problems, split, and the full check behind it."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QApplication

from core.data.dataset import Problem
from core.errors import AppError
from gui.data import jobs
from gui.data.check import describe_difference
from gui.data.health.rows import FindingRow, list_findings
from gui.data.health.table import FindingModel
from gui.data.split.table import SplitModel
from gui.data.totals import describe_balance
from gui.edits.picture_index import PictureIndex
from gui.pictures.class_table import ClassModel


@pytest.fixture
def data(window, fake_core, qtbot):
    """The Data page with the fake dataset on it, the full check done."""
    window.commands.opening.open_dataset(fake_core.dataset.root)
    qtbot.waitUntil(lambda: window.session.scan_state == "ready")
    page = window.page("data")
    qtbot.waitUntil(lambda: page.check.state == "done")
    return page


@pytest.fixture
def troubled(fake_core):
    fake_core.dataset = replace(
        fake_core.dataset,
        problems=(Problem("ant/9.png", "unreadable", "it is cut short"),),
        duplicates=(("ant/0.png", "bee/0.png"), ("bee/1.png", "bee/2.png")),
        leaks=(("ant/0.png", "bee/0.png"),),
    )


def _rows(model) -> list[list[str]]:
    return [
        [model.index(row, column).data() for column in range(model.columnCount())]
        for row in range(model.rowCount())
    ]


def _shown(data):
    return data.pictures.grid.paths


# -- classes and gallery -----------------------------------------------------------------------


def test_classes_counts_and_who_made_the_split(data) -> None:
    assert _rows(data.pictures.table.class_model) == [
        ["ant", "3", "1", "4"],
        ["bee", "3", "1", "4"],
    ]
    assert data.totals.stats["images"].value == "8"
    assert "drawn by Graftwork: 6 train / 2 val, stratified" in data.totals.split_line.text()
    assert data.totals.notes_line.isHidden()
    assert data.totals.balance_line.isHidden()


def test_what_the_scan_decided_is_said(window, data, fake_core, qtbot) -> None:
    note = "“valid” was read as val."
    fake_core.dataset = replace(fake_core.dataset, notes=(note,))
    window.commands.opening.open_dataset(fake_core.dataset.root)
    qtbot.waitUntil(lambda: data.totals.notes_line.text() == note)
    assert not data.totals.notes_line.isHidden()


def test_all_classes_are_shown_until_some_are_chosen(data, qtbot) -> None:
    assert len(data.pictures.grid.entries) == 8
    qtbot.waitUntil(lambda: data.pictures.grid.filled_count == 8)
    data.pictures.table.selectRow(1)
    assert all(path.parent.name == "bee" for path in data.pictures.grid.paths)
    assert data.pictures.caption.text() == "bee: 4 pictures"
    data.pictures.table.selectAll()
    assert len(data.pictures.grid.entries) == 8
    data.pictures.table.selectRow(0)
    data.pictures.filters.choose("all", split="val")
    assert [path.name for path in data.pictures.grid.paths] == ["3.png"]
    data.pictures.all_button.click()
    assert len(data.pictures.grid.entries) == 8
    assert not data.pictures.all_button.isEnabled()


def test_sorting_by_a_column_keeps_what_was_chosen_true(window, data, fake_core, qtbot) -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 0, 0], np.int32)
    fake_core.dataset = replace(fake_core.dataset, labels=labels)
    window.commands.opening.open_dataset(fake_core.dataset.root)
    qtbot.waitUntil(lambda: data.pictures.table.class_model.index(0, 3).data() == "6")
    data.pictures.table.sortByColumn(3, Qt.SortOrder.AscendingOrder)
    assert data.pictures.table.model().index(0, 0).data() == "bee"
    data.pictures.table.selectRow(0)
    assert data.pictures.table.selected_classes == (1,)
    assert len(data.pictures.grid.entries) == 2


def test_an_uneven_dataset_is_called_so(fake_core) -> None:
    assert describe_balance(fake_core.dataset) == ""
    labels = np.array([0, 0, 0, 0, 0, 0, 0, 1], np.int32)
    said = describe_balance(replace(fake_core.dataset, labels=labels))
    assert "“ant” has 7 images, 7 times as many as “bee” (1)" in said


def test_only_problems_shows_the_files_that_have_one_even_unreadable_ones(
    window, troubled, data, qtbot
) -> None:
    data.pictures.filters.choose("problems")
    names = {
        path.relative_to(data.session.dataset.root).as_posix() for path in data.pictures.grid.paths
    }
    assert names == {"ant/9.png", "ant/0.png", "bee/0.png", "bee/1.png", "bee/2.png"}
    data.pictures.table.selectRow(0)
    names = {
        path.relative_to(data.session.dataset.root).as_posix() for path in data.pictures.grid.paths
    }
    assert names == {"ant/9.png", "ant/0.png"}


# -- inspector ---------------------------------------------------------------------------------


def test_enter_opens_the_inspector_arrows_go_on_and_escape_closes(window, data, qtbot) -> None:
    window.show_page("data")
    qtbot.keyClick(data.pictures.grid, Qt.Key.Key_Right)
    assert data.pictures.caption.text() == "ant/1.png"
    assert data.inspector.isHidden()
    qtbot.keyClick(data.pictures.grid, Qt.Key.Key_Return)
    assert data.inspector.isVisible()
    qtbot.waitUntil(lambda: data.inspector.facts.get("Pixels") == "32 × 24")
    assert data.inspector.facts["Class"] == "ant"
    assert data.inspector.facts["Split"] == "train"
    qtbot.keyClick(data.pictures.grid, Qt.Key.Key_Right)
    assert data.inspector.path == data.pictures.grid.paths[2]
    data.inspector.close_button.click()
    assert data.inspector.isHidden()


def test_copy_path_and_classify_from_the_inspector(window, data, fake_core, qtbot) -> None:
    data._inspect_file("bee/0.png")
    data.inspector.copy_button.click()
    assert QApplication.clipboard().text() == str(data.pictures.grid.paths[4])
    data.inspector.classify_button.click()
    assert window.current_page == "classify"
    qtbot.waitUntil(lambda: window.page("classify").answer.text() == "ant")


def test_a_file_that_cannot_be_read_says_why_in_the_inspector(
    window, data, fake_core, qtbot
) -> None:
    path = data.pictures.grid.paths[0]
    path.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    data._inspect_file("ant/0.png")
    qtbot.waitUntil(lambda: "damaged" in data.inspector.trouble.text())


# -- problems and split ------------------------------------------------------------------------


def test_problems_are_named_the_gravest_first_with_their_pictures(troubled, data, qtbot) -> None:
    assert data.tabs.tabText(1) == "Problems (3)"
    table = data.problems.table
    assert [table.text(row, 0) for row in range(3)] == ["Unreadable", "Leak", "Copies"]
    assert table.text(0, 2) == "It is cut short"
    table.view.selectRow(1)
    assert [path.name for path in data.problems.strip.paths] == ["0.png", "0.png"]
    assert "in two parts" in data.problems.reason.text()
    data.tabs.setCurrentIndex(1)
    data.problems.strip.opened.emit(1)
    assert data.inspector.path == data.session.dataset.root / "bee/0.png"
    assert "Leak" in data.inspector.trouble.text()


def test_problems_can_be_narrowed_to_one_kind(troubled, data) -> None:
    data.problems.kinds.setCurrentIndex(data.problems.kinds.findData("Copies"))
    assert data.problems.table.model.rowCount() == 1
    assert data.problems.strip.isHidden()


def test_a_picture_far_smaller_than_the_others_is_odd_but_not_a_dataset_of_such(fake_core) -> None:
    dataset = fake_core.dataset
    widths = np.full(8, 640, np.int32)
    widths[3] = 9
    odd = list_findings(
        PictureIndex(replace(dataset, widths=widths, heights=np.full(8, 480, np.int32)))
    )
    assert [(f.kind, f.files) for f in odd][:1] == [("odd size", ("ant/3.png",))]
    narrow = replace(dataset, widths=np.full(8, 640, np.int32))
    assert list_findings(PictureIndex(narrow)) == []


def test_the_split_says_what_judges_and_that_selection_comes_from_train(data) -> None:
    assert data.split_view.bar.text() == "train 6 (75%), val 2 (25%)"
    assert "images held out of train, the held-out check" in data.split_view.sentences.text()
    assert _rows(data.split_view.model)[0] == ["ant", "3  (75%)", "1  (25%)"]


@pytest.mark.parametrize("model_class", [ClassModel, SplitModel])
def test_class_models_keep_the_rules_of_item_models(qapp, fake_core, model_class) -> None:
    model = model_class()
    tester = QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal)
    model.show_dataset(fake_core.dataset)
    assert model.rowCount() == 2
    del tester


def test_the_finding_model_keeps_the_rules_of_item_models(qtmodeltester) -> None:
    model = FindingModel()
    model.show_rows([FindingRow("leak", "a, b", "twice", ("a", "b"))])
    qtmodeltester.check(model)


# -- the full check ----------------------------------------------------------------------------


def _check_finds(monkeypatch, found, gate: threading.Event | None = None) -> None:
    def verify(root, context):
        context.on_progress(1, 8, "Checking pictures")
        while gate is not None and not gate.wait(0.01):
            if context.should_stop():
                from core.errors import Cancelled

                raise Cancelled
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(jobs, "verify_dataset", verify)


@pytest.fixture
def cut_short(fake_core):
    """What the full check finds: one file fewer."""
    dataset = fake_core.dataset
    keep = np.arange(8) != 2
    return replace(
        dataset,
        files=tuple(file for file in dataset.files if file != "ant/2.png"),
        **{
            name: getattr(dataset, name)[keep]
            for name in ("labels", "splits", "bytes", "widths", "heights")
        },
        problems=(Problem("ant/2.png", "unreadable", "it is cut short"),),
        verified=True,
    )


def test_the_full_check_replaces_the_dataset_and_says_what_it_found(
    window, fake_core, cut_short, monkeypatch, qtbot
) -> None:
    _check_finds(monkeypatch, cut_short)
    window.commands.opening.open_dataset(fake_core.dataset.root)
    qtbot.waitUntil(lambda: window.session.dataset is cut_short)
    page = window.page("data")
    assert page.totals.stats["images"].value == "7"
    assert "1 file cannot be read to its end and is left out: “ant/2.png”" in page.notices.text
    assert page.check_line.text.text() == "Every picture was read to its end"


def test_the_full_check_shows_its_progress_and_can_be_cancelled_and_taken_up_again(
    window, fake_core, cut_short, monkeypatch, qtbot
) -> None:
    gate = threading.Event()
    _check_finds(monkeypatch, cut_short, gate)
    window.commands.opening.open_dataset(fake_core.dataset.root)
    page = window.page("data")
    qtbot.waitUntil(lambda: "1 / 8" in page.check_line.text.text())
    assert window.status.text == "Ready"
    page.check_line.cancel_button.click()
    assert page.check.state == "cancelled"
    assert window.session.dataset is fake_core.dataset
    gate.set()
    page.check_line.start_button.click()
    qtbot.waitUntil(lambda: window.session.dataset is cut_short)


def test_the_full_check_gives_way_to_a_run_and_goes_on_after_it(
    window, fake_core, cut_short, monkeypatch, qtbot
) -> None:
    gate = threading.Event()
    _check_finds(monkeypatch, cut_short, gate)
    window.commands.opening.open_dataset(fake_core.dataset.root)
    page = window.page("data")
    qtbot.waitUntil(lambda: page.check.state == "busy")
    window.start_training()
    qtbot.waitUntil(lambda: page.check.state == "waiting")
    gate.set()
    fake_core.train_gate.set()
    qtbot.waitUntil(lambda: window.session.dataset is cut_short)
    assert not window.session.live_run.is_on


def test_a_check_that_fails_keeps_the_dataset(window, fake_core, monkeypatch, qtbot) -> None:
    _check_finds(monkeypatch, AppError("The folder vanished."))
    window.commands.opening.open_dataset(fake_core.dataset.root)
    page = window.page("data")
    qtbot.waitUntil(lambda: "The folder vanished." in page.notices.text)
    assert window.session.dataset is fake_core.dataset
    assert page.check_line.start_button.isVisibleTo(page.check_line)


def test_the_difference_says_when_the_validation_was_drawn_anew(fake_core, cut_short) -> None:
    assert "drawn anew" in describe_difference(fake_core.dataset, cut_short)
    own = replace(cut_short, split_origin="folders")
    assert "drawn anew" not in describe_difference(fake_core.dataset, own)
