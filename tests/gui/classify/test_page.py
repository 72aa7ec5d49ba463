"""Classify with many pictures, broken ones, and runs that are of no use."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from core.events import RunEnded, never_stop, no_progress
from core.recipe.recipe import make_recipe
from core.runs.run_folder import RunStatus, RunSummary
from core.runs.store import RunStore
from gui.classify import jobs
from gui.classify import page as classify
from gui.kit.workers import JobContext
from gui.runs.jobs import list_runs

# Before any test puts its fake in its place.
real_classify = jobs.classify


def test_each_picture_has_its_thumbnail_made_once(
    window, fake_core, image_folder, monkeypatch, qtbot
) -> None:
    made: list[Path] = []
    make = classify._thumbnail

    def count(picture):
        made.append(picture.path)
        return make(picture)

    monkeypatch.setattr(classify, "_thumbnail", count)
    paths = sorted(image_folder.rglob("*.png"))
    window.commands.classify.add_pictures(paths)
    page = window.page("classify")
    qtbot.waitUntil(lambda: page.list.count() == 8 and "90%" in page.list.item(7).text())
    window.commands.classify.choose_classifier("bundled/tf_efficientnet_lite1")
    qtbot.waitUntil(lambda: "90%" in page.list.item(0).text())
    assert sorted(made) == paths


def test_broken_pictures_are_counted_and_named_in_one_notice(
    window, fake_core, image_folder, tmp_path, drop, qtbot
) -> None:
    broken = [tmp_path / f"broken-{i}.jpg" for i in range(5)]
    for path in broken:
        path.write_bytes(b"no picture")
    notes = tmp_path / "notes.txt"
    notes.write_text("x")
    assert drop(window, [broken[0], image_folder / "ant" / "0.png", *broken[1:], notes])
    page = window.page("classify")
    qtbot.waitUntil(lambda: page.answer.text() == "ant")
    assert page.notices.text == (
        "5 pictures cannot be read: “broken-0.jpg”, “broken-1.jpg”, “broken-2.jpg” and 2 more. "
        "The other results are kept. “notes.txt” was left out: not an image."
    )


def test_a_picture_dropped_again_moves_to_the_top(window, fake_core, image_folder, qtbot) -> None:
    paths = [image_folder / "ant" / f"{i}.png" for i in range(3)]
    page = window.page("classify")
    for dropped in (paths, paths[:1]):
        window.commands.classify.add_pictures(dropped)
        top = dropped[-1].name
        qtbot.waitUntil(
            lambda name=top: page.list.count() and page.list.item(0).text() == f"{name}\nant · 90%"
        )
    assert page.list.count() == 3
    assert page._file.text() == "0.png"


def _summary(path: Path, status: RunStatus, accuracy: float | None) -> RunSummary:
    return RunSummary(
        path=path, name=path.name, started=datetime(2026, 1, 2, 3, 4),
        model="bundled/tf_efficientnet_lite0", strategy="feature-extraction", dataset=path.name,
        status=status, report_accuracy=accuracy, classes=2,
    )  # fmt: skip


def test_runs_without_a_model_are_neither_offered_nor_taken_of_their_own_accord(
    window, fake_core, image_folder, tmp_path, qtbot
) -> None:
    broken = [
        _summary(tmp_path / status, status, None) for status in ("failed", "interrupted", "running")
    ]
    good = _summary(tmp_path / "good", "stopped", 0.9)
    window.session.set_runs((*broken, good))
    page = window.page("classify")
    assert page.model.count() == 2
    assert page.model.currentData() == str(good.path)
    assert window.page("start").runs.names == ["good"]
    window.commands.classify.add_pictures([image_folder / "ant" / "0.png"])
    qtbot.waitUntil(lambda: page.answer.text() == "ant")
    assert fake_core.classified_with == [str(good.path)]


def test_a_run_stopped_before_it_had_a_model_is_not_listed(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GRAFTWORK_HOME", str(tmp_path))
    for name in ("early", "late"):
        run = RunStore().create(name, make_recipe({}))
        run.write_classes(("ant", "bee"))
        run.append_event(RunEnded("stopped", -1, 0.0))
    run.make_checkpoint_folder().weights.write_bytes(b"")
    context = JobContext(no_progress, print, never_stop)
    assert [listed.dataset for listed in list_runs(context)] == ["late"]


def test_a_run_deleted_while_it_is_offered_is_named_and_offered_no_more(
    window, fake_core, image_folder, tmp_path, monkeypatch, qtbot
) -> None:
    monkeypatch.setattr(jobs, "classify", real_classify)
    page = window.page("classify")
    window.session.set_runs((_summary(tmp_path / "gone", "done", 0.9),))
    assert page.model.count() == 2
    window.commands.classify.add_pictures([image_folder / "ant" / "0.png"])
    qtbot.waitUntil(lambda: page.notices.text != "")
    assert page.notices.text.startswith("The run gone is no longer there.")
    qtbot.waitUntil(lambda: "gone" not in page.model.itemText(0))
    monkeypatch.setattr(jobs, "classify", fake_core.classify)
    window.commands.classify.choose_classifier("bundled/tf_efficientnet_lite1")
    assert page.notices.text == ""
    qtbot.waitUntil(lambda: page.answer.text() == "ant")


def test_the_refusal_to_train_without_a_dataset_goes_when_one_is_opened(
    window, fake_core, qtbot
) -> None:
    window.actions_by_name["start_training"].trigger()
    assert window.page("train").notices.text
    window.commands.opening.open_dataset(fake_core.dataset.root)
    qtbot.waitUntil(lambda: window.session.scan_state == "ready")
    assert window.page("train").notices.text == ""
