"""A fine-tuning whose process is killed by the system goes on as if it had never been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from core.data.sources.scan import scan
from core.events import EpochDone, RunResumed
from core.recipe.recipe import Recipe
from core.runs.run_folder import Run
from core.runs.store import RunStore
from core.system import atomic_files
from core.training.fit import fit, resume
from helpers import REPOSITORY

MAIN = REPOSITORY / "main.py"
RECIPE = Recipe(
    strategy="partial",
    layer_groups=1,
    max_epochs=2,
    batch_size=8,
    selection_folds=3,
    precision="float32",
    device="cpu",
)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_run_killed_in_its_first_epoch_becomes_the_run_that_never_was(
    tmp_path, make_image_folder
):
    folder = make_image_folder(tmp_path / "shapes", per_class={"train": 8, "val": 2})
    recipe_file = tmp_path / "recipe.toml"
    recipe_file.write_text(RECIPE.to_toml(), encoding="utf-8")
    killed = tmp_path / "killed"
    command = [sys.executable, str(MAIN), "train", str(folder)]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--recipe", str(recipe_file), "--out", str(killed)],
            stdout=log,
            stderr=log,
        )
        state = killed / "checkpoints" / "last" / "state.pt"
        until = time.monotonic() + 120
        while not state.exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert state.exists(), (tmp_path / "log").read_text()

    run = Run(killed)
    epochs_before = [e.epoch for e in run.read_events() if isinstance(e, EpochDone)]
    assert epochs_before == [0], "the process was killed later than in its first epoch"
    assert run.summary().can_resume
    resumed = resume(run)
    assert any(isinstance(event, RunResumed) for event in run.read_events())

    index = scan(folder)
    other = RunStore().create(index.name, RECIPE)
    straight = fit(RECIPE, index, other)
    assert resumed.status == straight.status == "done"
    ours, theirs = load_file(run.best.weights), load_file(other.best.weights)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_file_being_replaced_stays_when_the_block_fails(tmp_path):
    path = tmp_path / "state.bin"
    path.write_bytes(b"before")

    def write():
        with atomic_files.replacing(path) as temporary:
            temporary.write_bytes(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write()
    assert path.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["state.bin"]
