"""The Runs page on real run folders: listing, details, comparing, resuming and the trash."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QMessageBox

from core.events import EpochDone, RunEnded, StepDone, to_json
from core.recipe.recipe import make_recipe
from core.runs.report import ClassScore, Report
from core.runs.run_folder import Run, create_run
from core.runs.store import RunStore
from gui.base.live_run import LiveRun
from gui.kit.workers import JobContext
from gui.runs import jobs as run_jobs

_LEFT = Qt.MouseButton.LeftButton


def make_run(store: Path, name: str, *, end=None, accuracy=None, alive=False, **values) -> Run:
    run = create_run(store / name, make_recipe(values))
    run.write_classes(("ant", "bee"))
    for epoch in (1, 2):
        run.append_event(EpochDone(epoch, 0.5, 0.8, 0.4, 0.9, seconds=20.0))
    if end is not None:
        run.append_event(end)
    if accuracy is not None:
        score = ClassScore("ant", 1, 1.0, 1.0, 1.0)
        run.write_report(
            Report(
                split="val", n=2, top1=accuracy, interval=(0.1, 0.9), balanced_accuracy=0.5,
                macro_f1=0.4, ece=0.1, classes=("ant", "bee"), per_class=(score, score),
                confusion=((1, 0), (1, 0)), selected_on="",
            )
        )  # fmt: skip
    if not alive:  # as if another process had begun it, which is gone
        env = run.path / "env.json"
        document = json.loads(env.read_text())
        document["process"]["started"] = 1.0
        env.write_text(json.dumps(document))
    return run


@pytest.fixture
def store(tmp_path) -> Path:
    """Four runs: two done, one failed, one fine-tuning that was cut off."""
    root = tmp_path / "store"
    done = RunEnded("done", 2, 0.93)
    make_run(root, "bugs-20261001-100000", end=done, accuracy=0.9, seed=1)
    make_run(root, "bugs-20261002-100000", end=done, accuracy=0.95, seed=2, learning_rate=1e-4)
    why = RunEnded("failed", -1, 0.0, "No training image of the class “bee” could be read.")
    make_run(root, "steel-20261003-100000", end=why)
    cut = make_run(root, "bugs-20261004-100000", strategy="partial")
    cut.last.mkdir(parents=True)
    (cut.last / "state.pt").write_bytes(b"state")
    return root


@pytest.fixture
def page(qtbot, window, fake_core, store, monkeypatch):
    monkeypatch.setattr(run_jobs, "list_runs", lambda context: tuple(RunStore(store).runs()))
    window.commands.start_up.begin()
    qtbot.waitUntil(lambda: len(window.session.runs) == 4)
    qtbot.waitUntil(lambda: window.session.machine is not None)
    window.show_page("runs")
    return window.page("runs")


def choose(page, store, *names):
    page.table.clearSelection()
    for row in range(page.table.proxy.rowCount()):
        index = page.table.proxy.index(row, 0)
        if page.table._run(index).name in names:
            flags = page.table.selectionModel().SelectionFlag
            page.table.selectionModel().select(index, flags.Select | flags.Rows)


def details_of(qtbot, page):
    qtbot.waitUntil(lambda: page.details.compared.isVisible() or "MB" in page.details.facts.text())
    return page.details


def find_question(page) -> QMessageBox:
    (question,) = (box for box in page.findChildren(QMessageBox) if box.isVisible())
    return question


def test_without_runs_the_page_says_how_they_come(qtbot, window, fake_core):
    window.show_page("runs")
    page = window.page("runs")
    assert page.stack.currentIndex() == 0
    assert not page.search.isVisible()
    qtbot.mouseClick(page.stack.currentWidget(), _LEFT)
    assert window.current_page == "train"


def test_runs_are_listed_newest_first_with_status_and_accuracy(page):
    model = page.table.proxy
    rows = [[model.index(r, c).data() for c in range(3)] for r in range(model.rowCount())]
    assert rows == [
        ["bugs", "interrupted", "–"],
        ["steel", "failed", "–"],
        ["bugs", "done", "95.0%"],
        ["bugs", "done", "90.0%"],
    ]
    assert not model.index(0, 1).data(Qt.ItemDataRole.DecorationRole).isNull()


def test_a_click_on_a_header_sorts_and_a_search_narrows(qtbot, page):
    page.table.sortByColumn(2, Qt.SortOrder.DescendingOrder)
    assert page.table.proxy.index(0, 2).data() == "95.0%"
    qtbot.keyClicks(page.search, "BUGS done")
    assert page.table.shown == 2
    assert page.found.text() == "2 of 4 runs"
    page.search.setText("nothing")
    assert page.found.text() == "No run has all these words."
    assert not page.details.trash.isVisible()


def test_a_failed_run_tells_its_reason(qtbot, page, store):
    choose(page, store, "steel-20261003-100000")
    qtbot.waitUntil(lambda: "“bee” could be read" in page.details.error.text())
    assert page.details.error.isVisible()
    assert not page.details.results.isEnabled()
    assert not page.details.classify.isEnabled()


def test_one_run_is_compared_with_the_one_before_of_its_dataset(qtbot, page, store):
    choose(page, store, "bugs-20261002-100000")
    details = details_of(qtbot, page)
    assert "the run before" in details.compared.text()
    texts = [child.text() for child in details._grid.children() if hasattr(child, "text")]
    assert texts == ["seed", "1 → 2", "learning rate", "0.0003 → 0.0001"]
    assert "2 epochs in 40 s" in details.facts.text()


def test_two_runs_are_compared_with_each_other(qtbot, page, store):
    choose(page, store, "bugs-20261001-100000", "bugs-20261004-100000")
    details = details_of(qtbot, page)
    assert details.title.text() == "Two runs"
    texts = [child.text() for child in details._grid.children() if hasattr(child, "text")]
    assert "feature-extraction → partial" in texts
    assert not details.results.isVisible()
    assert details.trash.isVisible()


def test_results_open_by_button_by_enter_and_not_without_a_report(qtbot, window, page, store):
    choose(page, store, "bugs-20261002-100000")
    qtbot.mouseClick(page.details.results, _LEFT)
    assert window.current_page == "results"
    assert window.session.shown_run == store / "bugs-20261002-100000"
    window.show_page("runs")
    choose(page, store, "steel-20261003-100000")
    qtbot.keyClick(page.table, Qt.Key.Key_Return)
    assert window.current_page == "runs"
    assert "no report" in page.notices.text


def test_a_run_can_classify_and_give_its_settings_to_the_next(qtbot, window, page, store):
    choose(page, store, "bugs-20261002-100000")
    qtbot.mouseClick(page.details.settings, _LEFT)
    qtbot.waitUntil(lambda: window.current_page == "train")
    assert window.session.recipe_values["seed"] == 2
    assert window.session.recipe_values["learning_rate"] == 1e-4
    qtbot.mouseClick(page.details.classify, _LEFT)
    assert window.current_page == "classify"
    assert window.session.classifier == str(store / "bugs-20261002-100000")


def test_only_what_can_be_resumed_offers_it(page, store, window, monkeypatch):
    resumed = []
    monkeypatch.setattr(window.commands.train, "resume", lambda path: None)
    page.resume_wanted.connect(resumed.append)
    choose(page, store, "bugs-20261002-100000")
    assert not page.details.resume.isVisible()
    choose(page, store, "bugs-20261004-100000")
    page.details.resume.click()
    assert resumed == [store / "bugs-20261004-100000"]


def test_the_trash_asks_first_and_keeps_what_is_not_agreed_to(qtbot, page, store, monkeypatch):
    gone = []
    monkeypatch.setattr(run_jobs, "_trash", gone.append)
    choose(page, store, "bugs-20261001-100000", "steel-20261003-100000")
    qtbot.keyClick(page.table, Qt.Key.Key_Delete)
    question = find_question(page)
    assert "these 2 runs" in question.text()
    assert not question.isModal() or question.isVisible()
    question.reject()
    assert not gone


def test_several_runs_go_to_the_trash_at_once(qtbot, window, page, store, monkeypatch):
    trash = store.parent / "trash"
    trash.mkdir()
    monkeypatch.setattr(run_jobs, "_trash", lambda path: path.rename(trash / path.name))
    window.session.set_classifier(str(store / "bugs-20261001-100000"))
    choose(page, store, "bugs-20261001-100000", "steel-20261003-100000")
    qtbot.mouseClick(page.details.trash, _LEFT)
    question = find_question(page)
    move = next(b for b in question.buttons() if b.text() == "Move to trash")
    qtbot.mouseClick(move, _LEFT)
    qtbot.waitUntil(lambda: page.table.shown == 2)
    assert "2 runs moved to the trash." in page.notices.text
    assert len(list(trash.iterdir())) == 2
    assert window.session.classifier == ""
    assert not page.findChildren(QMessageBox)


def test_where_there_is_no_trash_nothing_is_lost_and_it_is_said(
    qtbot, window, page, store, monkeypatch
):
    def refuse(path):
        raise OSError(0, "no trash folder on this volume")

    monkeypatch.setattr(run_jobs, "_trash", refuse)
    window.commands.runs.move_to_trash([store / "bugs-20261001-100000"])
    qtbot.waitUntil(lambda: "no trash folder" in page.notices.text)
    assert "left as it is" in page.notices.text
    assert (store / "bugs-20261001-100000").is_dir()


def test_the_run_that_is_on_never_goes(qtbot, window, page, store, monkeypatch):
    gone = []
    monkeypatch.setattr(run_jobs, "_trash", gone.append)
    live = LiveRun("bugs", path=store / "bugs-20261004-100000")
    window.session.begin_run(live)
    choose(page, store, "bugs-20261004-100000")
    qtbot.keyClick(page.table, Qt.Key.Key_Delete)
    assert not page.findChildren(QMessageBox)
    assert "The run that is on stays" in page.notices.text
    window.session.end_run(None)
    # begun by another process, or after the listing: the job asks the folder itself
    running = make_run(store, "new-20261005-100000", alive=True)
    context = JobContext(lambda *_: None, lambda _: None, lambda: False)
    answer = run_jobs.move_to_trash([running.path], context)
    assert not answer.paths
    assert "is on" in answer.problem
    assert not gone


def test_a_run_that_ends_appears_and_the_choice_stays(qtbot, window, page, store):
    choose(page, store, "bugs-20261001-100000")
    done = RunEnded("done", 2, 0.93)
    make_run(store, "new-20261006-100000", end=done, accuracy=0.5)
    window.commands.runs.refresh()
    qtbot.waitUntil(lambda: page.table.shown == 5)
    assert [run.name for run in page.table.selected] == ["bugs-20261001-100000"]


def test_a_run_folder_that_has_gone_is_said_to_be(qtbot, page, store, window):
    import shutil

    shutil.rmtree(store / "bugs-20261002-100000")
    choose(page, store, "bugs-20261002-100000")
    qtbot.mouseClick(page.details.settings, _LEFT)
    qtbot.waitUntil(lambda: bool(page.notices.text))
    assert "bugs-20261002-100000" in page.notices.text


def test_a_dropped_run_folder_opens_its_results(qtbot, window, fake_core, store, drop):
    assert drop(window, [store / "bugs-20261002-100000"])
    assert window.current_page == "results"
    assert window.session.shown_run == store / "bugs-20261002-100000"


def test_the_tables_are_proper_models(qtmodeltester, page):
    qtmodeltester.check(page.table.runs_model)
    qtmodeltester.check(page.table.proxy)


def test_everything_has_a_name_for_screen_readers(page):
    QApplication.processEvents()
    assert page.table.accessibleName() == "Runs"
    assert page.search.accessibleName()
    assert all(made.accessibleName() for made in page.details.buttons)


def test_what_failed_before_it_began_is_listed(tmp_path):
    run = create_run(tmp_path / "gone-20261001-100000", make_recipe({}))
    run.append_event(RunEnded("failed", -1, 0.0, "The dataset folder is no longer there."))
    (found,) = RunStore(tmp_path).runs()
    assert (found.status, found.classes) == ("failed", 0)
    assert run.read_end().error == "The dataset folder is no longer there."


class CountedFile:
    """A file that counts the bytes it gives away."""

    def __init__(self, file, sizes: list[int]) -> None:
        self._file, self._sizes = file, sizes

    def __enter__(self):
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __getattr__(self, name: str):
        return getattr(self._file, name)

    def read(self, *arguments):
        data = self._file.read(*arguments)
        self._sizes.append(len(data))
        return data


def test_a_long_run_is_listed_from_the_tail_of_its_events(tmp_path, monkeypatch):
    step = to_json(StepDone(1, 1, 0.5, (1e-4, 3e-4), 20.0)) + "\n"
    run = make_run(tmp_path, "long-20261001-100000")
    with (run.path / "events.jsonl").open("a", encoding="utf-8") as file:
        file.write(step * 20_000)
    run.append_event(RunEnded("done", 2, 0.9))
    size, sizes, plain = (run.path / "events.jsonl").stat().st_size, [], Path.open

    def counted(path, *arguments, **options):
        file = plain(path, *arguments, **options)
        return CountedFile(file, sizes) if path.name == "events.jsonl" else file

    monkeypatch.setattr(Path, "open", counted)
    (found,) = RunStore(tmp_path).runs()
    assert found.status == "done"
    assert 0 < sum(sizes) < size / 10


# -- curves, notes, archive ------------------------------------------------------------------


def test_curves_of_chosen_runs_are_drawn_over_each_other(page, store, qtbot) -> None:
    run = Run(store / "bugs-20261001-100000")
    run.append_event(EpochDone(3, 0.5, 0.8, 0.3, 0.97, seconds=20.0))
    choose(page, store, "bugs-20261001-100000", "bugs-20261002-100000")
    qtbot.waitUntil(lambda: page.overlay is not None and page.overlay.isVisible())
    accuracy = page.overlay.accuracy
    qtbot.waitUntil(lambda: accuracy.points("01 Oct 10:00") == 3)
    assert accuracy.points("02 Oct 10:00") == 2
    assert "97.0%" in accuracy.twin
    assert "01 Oct 10:00" in accuracy.twin
    choose(page, store, "bugs-20261002-100000")
    qtbot.waitUntil(lambda: accuracy.points("01 Oct 10:00") == 0)


def test_a_note_is_kept_in_the_run_and_shown_again(page, store, qtbot) -> None:
    name = "bugs-20261002-100000"
    choose(page, store, name)
    page.details.note.setFocus()
    qtbot.keyClicks(page.details.note, "the better lamp")
    choose(page, store, "bugs-20261001-100000")  # leaving it keeps it
    qtbot.waitUntil(lambda: Run(store / name).read_note() == "the better lamp")
    assert page.details.note.toPlainText() == ""
    qtbot.waitUntil(lambda: any(run.note for run in page.session.runs))
    choose(page, store, name)
    assert page.details.note.toPlainText() == "the better lamp"


def test_an_archived_run_leaves_the_table_and_comes_back(page, store, qtbot) -> None:
    name = "bugs-20261002-100000"
    assert not page.archived.isVisible()
    choose(page, store, name)
    qtbot.mouseClick(page.details.archive, _LEFT)
    qtbot.waitUntil(lambda: page.table.proxy.rowCount() == 3)
    assert (store / name / "recipe.toml").exists()
    assert "1 run archived" in page.notices.text
    assert page.subtitle == "4 runs, 1 archived"
    assert name not in [run.name for run in page.session.usable_runs]
    page.archived.setChecked(True)
    choose(page, store, name)
    assert page.details.archive.accessibleName() == "Bring back"
    qtbot.mouseClick(page.details.archive, _LEFT)
    qtbot.waitUntil(lambda: not any(run.is_archived for run in page.session.runs))


# -- recovering ------------------------------------------------------------------------------


def test_start_offers_to_recover_a_run_that_was_cut_off(window, page, store, fake_core, qtbot):
    window.show_page("start")
    card = window.page("start").recover
    assert card.isVisible()
    assert "Partial fine-tuning on “bugs”" in card.text.text()
    qtbot.mouseClick(card.recover_button, _LEFT)
    qtbot.waitUntil(lambda: fake_core.resumed == [store / "bugs-20261004-100000"])
    assert window.current_page == "train"
    fake_core.train_gate.set()


def test_not_now_leaves_the_run_as_it_is(window, page, store, qtbot) -> None:
    window.show_page("start")
    card = window.page("start").recover
    qtbot.mouseClick(card.later_button, _LEFT)
    assert not card.isVisible()
    window.commands.runs.refresh()
    qtbot.waitUntil(lambda: window.runner.find("runs") is None)
    assert not card.isVisible()
    assert Run(store / "bugs-20261004-100000").summary().can_resume
