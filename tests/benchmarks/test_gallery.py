"""How a gallery of 100,000 pictures scrolls. Figures are printed; run with `make bench`."""

from __future__ import annotations

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import statistics
import time
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QApplication

from core.data.dataset import DatasetIndex
from gui.kit.theme import Theme
from gui.kit.workers import JobRunner
from gui.pictures.entries import DatasetEntries
from gui.pictures.feed import GalleryFeed
from gui.pictures.gallery import Gallery

pytestmark = pytest.mark.benchmark
_IMAGES = 100_000
_STEPS = 300
_FRAME_MS = 16.7


def _repeat(files: list[Path], root: Path) -> DatasetIndex:
    """The files of a real folder again and again, as if there were so many."""
    names = [file.relative_to(root).as_posix() for file in files]
    files_again = tuple((names * (_IMAGES // len(names) + 1))[:_IMAGES])
    zeros = np.zeros(_IMAGES, np.int32)
    return DatasetIndex(
        root, ("a", "b"), files_again, np.arange(_IMAGES, dtype=np.int32) % 2,
        np.zeros(_IMAGES, np.uint8), np.zeros(_IMAGES, np.int64), zeros, zeros, "graftwork",
    )  # fmt: skip


@pytest.mark.parametrize("size", [(700, 500), (1900, 1000)], ids=["window", "full screen"])
def test_a_hundred_thousand_pictures_scroll_within_a_frame(qtbot, shared_data, size) -> None:
    root = shared_data / "hymenoptera"
    dataset = _repeat(sorted(root.rglob("*.jpg")), root)
    gallery, runner = Gallery(Theme("light")), JobRunner()
    qtbot.addWidget(gallery)
    GalleryFeed(gallery, runner, key="cells")
    gallery.resize(*size)
    gallery.show()
    QApplication.processEvents()

    start = time.perf_counter()
    gallery.show_entries(DatasetEntries(dataset, np.arange(_IMAGES, dtype=np.int64)))
    gallery.viewport().repaint()
    shown_ms = 1000 * (time.perf_counter() - start)
    qtbot.waitUntil(lambda: gallery.filled_count == len(gallery._visible_range()), timeout=60_000)
    filled_ms = 1000 * (time.perf_counter() - start)

    bar = gallery.verticalScrollBar()
    wheel, jumps = [], []
    for _ in range(_STEPS):  # as a wheel does; pictures come in meanwhile
        start = time.perf_counter()
        bar.setValue(bar.value() + bar.singleStep() * 3)
        QApplication.sendPostedEvents(gallery, QEvent.Type.UpdateRequest)
        wheel.append(1000 * (time.perf_counter() - start))
        QApplication.processEvents()
        time.sleep(0.005)
    for step in range(_STEPS):  # as the handle dragged over all of them
        start = time.perf_counter()
        bar.setValue(bar.maximum() * step // _STEPS)
        QApplication.sendPostedEvents(gallery, QEvent.Type.UpdateRequest)
        jumps.append(1000 * (time.perf_counter() - start))
        QApplication.processEvents()
    print(
        f"\n{size[0]}×{size[1]}, {len(gallery._visible_range())} cells: shown {shown_ms:.1f} ms, "
        f"filled {filled_ms:.0f} ms; wheel median {statistics.median(wheel):.2f} ms, worst "
        f"{max(wheel):.2f} ms; handle median {statistics.median(jumps):.2f} ms, worst "
        f"{max(jumps):.2f} ms; {len(gallery._cache)} pictures kept"
    )
    runner.shut_down()
    assert shown_ms < 100
    assert statistics.median(wheel) < _FRAME_MS
    assert statistics.median(jumps) < _FRAME_MS
