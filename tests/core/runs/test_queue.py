"""The queue of trainings: order, restart, two takers, and its command line."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.cli.app import main
from core.errors import AppError
from core.recipe.recipe import Recipe
from core.runs.queue import Queue
from core.runs.store import RunStore
from helpers import REPOSITORY, TINY


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path / "queue.sqlite")


def _add(queue: Queue, *names: str) -> list[int]:
    return [queue.add([Path("/data") / name], name, Recipe(seed=i)) for i, name in enumerate(names)]


def _names(queue: Queue) -> list[str]:
    return [entry.name for entry in queue.entries()]


def test_entries_keep_their_order_and_their_recipes_over_a_restart(queue: Queue) -> None:
    _add(queue, "a", "b")
    again = Queue(queue.file)
    assert _names(again) == ["a", "b"]
    assert again.entries()[1].recipe() == Recipe(seed=1)
    assert again.entries()[1].opened == (Path("/data/b"),)


def test_an_entry_can_be_moved_and_taken_out(queue: Queue) -> None:
    a, _b, c = _add(queue, "a", "b", "c")
    queue.move(c, 0)
    assert _names(queue) == ["c", "a", "b"]
    queue.move(c, 99)
    assert _names(queue) == ["a", "b", "c"]
    queue.remove(a)
    assert _names(queue) == ["b", "c"]
    with pytest.raises(AppError, match="no entry"):
        queue.move(a, 0)


def test_each_entry_is_taken_once_and_a_running_one_stays(queue: Queue) -> None:
    a, b = _add(queue, "a", "b")
    first, second = queue.start_next(), Queue(queue.file).start_next()
    assert (first.id, second.id) == (a, b)  # type: ignore[union-attr]
    assert queue.start_next() is None
    with pytest.raises(AppError, match="running"):
        queue.remove(a)
    queue.finish(a, "failed", error="no disk")
    assert next((e.state, e.error) for e in queue.entries()) == ("failed", "no disk")
    queue.requeue(a)
    assert queue.start_next().id == a  # type: ignore[union-attr]
    queue.finish(a, "done")
    assert queue.clear_ended() == 1


def test_an_entry_of_a_killed_process_is_interrupted_and_keeps_its_run(queue: Queue) -> None:
    _add(queue, "a")
    code = (
        "import sys, threading; from pathlib import Path; from core.runs.queue import Queue\n"
        "q = Queue(Path(sys.argv[1])); e = q.start_next(); q.set_run(e.id, Path('/runs/x'))\n"
        "print('taken', flush=True); threading.Event().wait()"
    )
    taker = subprocess.Popen(
        [sys.executable, "-c", code, str(queue.file)],
        stdout=subprocess.PIPE, text=True, cwd=REPOSITORY,
    )  # fmt: skip
    assert taker.stdout is not None
    assert taker.stdout.readline() == "taken\n"
    assert queue.entries()[0].state == "running"
    os.kill(taker.pid, signal.SIGKILL)
    taker.communicate()
    (entry,) = queue.entries()
    assert (entry.state, entry.run) == ("interrupted", "/runs/x")


@pytest.mark.usefixtures("tiny_weights")
def test_the_queue_is_worked_off_and_one_that_fails_holds_nobody_up(
    tmp_path, make_image_folder, capsys
) -> None:
    good = make_image_folder(tmp_path / "shapes", per_class=4)
    bad = tmp_path / "empty"
    bad.mkdir()
    values = ["--set", "selection_folds=2", "--epochs", "2", "--model", TINY]
    for path in (bad, good):
        assert main(["queue", "add", str(path), *values]) == 0
    capsys.readouterr()
    assert main(["queue", "run", "--json"]) == 1
    failed, done = json.loads(capsys.readouterr().out)["done"]
    assert failed["status"] == "failed"
    assert "empty" in failed["error"]
    assert done["status"] == "done"
    assert RunStore().open(done["run"]).read_status() == "done"
    assert main(["queue", "--json"]) == 0
    states = [entry["state"] for entry in json.loads(capsys.readouterr().out)["queue"]]
    assert states == ["failed", "done"]


def test_a_dataset_that_is_not_there_is_refused_at_once(tmp_path, capsys) -> None:
    assert main(["queue", "add", str(tmp_path / "nothing")]) == 1
    assert "no dataset" in capsys.readouterr().err
