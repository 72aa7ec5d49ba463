"""Processes that decode: right pixels, named failures, and nobody left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest
from PIL import Image

from core.batches import decode_processes, streaming
from core.batches.decode_processes import Decoders, compare_with_threads
from core.batches.pixel_cache import read_working
from core.batches.streaming import TrainingImages
from core.compute.device import Compute
from core.data.sources.scan import scan
from core.errors import DecodeError
from core.events import EpochDone, Notice, StepDone
from core.images.preprocess import Preprocessing
from core.recipe.recipe import Recipe
from core.runs.store import RunStore
from core.training.fit import fit
from helpers import REPOSITORY

PREPROCESSING = Preprocessing(32, 32, 36, "bilinear", (0.5,) * 3, (0.5,) * 3)
CPU = Compute("cpu", "float32", "channels_last", 2, 1, 8)
GPU = Compute("cuda", "float32", "channels_last", 4, 1, 8)


@pytest.fixture
def paths(tmp_path):
    rng = np.random.default_rng(0)
    found = [tmp_path / f"{i}.png" for i in range(12)]
    for path in found:
        Image.fromarray(rng.integers(0, 255, (60, 48, 3), dtype=np.uint8)).save(path)
    return found


def decoding_children(parent: int | None = None) -> list[psutil.Process]:
    """Those that decode; the resource tracker of multiprocessing is none of them."""
    children = psutil.Process(parent).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(_command(child))]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def wait_until(is_so, seconds=20.0):
    end = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end:
        time.sleep(0.02)
    assert is_so()


def test_a_child_gives_the_pixels_of_a_thread_names_what_is_broken_and_ends_with_close(paths):
    paths[3].write_bytes(b"no picture")
    decoders = Decoders(2)
    try:
        for i, path in enumerate(paths):
            if i == 3:
                with pytest.raises(DecodeError, match=r"3\.png"):
                    decoders.read(path, PREPROCESSING)
            else:
                found = decoders.read(path, PREPROCESSING)
                assert np.array_equal(found, read_working(path, PREPROCESSING))
        assert decoding_children()
    finally:
        decoders.close()
    assert decoding_children() == []
    assert decoders.trouble == ""


def test_a_child_loads_no_torch_and_no_qt(paths):
    code = (
        "import sys\n"
        "from core.batches import decode_processes as decoders\n"
        "from core.images.preprocess import Preprocessing\n"
        "from pathlib import Path\n"
        "decoders._read_in_child(Path(sys.argv[1]),"
        " Preprocessing(32, 32, 36, 'bilinear', (0.5,) * 3, (0.5,) * 3))\n"
        "print(*[m for m in ('torch', 'torchvision', 'sklearn', 'PySide6') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(paths[0])],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == ""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills as POSIX does")
def test_a_killed_child_costs_no_picture(paths):
    decoders = Decoders(1)
    try:
        decoders.read(paths[0], PREPROCESSING)
        decoding_children()[0].kill()
        for path in paths:
            found = decoders.read(path, PREPROCESSING)
            assert np.array_equal(found, read_working(path, PREPROCESSING))
        assert "training goes on with threads" in decoders.trouble
    finally:
        decoders.close()
    wait_until(lambda: decoding_children() == [])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a pipe stands for a share that stalls")
def test_a_child_that_waits_for_a_share_is_ended_too(paths, tmp_path, monkeypatch):
    monkeypatch.setattr(decode_processes, "_PATIENCE_SECONDS", 0.2)
    stalled = tmp_path / "stalled.png"
    os.mkfifo(stalled)
    decoders = Decoders(1)
    decoders.read(paths[0], PREPROCESSING)
    errors: list[BaseException] = []

    def wait():
        try:
            decoders.read(stalled, PREPROCESSING)
        except BaseException as error:  # noqa: BLE001 - any end will do
            errors.append(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    time.sleep(0.2)
    decoders.close()
    assert decoding_children() == []
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills as POSIX does")
def test_the_children_of_a_killed_process_end(paths, tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys, time\nfrom pathlib import Path\n"
        f"sys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from core.batches.decode_processes import Decoders\n"
        "from core.images.preprocess import Preprocessing\n"
        "if __name__ == '__main__':\n"
        "    decoders = Decoders(2)\n"
        "    for path in sys.argv[1:]:\n"
        "        decoders.read(Path(path), Preprocessing(32, 32, 36, 'bilinear', (0.5,) * 3,"
        " (0.5,) * 3))\n"
        "    print('read', flush=True)\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, str(script), *map(str, paths)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    assert parent.stdout.readline().strip() == "read"
    children = decoding_children(parent.pid)
    assert children
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not any(child.is_running() for child in children))


# -- who decodes -------------------------------------------------------------------------------


def shortage_of(pictures: TrainingImages, paths) -> str:
    for i in range(len(paths)):
        pictures.cache.working(i)
    return pictures.after_epoch()


def test_where_everything_is_kept_no_process_is_started(paths):
    with TrainingImages(paths, PREPROCESSING, Recipe(loading="processes"), CPU) as pictures:
        assert shortage_of(pictures, paths) == ""
        assert decoding_children() == []


def test_on_two_cores_threads_decode_what_is_not_kept(paths, monkeypatch):
    monkeypatch.setattr(streaming, "compare_with_threads", None)  # it is not even tried
    recipe = Recipe(pixel_memory_gb=0, pixel_disk_gb=0)
    with TrainingImages(paths, PREPROCESSING, recipe, CPU) as pictures:
        text = shortage_of(pictures, paths)
        assert text.startswith("0 of 12 decoded pictures are kept")
        assert pictures.after_epoch() == ""  # said once
        assert decoding_children() == []


@pytest.mark.parametrize("is_faster", [True, False])
def test_with_many_cores_and_a_gpu_the_faster_way_is_taken(paths, monkeypatch, is_faster):
    asked = []

    def trial(missing, preprocessing, *, workers):
        asked.append((len(missing), workers))
        return is_faster, 2.0

    monkeypatch.setattr(streaming, "compare_with_threads", trial)
    recipe = Recipe(pixel_memory_gb=0, pixel_disk_gb=0)
    with TrainingImages(paths, PREPROCESSING, recipe, GPU) as pictures:
        assert ("processes decode them" in shortage_of(pictures, paths)) == is_faster
        assert asked == [(12, 4)]
        assert np.array_equal(pictures.cache.working(5), read_working(paths[5], PREPROCESSING))
        assert bool(decoding_children()) == is_faster
    assert decoding_children() == []


def test_the_trial_times_both_ways_and_leaves_nobody_behind(paths):
    is_faster, times = compare_with_threads(paths, PREPROCESSING, workers=2)
    assert isinstance(is_faster, bool)
    assert times > 0
    assert decoding_children() == []
    assert compare_with_threads(paths[:2], PREPROCESSING, workers=2) == (False, 1.0)


def test_a_run_that_streams_gives_the_bits_of_one_that_keeps_and_a_stop_ends_its_processes(
    tmp_path, make_image_folder
):
    folder = make_image_folder(tmp_path / "shapes", per_class={"train": 5, "val": 2})
    index = scan(folder)
    recipe = Recipe(
        strategy="partial", layer_groups=1, max_epochs=2, batch_size=6, selection_folds=3,
        precision="float32", device="cpu",
    )  # fmt: skip
    losses = []
    for values in (
        {},
        {"pixel_memory_gb": 0, "pixel_disk_gb": 0, "loading": "processes"},
    ):
        events: list[object] = []
        steps_with_children: list[int] = []

        def sink(event, events=events, steps=steps_with_children):
            events.append(event)
            if isinstance(event, StepDone) and decoding_children():
                steps.append(event.step)

        def should_stop(events=events):
            return sum(isinstance(event, StepDone) for event in events) >= 3

        made = recipe.with_values(**values)
        run = RunStore().create(index.name, made)
        result = fit(made, index, run, sink=sink, should_stop=should_stop)
        assert result.status == "stopped"
        assert decoding_children() == []
        losses.append(
            [e.loss for e in events if isinstance(e, StepDone)]
            + [e.selection_loss for e in events if isinstance(e, EpochDone)]
        )
        texts = [e.text for e in events if isinstance(e, Notice)]
        assert any("processes decode them" in text for text in texts) == bool(values)
        assert bool(steps_with_children) == bool(values)
    assert losses[0] == losses[1]
