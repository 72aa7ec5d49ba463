"""The catalog shipped with the application: every card, found by name or by a filter.

Reads `resources/catalog.json` (written by `core.catalog_build.build`). Loads no torch: the
window shows the catalog before torch is imported. It does not know what a person added
(`core.models.resolve`), whether weights are here (`core.models.weights.weights`) nor how a model
is built (`core.models.build`).
"""

from __future__ import annotations

import difflib
import functools
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from core.catalog.card import ModelCard
from core.catalog.search import SHIPPED_SOURCES, SOURCES, CardFilter, haystack_of, matcher
from core.errors import ModelError
from core.system import paths
from core.words import list_some

_NAMED = 12
COLUMNS = (
    "source", "arch", "tag", "family", "params", "macs", "top1", "top5", "height", "width",
    "num_classes", "license", "weights", "activations", "feature_dim", "layer_groups",
    "images_per_s", "pretraining", "preprocessing",
)  # fmt: skip
"""The columns of `catalog.json`. Rows of one architecture follow each other, default first.

`pretraining` and `preprocessing` are positions in lists of the document: few are different.
"""

_NO_ORDER = ("weights", "tag", "interpolation", "mean", "std")
SORT_COLUMNS = (
    *(f.name for f in fields(ModelCard) if f.name not in _NO_ORDER),
    "top1_per_m",
)
_LARGEST_FIRST = ("top1", "top5", "num_classes", "top1_per_m", "images_per_s")

TIMM_TABLE = "timm's results-imagenet.csv"

NAME_FORMS = (
    "Models are named like bundled/tf_efficientnet_lite0, torchvision/resnet50.IMAGENET1K_V2, "
    "timm/resnet50.a1_in1k, hf-hub:OWNER/NAME, hub/OWNER/REPO:ENTRY or file:PATH; a bare name such "
    "as resnet50 works too."
)


@dataclass(frozen=True)
class Catalog:
    """All cards, default weights of an architecture first."""

    cards: tuple[ModelCard, ...]
    made_with: Mapping[str, str] = field(default_factory=dict)
    """The libraries and their versions that the catalog was made with."""
    throughput_hardware: str = ""
    """On what the cards' `images_per_s` was measured, by whom and how."""

    def accuracy_source(self, card: ModelCard) -> str:
        """Who published the card's top-1; empty where it is not known."""
        if card.top1 is None:
            return ""
        return "torchvision's own metadata" if card.source == "torchvision" else TIMM_TABLE

    @functools.cached_property
    def by_id(self) -> dict[str, ModelCard]:
        """The cards by their id in lower case."""
        return {card.id.lower(): card for card in self.cards}

    @functools.cached_property
    def _default_of(self) -> dict[str, ModelCard]:
        """`source/arch` → the card with that architecture's default weights."""
        found: dict[str, ModelCard] = {}
        for card in self.cards:
            found.setdefault(f"{card.source}/{card.arch}".lower(), card)
        return found

    @functools.cached_property
    def _haystacks(self) -> tuple[str, ...]:
        return tuple(haystack_of(card) for card in self.cards)

    @functools.cached_property
    def families(self) -> tuple[str, ...]:
        """Every family there is, by name."""
        return tuple(sorted({card.family for card in self.cards}, key=str.lower))

    @functools.cached_property
    def licenses(self) -> tuple[str, ...]:
        """Every licence there is, the most frequent first; unknown ones are left out."""
        counts = Counter(card.license for card in self.cards if card.license)
        counts.pop("unknown", None)
        return tuple(name for name, _ in counts.most_common())

    def positions(self, wanted: CardFilter) -> list[int]:
        """The positions in `cards` of those that fit, in catalog order. A millisecond or two."""
        fits = matcher(wanted)
        pairs = enumerate(zip(self.cards, self._haystacks, strict=True))
        return [position for position, (card, haystack) in pairs if fits(card, haystack)]

    def variants(self, card: ModelCard) -> tuple[ModelCard, ...]:
        """All cards of the card's architecture, whatever the source; the card is among them."""
        return self._by_arch.get(card.arch, (card,))

    @functools.cached_property
    def _by_arch(self) -> dict[str, tuple[ModelCard, ...]]:
        found: dict[str, list[ModelCard]] = {}
        for card in self.cards:
            found.setdefault(card.arch, []).append(card)
        return {arch: tuple(cards) for arch, cards in found.items()}

    def resolve(self, text: str) -> ModelCard:
        """The card of the catalog that `text` names: an id, or a bare name.

        A bare name (`resnet50`, `resnet50.a1_in1k`) means bundled, then torchvision, then timm:
        weights that are on this machine come first. Raises: ModelError with the candidates.
        """
        name = text.strip()
        wanted = name.lower()
        places_to_look = (wanted,) if "/" in wanted else [f"{s}/{wanted}" for s in SHIPPED_SOURCES]
        for candidate in places_to_look:
            card = self.by_id.get(candidate) or self._default_of.get(candidate)
            if card is not None:
                return card
        raise ModelError(f"There is no model “{name}”.", self._suggestion(wanted))

    def nearest(self, query: str) -> str:
        """A sentence with the names nearest to a search without results; empty where none is."""
        suggestion = self._suggestion(query.strip().lower().replace("*", ""))
        return "" if suggestion.endswith(NAME_FORMS) else suggestion

    def _suggestion(self, wanted: str) -> str:
        """A sentence with the nearest names; the cards that contain the text come first."""
        source, _, bare = wanted.rpartition("/")
        if source and source not in SHIPPED_SOURCES:
            return f"“{source}” is not a source of models. {NAME_FORMS}"
        arch, _, tag = bare.partition(".")
        same_arch = [
            card.id
            for card in self.cards
            if card.arch.lower() == arch and (not source or card.source == source)
        ]
        if tag and same_arch:
            return f"{arch} has these weights: {list_some(same_arch, _NAMED)}."
        archs = list(
            dict.fromkeys(card.arch for card in self.cards if not source or card.source == source)
        )
        near = difflib.get_close_matches(bare, archs, n=5, cutoff=0.6)
        inside = [name for name in archs if bare and bare in name.lower()]
        inside.sort(key=lambda name: not name.lower().startswith(bare))
        near = list(dict.fromkeys((*inside, *near) if len(inside) > 1 else (*near, *inside)))
        if near:
            return f"Similar names: {list_some(near, _NAMED)}."
        return NAME_FORMS

    def search(self, query: str = "", *, sort: str = "", **wanted: Any) -> list[ModelCard]:
        """The cards that fit, in catalog order or by the column `sort`.

        `query` and `wanted` are the fields of `CardFilter`. Sorting puts the best or largest
        first for accuracies, throughput and `num_classes`, else the smallest or first; `-column`
        turns it round; unknown is last either way.

        Raises: ModelError for a column, source or family that does not exist.
        """
        return self.find(CardFilter(query=query, **wanted), sort=sort)

    def find(self, wanted: CardFilter, *, sort: str = "") -> list[ModelCard]:
        """As `search`, with a `CardFilter`. Raises: ModelError."""
        if wanted.source is not None and wanted.source not in SOURCES:
            raise ModelError(
                f"“{wanted.source}” is not a source of models.", f"Sources: {', '.join(SOURCES)}."
            )
        if wanted.family is not None:
            wanted = replace(wanted, family=self.family_named(wanted.family))
        found = [self.cards[position] for position in self.positions(wanted)]
        return sorted_cards(found, sort) if sort else found

    def family_named(self, text: str) -> str:
        """The family that `text` names, as the catalog spells it. Raises: ModelError."""
        by_name = {family.lower(): family for family in self.families}
        found = by_name.get(text.strip().lower())
        if found is None:
            near = difflib.get_close_matches(text.strip().lower(), by_name, n=5, cutoff=0.5)
            near += [name for name in by_name if text.strip().lower() in name and name not in near]
            raise ModelError(
                f"There is no family “{text}”.",
                f"Similar names: {list_some([by_name[name] for name in near], _NAMED)}."
                if near and text.strip()
                else f"Families: {list_some(list(self.families), len(by_name))}.",
            )
        return found


def sorted_cards(cards: list[ModelCard], sort: str) -> list[ModelCard]:
    """Sort `cards` by the column `sort` as `Catalog.search` does. Raises: ModelError."""
    turned = sort.startswith("-")
    column = sort.removeprefix("-")
    if column not in SORT_COLUMNS:
        raise ModelError(
            f"Models cannot be sorted by “{column}”.", f"Columns: {', '.join(SORT_COLUMNS)}."
        )
    largest_first = (column in _LARGEST_FIRST) != turned
    known = [card for card in cards if getattr(card, column) not in (None, "")]
    unknown = [card for card in cards if getattr(card, column) in (None, "")]
    known.sort(key=lambda card: getattr(card, column), reverse=largest_first)
    return known + unknown


@functools.cache
def load() -> Catalog:
    """The catalog shipped with the application, read once per process."""
    return read(paths.resource("catalog.json").read_text(encoding="utf-8"))


def read(text: str) -> Catalog:
    """Parse the JSON document that `core.catalog_build.build` writes."""
    document = json.loads(text)
    columns, shared = document["columns"], shared_of(document)
    rows = (dict(zip(columns, row, strict=True)) for row in document["rows"])
    return Catalog(
        cards=tuple(card_of(row, shared) for row in rows),
        made_with=document["made_with"],
        throughput_hardware=document.get("throughput_hardware", ""),
    )


def model_id(source: str, arch: str, tag: str) -> str:
    """The id of a card, e.g. `timm/resnet50.a1_in1k`."""
    return f"{source}/{arch}.{tag}" if tag else f"{source}/{arch}"


def default_weights_place(source: str, arch: str, tag: str) -> str:
    """The usual location of weights of a source, which the file does not repeat on every row."""
    if source == "timm":
        return f"hf-hub:timm/{arch}.{tag}"
    return "bundled" if source == "bundled" else ""


Preprocessed = tuple[str, float | None, tuple[float, ...] | None, tuple[float, ...] | None]
"""Interpolation, crop share, mean and standard deviation, as a card has them."""


@dataclass(frozen=True, slots=True)
class Shared:
    """Values that many rows of the file share, by position."""

    pretraining: tuple[str, ...] = ("",)
    preprocessing: tuple[Preprocessed, ...] = (("", None, None, None),)


def shared_of(document: dict[str, Any]) -> Shared:
    return Shared(
        pretraining=tuple(document.get("pretraining", ("",))),
        preprocessing=tuple(
            (interpolation, crop, mean and tuple(mean), std and tuple(std))
            for interpolation, crop, mean, std in document.get(
                "preprocessing", (("", None, None, None),)
            )
        ),
    )


def card_of(row: dict[str, Any], shared: Shared | None = None) -> ModelCard:
    """The card of one row of the file, by column."""
    shared = shared or Shared()
    source, arch, tag = row["source"], row["arch"], row["tag"]
    height, width = row["height"], row["width"]
    interpolation, crop_pct, mean, std = shared.preprocessing[row.get("preprocessing") or 0]
    return ModelCard(
        id=model_id(source, arch, tag),
        source=source,
        arch=arch,
        tag=tag,
        family=row["family"],
        params=row["params"],
        macs=row["macs"],
        top1=row["top1"],
        top5=row["top5"],
        input_size=None if height is None else (height, width),
        num_classes=row["num_classes"],
        license=row["license"],
        weights=row["weights"] or default_weights_place(source, arch, tag),
        pretraining=shared.pretraining[row.get("pretraining") or 0],
        feature_dim=row.get("feature_dim"),
        layer_groups=row.get("layer_groups"),
        activations=row.get("activations"),
        interpolation=interpolation,
        crop_pct=crop_pct,
        mean=mean,
        std=std,
        images_per_s=row.get("images_per_s"),
    )
