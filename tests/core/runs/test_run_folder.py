"""The run folder: written whole, read back, never overwritten."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from core.errors import RunError
from core.events import EpochDone, Notice, RunEnded, RunStarted, from_json, to_json
from core.recipe.recipe import Recipe
from core.runs.report import ClassScore, Report
from core.runs.run_folder import Run, create_run
from core.runs.store import RunStore
from core.system import atomic_files

REPORT = Report(
    split="val",
    n=10,
    top1=0.9,
    interval=(0.6, 0.98),
    balanced_accuracy=0.9,
    macro_f1=0.9,
    ece=0.05,
    classes=("a", "b"),
    per_class=(ClassScore("a", 5, 1.0, 0.8, 0.89), ClassScore("b", 5, 0.83, 1.0, 0.91)),
    confusion=((4, 1), (0, 5)),
    selected_on="nothing",
)


def epoch(number: int) -> EpochDone:
    return EpochDone(number, 0.5, 0.8, 0.6, 0.7, 0.01, 0.1)


def test_two_runs_of_one_second_get_folders_of_their_own(tmp_path):
    store = RunStore(tmp_path)
    paths = {store.create("bees & ants/2026", Recipe()).path for _ in range(3)}
    assert len(paths) == 3
    assert all(path.parent == tmp_path and path.is_dir() for path in paths)


def test_a_folder_that_exists_is_never_reused(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(FileExistsError):
        create_run(tmp_path / "run", Recipe())


@pytest.mark.skipif(os.name == "nt", reason="needs /proc")
def test_a_place_that_cannot_be_written_is_named_in_one_sentence():
    with pytest.raises(RunError, match="cannot be written"):
        RunStore(Path("/proc/none")).create("x", Recipe())


def test_events_come_back_as_they_were_and_a_torn_last_line_is_left_out(tmp_path):
    run = RunStore(tmp_path).create("set", Recipe())
    told = [
        RunStarted("r", "m", "feature-extraction", "cpu", "float32", 8, 2, 2, 5),
        epoch(0),
        Notice("warning", "ß “quoted”"),
        RunEnded("done", 0, 0.9),
    ]
    for event in told:
        run.append_event(event)
    with (run.path / "events.jsonl").open("a") as file:
        file.write('{"event": "EpochDone", "epo')
    assert run.read_events() == told
    assert [from_json(to_json(event)) for event in told] == told


def test_metrics_have_one_row_an_epoch(tmp_path):
    run = RunStore(tmp_path).create("set", Recipe())
    for number in range(3):
        run.append_event(epoch(number))
    with (run.path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert float(rows[0]["selection_accuracy"]) == 0.7


def test_the_store_lists_runs_newest_first_and_passes_over_other_folders(tmp_path):
    store = RunStore(tmp_path)
    for name in ("old-20260101-000000", "new-20260201-000000"):
        run = create_run(tmp_path / name, Recipe())
        run.write_classes(("a", "b"))
        run.write_report(REPORT)
        run.append_event(RunEnded("done", 0, 0.9))
    (tmp_path / "holiday pictures").mkdir()
    create_run(tmp_path / "odd-20269999-000000", Recipe()).write_classes(("a", "b"))
    (tmp_path / "note.txt").write_text("x")
    found = store.runs()
    assert found.pop(0).name == "odd-20269999-000000"  # no date: its folder's time, which is now
    assert [run.name for run in found] == ["new-20260201-000000", "old-20260101-000000"]
    assert (found[0].dataset, found[0].status, found[0].report_accuracy) == ("new", "done", 0.9)
    assert found[0].started.year == 2026


def test_a_run_without_an_end_is_running_while_its_process_lives(tmp_path):
    run = RunStore(tmp_path).create("set", Recipe())
    run.write_environment({"device": "cpu"})
    assert run.read_status() == "running"
    about = run.read_environment()
    about["process"]["started"] -= 1000
    atomic_files.write_json(run.path / "env.json", about)
    assert run.read_status() == "interrupted"


def test_a_report_reads_back_as_it_was(tmp_path):
    run = RunStore(tmp_path).create("set", Recipe())
    assert run.read_report() is None
    run.write_report(REPORT)
    assert run.read_report() == REPORT


def test_what_is_not_a_run_is_refused_naming_the_runs_there_are(tmp_path):
    store = RunStore(tmp_path)
    run = store.create("bees", Recipe())
    run.write_classes(("a", "b"))
    with pytest.raises(RunError, match="“nowhere” is not a run") as caught:
        store.open("nowhere")
    assert run.path.name in caught.value.hint
    assert store.open(run.path).path == run.path
    assert store.open(run.path.name).path == run.path
    assert store.open(f"run:{run.path.name}").path == run.path


def test_a_damaged_report_is_a_sentence_not_a_crash(tmp_path):
    run = RunStore(tmp_path).create("set", Recipe())
    (run.path / "report.json").write_text("{}")
    with pytest.raises(RunError, match="damaged"):
        run.read_report()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    atomic_files.write_json(path, {"a": 1})

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        atomic_files.write_json(path, {"a": 2})
    assert path.read_text().strip() == '{\n "a": 1\n}'
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_opened_by_a_path_that_is_no_run_says_so(tmp_path):
    with pytest.raises(RunError, match=r"no readable classes\.json"):
        Run(tmp_path).read_classes()
