"""Processes that decode can be started from a job's thread under Qt, and end with it."""

from __future__ import annotations

from pathlib import Path

import psutil
from PySide6.QtCore import QObject

from gui.kit.workers import JobContext, JobRunner


class Listener(QObject):
    def __init__(self) -> None:
        super().__init__()
        self.result: object = None

    def done(self, result: object) -> None:
        self.result = result


def spawned() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def test_a_job_decodes_in_processes_and_leaves_none_behind(qtbot, image_folder: Path) -> None:
    paths = sorted(image_folder.rglob("*.png"))

    def work(context: JobContext) -> tuple[int, int]:
        from core.batches.decode_processes import Decoders
        from core.images.preprocess import Preprocessing

        preprocessing = Preprocessing(16, 16, 24, "bilinear", (0.5,) * 3, (0.5,) * 3)
        decoders = Decoders(2)
        try:
            read = sum(decoders.read(path, preprocessing).shape[2] == 3 for path in paths)
            assert not decoders.trouble
            return read, len(spawned())
        finally:
            decoders.close()

    runner, listener = JobRunner(), Listener()
    runner.start(work, title="Decoding", on_done=listener.done)
    qtbot.waitUntil(lambda: listener.result is not None)
    read, children = listener.result
    assert read == len(paths)
    assert children >= 1
    assert spawned() == []
    runner.shut_down()
