"""After the warm-up nothing heavy is left to import: each import would hold up the window."""

from __future__ import annotations

import json
import subprocess
import sys

from helpers import REPOSITORY

_SCRIPT = """
import gc, json, sys
from pathlib import Path
from core.diagnostics.warmup import warm_up
notes = []
machine = warm_up(on_progress=lambda done, total, note: notes.append((done, total, note)))
before = set(sys.modules)
from core.evaluation.classifier import Classifier
from core.data.sources.scan import scan
from core.recipe.recipe import Recipe
from core.training.fit import fit
from core.runs.store import RunStore
index = scan(Path(sys.argv[1]))
result = fit(Recipe(), index, RunStore().create("x", Recipe()))
Classifier.open(result.run).classify([index.path(0)])
heavy = ("torch", "torchvision", "timm", "sklearn", "scipy", "torchmetrics", "safetensors")
late = sorted(m for m in set(sys.modules) - before if m.partition(".")[0] in heavy)
print(json.dumps({"late": late, "cores": machine.cores, "precision": machine.precision,
                  "collects": gc.isenabled(), "last": notes[-1], "status": result.status}))
"""


def test_a_training_after_the_warm_up_imports_no_library(tmp_path, make_image_folder):
    folder = make_image_folder(tmp_path / "shapes", per_class=4, splits=())
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(folder)],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = json.loads(done.stdout)
    assert said["late"] == []
    assert said["status"] == "done"
    assert said["collects"] is True
    assert said["cores"] >= 1
    assert said["precision"] in ("float32", "bfloat16", "float16")
    assert said["last"][0] == said["last"][1]
    assert "nanobind" not in done.stderr
