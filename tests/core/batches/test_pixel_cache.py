"""Decoded pictures: in memory, then in a mapped file, and what happens where there is no room."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from core.batches import pixel_cache
from core.batches.pixel_cache import PixelCache, read_working
from core.images.preprocess import Preprocessing
from core.system import paths as app_paths
from helpers import REPOSITORY

PREPROCESSING = Preprocessing(32, 32, 36, "bilinear", (0.5,) * 3, (0.5,) * 3)
ONE = 36 * 48 * 3
"""Bytes of one of the pictures at its working size."""
COUNT = 8


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    found = [folder / f"{i}.png" for i in range(COUNT)]
    for path in found:
        Image.fromarray(rng.integers(0, 255, (36, 48, 3), dtype=np.uint8)).save(path)
    return found


def files_left():
    return list((app_paths.cache_dir() / "pixels").rglob("*"))


@pytest.mark.parametrize(("in_memory", "on_disk"), [(COUNT, 0), (3, COUNT - 3), (0, COUNT)])
def test_the_second_epoch_reads_no_picture_file(paths, in_memory, on_disk):
    read: list[Path] = []

    def count(path, preprocessing):
        read.append(path)
        return read_working(path, preprocessing)

    with PixelCache(
        paths, PREPROCESSING, budget_bytes=in_memory * ONE, disk_bytes=on_disk * ONE
    ) as cache:
        cache.set_reader(count)
        first = [cache.working(i).copy() for i in range(COUNT)]
        assert sorted(read) == sorted(paths)
        again = [cache.working(i) for i in range(COUNT)]
        assert len(read) == cache.decoded == COUNT
        assert cache.cached_on_disk == on_disk
        assert cache.shortage == ""
    for path, one, two in zip(paths, first, again, strict=True):
        assert np.array_equal(one, two)  # those handed out stay usable after the close
        assert np.array_equal(one, read_working(path, PREPROCESSING))
    assert files_left() == []


def test_what_fits_nowhere_is_decoded_again_and_said(paths):
    with PixelCache(
        paths, PREPROCESSING, budget_bytes=2 * ONE, disk_bytes=3 * ONE + ONE // 2
    ) as cache:
        for _ in range(2):
            for i in range(COUNT):
                assert np.array_equal(cache.working(i), read_working(paths[i], PREPROCESSING))
        assert (cache.cached, cache.cached_on_disk) == (5, 3)
        assert cache.decoded == COUNT + 3
        assert cache.shortage.startswith("5 of 8 decoded pictures are kept")
        assert "no room" in cache.shortage
        assert cache.uncached == (5, 6, 7)


def test_a_nearly_full_disk_is_left_its_other_half(paths, monkeypatch):
    def usage(path):
        return SimpleNamespace(free=(5 - cache.cached_on_disk) * ONE)

    monkeypatch.setattr(pixel_cache.shutil, "disk_usage", usage)
    with PixelCache(paths, PREPROCESSING, budget_bytes=0) as cache:
        for i in range(COUNT):
            cache.working(i)
        assert cache.cached_on_disk == 2
        assert "no room" in cache.shortage


def test_a_disk_that_fills_up_meanwhile_costs_the_rest_of_the_cache_only(paths, monkeypatch):
    add = pixel_cache.PixelFile.add

    def full(self, pixels):
        if self.bytes >= 2 * ONE:
            raise OSError(28, "No space left on device")
        return add(self, pixels)

    monkeypatch.setattr(pixel_cache.PixelFile, "add", full)
    with PixelCache(paths, PREPROCESSING, budget_bytes=0) as cache:
        for _ in range(2):
            for i in range(COUNT):
                assert np.array_equal(cache.working(i), read_working(paths[i], PREPROCESSING))
        assert cache.cached_on_disk == 2
        assert "No space left on device" in cache.shortage


def test_a_cache_folder_that_cannot_be_written_is_said(paths):
    (app_paths.cache_dir() / "pixels").write_text("a file where the folder should be")
    with PixelCache(paths, PREPROCESSING, budget_bytes=0) as cache:
        for i in range(COUNT):
            cache.working(i)
        assert cache.cached == 0
        assert "cache folder cannot be used" in cache.shortage


def test_many_threads_get_the_right_pictures(paths):
    expected = [read_working(path, PREPROCESSING) for path in paths]
    with PixelCache(paths, PREPROCESSING, budget_bytes=2 * ONE) as cache:
        begin = threading.Barrier(4)

        def work(number):
            begin.wait()
            order = np.random.default_rng(number).integers(COUNT, size=200)
            return all(np.array_equal(cache.working(i), expected[i]) for i in order.tolist())

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(work, range(4)))
        assert cache.cached == COUNT


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills as POSIX does")
def test_a_killed_process_leaves_no_file_behind(paths):
    code = (
        "import sys, threading\nfrom pathlib import Path\n"
        "from core.batches.pixel_cache import PixelCache\n"
        "from core.images.preprocess import Preprocessing\n"
        "cache = PixelCache([Path(p) for p in sys.argv[1:]],"
        " Preprocessing(32, 32, 36, 'bilinear', (0.5,) * 3, (0.5,) * 3), budget_bytes=0)\n"
        "[cache.working(i) for i in range(8)]\n"
        "print(cache.cached_on_disk, flush=True)\nthreading.Event().wait()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, paths)],
        stdout=subprocess.PIPE, text=True, env=os.environ.copy(),
        cwd=REPOSITORY,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "8"
    child.kill()
    child.wait()
    child.stdout.close()
    assert files_left() == []
