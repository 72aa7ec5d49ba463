"""Feature extraction against the textbook loop: same machine, model, data and run.

`make bench` prints the figures; nothing here runs in the default suite. The clock goes from the
folder to the finished report, in a warm process with cold caches.
"""

from __future__ import annotations

import os
import shutil
import statistics
import time
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from core.catalog import catalog
from core.data.sources.scan import scan
from core.diagnostics.warmup import warm_up
from core.models.build import build, freeze_backbone
from core.recipe.recipe import Recipe
from core.runs.store import RunStore
from core.training.fit import fit

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

MODEL = "bundled/tf_efficientnet_lite0"
ROUNDS = int(os.environ.get("GRAFTWORK_BENCH_ROUNDS", "3"))


def readable(path: str) -> bool:
    """ImageFolder would take a file it cannot open; the textbook's author deletes those."""
    return Path(path).suffix.lower() in {".jpg", ".jpeg", ".png", ".bmp"}


def textbook(folder: Path, epochs: int = 10) -> tuple[float, float, float]:
    """(seconds, validation accuracy, images per second): the loop every tutorial shows.

    ImageFolder, DataLoader with two workers, frozen backbone, augmentation, Adam at 1e-3 on the
    head, StepLR(5, 0.1), validation after each epoch.
    """
    start = time.perf_counter()
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
    plain = v2.Compose(
        [
            v2.ToImage(),
            v2.Resize(256, interpolation=v2.InterpolationMode.BICUBIC, antialias=True),
            v2.CenterCrop(224),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5] * 3, [0.5] * 3),
        ]
    )
    train = ImageFolder(str(folder / "train"), augment, is_valid_file=readable)
    val = ImageFolder(str(folder / "val"), plain, is_valid_file=readable)
    loaders = [
        DataLoader(train, batch_size=32, shuffle=True, num_workers=2),
        DataLoader(val, batch_size=32, num_workers=2),
    ]
    built = build(catalog.load().resolve(MODEL), num_classes=len(train.classes), dropout=0.2)
    freeze_backbone(built)
    model = built.module
    head = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(head, lr=1e-3)
    schedule = StepLR(optimizer, 5, 0.1)
    criterion = nn.CrossEntropyLoss()
    accuracy = 0.0
    for _ in range(epochs):
        model.train()
        for images, labels in loaders[0]:
            optimizer.zero_grad()
            criterion(model(images), labels).backward()
            optimizer.step()
        schedule.step()
        model.eval()
        right = 0
        with torch.no_grad():
            for images, labels in loaders[1]:
                right += int((model(images).argmax(1) == labels).sum())
        accuracy = right / len(val)
    seconds = time.perf_counter() - start
    return seconds, accuracy, epochs * (len(train) + len(val)) / seconds


def graftwork(folder: Path, home: Path) -> tuple[float, float]:
    """(seconds, validation accuracy) from the folder to the finished report, caches deleted."""
    shutil.rmtree(home / "cache", ignore_errors=True)
    start = time.perf_counter()
    index = scan(folder)
    recipe = Recipe(model=MODEL)
    result = fit(recipe, index, RunStore().create(index.name, recipe))
    seconds = time.perf_counter() - start
    assert result.report is not None
    return seconds, result.report.top1


@pytest.mark.parametrize("name", ["hymenoptera", "neu_steel"])
def test_against_the_textbook_loop(name, shared_data, graftwork_home):
    folder = shared_data / name
    warm_up()
    graftwork(folder, graftwork_home)  # a warm process, on both sides: files in the page cache
    ours = [graftwork(folder, graftwork_home) for _ in range(ROUNDS)]
    epochs = 10 if name == "hymenoptera" else 2
    theirs = textbook(folder, epochs)
    ours += [graftwork(folder, graftwork_home) for _ in range(ROUNDS)]
    seconds = statistics.median(seconds for seconds, _ in ours)
    spread = f"{min(s for s, _ in ours):.2f}–{max(s for s, _ in ours):.2f}"
    print(
        f"\n{name}: graftwork {seconds:.2f} s (median of {len(ours)}, {spread}), "
        f"val {ours[0][1]:.4f}; textbook loop, {epochs} epochs: {theirs[0]:.1f} s, "
        f"{theirs[2]:.1f} images/s, val {theirs[1]:.4f}; ratio {theirs[0] / seconds:.1f}"
    )
