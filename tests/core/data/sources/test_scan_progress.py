"""A scan reports how far it is, stops when it is asked to, and is cheap."""

from __future__ import annotations

import gc
import threading
import tracemalloc

import pytest

from core.data.sources import file_reader
from core.data.sources.scan import scan
from core.errors import Cancelled
from core.images import decode
from helpers import WAIT_S


def test_progress_goes_up_to_the_number_of_files_on_the_callers_thread(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "d", per_class=30)
    seen: list[tuple[int, int, str]] = []
    threads = set()

    def listen(done: int, total: int, note: str) -> None:
        seen.append((done, total, note))
        threads.add(threading.current_thread())

    scan(folder, on_progress=listen)
    assert threads == {threading.current_thread()}
    file_reader = [done for done, _, note in seen if note == "Reading pictures"]
    assert file_reader == sorted(file_reader)
    assert file_reader[-1] == 180
    assert all(0 <= done <= total or not total for done, total, _ in seen)


@pytest.mark.parametrize("verify", [False, True])
def test_a_stop_is_heeded_at_once_while_a_file_hangs(
    make_image_folder, tmp_path, monkeypatch, verify
):
    folder = make_image_folder(tmp_path / "d", per_class=30)
    released, started, has_ended = (threading.Event() for _ in range(3))

    def hang(path):
        started.set()
        released.wait(WAIT_S)
        has_ended.set()
        raise decode.DecodeError(path, "it hung")

    monkeypatch.setattr(file_reader, "read_header_and_size", hang)
    try:
        with pytest.raises(Cancelled):
            scan(folder, verify=verify, should_stop=started.is_set)
        assert not has_ended.is_set(), "the file that hangs was waited for"
    finally:
        released.set()


def test_a_file_costs_less_than_a_kilobyte(make_image_folder, tmp_path):
    folder = make_image_folder(tmp_path / "d", per_class=200, size_px=8)
    scan(folder)
    tracemalloc.start()
    try:
        index = scan(folder)
        gc.collect()  # what other threads or the scan itself left to be collected is not kept
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(index) == 1200
    assert kept / len(index) < 1024
