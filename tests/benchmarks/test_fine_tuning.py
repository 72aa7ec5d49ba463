"""Full fine-tuning against the textbook loop: images a second, same machine, model and data.

`make bench` prints the figures; nothing here runs in the default suite. Both sides are clocked
from the end of a first step to the end of a last one, files, augmentation and optimizer included;
the rounds alternate. The quality of five epochs on the steel defects is a benchmark of its own:
it takes minutes.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import textwrap
import time

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from core.catalog import catalog
from core.data.sources.scan import scan
from core.diagnostics.warmup import warm_up
from core.events import EpochDone, StepDone
from core.models.build import build
from core.recipe.recipe import Recipe
from core.runs.store import RunStore
from core.training.fit import fit
from core.training.loop.model import FineTunedModel
from helpers import REPOSITORY

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

MODEL = "bundled/tf_efficientnet_lite0"
ROUNDS = int(os.environ.get("GRAFTWORK_BENCH_ROUNDS", "3"))
STEPS = 4
BATCH = 32


def textbook(folder) -> float:
    """Images a second of the loop every tutorial shows, with every layer training."""
    torch.manual_seed(0)
    augment = v2.Compose(
        [
            v2.ToImage(),
            v2.RandomResizedCrop(224, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.2, 0.2),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5] * 3, [0.5] * 3),
        ]
    )
    data = ImageFolder(str(folder / "train"), augment)
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0)).tolist()
    part = Subset(data, order[: BATCH * (STEPS + 1)])
    loader = DataLoader(part, batch_size=BATCH, num_workers=2)
    model = build(catalog.load().resolve(MODEL), num_classes=len(data.classes), dropout=0.2).module
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    criterion = nn.CrossEntropyLoss()
    model.train()
    start, images = 0.0, 0
    for pictures, labels in loader:
        optimizer.zero_grad()
        criterion(model(pictures), labels).backward()
        optimizer.step()
        if not start:
            start = time.perf_counter()
        else:
            images += len(labels)
    return images / (time.perf_counter() - start)


def graftwork(folder, strategy: str = "full") -> float:
    """Images a second of a fine-tuning, stopped after as many steps."""
    stamps: list[float] = []

    def sink(event) -> None:
        if isinstance(event, StepDone):
            stamps.append(time.perf_counter())

    recipe = Recipe(model=MODEL, strategy=strategy, max_epochs=1, augmentation="strong")
    index = scan(folder)
    run = RunStore().create(index.name, recipe)
    fit(recipe, index, run, sink=sink, should_stop=lambda: len(stamps) > STEPS)
    return BATCH * (len(stamps) - 1) / (stamps[-1] - stamps[0])


@pytest.mark.parametrize("strategy", ["full", "partial"])
def test_images_a_second_against_the_textbook_loop(shared_data, strategy):
    """The textbook loop trains every layer; a partial fine-tuning opens the last two groups."""
    folder = shared_data / "neu_steel"
    warm_up()
    graftwork(folder, strategy)  # features cached, files in the page cache
    pairs = [(graftwork(folder, strategy), textbook(folder)) for _ in range(ROUNDS)]
    ratios = [ours / theirs for ours, theirs in pairs]
    print(
        f"\n{strategy} fine-tuning, medians of {ROUNDS}: graftwork "
        f"{statistics.median(o for o, _ in pairs):.1f} images/s, textbook loop "
        f"{statistics.median(t for _, t in pairs):.1f}; ratio {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f}–{max(ratios):.2f})"
    )


def test_what_the_loop_costs_over_bare_steps(shared_data):
    """Seconds from step to step of a run, against those of the passes in them."""
    folder = shared_data / "hymenoptera"
    warm_up()
    index = scan(folder)
    recipe = Recipe(model=MODEL, strategy="full", max_epochs=1, ema_decay=0)
    in_loop: list[float] = []
    learn = FineTunedModel.forward_backward

    def timed(model, views, labels, **how):
        begin = time.perf_counter()
        learned = learn(model, views, labels, **how)
        in_loop.append(time.perf_counter() - begin)
        return learned

    stamps: list[float] = []

    def sink(event) -> None:
        if isinstance(event, StepDone):
            stamps.append(time.perf_counter())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FineTunedModel, "forward_backward", timed)
        run = RunStore().create(index.name, recipe)
        fit(recipe, index, run, sink=sink, should_stop=lambda: len(stamps) > 6)
    steps = len(stamps) - 1
    whole = stamps[-1] - stamps[0]
    bare = in_loop[-steps:]
    print(
        f"\n{steps} steps: {whole:.2f} s in the loop, {sum(bare):.2f} s of them in forward and "
        f"backward passes: the loop, the optimizer's step with them, costs "
        f"{100 * (whole / sum(bare) - 1):.1f} % more"
    )


_PEAK = """
    import resource, sys
    from pathlib import Path
    from core.data.sources.scan import scan
    from core.evaluation.classifier import Classifier
    from core.recipe.recipe import Recipe
    from core.training.fit import fit
    from core.runs.store import RunStore
    folder, what = Path(sys.argv[1]), sys.argv[2]
    index = scan(folder)
    if what == "train":
        recipe = Recipe()
        fit(recipe, index, RunStore().create(index.name, recipe))
    else:
        Classifier.open("bundled/tf_efficientnet_lite0").classify(
            [index.path(i) for i in range(len(index))], top=1
        )
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def test_memory_of_feature_extraction_against_inference(shared_data, tmp_path):
    """Peak memory of a process that trains and reports, against one that classifies the same."""

    def peak_mb(what: str, number: int) -> float:
        environment = {**os.environ, "GRAFTWORK_HOME": str(tmp_path / f"{what}{number}")}
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(_PEAK), str(shared_data / "hymenoptera"), what],
            cwd=REPOSITORY, env=environment, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        return float(done.stdout.split()[-1])

    pairs = [(peak_mb("train", n), peak_mb("classify", n)) for n in range(ROUNDS)]
    ratios = [ours / theirs for ours, theirs in pairs]
    print(
        f"\npeak memory, medians of {ROUNDS}: feature extraction "
        f"{statistics.median(o for o, _ in pairs):,.0f} MB, inference "
        f"{statistics.median(t for _, t in pairs):,.0f} MB; ratio {statistics.median(ratios):.2f}"
    )


def test_five_epochs_on_steel_defects(shared_data):
    folder = shared_data / "neu_steel"
    warm_up()
    recipe = Recipe(model=MODEL, strategy="full", max_epochs=5)
    index = scan(folder)
    epochs: list[EpochDone] = []

    def sink(event) -> None:
        if isinstance(event, EpochDone):
            epochs.append(event)

    result = fit(recipe, index, RunStore().create(index.name, recipe), sink=sink)
    assert result.report is not None
    told = ", ".join(f"{e.epoch}: {e.selection_accuracy:.4f}" for e in epochs)
    print(
        f"\nneu_steel, full, 5 epochs: val {result.report.top1:.4f} (epoch {result.best_epoch}), "
        f"{result.seconds:.0f} s, selection by epoch {told}; calibration {result.report.ece:.4f}"
    )
    assert result.best_selection_accuracy >= epochs[0].selection_accuracy
