"""Writes `resources/catalog.json` from the installed libraries and timm's published tables.

Parameters and multiply-adds are counted here, on skeletons; accuracy is what the source
published. What is unknown is null.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torchvision
from timm.models import _registry
from torchvision.models import WeightsEnum

from core.errors import ModelError
from core.events import OnProgress, ShouldStop, check_stop, never_stop, no_progress
from core.models import catalog, skeleton
from core.models.families import family_of
from core.models.weights import BUNDLED_PACKAGES

RESULTS_TABLE = "results-imagenet.csv"


@dataclass(frozen=True, slots=True)
class Accuracy:
    """ImageNet-1k top-1 and top-5 in percent, measured at `size_px`."""

    top1: float
    top5: float
    size_px: int


def rebuild(
    out: Path,
    *,
    tables: Path | None = None,
    on_progress: OnProgress = no_progress,
    should_stop: ShouldStop = never_stop,
) -> int:
    """Write the catalog to `out` and return how many cards it has.

    `tables` is a folder with timm's `results-imagenet.csv`; without it the accuracies of the
    present catalog are kept. Takes minutes. Raises: ModelError where the table is missing,
    Cancelled; `out` is replaced at the end or not at all.
    """
    accuracies = _published(tables) if tables else _present()
    rows = [*_bundled_rows(accuracies), *_torchvision_rows(), *_timm_rows(accuracies)]
    costs: dict[tuple[Any, ...], tuple[int | None, int | None]] = {}
    for done, row in enumerate(rows):
        check_stop(should_stop)
        on_progress(done, len(rows), f"{row['arch']}.{row['tag']}")
        row["params"], row["macs"] = _cost(row, costs)
    on_progress(len(rows), len(rows), "writing")
    _write(out, rows)
    return len(rows)


def _bundled_rows(accuracies: dict[str, list[Accuracy]]) -> Iterator[dict[str, Any]]:
    for arch in BUNDLED_PACKAGES:
        config = timm.get_pretrained_cfg(f"{arch}.in1k")
        _, height, width = config.input_size
        yield _row(
            "bundled", arch, "",
            height=height, width=width, license="apache-2.0",
            **_accuracy(accuracies, f"{arch}.in1k", width),
        )  # fmt: skip


def _torchvision_rows() -> Iterator[dict[str, Any]]:
    for arch in torchvision.models.list_models(module=torchvision.models):
        enum = torchvision.models.get_model_weights(arch)
        default = enum.DEFAULT
        for weights in sorted(enum, key=lambda member: member is not default):
            yield _torchvision_row(arch, weights)


def _torchvision_row(arch: str, weights: WeightsEnum) -> dict[str, Any]:
    metrics = weights.meta["_metrics"].get("ImageNet-1K", {})
    (crop,) = weights.transforms().crop_size
    # torchvision names a licence only where it is not its own: the SWAG weights.
    swag = "SWAG" in weights.meta.get("license", "")
    return _row(
        "torchvision", arch, weights.name,
        top1=_figure(metrics.get("acc@1")), top5=_figure(metrics.get("acc@5")),
        height=crop, width=crop, num_classes=len(weights.meta["categories"] or ()),
        license="cc-by-nc-4.0" if swag else "bsd-3-clause", weights=weights.url,
    )  # fmt: skip


def _figure(value: float | None) -> float | None:
    """torchvision says "not a number" where it measured nothing."""
    return None if value is None or math.isnan(value) else value


def _timm_rows(accuracies: dict[str, list[Accuracy]]) -> Iterator[dict[str, Any]]:
    for arch in timm.list_models():
        default = _registry._model_default_cfgs.get(arch)
        if default is None:
            continue
        tags = [tag for tag in default.tags if default.cfgs[tag].has_weights]
        for tag in tags:
            config = default.cfgs[tag]
            name = f"{arch}.{tag}"
            _, height, width = config.input_size
            # `get_pretrained_cfg` fills in the hub id that the registry leaves open.
            place = timm.get_pretrained_cfg(name)
            where = f"hf-hub:{place.hf_hub_id}" if place.hf_hub_id else place.url
            yield _row(
                "timm", arch, tag,
                height=height, width=width, num_classes=config.num_classes,
                license=config.license or "",
                weights=where,
                **_accuracy(accuracies, name, width),
            )  # fmt: skip


def _row(source: str, arch: str, tag: str, **known: Any) -> dict[str, Any]:
    row = dict.fromkeys(catalog.COLUMNS)
    row |= {"source": source, "arch": arch, "tag": tag, "family": family_of(arch)}
    row |= {"num_classes": 1000, "license": "", "weights": ""} | known
    if row["weights"] == catalog.default_weights_place(source, arch, tag):
        row["weights"] = ""
    return row


def _accuracy(
    accuracies: dict[str, list[Accuracy]], name: str, size_px: int
) -> dict[str, float | None]:
    """The published figures, at the card's own size where the table has several."""
    found = accuracies.get(name)
    if not found:
        return {"top1": None, "top5": None}
    best = min(found, key=lambda accuracy: abs(accuracy.size_px - size_px))
    return {"top1": best.top1, "top5": best.top5}


def _published(tables: Path) -> dict[str, list[Accuracy]]:
    path = tables / RESULTS_TABLE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ModelError(
            f"The table {path} cannot be read: {error}.",
            f"Give the folder that holds timm's {RESULTS_TABLE}.",
        ) from error
    found: dict[str, list[Accuracy]] = {}
    for row in csv.DictReader(lines):
        figures = Accuracy(float(row["top1"]), float(row["top5"]), int(row["img_size"]))
        found.setdefault(row["model"], []).append(figures)
    return found


def _present() -> dict[str, list[Accuracy]]:
    """The accuracies of timm cards in the catalog that is there now."""
    return {
        f"{card.arch}.{card.tag}": [Accuracy(card.top1, card.top5, card.input_size[1])]
        for card in catalog.load().cards
        if card.source == "timm" and card.top1 is not None and card.top5 and card.input_size
    }


def _cost(
    row: dict[str, Any], known: dict[tuple[Any, ...], tuple[int | None, int | None]]
) -> tuple[int | None, int | None]:
    """Parameters and multiply-adds, counted once per architecture, size and number of classes."""
    card = catalog.card_of(row)
    key = (card.source == "torchvision", card.arch, card.input_size, card.num_classes)
    if key not in known:
        params: int | None = None
        macs: int | None = None
        # What a library cannot build or run on meta tensors stays unknown.
        with suppress(Exception):
            module = skeleton.library_module(card, meta=True)
            params = skeleton.count_params(module)
            macs = skeleton.count_macs(card, module)
        known[key] = (params, macs)
    return known[key]


def _write(out: Path, rows: list[dict[str, Any]]) -> None:
    """One line a card, so that the difference of two catalogs reads well."""
    lines = [
        json.dumps([row[column] for column in catalog.COLUMNS], separators=(",", ":"))
        for row in rows
    ]
    made_with = {"torchvision": torchvision.__version__.partition("+")[0], "timm": timm.__version__}
    head = f'{{"made_with":{json.dumps(made_with)},\n"columns":{json.dumps(catalog.COLUMNS)},\n'
    text = head + '"rows":[\n' + ",\n".join(lines) + "\n]}\n"
    part = out.with_name(out.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(out)
