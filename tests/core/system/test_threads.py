"""Work on files in threads: everything is done once, and a drive that hangs holds up nobody."""

from __future__ import annotations

import threading

import pytest

from core.data.sources import sources
from core.data.sources.scan import scan
from core.errors import Cancelled
from core.system import threads
from core.system.threads import in_threads, run_interruptible
from helpers import WAIT_S, run_python


@pytest.fixture
def stalled() -> threading.Event:
    """A drive that answers only once the test is over."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize("count", [0, 1, 127, 128, 1000])
def test_every_number_is_worked_on_once(count):
    counts = [0] * count
    told = []

    def work(i: int) -> None:
        counts[i] += 1

    in_threads(
        work, count, note="n", on_progress=lambda *p: told.append(p), should_stop=lambda: False
    )
    assert counts == [1] * count
    assert told[-1] == (count, count, "n")


def test_an_error_of_the_work_ends_it_and_is_raised():
    def work(i: int) -> None:
        raise ValueError(f"item {i}")

    for run in (
        lambda: in_threads(
            work, 5, note="", on_progress=lambda *p: None, should_stop=lambda: False
        ),
        lambda: run_interruptible(
            lambda stopping: work(0),
            note="", name="", on_progress=lambda *p: None, should_stop=lambda: False,
        ),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="item 0"):
            run()


def test_a_file_that_hangs_is_named_and_the_job_can_still_be_cancelled(monkeypatch, stalled):
    monkeypatch.setattr(threads, "STALL_SECONDS", 0.05)
    notes = []

    def work(i: int) -> None:
        if i == 3:
            stalled.wait(WAIT_S)

    with pytest.raises(Cancelled):
        in_threads(
            work,
            10,
            note="Reading pictures",
            on_progress=lambda done, total, note: notes.append((done, note)),
            # On a busy machine another one may take longer than a stall for a moment.
            should_stop=lambda: bool(notes) and "waiting for ants/3.jpg" in notes[-1][1],
            name=lambda i: f"ants/{i}.jpg",
        )
    assert notes[-1] == (
        3,
        "Reading pictures: waiting for ants/3.jpg; the drive or the network does not answer",
    )


def test_a_folder_that_hangs_in_the_listing_is_named_and_can_be_cancelled(
    monkeypatch, stalled, tmp_path
):
    monkeypatch.setattr(threads, "STALL_SECONDS", 0.05)
    notes = []

    def hang(path, *, allow_unlabelled, should_stop):
        stalled.wait(WAIT_S)

    monkeypatch.setattr(sources, "find_layout", hang)
    with pytest.raises(Cancelled):
        scan(
            tmp_path / "share",
            on_progress=lambda done, total, note: notes.append(note),
            should_stop=lambda: "does not answer" in notes[-1] if notes else False,
        )
    assert "waiting for the folder share" in notes[-1]


def test_the_sentence_goes_away_when_the_drive_answers_again(monkeypatch):
    monkeypatch.setattr(threads, "STALL_SECONDS", 0.05)
    answers, notes = threading.Event(), []

    def work(i: int) -> None:
        answers.wait(WAIT_S)

    def listen(done: int, total: int, note: str) -> None:
        notes.append(note)
        if "does not answer" in note:
            answers.set()

    in_threads(work, 3, note="Reading", on_progress=listen, should_stop=lambda: False)
    assert any("does not answer" in note for note in notes)
    assert notes[-1] == "Reading"


def test_a_reader_that_hangs_does_not_keep_the_process_from_ending(tmp_path):
    script = (
        "import threading\n"
        "from core.system.threads import in_threads\n"
        "from core.errors import Cancelled\n"
        "started = threading.Event()\n"
        "def work(i):\n"
        "    started.set(); threading.Event().wait()\n"
        "try:\n"
        "    in_threads(work, 9, note='', on_progress=lambda *p: None,\n"
        "               should_stop=started.is_set)\n"
        "except Cancelled:\n"
        "    print('cancelled')\n"
    )
    assert run_python(script) == "cancelled"
