"""Edits from the window: what is on the screen, what is in the journal, and the way back."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage

from core.data.health.check import HealthFinding, HealthReport
from core.data.journal import Edit, Journal
from core.data.splits import SplitPlan
from gui.app import make_window
from gui.data import jobs
from gui.data.split.table import SplitBar

_SHIFT, _CTRL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def edit(window, fake_core, qtbot):
    """`edit(do)` calls it and waits until its edit is shown; the Data page is open."""
    window.commands.opening.open_dataset(fake_core.dataset.root)
    qtbot.waitUntil(lambda: window.session.scan_state == "ready")
    page = window.page("data")
    data = window.commands.data
    qtbot.waitUntil(lambda: page.check.state == "done" and data.history is not None)
    window.show_page("data")
    page.pictures.grid.setFocus()

    def do(what=None) -> None:
        if what is not None:
            what()
        qtbot.waitUntil(lambda: not data.is_busy)

    return do


@pytest.fixture
def page(window, edit):
    return window.page("data")


def _kinds(root: Path) -> list[str]:
    return [edit.kind for edit in Journal([root]).edits()]


def _names(page) -> list[str]:
    root = page.session.dataset.root
    return [path.relative_to(root).as_posix() for path in page.pictures.grid.paths]


def test_del_excludes_the_selected_pictures_and_undo_brings_them_back(
    window, page, edit, fake_core, qtbot
) -> None:
    grid, root = page.pictures.grid, fake_core.dataset.root
    before = {path: path.read_bytes() for path in root.rglob("*.png")}
    qtbot.keyClick(grid, Qt.Key.Key_Right)
    qtbot.keyClick(grid, Qt.Key.Key_Right, _SHIFT)
    edit(lambda: qtbot.keyClick(grid, Qt.Key.Key_Delete))
    assert _names(page)[:3] == ["ant/0.png", "ant/3.png", "bee/0.png"]
    assert page.notices.text == "2 pictures excluded."
    assert page.totals.stats["excluded"].value == "2"
    assert grid.current == 1
    assert _kinds(root) == ["exclude"]
    assert window.actions_by_name["undo"].text() == "&Undo exclude 2 pictures"
    edit(page.notices.undo_button.click)
    assert len(_names(page)) == 8
    assert page.notices.text == "Undone: 2 pictures excluded."
    edit(window.actions_by_name["redo"].trigger)
    assert len(_names(page)) == 6
    assert {path: path.read_bytes() for path in root.rglob("*.png")} == before


def test_digits_relabel_and_say_so_where_there_is_no_such_class(
    window, page, edit, fake_core, qtbot
) -> None:
    grid = page.pictures.grid
    qtbot.keyClick(grid, Qt.Key.Key_Home)
    edit(lambda: qtbot.keyClick(grid, Qt.Key.Key_2))
    assert page.session.dataset.class_counts() == {"ant": 3, "bee": 5}
    assert page.notices.text == "1 picture relabelled to “bee”."
    edit(lambda: qtbot.keyClick(grid, Qt.Key.Key_2))
    assert page.notices.text == "The picture is “bee” already."
    edit(lambda: qtbot.keyClick(grid, Qt.Key.Key_7))
    assert "There is no class 7" in page.notices.text
    assert _kinds(fake_core.dataset.root) == ["relabel"]


def test_many_classes_are_searched_and_a_new_name_makes_a_new_class(page, edit, qtbot) -> None:
    grid, actions = page.pictures.grid, page.pictures.actions_of_pictures
    qtbot.keyClick(grid, Qt.Key.Key_End)
    qtbot.keyClick(grid, Qt.Key.Key_R)
    chooser = actions._chooser
    chooser.search.setText("a")
    assert [chooser.list.item(i).text() for i in range(chooser.list.count())] == [
        "ant", "New class “a”",
    ]  # fmt: skip
    chooser.search.setText("wasp")
    edit(lambda: qtbot.keyClick(chooser.search, Qt.Key.Key_Return))
    assert page.session.dataset.class_counts() == {"ant": 4, "bee": 3, "wasp": 1}
    assert page.pictures.table.class_model.rowCount() == 3


def test_excluded_pictures_are_shown_apart_and_restored_there(page, edit, qtbot) -> None:
    grid = page.pictures.grid
    qtbot.keyClick(grid, Qt.Key.Key_Home)
    edit(lambda: qtbot.keyClick(grid, Qt.Key.Key_Delete))
    page.pictures.filters.choose("excluded")
    assert _names(page) == ["ant/0.png"]
    assert page.pictures.exclude_button.text() == "Restore"
    qtbot.keyClick(grid, Qt.Key.Key_Home)
    edit(lambda: qtbot.keyClick(grid, Qt.Key.Key_Delete))
    assert _names(page) == []
    assert "No picture is excluded" in grid.accessibleDescription()
    assert page.notices.text == "1 picture restored."
    assert len(page.session.dataset) == 8


def test_an_edit_keeps_the_filter_the_selection_and_the_place(page, edit, qtbot) -> None:
    pictures = page.pictures
    pictures.table.selectRow(1)
    pictures.filters.choose("all", split="train")
    qtbot.keyClick(pictures.grid, Qt.Key.Key_End)
    assert _names(page) == ["bee/0.png", "bee/1.png", "bee/2.png"]
    edit(lambda: page.window().commands.data.exclude(["bee/0.png"]))
    assert _names(page) == ["bee/1.png", "bee/2.png"]
    assert pictures.grid.current == 1
    assert pictures.grid.selected.tolist() == [1]
    assert pictures.table.selected_keys == ("bee",)
    assert pictures.filters.value.split == "train"


def test_classes_are_renamed_and_merged_from_the_table(page, edit, fake_core) -> None:
    table = page.pictures.table
    table.selectRow(0)
    edit(lambda: table._rename("Ameise"))
    assert page.session.dataset.classes == ("Ameise", "bee")
    assert page.session.dataset.keys == ("ant", "bee")
    assert page.notices.text == "“ant” is shown as “Ameise”."
    table.selectAll()
    edit(lambda: table._merge("Ameise"))
    assert page.session.dataset.class_counts() == {"Ameise": 8}
    edit(page.window().commands.data.undo)
    edit(page.window().commands.data.undo)
    assert page.session.dataset.class_counts() == {"ant": 4, "bee": 4}
    assert not _kinds(fake_core.dataset.root)


def test_a_split_is_drawn_and_the_folders_own_comes_back(page, edit) -> None:
    edit(lambda: page.window().commands.data.draw_split(SplitPlan(val=0.5, seed=1)))
    assert page.session.dataset.split_counts() == {"train": 4, "val": 4}
    assert page.notices.text == "A new split is drawn: 4 train, 4 val."
    edit(lambda: page.window().commands.data.draw_split(None))
    assert page.session.dataset.split_counts() == {"train": 6, "val": 2}


def test_a_split_that_cannot_be_drawn_is_not_written(page, edit, fake_core) -> None:
    edit(lambda: page.window().commands.data.move(["ant/0.png", "bee/0.png"], "test"))
    assert page.session.dataset.split_counts()["test"] == 2
    edit(page.window().commands.data.undo)
    fake_core.dataset.splits[0] = 2  # a test of the folder's own
    edit(lambda: page.window().commands.data.draw_split(SplitPlan(test=0.25)))
    assert "has a test of its own" in page.notices.text
    assert not _kinds(fake_core.dataset.root)


def test_edits_of_an_earlier_session_are_in_force_and_can_be_undone(
    window, fake_core, edit, qtbot
) -> None:
    edit(lambda: window.commands.data.exclude(["ant/0.png", "bee/1.png"]))
    later = make_window()
    qtbot.addWidget(later)
    later.show()
    later.commands.opening.open_dataset(
        fake_core.dataset.root
    )  # as scanned: the fake knows no journal
    qtbot.waitUntil(lambda: later.session.dataset is not None and len(later.session.dataset) == 6)
    later.show_page("data")
    assert later.actions_by_name["undo"].isEnabled()
    later.actions_by_name["undo"].trigger()
    qtbot.waitUntil(lambda: len(later.session.dataset) == 8)
    later.runner.shut_down()


def test_edits_of_another_window_are_taken_over_and_not_undone_unseen(
    window, page, edit, fake_core
) -> None:
    edit(lambda: window.commands.data.exclude(["ant/0.png"]))
    other = Journal([fake_core.dataset.root])
    other.add(Edit("relabel", ("bee/0.png",), "ant"))
    edit(window.commands.data.undo)
    assert [e.kind for e in other.edits()] == ["exclude", "relabel"]
    assert "Another window edited this dataset" in page.notices.text
    assert page.session.dataset.class_counts() == {"ant": 4, "bee": 3}
    edit(window.commands.data.undo)
    assert [e.kind for e in other.edits()] == ["exclude"]
    other.add(Edit("exclude", ("bee/3.png",)))
    edit(window.commands.data.look_again)
    assert "1 picture excluded" in page.notices.text
    assert len(page.session.dataset) == 6


def test_steps_of_several_edits_are_undone_at_once(window, page, edit, fake_core) -> None:
    edit(
        lambda: window.commands.data.write(
            [Edit("relabel", ("ant/0.png",), "bee"), Edit("exclude", ("bee/0.png",))]
        )
    )
    assert window.actions_by_name["undo"].text() == "&Undo edit 2 pictures"
    edit(window.commands.data.undo)
    assert not _kinds(fake_core.dataset.root)
    edit(window.commands.data.redo)
    assert _kinds(fake_core.dataset.root) == ["relabel", "exclude"]


def test_keys_pressed_fast_are_all_written_each_a_step_of_its_own(
    window, page, edit, fake_core, qtbot
) -> None:
    grid = page.pictures.grid

    def press() -> None:
        for _ in range(4):
            qtbot.keyClick(grid, Qt.Key.Key_2)
            qtbot.keyClick(grid, Qt.Key.Key_Right)

    qtbot.keyClick(grid, Qt.Key.Key_Home)
    edit(press)
    assert _kinds(fake_core.dataset.root) == ["relabel"] * 4
    assert page.session.dataset.class_counts() == {"ant": 0, "bee": 8}
    edit(window.commands.data.undo)
    assert page.session.dataset.class_counts() == {"ant": 1, "bee": 7}


def test_a_journal_that_cannot_be_written_is_named_and_nothing_changes(
    window, page, edit, graftwork_home, monkeypatch
) -> None:
    (graftwork_home / "data" / "edits.sqlite").write_bytes(b"no database at all, " * 300)
    for suffix in ("-wal", "-shm"):
        (graftwork_home / "data" / f"edits.sqlite{suffix}").unlink(missing_ok=True)
    edit(lambda: window.commands.data.exclude(["ant/0.png"]))
    assert "cannot be used" in page.notices.text
    assert len(page.session.dataset) == 8


def test_every_picture_can_be_excluded_and_the_page_survives_it(page, edit, qtbot) -> None:
    grid = page.pictures.grid
    qtbot.keyClick(grid, Qt.Key.Key_A, _CTRL)
    assert len(grid.selected) == 8
    assert page.pictures.caption.text() == "8 of All classes: 8 pictures selected"
    edit(lambda: qtbot.keyClick(grid, Qt.Key.Key_Delete))
    assert len(page.session.dataset) == 0
    edit(page.window().commands.data.undo)
    assert len(grid.entries) == 8


def test_ctrl_g_goes_to_a_number_or_a_part_of_a_name(page, edit) -> None:
    pictures = page.pictures
    pictures.go_to("6")
    assert pictures.grid.current == 5
    pictures.go_to("BEE/3")
    assert pictures.file_at(pictures.grid.current) == "bee/3.png"
    pictures.go_to("zebra")
    assert "No picture shown here has the number or name “zebra”" in page.notices.text


def test_pictures_are_narrowed_by_name_and_ordered(page, edit, qtbot) -> None:
    pictures = page.pictures
    pictures.filters.search.setText("/1")
    qtbot.waitUntil(lambda: len(pictures.grid.entries) == 2)
    pictures.choose_all()
    pictures.filters.order_choice.setCurrentIndex(pictures.filters.order_choice.findData("name"))
    assert _names(page)[:3] == ["ant/0.png", "bee/0.png", "ant/1.png"]


# -- problems ----------------------------------------------------------------------------------


@pytest.fixture
def ill(fake_core):
    """What a look at the pictures finds."""

    def finding(kind, files, action="keep", act_on=None, value="") -> HealthFinding:
        positions = tuple(fake_core.dataset.files.index(file) for file in files)
        why = f"It is {kind}."
        return HealthFinding(
            kind, files, positions, why, "note", Edit(action, act_on or files, value)
        )

    fake_core.health = HealthReport(
        (
            finding("label error", ("ant/0.png",), "relabel", value="bee"),
            finding("label error", ("bee/0.png",), "relabel", value="ant"),
            finding("near duplicates", ("ant/1.png", "ant/2.png"), "exclude", ("ant/2.png",)),
            finding("dark", ("bee/1.png",), value="dark"),
        ),
        images=8,
        read=8,
    )


@pytest.fixture
def problems(ill, page, qtbot):
    qtbot.waitUntil(lambda: page.health.state == "done")
    page.tabs.setCurrentWidget(page.problems)
    return page.problems


def test_each_finding_has_its_pictures_its_reason_and_one_action(problems) -> None:
    table = problems.table
    assert [table.text(row, 0) for row in range(4)] == [
        "Label error?", "Label error?", "Near copies", "Dark",
    ]  # fmt: skip
    table.choose(2)
    assert problems.action_button.text() == "Exclude 1 copy"
    assert problems.reason.text() == "Near copies: It is near duplicates."
    assert [path.name for path in problems.strip.paths] == ["1.png", "2.png"]
    assert not problems.all_button.isVisibleTo(problems)
    table.choose(3)
    assert not problems.action_button.isVisibleTo(problems)
    assert problems.keep_button.text() == "Dismiss"


def test_an_answered_finding_goes_and_the_next_one_is_current(problems, page, edit) -> None:
    problems.table.choose(0)
    edit(problems.action_button.click)
    assert page.notices.text == "1 picture relabelled to “bee”."
    assert problems.table.model.rowCount() == 3
    assert problems.table.current_row == 0
    assert page.tabs.tabText(1) == "Problems (3)"
    edit(page.window().commands.data.undo)
    assert problems.table.model.rowCount() == 4


def test_all_of_a_kind_are_answered_in_one_step(problems, page, edit, fake_core) -> None:
    problems.table.choose(0)
    assert problems.all_action.text() == "Relabel 2 pictures"
    edit(problems.all_action.trigger)
    assert _kinds(fake_core.dataset.root) == ["relabel", "relabel"]
    assert problems.table.model.rowCount() == 2
    edit(page.window().commands.data.undo)
    assert _kinds(fake_core.dataset.root) == []
    assert problems.table.model.rowCount() == 4


def test_a_dismissed_finding_does_not_come_back_unless_that_is_undone(
    problems, page, edit, fake_core
) -> None:
    problems.table.choose(3)
    edit(problems.keep_button.click)
    assert problems.table.model.rowCount() == 3
    assert page.notices.text == "1 picture kept as it is."
    page.health.start()
    edit(page.window().commands.data.undo)
    assert problems.table.model.rowCount() == 4


def test_a_picture_of_a_finding_is_relabelled_by_key(problems, page, edit, qtbot) -> None:
    problems.table.choose(3)
    problems.strip.setFocus()
    qtbot.keyClick(problems.strip, Qt.Key.Key_1)
    edit()
    assert page.session.dataset.class_counts() == {"ant": 5, "bee": 3}


def test_the_filter_shows_the_pictures_of_one_kind_of_problem(problems, page) -> None:
    page.pictures.filters.choose("problems:Dark")
    assert _names(page) == ["bee/1.png"]
    assert page.pictures.grid.entries.caption(0)[0] == "Dark"


# -- the split ---------------------------------------------------------------------------------


def test_a_new_split_is_previewed_before_it_is_in_force(page, edit, qtbot) -> None:
    view = page.split_view
    view.form.val.setValue(50)
    qtbot.waitUntil(lambda: "Preview, not in force yet: val 50%" in view.heading.text())
    assert view.bar.text() == "train 4 (50%), val 4 (50%)"
    assert page.session.dataset.split_counts() == {"train": 6, "val": 2}
    edit(view.draw_button.click)
    assert page.session.dataset.split_counts() == {"train": 4, "val": 4}
    assert "drawn as you asked, val 50%" in page.totals.split_line.text()
    assert view.heading.text() == "The split in force"
    edit(view.back_button.click)
    assert page.session.dataset.split_counts() == {"train": 6, "val": 2}
    assert not view.back_button.isEnabled()


def test_shares_that_leave_nothing_to_train_on_are_refused_at_once(page, edit, qtbot) -> None:
    form = page.split_view.form
    form.val.setValue(90)
    form.test.setValue(20)
    qtbot.waitUntil(lambda: "nothing to train on" in page.split_view.trouble.text())
    assert not page.split_view.draw_button.isEnabled()
    form.test.setValue(0)
    qtbot.waitUntil(page.split_view.draw_button.isEnabled)


def test_folds_are_drawn_and_shown_again_in_a_later_session(page, edit, window) -> None:
    view = page.split_view
    edit(lambda: page.window().commands.data.draw_split(SplitPlan(folds=4, fold=2, seed=7)))
    assert view.form.method.currentData() == "folds"
    assert (view.form.fold.value(), view.form.folds.value(), view.form.seed.value()) == (3, 4, 7)
    assert page.session.dataset.split_counts() == {"train": 6, "val": 2}


def test_near_copies_stay_on_one_side_where_that_is_asked_for(problems, page, edit) -> None:
    form = page.split_view.form
    assert form.near.isEnabled()
    form.near.setChecked(True)
    form.val.setValue(50)
    for seed in range(4):
        form.seed.setValue(seed)
        edit(page.split_view.draw_button.click)
        dataset = page.session.dataset
        assert dataset.split_of(1) == dataset.split_of(2)


# -- from the results of a run -----------------------------------------------------------------


def test_wrong_predictions_of_a_run_are_shown_with_the_answer(
    page, edit, monkeypatch, qtbot
) -> None:
    found = jobs.WrongPredictions("insects-1", {"bee/2.png": "ant"})
    monkeypatch.setattr(jobs, "read_wrong", lambda dataset, runs, context: found)
    page.pictures.filters.choose("wrong")
    qtbot.waitUntil(lambda: _names(page) == ["bee/2.png"])
    assert page.pictures.grid.entries.caption(0)[0] == "→ ant"


# -- the inspector -----------------------------------------------------------------------------


def test_the_inspector_edits_its_picture_and_offers_the_way_back(page, edit) -> None:
    inspector = page.inspector
    page._inspect_file("bee/2.png")
    edit(inspector.exclude_button.click)
    assert page.session.dataset.excluded == ("bee/2.png",)
    assert inspector.exclude_button.text() == "Restore"
    assert inspector.facts["Excluded"] == "by you; your file is untouched"
    assert not inspector.relabel_button.isVisibleTo(inspector)
    edit(inspector.exclude_button.click)
    assert page.session.dataset.excluded == ()
    assert inspector.facts["Class"] == "bee"


def test_pictures_like_the_inspected_one_are_shown_and_lead_on(page, edit, image_folder, qtbot):
    for name, colours in (("ant/0", (1, 9)), ("bee/3", (2, 8)), ("ant/1", (9, 1))):
        image = QImage(32, 24, QImage.Format.Format_RGB32)
        for y in range(24):
            for x in range(32):
                image.setPixel(x, y, 0xFF000000 + 0x0A0A0A * colours[x // 16])
        assert image.save(str(image_folder / f"{name}.png"))
    page._inspect_file("ant/0.png")
    strip = page.inspector.neighbours
    qtbot.waitUntil(lambda: len(strip.entries) > 0)
    assert strip.entries.files[0] == "bee/3.png"
    assert page.inspector.neighbours_line.text() == "Like this one, by their look in small"
    strip.opened.emit(0)
    assert page.inspector.path == image_folder / "bee/3.png"
    qtbot.waitUntil(lambda: len(strip.entries) > 0 and strip.entries.files[0] == "ant/0.png")


def test_the_inspector_gives_way_to_the_table_of_the_split_and_comes_back(page, edit) -> None:
    page.pictures.opened.emit(page.pictures.file_at(0))
    assert page.inspector.isVisible()
    page.tabs.setCurrentWidget(page.split_view)
    assert not page.inspector.isVisible()
    page.tabs.setCurrentWidget(page.pictures)
    assert page.inspector.isVisible()
    assert page.inspector.path is not None


def test_a_long_legend_of_the_split_goes_on_in_the_next_line(window) -> None:
    bar = SplitBar(window.look)
    bar.resize(400, 60)
    bar.show()
    bar.show_counts({"train": 60, "val": 20, "test": 20})
    low = bar.height()
    bar.resize(180, 60)
    assert bar.height() > low
    bar.deleteLater()


def test_rename_and_merge_can_be_pressed_only_where_they_do_something(page) -> None:
    view = page.pictures
    assert not view.rename_button.isEnabled()
    assert not view.merge_button.isEnabled()
    view.table.selectRow(0)
    assert view.rename_button.isEnabled()
    assert not view.merge_button.isEnabled()
    view.table.selectAll()
    assert not view.rename_button.isEnabled()
    assert view.merge_button.isEnabled()
