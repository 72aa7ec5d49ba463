"""A fine-tuning that an older version stopped goes on as it would have gone on there.

`before_format_2/` holds what commit 2d419c7 wrote for these settings: the recipe under its old
names (`step_images = "auto"`, `batch_size = 4` for the frozen forward pass) and what it had found
on the machine. The state beside them is too large to keep; that its parts still have the names of
then is checked. (With the state that 2d419c7 wrote, the resumed weights were those of its own
uninterrupted run to the bit: full, partial and scratch, on the CPU.)
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file

from core.data.sources.scan import scan
from core.events import EpochDone, StepDone
from core.recipe.recipe import read_recipe
from core.runs.run_folder import create_run
from core.training.fit import fit, resume

BEFORE = Path(__file__).parent / "before_format_2"


def test_a_run_that_an_older_version_stopped_resumes_to_the_same_bits(tmp_path, make_image_folder):
    index = scan(make_image_folder(tmp_path / "shapes", per_class={"train": 8, "val": 2}))
    recipe = read_recipe(BEFORE / "recipe.toml")
    assert (recipe.batch_size, recipe.embed_batch_size) == ("auto", 4)
    assert (recipe.max_epochs, recipe.ema_decay) == (2, 0.5)

    whole = create_run(tmp_path / "whole", recipe)
    fit(recipe, index, whole)

    cut = create_run(tmp_path / "cut", recipe)
    steps = []
    fit(
        recipe,
        index,
        cut,
        sink=lambda event: steps.append(event) if isinstance(event, StepDone) else None,
        should_stop=lambda: len(steps) >= 10,
    )
    state = torch.load(cut.last / "state.pt", weights_only=True)
    assert state.keys() == {"format", "trainee", "optimizer", "progress"}
    assert state["trainee"].keys() == {"weights", "mean", "steps", "scaler"}
    assert state["progress"].keys() == {
        "epoch", "step", "step_of_epoch", "best_epoch", "best_accuracy", "best_loss", "best_score",
        "waited", "probe_accuracy", "loss_sum", "right", "seen", "halvings", "plateau",
        "was_stopped",
    }  # fmt: skip

    shutil.copy(BEFORE / "recipe.toml", cut.path / "recipe.toml")
    found = json.loads((BEFORE / "env.json").read_text(encoding="utf-8"))["resolved"]
    assert (found["step_images"], found["batch_size"]) == (2, 4)
    environment = cut.read_environment()
    now = environment["resolved"]
    assert (now["batch_size"], now["embed_batch_size"]) == (2, 4)
    (cut.path / "env.json").write_text(
        json.dumps({**environment, "resolved": found}), encoding="utf-8"
    )
    resume(cut)

    def losses(run):
        return [(e.epoch, e.selection_loss) for e in run.read_events() if isinstance(e, EpochDone)]

    assert losses(cut) == losses(whole)
    ours, theirs = load_file(cut.best.weights), load_file(whole.best.weights)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
