"""What tests in many rooms share. Loads torch and Qt only where they are used."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

    from core.data.dataset import DatasetIndex
    from core.recipe.recipe import Recipe
    from core.runs.report import RunResult
    from core.runs.run_folder import Run

REPOSITORY = Path(__file__).resolve().parents[1]

LITE0 = "bundled/tf_efficientnet_lite0"
"""The embedded model with pretrained weights."""
TINY = "timm/test_resnet.r160_in1k"
"""A network of half a million parameters, quick to train; see `tiny_weights` in conftest.py."""

WAIT_S = 200.0
"""How long a test waits for what must happen. Only a test that fails waits so long: whatever
happens in time on a busy machine does, and a test passes as soon as it has happened."""
WAIT_MS = int(1000 * WAIT_S)


def wait_until(is_so: Callable[[], object]) -> None:
    """Return when `is_so()` is true; fails after `WAIT_S`."""
    end = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def run_python(code: str, *arguments: object, **environment: str) -> str:
    """What a new Python process prints that runs `code`; fails where it fails."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=REPOSITORY, env={**os.environ, **environment}, capture_output=True, encoding="utf-8",
        timeout=2 * WAIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def sweep(cards: Iterable[Any], every_day: Iterable[str], name: str) -> list[Any]:
    """The cards as parameters of a test. Those whose attribute `name` is not among `every_day`
    are marked slow: they run with `make test-all`."""
    import pytest

    wanted = set(every_day)
    cards = list(cards)
    assert wanted <= {getattr(card, name) for card in cards}
    return [
        card if getattr(card, name) in wanted else pytest.param(card, marks=pytest.mark.slow)
        for card in cards
    ]


def small_recipe(**values: object) -> Recipe:
    """Two short epochs on the last layer group of `TINY`, in numbers that are the same on every
    machine. Needs the fixture `tiny_weights`."""
    from core.recipe.recipe import Recipe

    usual = {
        "model": TINY, "strategy": "partial", "layer_groups": 1, "max_epochs": 2, "batch_size": 8,
        "selection_folds": 3, "precision": "float32", "device": "cpu",
    }  # fmt: skip
    return Recipe(**{**usual, **values})


class Trained(NamedTuple):
    result: RunResult
    run: Run
    events: list[Any]


def train(
    dataset: Path | DatasetIndex,
    recipe: Recipe,
    *,
    run: Run | None = None,
    stop_after: int | None = None,
    on_event: Callable[[Any], object] = lambda event: None,
    **options: Any,
) -> Trained:
    """Train on a folder, a table or what was scanned of them, stopped after so many steps."""
    from core.data.sources.scan import scan
    from core.events import StepDone
    from core.runs.store import RunStore
    from core.training.fit import fit

    index = scan(dataset) if isinstance(dataset, Path) else dataset
    run = run or RunStore().create(index.name, recipe)
    events: list[Any] = []

    def listen(event: Any) -> None:
        events.append(event)
        on_event(event)

    if stop_after is not None:
        options["should_stop"] = lambda: len(of_kind(events, StepDone)) >= stop_after
    result = fit(recipe, index, run, sink=listen, **options)
    return Trained(result, run, events)


def of_kind(events: Iterable[Any] | Run, kind: type) -> list[Any]:
    """The events of one type; of a run those in its folder."""
    told = events.read_events() if hasattr(events, "read_events") else events
    return [event for event in told if isinstance(event, kind)]


def weights_of(run: Run) -> dict[str, torch.Tensor]:
    """The weights of a run's best model by name."""
    from safetensors.torch import load_file

    return load_file(run.best.weights)


def is_same(one: Any, other: Any) -> bool:
    """Equal bit for bit, through dicts, lists and tuples of tensors and arrays."""
    import numpy as np
    import torch

    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(is_same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(is_same, one, other))
    return bool(one == other)
