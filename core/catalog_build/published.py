"""Figures that timm publishes of its models: read from its tables, or from the present catalog.

They are taken as they are, with their source named; what a table does not say stays unknown.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from timm.models import _registry

from core.catalog.card import ModelCard
from core.catalog.catalog import Catalog
from core.catalog_build import pretraining
from core.errors import ModelError

RESULTS_TABLE = "results-imagenet.csv"
PRETRAINING_TABLE = "model_metadata-in1k.csv"
THROUGHPUT_TABLE = "benchmark-infer-amp-nchw-pt291-cu128-4090.csv"
THROUGHPUT_HARDWARE = (
    "NVIDIA RTX 4090, mixed precision (AMP), channels first, batches of up to 1,024, "
    f"PyTorch 2.9.1, CUDA 12.8; timm's {THROUGHPUT_TABLE}"
)
_SAME_MODEL = 0.02
"""The table knows architectures, not weights. A card whose parameters differ by more has another
head or none: it is not the model that was timed."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """ImageNet-1k top-1 and top-5 in percent, measured at `size_px`."""

    top1: float
    top5: float
    size_px: int


@dataclass(frozen=True, slots=True)
class Throughput:
    """Images per second of a model of `params_m` million parameters at `size_px`."""

    images_per_s: float
    size_px: int
    params_m: float


@dataclass
class Published:
    """Published figures: accuracy and pretraining by `arch.tag`, throughput by `arch`."""

    accuracies: dict[str, list[Accuracy]] = field(default_factory=dict)
    throughputs: dict[str, list[Throughput]] = field(default_factory=dict)
    pretraining: dict[str, str] = field(default_factory=dict)
    throughput_hardware: str = ""

    def accuracy(self, name: str, size_px: int) -> dict[str, float | None]:
        """The accuracy of a card, at its own input size where there are several."""
        found = self.accuracies.get(name)
        if not found:
            return {"top1": None, "top5": None}
        best = min(found, key=lambda accuracy: abs(accuracy.size_px - size_px))
        return {"top1": best.top1, "top5": best.top5}

    def throughput(self, card: ModelCard) -> float | None:
        """The throughput of the card's model at its own input size, in images per second."""
        if card.input_size is None or card.params is None:
            return None
        params_m = card.params / 1e6
        for figure in self.throughputs.get(card.arch, ()):
            # The table rounds to 10,000 parameters.
            near = abs(figure.params_m - params_m) <= max(_SAME_MODEL * params_m, 0.01)
            if figure.size_px == card.input_size[0] == card.input_size[1] and near:
                return figure.images_per_s
        return None

    def pretraining_of(self, arch: str, tag: str) -> str:
        """The pretraining data in words, from the tag or else the table; empty where unknown."""
        return pretraining.from_tag(tag) or self.pretraining.get(f"{arch}.{tag}", "")


def read_tables(folder: Path) -> Published:
    """Read timm's tables. Raises: ModelError naming the one that is missing or malformed."""
    accuracies: dict[str, list[Accuracy]] = {}
    throughputs: dict[str, list[Throughput]] = {}
    for row in _rows(folder, RESULTS_TABLE, ("model", "top1", "top5", "img_size")):
        figures = Accuracy(float(row["top1"]), float(row["top5"]), int(row["img_size"]))
        accuracies.setdefault(row["model"], []).append(figures)
    wanted = ("model", "infer_samples_per_sec", "infer_img_size", "param_count")
    for row in _rows(folder, THROUGHPUT_TABLE, wanted):
        timed = Throughput(
            float(row["infer_samples_per_sec"]),
            int(row["infer_img_size"]),
            float(row["param_count"].replace(",", "")),
        )
        throughputs.setdefault(row["model"], []).append(timed)
    trained_on = _named_by_card(
        {row["model"]: row["pretrain"] for row in _rows(folder, PRETRAINING_TABLE, ("pretrain",))}
    )
    return Published(accuracies, throughputs, trained_on, THROUGHPUT_HARDWARE)


def _rows(folder: Path, name: str, columns: tuple[str, ...]) -> list[dict[str, str]]:
    path = folder / name
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except OSError as error:
        raise ModelError(
            f"The table {path} cannot be read: {error.strerror or error}.",
            f"Give the folder that holds timm's {RESULTS_TABLE}, {PRETRAINING_TABLE} and "
            f"{THROUGHPUT_TABLE}.",
        ) from error
    missing = [column for column in columns if not rows or column not in rows[0]]
    if missing:
        raise ModelError(f"The table {path} has no column “{missing[0]}”.")
    return rows


def _named_by_card(words: dict[str, str]) -> dict[str, str]:
    """`arch.tag` → data in words. The table has names from before there were tags."""
    tags: dict[str, list[str]] = defaultdict(list)
    for arch, config in _registry._model_default_cfgs.items():
        tags[arch] += [tag for tag in config.tags if config.cfgs[tag].has_weights]
    found: dict[str, str] = {}
    for old, word in words.items():
        name = _registry._deprecated_models.get(old, old) or old
        if "." not in name and len(tags.get(name, ())) == 1:
            name = f"{name}.{tags[name][0]}"  # with several tags it is unknown which is meant
        data = pretraining.from_table(word)
        if "." in name and data:
            found[name] = data
    return found


def of_catalog(cards: Catalog) -> Published:
    """The published figures of the catalog's cards."""
    found = Published(throughput_hardware=cards.throughput_hardware)
    for card in cards.cards:
        if card.source != "timm" or card.input_size is None:
            continue
        name, size_px = f"{card.arch}.{card.tag}", card.input_size[1]
        if card.top1 is not None and card.top5 is not None:
            found.accuracies[name] = [Accuracy(card.top1, card.top5, size_px)]
        if card.images_per_s is not None and card.params is not None:
            timed = Throughput(card.images_per_s, size_px, card.params / 1e6)
            found.throughputs.setdefault(card.arch, []).append(timed)
        if card.pretraining:
            found.pretraining[name] = card.pretraining
    return found
