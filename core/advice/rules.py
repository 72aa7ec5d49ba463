"""The rules of thumb that choose a strategy: two published ones and the table that decides.

Pure functions of two facts, the median number of training images per class and how far the
images are from ImageNet's photographs. They are rough; the measured evidence stands beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.errors import AppError

Domain = Literal["similar", "somewhat", "different"]
PlannedStrategy = Literal["feature-extraction", "partial", "full"]

DOMAINS: dict[Domain, str] = {
    "similar": "natural photographs: animals, objects, scenes",
    "somewhat": "somewhat different: X-rays, microscopy, handwriting, industrial defects",
    "different": "very different: satellite, radar, spectrograms, scientific plots",
}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Median training images per class at which a set counts as medium and as large."""

    medium: int = 1_000
    large: int = 10_000


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer of the deciding table for one dataset."""

    strategy: PlannedStrategy
    augmentation: bool
    gradual: bool
    """Open the layers one group after the other."""
    row: str
    """The size row that applied, in words."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One rule's answer, and whether it agrees with the decision."""

    rule: str
    row: str
    says: str
    decided: bool


@dataclass(frozen=True, slots=True)
class RuleTable:
    """A whole rule as a grid, and the cell that applied."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    """cells[row][column]: what the rule says there."""
    applied: tuple[int, int]
    """Row and column."""
    decides: bool


_FEATURES_MAY_NOT_TRANSFER = (
    "ImageNet features may not transfer to this domain: prefer weights pretrained on it where "
    "there are any."
)


def decide(
    images_per_class: float, domain: Domain, *, thresholds: Thresholds | None = None
) -> Decision:
    """Apply the deciding table. `images_per_class`: median of the training images per class."""
    limits = thresholds or Thresholds()
    if images_per_class < limits.medium:
        row = f"fewer than {limits.medium:,} training images per class"
        is_far = domain != "similar"
        notes = (_FEATURES_MAY_NOT_TRANSFER,) if domain == "different" else ()
        return Decision("feature-extraction", is_far, False, row, notes)
    if images_per_class < limits.large:
        row = f"{limits.medium:,} to {limits.large - 1:,} training images per class"
        if domain == "similar":
            return Decision("partial", False, False, row, ("Last one or two stages, small rates.",))
        if domain == "somewhat":
            return Decision("partial", True, True, row)
        return Decision("full", False, True, row, (_FEATURES_MAY_NOT_TRANSFER,))
    row = f"{limits.large:,} or more training images per class"
    if domain == "similar":
        note = "Light fine-tuning is enough; train everything if the budget allows."
        return Decision("partial", False, False, row, (note,))
    notes = ("Compare with training from scratch.",) if domain == "different" else ()
    return Decision("full", False, False, row, notes)


def published_rules(
    images_per_class: float, domain: Domain, *, thresholds: Thresholds | None = None
) -> tuple[RuleRow, RuleRow, RuleRow]:
    """Both published rules and the deciding table, each with the row that applies."""
    decision = decide(images_per_class, domain, thresholds=thresholds)
    return (
        _by_size(images_per_class),
        _by_size_and_domain(images_per_class, domain),
        RuleRow(
            "deciding table",
            f"{decision.row}; {DOMAINS[domain]}",
            describe(decision),
            decided=True,
        ),
    )


def rule_tables(
    images_per_class: float, domain: Domain, *, thresholds: Thresholds | None = None
) -> tuple[RuleTable, RuleTable, RuleTable]:
    """The deciding table and both published rules in full, with the cell that applied.

    The published rules keep their own thresholds, whatever those of the deciding table are.
    """
    limits = thresholds or Thresholds()
    sizes = (0, limits.medium, limits.large)
    size = sum(images_per_class >= limit for limit in sizes[1:])
    domains: tuple[Domain, ...] = ("similar", "somewhat", "different")
    heads = ("natural photographs", "somewhat different", "very different")
    deciding = RuleTable(
        "Deciding table",
        heads,
        tuple(
            decide(n, "similar", thresholds=limits).row.replace(" training images", "")
            for n in sizes
        ),
        tuple(tuple(describe(decide(n, d, thresholds=limits)) for d in domains) for n in sizes),
        (size, domains.index(domain)),
        decides=True,
    )
    published = (0, 1_000, 10_000)
    by_size = RuleTable(
        "Published rule by size",
        ("says",),
        tuple(_by_size(n).row for n in published),
        tuple((_by_size(n).says,) for n in published),
        (sum(images_per_class >= limit for limit in published[1:]), 0),
        decides=False,
    )
    by_both = RuleTable(
        "Published rule by size and domain",
        heads,
        ("small: fewer than 1,000 per class", "large: 1,000 or more per class"),
        tuple(tuple(_by_size_and_domain(n, d).says for d in domains) for n in (0, 1_000)),
        (int(images_per_class >= 1_000), domains.index(domain)),
        decides=False,
    )
    return deciding, by_size, by_both


def describe(decision: Decision) -> str:
    """The decision in a phrase, e.g. `partial fine-tuning with augmentation, gradual`."""
    names = {
        "feature-extraction": "feature extraction",
        "partial": "partial fine-tuning",
        "full": "full fine-tuning",
    }
    phrase = names[decision.strategy]
    if decision.augmentation:
        phrase += " with augmentation"
    return phrase + (", gradual" if decision.gradual else "")


def _by_size(images_per_class: float) -> RuleRow:
    rule = "by size"
    if images_per_class < 1_000:
        return RuleRow(rule, "fewer than 1,000 per class", "feature extraction", decided=False)
    if images_per_class < 10_000:
        return RuleRow(rule, "1,000 to 9,999 per class", "partial fine-tuning", decided=False)
    return RuleRow(rule, "10,000 or more per class", "full fine-tuning", decided=False)


def _by_size_and_domain(images_per_class: float, domain: Domain) -> RuleRow:
    rule = "by size and domain"
    size = "small" if images_per_class < 1_000 else "large"
    if domain == "different":
        return RuleRow(
            rule,
            "very different domain",
            "fine-tune with weights of that domain, or train from scratch",
            decided=False,
        )
    says = {
        ("small", "similar"): "feature extraction",
        ("small", "somewhat"): "feature extraction with augmentation",
        ("large", "similar"): "light fine-tuning",
        ("large", "somewhat"): "full fine-tuning",
    }[size, domain]
    kind = "similar" if domain == "similar" else "different"
    return RuleRow(rule, f"{size} and {kind}", says, decided=False)


def parse_budget(text: str) -> float:
    """Parse a time budget such as `90`, `90s`, `10m` or `1.5h` to seconds. Raises: AppError."""
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = -1
    if not seconds > 0:
        raise AppError(f"“{text}” is not a time budget.", "Write for example 90s, 10m or 1.5h.")
    return seconds
