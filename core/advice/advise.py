"""Advice on a dataset: the rules, the evidence measured on a sample, a recipe for each strategy.

The table decides, the evidence may overrule it and the budget may ask for less; every step of
that is a sentence among the reasons.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from core.advice.estimate import (
    Cost,
    Sizes,
    Speed,
    cost_of_fine_tuning,
    cost_of_head,
    measure_training,
)
from core.advice.evidence import Evidence, measure
from core.advice.rules import (
    DOMAINS,
    Decision,
    Domain,
    PlannedStrategy,
    RuleRow,
    Thresholds,
    decide,
    describe,
    published_rules,
)
from core.catalog import domains
from core.compute.choose import resolve_compute
from core.compute.device import Compute
from core.data.dataset import DatasetIndex
from core.data.splits import HonestSets, honest_sets
from core.events import OnProgress, ShouldStop, check_stop, never_stop, no_progress
from core.models.build import BuiltModel, build
from core.models.resolve import resolve_model
from core.plan.layer_plan import plan_of
from core.recipe.plan import Plan
from core.recipe.recipe import Recipe

_SURE_BELOW = 0.5
"""Between photographs (0.20–0.23) and steel defects or digits (0.82–0.85), measured with Lite0."""
_ENOUGH = 0.99
_POOR = 0.80
_WORTH_TUNING = 200
"""Training images per class from which fine-tuning a poor probe is worth a check."""
_STRATEGIES: tuple[PlannedStrategy, ...] = ("feature-extraction", "partial", "full")


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimates for the advised strategy on the whole set.

    `accuracy` is that of heads on frozen features cross-fitted on the sample, with its 95 %
    interval: what feature extraction gives at least, and where fine-tuning begins.
    """

    seconds: float
    memory_mb: float
    accuracy: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Alternative:
    """One strategy, ready to be trained. The advised one is among them."""

    strategy: PlannedStrategy
    gradual: bool
    augmentation: str
    trains: str
    trainable_params: int
    params: int
    seconds: float
    memory_mb: float
    fits_budget: bool
    risk: str
    why: str
    is_advised: bool
    recipe: Recipe
    plan: Plan

    def to_dict(self) -> dict[str, Any]:
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        del fields["plan"]
        return {**fields, "recipe": self.recipe.model_dump()}


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do with a dataset: the decision, its reasons, a recipe for each strategy."""

    decision: Decision
    """What to do: the table's answer, or what evidence and budget made of it."""
    table: Decision
    """What the deciding table says."""
    domain: Domain
    domain_origin: Literal["said", "measured", "assumed"]
    images_per_class: float
    rules: tuple[RuleRow, ...]
    reasons: tuple[str, ...]
    recipe: Recipe
    evidence: Evidence
    estimate: Estimate
    alternatives: tuple[Alternative, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON; the keys of the decision stand at the top."""
        return {
            **dataclasses.asdict(self.decision),
            "table": dataclasses.asdict(self.table),
            "domain": self.domain,
            "domain_origin": self.domain_origin,
            "images_per_class": self.images_per_class,
            "rules": [dataclasses.asdict(row) for row in self.rules],
            "reasons": list(self.reasons),
            "recipe": self.recipe.model_dump(),
            "evidence": dataclasses.asdict(self.evidence),
            "estimate": dataclasses.asdict(self.estimate),
            "alternatives": [option.to_dict() for option in self.alternatives],
        }


def advise(
    index: DatasetIndex,
    recipe: Recipe,
    *,
    domain: Domain | Literal["auto"] = "auto",
    budget_seconds: float | None = None,
    thresholds: Thresholds | None = None,
    on_progress: OnProgress = no_progress,
    should_stop: ShouldStop = never_stop,
) -> Advice:
    """Advise a strategy for a dataset; measures on a sample of it.

    `recipe` gives the model and the values that all alternatives share.

    Raises: AppError where the set or the model cannot be used; Cancelled.
    """
    limits = thresholds or Thresholds()
    sets = honest_sets(index, folds=recipe.selection_folds, seed=recipe.seed)
    per_class = float(
        np.median(np.bincount(index.labels[sets.train], minlength=len(index.classes)))
    )
    built = build(resolve_model(recipe.model))
    compute = resolve_compute(recipe, built)
    evidence, speed = measure(index, sets, built, compute, recipe, on_progress, should_stop)

    chosen, origin, domain_reason = _domain(domain, evidence, built)
    table = decide(per_class, chosen, thresholds=limits)
    decision, overruled = overrule(table, evidence, per_class=per_class, domain=chosen)
    options = _Options(recipe, table, limits, per_class)
    costs = _costs(
        [options.recipe(name) for name in _STRATEGIES],
        sizes=_sizes(index, sets),
        speed=speed,
        built=built,
        compute=compute,
        on_progress=on_progress,
        should_stop=should_stop,
    )
    fits = {
        name: budget_seconds is None or cost.seconds <= budget_seconds
        for name, (_plan, cost) in zip(_STRATEGIES, costs, strict=True)
    }
    final, budget_reasons = _within_budget(decision, fits, costs, budget_seconds)
    alternatives = tuple(
        options.alternative(name, plan, cost, fits=fits[name], is_advised=name == final.strategy)
        for name, (plan, cost) in zip(_STRATEGIES, costs, strict=True)
    )
    advised = next(option for option in alternatives if option.is_advised)
    return Advice(
        decision=final,
        table=table,
        domain=chosen,
        domain_origin=origin,
        images_per_class=per_class,
        rules=published_rules(per_class, chosen, thresholds=limits),
        reasons=(
            f"The median class has {per_class:,.0f} training images: {table.row}.",
            domain_reason,
            _probe_reason(evidence),
            *table.notes,
            *_on_domain_weights(chosen),
            *overruled,
            *budget_reasons,
            *_on_augmentation(table, final),
        ),
        recipe=advised.recipe,
        evidence=evidence,
        estimate=Estimate(advised.seconds, advised.memory_mb, evidence.accuracy, evidence.interval),
        alternatives=alternatives,
    )


def overrule(
    table: Decision, evidence: Evidence, *, per_class: float, domain: Domain
) -> tuple[Decision, tuple[str, ...]]:
    """The decision after the evidence may have overruled the table, and the reasons."""
    accuracy = f"{evidence.accuracy:.1%}"
    if table.strategy != "feature-extraction" and evidence.accuracy >= _ENOUGH:
        frozen = Decision("feature-extraction", table.augmentation, False, table.row, table.notes)
        return frozen, (
            f"The table says {describe(table)}; the frozen features already get {accuracy} of the "
            "held-out images right, so feature extraction is enough.",
        )
    is_poor = evidence.accuracy < _POOR and domain != "similar"
    if table.strategy == "feature-extraction" and is_poor and per_class >= _WORTH_TUNING:
        return table, (
            f"Frozen features get only {accuracy} of the held-out images right in a domain they "
            f"were not made for, and there are {per_class:,.0f} images per class to learn from: "
            "check partial fine-tuning as well.",
        )
    return table, ()


def _within_budget(
    decision: Decision,
    fits: dict[PlannedStrategy, bool],
    costs: list[tuple[Plan, Cost]],
    budget_seconds: float | None,
) -> tuple[Decision, tuple[str, ...]]:
    """The decision, or the next simpler strategy that fits the budget, and the reasons."""
    if budget_seconds is None or fits[decision.strategy]:
        return decision, ()
    needed = {name: cost.seconds for name, (_, cost) in zip(_STRATEGIES, costs, strict=True)}
    simpler = _STRATEGIES[: _STRATEGIES.index(decision.strategy)]
    for name in reversed(simpler):
        if fits[name]:
            is_head = name == "feature-extraction"
            found = dataclasses.replace(
                decision, strategy=name, gradual=decision.gradual and not is_head
            )
            return found, (
                f"{_upper(_NAMES[decision.strategy])} would take about "
                f"{_duration(needed[decision.strategy])} here, more than the budget of "
                f"{_duration(budget_seconds)}: {_NAMES[name]} is the best that fits.",
            )
    least = Decision("feature-extraction", decision.augmentation, False, decision.row)
    return dataclasses.replace(least, notes=decision.notes), (
        f"No strategy fits the budget of {_duration(budget_seconds)}: feature extraction, the "
        f"quickest, takes about {_duration(needed['feature-extraction'])} here. Choose a smaller "
        "model, fewer images or more time.",
    )


_NAMES: dict[PlannedStrategy, str] = {
    "feature-extraction": "feature extraction",
    "partial": "partial fine-tuning",
    "full": "full fine-tuning",
}


class _Options:
    """Makes the recipe and the description of each strategy."""

    def __init__(
        self, recipe: Recipe, table: Decision, limits: Thresholds, per_class: float
    ) -> None:
        # What was set by hand for single layers belongs to none of the strategies.
        self._recipe = recipe.with_values(layer_rates={})
        self._table = table
        self._is_small = per_class < limits.medium
        self._is_large = per_class >= limits.large

    def recipe(self, strategy: PlannedStrategy) -> Recipe:
        if strategy == "feature-extraction":
            return self._recipe.with_values(strategy=strategy, gradual=False)
        is_tables = strategy == self._table.strategy
        varies = self._table.augmentation or not is_tables
        return self._recipe.with_values(
            strategy=strategy,
            gradual=self._table.gradual if is_tables else self._is_small or self._table.gradual,
            augmentation="light" if varies else "none",
        )

    def alternative(
        self, strategy: PlannedStrategy, plan: Plan, cost: Cost, *, fits: bool, is_advised: bool
    ) -> Alternative:
        recipe = self.recipe(strategy)
        trained = [group.name for group in plan.groups if group.is_trained]
        what = {
            "feature-extraction": "the head alone",
            "partial": f"the head and {len(trained) - 1} of {len(plan.groups) - 1} groups",
            "full": "everything",
        }
        why = {
            "feature-extraction": "fastest; the baseline every other must beat",
            "partial": "when the frozen features are good but not made for these images",
            "full": "with thousands of images per class, or a domain far from photographs",
        }
        return Alternative(
            strategy=strategy,
            gradual=recipe.gradual,
            augmentation="none" if strategy == "feature-extraction" else recipe.augmentation,
            trains=what[strategy],
            trainable_params=plan.trainable_params,
            params=plan.params,
            seconds=cost.seconds,
            memory_mb=cost.memory_mb,
            fits_budget=fits,
            risk=self._risk(strategy),
            why=why[strategy],
            is_advised=is_advised,
            recipe=recipe,
            plan=plan,
        )

    def _risk(self, strategy: PlannedStrategy) -> str:
        """The risk of overfitting, by trained parameters and images per class."""
        if strategy == "feature-extraction" or self._is_large:
            return "low"
        if strategy == "partial":
            return "medium" if self._is_small else "low"
        return "high" if self._is_small else "medium"


def _sizes(index: DatasetIndex, sets: HonestSets) -> Sizes:
    return Sizes(
        train=len(sets.train),
        fit=len(sets.fit),
        selection=len(sets.selection),
        report=len(sets.report),
        classes=len(index.classes),
        folds=sets.folds,
    )


def _costs(
    recipes: list[Recipe],
    *,
    sizes: Sizes,
    speed: Speed,
    built: BuiltModel,
    compute: Compute,
    on_progress: OnProgress,
    should_stop: ShouldStop,
) -> list[tuple[Plan, Cost]]:
    """The plan and cost of each recipe; steps of fine-tuning are timed."""
    probe = cost_of_head(sizes, speed, built.feature_dim)
    pixel_bytes = 3 * built.preprocessing.resize_px**2
    found = []
    for number, recipe in enumerate(recipes):
        check_stop(should_stop)
        on_progress(number, len(recipes), "timing a training step")
        plan = plan_of(recipe, sizes.classes)
        if recipe.strategy == "feature-extraction":
            found.append((plan, probe))
            continue
        trained = measure_training(recipe, sizes.classes, compute)
        cost = cost_of_fine_tuning(
            sizes, speed, trained, plan, recipe, probe=probe, pixel_bytes=pixel_bytes
        )
        found.append((plan, cost))
    return found


def _domain(
    wish: Domain | Literal["auto"], evidence: Evidence, built: BuiltModel
) -> tuple[Domain, Literal["said", "measured", "assumed"], str]:
    if wish != "auto":
        return wish, "said", f"You said the images are {DOMAINS[wish]}."
    if evidence.head_entropy is None:
        return (
            "somewhat",
            "assumed",
            f"{built.card.full_name} has no pretrained classifier to measure the domain with; "
            "“somewhat different” is assumed. Choose the domain yourself if you know it.",
        )
    share = evidence.head_entropy
    chosen: Domain = "similar" if share < _SURE_BELOW else "somewhat"
    reason = (
        f"The pretrained classifier's uncertainty on {evidence.domain_images} of your images is "
        f"{share:.2f} of its maximum (photographs: about 0.2; steel defects and digits: about "
        f"0.8), so the domain is taken as {DOMAINS[chosen]}."
    )
    if chosen == "somewhat":
        reason += (
            " This measure cannot detect “very different”: choose that yourself if it applies."
        )
    return chosen, "measured", reason


def _probe_reason(evidence: Evidence) -> str:
    low, high = evidence.interval
    return (
        f"A head on frozen features got {evidence.accuracy:.1%} of {evidence.images:,} sampled "
        f"training images right, each judged by heads fitted without it ({low:.1%}–{high:.1%})."
    )


def _on_domain_weights(domain: Domain) -> tuple[str, ...]:
    """A sentence on weights made for special domains, where the domain is very different."""
    if domain != "different":
        return ()
    return (
        f"Weights made for a domain, each with its licence: {domains.examples()}. "
        "`graftwork models --domain NAME` lists more.",
    )


def _on_augmentation(table: Decision, final: Decision) -> tuple[str, ...]:
    if not table.augmentation or final.strategy != "feature-extraction":
        return ()
    return (
        "The table asks for augmentation. Feature extraction trains on features computed once per "
        "image, so its images are not varied here; the fine-tuning alternatives do vary them.",
    )


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"
