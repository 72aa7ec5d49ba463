"""Full fine-tuning against the textbook loop: images a second, same machine, model and data.

`make bench` prints the figures; nothing here runs in the default suite. Both sides are clocked
from the end of a first step to the end of a last one, files, augmentation and optimizer included;
the rounds alternate. The quality of five epochs on the steel defects is a benchmark of its own:
it takes minutes.
"""

from __future__ import annotations

import os
import statistics
import time

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from core.data.scan import scan
from core.events import EpochDone, StepDone
from core.models import catalog
from core.models.build import build
from core.recipe import Recipe
from core.training.fit import fit
from core.training.runs import RunStore
from core.warmup import warm_up

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


def graftwork(folder) -> float:
    """Images a second of a full fine-tuning, stopped after as many steps."""
    stamps: list[float] = []

    def sink(event) -> None:
        if isinstance(event, StepDone):
            stamps.append(time.perf_counter())

    recipe = Recipe(model=MODEL, strategy="full", epochs=1, augmentation="strong")
    index = scan(folder)
    run = RunStore().create(index.name, recipe)
    fit(recipe, index, run, sink=sink, should_stop=lambda: len(stamps) > STEPS)
    return BATCH * (len(stamps) - 1) / (stamps[-1] - stamps[0])


def test_images_a_second_against_the_textbook_loop(shared_data):
    folder = shared_data / "neu_steel"
    warm_up()
    graftwork(folder)  # features cached, files in the page cache
    pairs = [(graftwork(folder), textbook(folder)) for _ in range(ROUNDS)]
    ratios = [ours / theirs for ours, theirs in pairs]
    print(
        f"\nfull fine-tuning, medians of {ROUNDS}: graftwork "
        f"{statistics.median(o for o, _ in pairs):.1f} images/s, textbook loop "
        f"{statistics.median(t for _, t in pairs):.1f}; ratio {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f}–{max(ratios):.2f})"
    )


def test_five_epochs_on_steel_defects(shared_data):
    folder = shared_data / "neu_steel"
    warm_up()
    recipe = Recipe(model=MODEL, strategy="full", epochs=5)
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
