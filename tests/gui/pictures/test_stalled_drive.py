"""A picture on a drive that does not answer: the job says so, ends when asked, and nobody waits."""

from __future__ import annotations

import threading

import pytest

from core.errors import Cancelled
from core.images import decode, thumbnails
from core.system import threads
from gui.kit.workers import JobContext, JobRunner
from gui.pictures import jobs as picture_jobs
from helpers import WAIT_S


@pytest.fixture
def stalled(monkeypatch) -> threading.Event:
    event = threading.Event()
    for module in (decode, thumbnails):
        monkeypatch.setattr(module, "read_image", lambda path, **_: event.wait(WAIT_S))
    monkeypatch.setattr(threads, "STALL_SECONDS", 0.05)
    yield event
    event.set()


@pytest.mark.parametrize(
    "read",
    [
        lambda path, context: picture_jobs.read_thumbnails((path,), 64, context),
        lambda path, context: picture_jobs.read_cells((path,), 64, context),
        lambda path, context: picture_jobs.inspect_picture(path, 64, context),
    ],
    ids=["thumbnails", "gallery", "inspector"],
)
def test_pictures_on_a_stalled_drive_can_be_cancelled(tmp_path, stalled, read):
    notes = []
    context = JobContext(
        on_progress=lambda done, total, note: notes.append(note),
        sink=lambda item: None,
        should_stop=lambda: bool(notes),
    )
    with pytest.raises(Cancelled):
        read(tmp_path / "ant.jpg", context)
    assert notes[-1].endswith("waiting for ant.jpg; the drive or the network does not answer")


def test_the_window_closes_while_a_drive_does_not_answer(qtbot, tmp_path, stalled):
    runner = JobRunner()
    job = runner.start(picture_jobs.read_cells, (tmp_path / "a",), 8, title="Pictures", key="cells")
    qtbot.waitUntil(lambda: "does not answer" in job.progress[2])
    with qtbot.waitSignal(runner.idle):
        runner.supersede("cells")
    runner.shut_down()
