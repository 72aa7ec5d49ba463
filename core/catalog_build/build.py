"""Writes `resources/catalog.json` from the installed libraries and timm's published tables.

What can be counted is counted here, on skeletons (`core.catalog_build.costs`); accuracy and
throughput are what others published. What is unknown is null or empty.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import timm
import timm.data
import torchvision
from timm.models import _registry
from torchvision.models import WeightsEnum

from core.catalog import catalog
from core.catalog.card import ModelCard
from core.catalog.catalog import Catalog
from core.catalog.families import family_of
from core.catalog_build import costs, pretraining, published
from core.catalog_build.costs import Costs
from core.catalog_build.published import Published
from core.errors import ModelError
from core.events import OnProgress, ShouldStop, check_stop, never_stop, no_progress
from core.models.weights.weights import BUNDLED_PACKAGES
from core.system import atomic_files

_LITE_CROP = 0.875


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The result of a rebuild: how many cards, and the ids of those that changed."""

    cards: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    uncounted: tuple[str, ...] = field(default=())
    """Cards whose library could not build or run them on meta tensors: nothing was counted."""


def rebuild(
    out: Path,
    *,
    tables: Path | None = None,
    on_progress: OnProgress = no_progress,
    should_stop: ShouldStop = never_stop,
) -> Rebuilt:
    """Write the catalog to `out` and return what has changed.

    `tables` is a folder with timm's published tables; without it the published figures of the
    present catalog are kept. Takes minutes. Raises: ModelError where a table is missing or `out`
    cannot be written, Cancelled; `out` is replaced at the end or not at all.
    """
    figures = published.read_tables(tables) if tables else published.of_catalog(catalog.load())
    cards = listed(figures)
    known: dict[tuple[Any, ...], Costs] = {}
    for position, card in enumerate(cards):
        check_stop(should_stop)
        on_progress(position, len(cards), f"{card.arch}.{card.tag}")
        cards[position] = completed(card, figures, known)
    on_progress(len(cards), len(cards), "writing")
    made_with = {"torchvision": torchvision.__version__.partition("+")[0], "timm": timm.__version__}
    before = _cards_in(out)
    write(out, Catalog(tuple(cards), made_with, figures.throughput_hardware))
    after = {card.id: card for card in cards}
    return Rebuilt(
        cards=len(cards),
        added=tuple(after.keys() - before.keys()),
        removed=tuple(before.keys() - after.keys()),
        changed=tuple(i for i in after if i in before and after[i] != before[i]),
        uncounted=tuple(card.id for card in cards if card.params is None),
    )


def listed(figures: Published) -> list[ModelCard]:
    """Every card of the libraries, with published figures; nothing is counted yet."""
    return [*_bundled(figures), *_torchvision(), *_timm(figures)]


def completed(
    card: ModelCard, figures: Published, known: dict[tuple[Any, ...], Costs]
) -> ModelCard:
    """Fill in the counted columns of a card; `known` caches the counts of equal models."""
    found = Costs()
    try:
        key = (card.source == "torchvision", card.arch, card.input_size, costs.shapes_of(card))
        if key not in known:
            known[key] = costs.count(card)
        found = known[key]
    except Exception:  # noqa: BLE001 - what a library cannot run on meta tensors is unknown
        _log.warning("%s cannot be counted", card.id, exc_info=True)
    counted = dataclasses.replace(card, **dataclasses.asdict(found))
    if card.source == "torchvision":
        return counted  # the table is of timm's own models
    return dataclasses.replace(counted, images_per_s=figures.throughput(counted))


def _bundled(figures: Published) -> Iterator[ModelCard]:
    for arch in BUNDLED_PACKAGES:
        name = f"{arch}.in1k"
        config = timm.get_pretrained_cfg(name)
        yield _card(
            "bundled",
            arch,
            "",
            license="apache-2.0",
            pretraining=figures.pretraining_of(arch, "in1k"),
            **_preprocessing(config, crop_pct=_LITE_CROP),
            **figures.accuracy(name, config.input_size[2]),
        )


def _torchvision() -> Iterator[ModelCard]:
    for arch in torchvision.models.list_models(module=torchvision.models):
        enum = torchvision.models.get_model_weights(arch)
        default = enum.DEFAULT
        for weights in sorted(enum, key=lambda member: member is not default):
            yield _torchvision_card(arch, weights)


def _torchvision_card(arch: str, weights: WeightsEnum) -> ModelCard:
    metrics = weights.meta["_metrics"].get("ImageNet-1K", {})
    preset = weights.transforms()
    (crop,), (resize,) = preset.crop_size, preset.resize_size
    # torchvision names a licence only where it is not its own: the SWAG weights.
    swag = "SWAG" in weights.meta.get("license", "")
    return _card(
        "torchvision",
        arch,
        weights.name,
        top1=_figure(metrics.get("acc@1")),
        top5=_figure(metrics.get("acc@5")),
        input_size=(crop, crop),
        num_classes=len(weights.meta["categories"] or ()),
        license="cc-by-nc-4.0" if swag else "bsd-3-clause",
        weights=weights.url,
        pretraining=pretraining.of_torchvision(weights.name),
        interpolation=preset.interpolation.value,
        crop_pct=round(crop / resize, 4),
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )


def _figure(value: float | None) -> float | None:
    """The figure, None for the NaN that torchvision gives where it measured nothing."""
    return None if value is None or math.isnan(value) else value


def _timm(figures: Published) -> Iterator[ModelCard]:
    for arch in timm.list_models():
        default = _registry._model_default_cfgs.get(arch)
        if default is None:
            continue
        for tag in (tag for tag in default.tags if default.cfgs[tag].has_weights):
            name = f"{arch}.{tag}"
            # It fills in the hub id that the registry leaves open.
            config = timm.get_pretrained_cfg(name)
            yield _card(
                "timm",
                arch,
                tag,
                num_classes=config.num_classes,
                license=config.license or "",
                weights=f"hf-hub:{config.hf_hub_id}" if config.hf_hub_id else config.url,
                pretraining=figures.pretraining_of(arch, tag),
                **_preprocessing(config),
                **figures.accuracy(name, config.input_size[2]),
            )


def _preprocessing(config: Any, *, crop_pct: float | None = None) -> dict[str, Any]:
    """Input size, interpolation, crop, mean and deviation of a timm configuration."""
    found = timm.data.resolve_data_config(pretrained_cfg=config.to_dict())
    return {
        "input_size": tuple(found["input_size"][1:]),
        "interpolation": found["interpolation"],
        "crop_pct": crop_pct or found["crop_pct"],
        "mean": tuple(found["mean"]),
        "std": tuple(found["std"]),
    }


def _card(source: Any, arch: str, tag: str, **known: Any) -> ModelCard:
    known.setdefault("weights", catalog.default_weights_place(source, arch, tag))
    return ModelCard(
        id=catalog.model_id(source, arch, tag),
        source=source,
        arch=arch,
        tag=tag,
        family=family_of(arch),
        **known,
    )


def _cards_in(path: Path) -> dict[str, ModelCard]:
    """The cards of a catalog file; empty where it is missing or not a catalog."""
    try:
        cards = catalog.read(path.read_text(encoding="utf-8")).cards
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {card.id: card for card in cards}


def write(out: Path, cards: Catalog) -> None:
    """Write the file that `core.catalog.catalog.read` reads, in one step.

    One line a card, so that the difference of two catalogs reads well.
    Raises: ModelError where `out` cannot be written.
    """
    pretrainings = {"": 0}
    preprocessed: dict[catalog.Preprocessed, int] = {}
    lines = []
    for card in cards.cards:
        row: dict[str, Any] = {
            name: getattr(card, name) for name in catalog.COLUMNS if hasattr(card, name)
        }
        row["height"], row["width"] = card.input_size or (None, None)
        if card.weights == catalog.default_weights_place(card.source, card.arch, card.tag):
            row["weights"] = ""
        row["pretraining"] = pretrainings.setdefault(card.pretraining, len(pretrainings))
        form = (card.interpolation, card.crop_pct, card.mean, card.std)
        row["preprocessing"] = preprocessed.setdefault(form, len(preprocessed))
        lines.append(_compact([row[column] for column in catalog.COLUMNS]))
    document = {
        "made_with": cards.made_with,
        "throughput_hardware": cards.throughput_hardware,
        "pretraining": list(pretrainings),
        "preprocessing": list(preprocessed),
        "columns": catalog.COLUMNS,
    }
    head = "".join(f"{json.dumps(key)}:{_compact(value)},\n" for key, value in document.items())
    try:
        atomic_files.write_text(out, f'{{{head}"rows":[\n' + ",\n".join(lines) + "\n]}\n")
    except OSError as error:
        raise ModelError(
            f"The catalog {out} cannot be written: {error.strerror or error}.",
            "The catalog that was there is unchanged.",
        ) from error


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
