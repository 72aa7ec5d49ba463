"""A fine-tuning whose process is killed by the system goes on as if it had never been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from core.events import EpochDone, RunResumed
from core.runs.run_folder import Run
from core.system import atomic_files
from core.training.fit import resume
from helpers import REPOSITORY, WAIT_S, is_same, of_kind, small_recipe, train, weights_of

RECIPE = small_recipe(strategy="scratch", learning_rate=3e-3)
# The process ends itself as soon as a whole state is on the disk: in the first epoch, however fast
# or slow the machine is.
TRAIN = """
import os, signal, sys
from core.cli.app import main
from core.training import fine_tuning
save = fine_tuning.save_state
def save_and_die(*args, **kwargs):
    save(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
fine_tuning.save_state = save_and_die
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_run_killed_in_its_first_epoch_becomes_the_run_that_never_was(
    tmp_path, make_image_folder
):
    folder = make_image_folder(tmp_path / "shapes", per_class={"train": 8, "val": 2})
    recipe_file, killed = tmp_path / "recipe.toml", tmp_path / "killed"
    recipe_file.write_text(RECIPE.to_toml(), encoding="utf-8")
    options = ["--recipe", str(recipe_file), "--out", str(killed)]
    ended = subprocess.run(
        [sys.executable, "-c", TRAIN, "train", str(folder), *options],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=2 * WAIT_S, check=False,
    )  # fmt: skip
    assert ended.returncode == -signal.SIGKILL, ended.stderr

    run = Run(killed)
    assert [e.epoch for e in of_kind(run, EpochDone)] == [0]
    assert run.summary().can_resume
    resumed = resume(run)
    assert of_kind(run, RunResumed)

    straight, other, _events = train(folder, RECIPE)
    assert resumed.status == straight.status == "done"
    assert is_same(weights_of(run), weights_of(other))


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
