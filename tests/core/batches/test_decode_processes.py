"""Processes that decode: right pixels, named failures, and nobody left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from core.batches import decode_processes, streaming
from core.batches.decode_processes import Decoders, compare_with_threads
from core.batches.pixel_cache import read_working
from core.batches.streaming import TrainingImages
from core.compute.device import Compute
from core.errors import DecodeError
from core.events import EpochDone, Notice, StepDone
from core.images.preprocess import Preprocessing
from core.recipe.recipe import Recipe
from helpers import REPOSITORY, WAIT_S, of_kind, run_python, small_recipe, train, wait_until

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
    assert run_python(code, paths[0]) == ""


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


class Stalled:
    """Stands for a picture on a share that does not answer: the child that receives it leaves a
    sign and then waits longer than any test."""

    def __init__(self, sign: Path) -> None:
        self._sign = str(sign)

    def __reduce__(self):
        code = f"import pathlib, time; pathlib.Path({self._sign!r}).touch(); time.sleep(3600)"
        return exec, (code,)


def test_a_child_that_waits_for_a_share_is_ended_too(paths, tmp_path, monkeypatch):
    monkeypatch.setattr(decode_processes, "_PATIENCE_SECONDS", 0.2)
    sign = tmp_path / "waits"
    decoders = Decoders(1)
    decoders.read(paths[0], PREPROCESSING)
    errors: list[BaseException] = []

    def read():
        try:
            decoders.read(Stalled(sign), PREPROCESSING)
        except Exception as error:  # noqa: BLE001 - any end will do
            errors.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    wait_until(sign.exists)
    decoders.close()
    assert decoding_children() == []
    thread.join(WAIT_S)
    assert not thread.is_alive()
    assert errors


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills as POSIX does")
def test_the_children_of_a_killed_process_end(paths, tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys, threading\nfrom pathlib import Path\n"
        f"sys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from core.batches.decode_processes import Decoders\n"
        "from core.images.preprocess import Preprocessing\n"
        "if __name__ == '__main__':\n"
        "    decoders = Decoders(2)\n"
        "    for path in sys.argv[1:]:\n"
        "        decoders.read(Path(path), Preprocessing(32, 32, 36, 'bilinear', (0.5,) * 3,"
        " (0.5,) * 3))\n"
        "    print('read', flush=True)\n"
        "    threading.Event().wait()\n"
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


@pytest.mark.usefixtures("tiny_weights")
def test_a_run_that_streams_gives_the_bits_of_one_that_keeps_and_a_stop_ends_its_processes(
    tmp_path, make_image_folder
):
    folder = make_image_folder(tmp_path / "shapes", per_class={"train": 5, "val": 2})
    recipe = small_recipe(batch_size=6)
    losses = []
    for values in (
        {},
        {"pixel_memory_gb": 0, "pixel_disk_gb": 0, "loading": "processes"},
    ):
        steps_with_children: list[int] = []

        def look(event, steps=steps_with_children):
            if isinstance(event, StepDone) and decoding_children():
                steps.append(event.step)

        result, _run, events = train(
            folder, recipe.with_values(**values), stop_after=3, on_event=look
        )
        assert result.status == "stopped"
        assert decoding_children() == []
        losses.append(
            [e.loss for e in of_kind(events, StepDone)]
            + [e.selection_loss for e in of_kind(events, EpochDone)]
        )
        texts = [e.text for e in of_kind(events, Notice)]
        assert any("processes decode them" in text for text in texts) == bool(values)
        assert bool(steps_with_children) == bool(values)
    assert losses[0] == losses[1]
