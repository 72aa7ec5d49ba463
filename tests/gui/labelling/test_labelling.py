"""Labelling a flat folder: classes are named, a few pictures labelled, the rest suggested."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage

from core.data.dataset import NO_LABEL, NO_SPLIT
from core.data.journal import Journal
from core.features.dataset_features import FeatureCost, PictureFeatures
from gui.labelling.map import jobs

_EACH = 8


@pytest.fixture
def flat(tmp_path, fake_core) -> Path:
    """Sixteen pictures in one folder, red and blue by turns; the window's scan finds them."""
    root = tmp_path / "flat"
    root.mkdir()
    files = []
    for number in range(2 * _EACH):
        image = QImage(24, 24, QImage.Format.Format_RGB32)
        image.fill(0xFF0000A0 + number if number % 2 else 0xFFA00000 + number)
        assert image.save(str(root / f"{number:02}.png"))
        files.append(f"{number:02}.png")
    n = len(files)
    fake_core.dataset = replace(
        fake_core.dataset,
        root=root, classes=(), files=tuple(files), name="flat",
        labels=np.full(n, NO_LABEL, np.int32), splits=np.full(n, NO_SPLIT, np.uint8),
        bytes=np.ones(n, np.int64), widths=np.ones(n, np.int32), heights=np.ones(n, np.int32),
    )  # fmt: skip
    return root


@pytest.fixture(autouse=True)
def instant_features(monkeypatch) -> None:
    """Two clusters, as the colours are."""

    def read(dataset, values, context):
        n = len(dataset)
        numbers = np.array([int(file[:2]) for file in dataset.files])
        rng = np.random.default_rng(0)
        vectors = np.eye(2, 8)[numbers % 2] * 5 + rng.normal(0, 0.4, (n, 8))
        return PictureFeatures(
            "bundled/tf_efficientnet_lite0", dataset.files, vectors.astype(np.float32), np.arange(n)
        )

    monkeypatch.setattr(jobs, "ask_cost", lambda d, v, context: FeatureCost(len(d), 0, 0.0))
    monkeypatch.setattr(jobs, "read_features", read)


@pytest.fixture
def page(window, fake_core, flat, qtbot):
    window.commands.start_up.begin()
    qtbot.waitUntil(lambda: bool(window.session.models) and window.session.machine is not None)
    window.commands.opening.open_dataset(flat)
    qtbot.waitUntil(lambda: window.session.scan_state == "ready")
    window.show_page("data")
    page = window.page("data")
    view = page.labelling
    qtbot.waitUntil(lambda: page.check.state == "done")
    qtbot.waitUntil(lambda: "Typical pictures" in view.state.text())
    qtbot.waitUntil(lambda: not window.commands.data.is_busy)
    return page


@pytest.fixture
def label_some(page, qtbot):
    """`label_some(n)` labels the next n pictures rightly, by their keys."""
    view = page.labelling
    for name in ("red", "blue"):
        view.classes.field.setText(name)
        view.classes.add()

    def label(number: int) -> None:
        for _ in range(number):
            file = view._current_file()
            # sorted: 1 blue, 2 red
            qtbot.keyClick(view.grid, Qt.Key.Key_1 if int(file[:2]) % 2 else Qt.Key.Key_2)
        qtbot.waitUntil(lambda: not page.window().commands.data.is_busy and not view.queue.pending)

    return label


def wait_for_suggestions(page, qtbot) -> None:
    queue = page.labelling.queue

    def are_of_all_labels() -> bool:
        known = len(queue.dataset) - len(queue.dataset.unlabelled)
        return queue.suggestions is not None and queue.suggestions.labelled == known

    qtbot.waitUntil(are_of_all_labels)


def test_a_folder_without_labels_opens_where_labels_are_given(page) -> None:
    view = page.labelling
    assert page.tabs.currentWidget() is view
    assert view.classes.progress_text.text() == "0 of 16 labelled"
    assert not view.bulk.isVisible()
    assert view.grid.count == 16


def test_labelled_folders_have_no_tab_to_label(window, fake_core, qtbot) -> None:
    window.commands.opening.open_dataset(fake_core.dataset.root)
    qtbot.waitUntil(lambda: window.session.scan_state == "ready")
    page = window.page("data")
    assert not page.tabs.isTabVisible(page.tabs.indexOf(page.labelling))


def test_keys_label_and_the_next_picture_is_current(page, label_some, qtbot) -> None:
    view = page.labelling
    first = view._current_file()
    label_some(1)
    assert view._current_file() != first
    assert view.classes.progress_text.text() == "1 of 16 labelled"
    edits = Journal([page.session.dataset.root]).edits()
    assert [(edit.kind, edit.files) for edit in edits] == [("relabel", (first,))]


def test_a_key_without_a_class_asks_for_a_name_first(page, qtbot) -> None:
    qtbot.keyClick(page.labelling.grid, Qt.Key.Key_1)
    assert "Name it first" in page.notices.text
    assert Journal([page.session.dataset.root]).edits() == ()


def test_after_a_few_labels_the_rest_is_suggested(page, label_some, qtbot) -> None:
    view = page.labelling
    label_some(6)
    wait_for_suggestions(page, qtbot)
    right = [
        view.queue.suggestion(file)[0] == ("blue" if int(file[:2]) % 2 else "red")
        for file in view.queue.files
    ]
    assert len(right) == 10
    assert all(right)
    assert view.bulk.isVisible()
    assert "there is nothing to expect errors from" in view.expected.text()
    view.slider.setValue(50)
    assert "each judged by the others, 6 reach it and none was wrong" in view.expected.text()
    caption, _ = view.grid.entries.caption(0)
    assert caption.endswith(("% blue", "% red"))


def test_all_that_are_sure_are_accepted_as_one_step_back(page, label_some, qtbot) -> None:
    view = page.labelling
    label_some(6)
    wait_for_suggestions(page, qtbot)
    view.slider.setValue(50)
    assert view.accept_button.text() == "Accept 10"
    view.accept_button.click()
    qtbot.waitUntil(lambda: not len(page.session.dataset.unlabelled))
    assert page.session.dataset.class_counts() == {"blue": 8, "red": 8}
    assert view.classes.progress_text.text() == "16 of 16 labelled"
    assert page.session.dataset.split_counts() == {"train": 12, "val": 4}
    qtbot.waitUntil(lambda: not page.window().commands.data.is_busy)
    page.window().commands.data.undo()
    qtbot.waitUntil(lambda: len(page.session.dataset.unlabelled) == 10)


def test_enter_accepts_x_rejects_and_s_skips(page, label_some, qtbot) -> None:
    view = page.labelling
    label_some(6)
    wait_for_suggestions(page, qtbot)
    file = view._current_file()
    key, _, _ = view.queue.suggestion(file)
    qtbot.keyClick(view.grid, Qt.Key.Key_X)
    other, _, _ = view.queue.suggestion(file)
    assert {key, other} == {"blue", "red"}
    qtbot.keyClick(view.grid, Qt.Key.Key_S)
    assert view.queue.files[-1] == file
    assert view._current_file() != file
    accepted = view._current_file()
    wanted = view.queue.suggestion(accepted)[0]
    qtbot.keyClick(view.grid, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: accepted not in view.queue.files and not view.queue.pending)
    pictures = page.window().commands.data.pictures
    assert pictures.class_of(accepted) == wanted


def test_new_suggestions_leave_the_picture_that_is_looked_at(page, label_some, qtbot) -> None:
    view = page.labelling
    view.grid.setFocus()
    label_some(4)
    current = view._current_file()
    wait_for_suggestions(page, qtbot)
    assert view._current_file() == current


def test_classes_are_named_anew_before_and_after_they_have_pictures(
    page, label_some, qtbot
) -> None:
    view = page.labelling
    view.classes.rename("blue", "azure")
    assert view.classes.keys == ("azure", "red")
    view.classes.field.setText("red")
    view.classes.add()
    assert "There is a class “red” already." in page.notices.text
    view.label_as("azure")
    qtbot.waitUntil(lambda: page.session.dataset.classes == ("azure",))
    view.classes.rename("azure", "sky")
    qtbot.waitUntil(lambda: page.session.dataset.classes == ("sky",))
    assert view.classes.names == ("sky", "red")
    assert view.classes.keys == ("azure", "red")


def test_an_undone_label_is_the_next_to_be_given(page, label_some, qtbot) -> None:
    view = page.labelling
    first = view._current_file()
    label_some(1)
    page.window().commands.data.undo()
    qtbot.waitUntil(lambda: view.queue.files[0] == first)
    assert view.classes.progress_text.text() == "0 of 16 labelled"


def test_several_pictures_get_a_label_at_once(page, label_some, qtbot) -> None:
    view = page.labelling
    view.grid.select(np.arange(3))
    view.label_as("red")
    qtbot.waitUntil(lambda: page.session.dataset.class_counts() == {"red": 3})
    assert len(Journal([page.session.dataset.root]).edits()) == 1
