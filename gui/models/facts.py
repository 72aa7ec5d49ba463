"""What a card knows, in words and units: for the card and for several side by side. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from core.catalog.licences import licence_note
from core.catalog.search import ADDED_SOURCES
from gui.kit.words import short_number

if TYPE_CHECKING:
    from core.catalog.card import ModelCard
    from core.catalog.catalog import Catalog
    from gui.models.rows import ModelRow


_LEAST_HEAD = 0.005
"""A smaller share of the parameters makes no difference that one sees."""


@dataclass(frozen=True, slots=True)
class Fact:
    """`text` empty: unknown. `value` and `better` say which of several cards is ahead."""

    name: str
    text: str
    value: float | None = None
    better: Literal["less", "more", ""] = ""
    tip: str = ""
    is_shared: bool = False
    """The same for all cards that know it: to be said once."""


def compared_facts(row: ModelRow, catalog: Catalog, weights: str) -> tuple[Fact, ...]:
    """The rows of a comparison, the same names in the same order for every card."""
    card = row.card
    params = None if card.params is None else float(card.params)
    macs = None if card.macs is None else float(card.macs)
    activations = None if card.activations is None else float(card.activations)
    per_m = card.top1_per_m
    return (
        Fact("Parameters", params_text(card), params, "less"),
        Fact("GMACs", "" if macs is None else f"{macs / 1e9:,.3f}", macs, "less"),
        Fact(
            "Activations, M",
            "" if activations is None else f"{activations / 1e6:,.1f}",
            activations,
            "less",
            "Elements that convolutions and linear layers give: what memory in training goes with",
        ),
        Fact("Top-1", percent_text(card.top1), card.top1, "more"),
        Fact("Top-5", percent_text(card.top5), card.top5, "more"),
        Fact("Accuracy from", catalog.accuracy_source(card)),
        Fact("Top-1 per M", "" if per_m is None else f"{per_m:,.2f} %", per_m, "more"),
        Fact(
            LATENCY,
            "" if row.latency_ms is None else f"{row.latency_ms:,.1f} ms",
            row.latency_ms,
            "less",
            "One image on this machine: the median of its passes",
        ),
        Fact("Measured on", "–" if row.latency is None else row.latency.settings),
        Fact("Input", input_text(card)),
        Fact("Preprocessing", preprocessing_text(card)),
        Fact("Features", features_text(card)),
        Fact("Layer groups", "" if card.layer_groups is None else f"{card.layer_groups:,}"),
        Fact("Pretraining", card.pretraining),
        Fact("Answers for", classes_text(card)),
        Fact("Licence", license_text(card.license)),
        Fact("Weights", weights),
        Fact(
            "Published speed",
            "" if card.images_per_s is None else f"{card.images_per_s:,.0f} images/s",
            card.images_per_s,
            "more",
            catalog.throughput_hardware,
        ),
        Fact(
            "Speed measured on",
            catalog.throughput_hardware if card.images_per_s else "",
            is_shared=True,
        ),
    )


LATENCY = "Latency here"


def card_facts(row: ModelRow, catalog: Catalog) -> tuple[Fact, ...]:
    """What the card lists; `tip` is a second line that explains the first."""
    card, per_m = row.card, row.card.top1_per_m
    macs = "" if card.macs is None else f"{card.macs / 1e9:,.3f}"
    held = "" if card.activations is None else f"{card.activations / 1e6:,.1f} M numbers an image"
    per = "" if per_m is None else f"{per_m:,.2f} % per million parameters"
    groups = "" if card.layer_groups is None else f"{card.layer_groups:,}, stem and head among them"
    speed = "" if card.images_per_s is None else f"{card.images_per_s:,.0f} images/s published"
    latency = "not measured"
    if row.latency is not None:
        latency = (
            f"{row.latency.median_ms:,.1f} ms "
            f"({row.latency.low_ms:,.1f} to {row.latency.high_ms:,.1f})"
        )
    return (
        Fact("Parameters", params_text(card), tip=without_head_text(card)),
        Fact("GMACs", macs),
        Fact("Activations", held),
        Fact("Top-1", percent_text(card.top1)),
        Fact("Top-5", percent_text(card.top5)),
        Fact("Top-1 per M", per),
        Fact("Answers for", classes_text(card)),
        Fact("Pretraining", card.pretraining),
        Fact("Input", input_text(card), tip=preprocessing_text(card)),
        Fact("Features", features_text(card)),
        Fact("Layer groups", groups),
        Fact("Licence", license_text(card.license), tip=licence_note(card)),
        Fact("Speed", speed, tip=f"on {catalog.throughput_hardware}" if speed else ""),
        Fact(LATENCY, latency, tip="" if row.latency is None else row.latency.settings),
    )


def best_of(facts: tuple[Fact, ...]) -> frozenset[int]:
    """Which of the same fact of several cards are ahead: none where they are all equal."""
    known = [fact.value for fact in facts if fact.value is not None]
    better = facts[0].better if facts else ""
    if not better or len(known) < 2 or min(known) == max(known):
        return frozenset()
    best = min(known) if better == "less" else max(known)
    return frozenset(place for place, fact in enumerate(facts) if fact.value == best)


def params_text(card: ModelCard) -> str:
    return "" if card.params is None else f"{card.params:,}"


def without_head_text(card: ModelCard) -> str:
    """About how many parameters are left when a new head takes the place of the published one."""
    if card.params is None or card.feature_dim is None or card.num_classes == 0:
        return ""
    head = (card.feature_dim + 1) * card.num_classes
    if not _LEAST_HEAD * card.params <= head < card.params:
        return ""
    kept = short_number(card.params - head)
    return f"about {kept} without its head of {card.num_classes:,} outputs"


def percent_text(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} %"


def input_text(card: ModelCard) -> str:
    if card.input_size is None:
        return ""
    return f"{card.input_size[1]:,} × {card.input_size[0]:,} px"


def preprocessing_text(card: ModelCard) -> str:
    """`Resized to 256 px (bilinear), the middle 224 × 224 of it, mean 0.485 …`."""
    parts = []
    if card.input_size is not None and card.crop_pct:
        short = round(min(card.input_size) / card.crop_pct)
        how = f" ({card.interpolation})" if card.interpolation else ""
        parts.append(f"resized to {short:,} px{how}")
        if card.crop_pct < 1:
            parts.append(f"the middle {100 * card.crop_pct:.3g}\u00a0% kept")
    elif card.interpolation:
        parts.append(f"resized ({card.interpolation})")
    if card.mean is not None and card.std is not None:
        parts.append(f"mean {_triple(card.mean)}, std {_triple(card.std)}")
    return ", ".join(parts)


def _triple(values: tuple[float, ...]) -> str:
    texts = [f"{value:.3f}".rstrip("0").rstrip(".") for value in values]
    return texts[0] if len(set(texts)) == 1 else "/".join(texts)


def features_text(card: ModelCard) -> str:
    return "" if card.feature_dim is None else f"{card.feature_dim:,} numbers an image"


def classes_text(card: ModelCard) -> str:
    """What its own head answers for; empty where nothing of the model is known yet."""
    if card.num_classes == 0 and card.params is None:
        return ""
    if card.num_classes == 0:
        return "features and training only"
    if card.label_set:
        return f"{card.num_classes:,} classes ({card.label_set})"
    if card.source in ADDED_SOURCES:
        return f"{card.num_classes:,} classes of its own"
    return f"{card.num_classes:,} outputs that are no classes"


def license_text(name: str) -> str:
    if name in ("", "unknown"):
        return ""
    if "-nc-" in name or "noncommercial" in name:
        return f"{name}: no commercial use"
    return name
