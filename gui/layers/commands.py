"""What a person can ask of the layer tree."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from gui.base.commands import CommandSet
from gui.base.session import Session
from gui.kit import jobs as kit_jobs
from gui.kit.workers import JobRunner
from gui.layers import jobs as layer_jobs
from gui.layers.undo import PlanHistory, PlanRequest, with_strategy

if TYPE_CHECKING:
    from core.advice.advise import Advice
    from core.catalog.card import ModelCard
    from core.models.layers.rows import LayerLine
    from core.plan.layer_plan import LayerPlan
    from core.recipe.recipe import Recipe
    from gui.layers.jobs import LayerQuestion, Layers

_MOST_REMEMBERED = 24
_COUNTS: dict[str, int | None] = {"head": 0, "last": 1, "last two": 2, "all": None}
_NAMES: dict[str, str] = {
    "head": "the head alone",
    "last": "the last layer group",
    "last two": "the last two layer groups",
    "all": "all layers",
    "advice": "what the advice says",
}
_OF_THE_ADVICE = ("strategy", "layer_groups", "layer_rates", "gradual", "open_every")


class LayerCommands(CommandSet):
    """The layers of a model come back as a signal; a change of what trains goes to the session.

    `history` undoes these changes, and all others of the recipe.
    """

    layers_known = Signal(object)
    layers_failed = Signal(object)
    tree_wanted = Signal()
    """The Models page is to show the tree of the session's model."""
    advice_remembered = Signal()
    """There is a preset of that name, or another one."""

    def __init__(self, session: Session, runner: JobRunner, parent: QObject) -> None:
        super().__init__(session, runner, parent)
        self._remembered: dict[str, Layers] = {}
        self._advice: Recipe | None = None
        self._advised_on: object = None
        self.history = PlanHistory(session, self)

    def show_layers(self, card: ModelCard) -> None:
        """Work out the layers; an earlier question is dropped."""
        question = self.question_for(card)
        self._runner.supersede("layers")
        known = self._remembered.get(repr(question))
        if known is not None:
            self.layers_known.emit(known)
            return
        self._runner.start(
            layer_jobs.work_out_layers, question,
            title=f"Layers of {card.shown_name}", key="layers", on_done=self._layers_found,
            on_failed=self.layers_failed.emit, quiet=True,
            # Only until the libraries are loaded: a skeleton has no numbers to compute, and a
            # person should not wait for a run's end to look at a model.
            needs_compute=self._session.machine is None,
        )  # fmt: skip

    def question_for(self, card: ModelCard) -> LayerQuestion:
        dataset = self._session.dataset
        return layer_jobs.LayerQuestion(card, None if dataset is None else len(dataset.classes))

    def _layers_found(self, layers: Layers) -> None:
        while len(self._remembered) >= _MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[repr(layers.question)] = layers
        self.layers_known.emit(layers)

    def show_tree(self) -> None:
        """Lead a person to where layers are set by hand."""
        self._session.show_page("models")
        self.tree_wanted.emit()

    def save_table(self, path: Path, text: str) -> None:
        """Write a table of layers to a file."""
        self._runner.start(
            kit_jobs.save_text, path, text,
            title=f"Writing {path.name}", on_done=self._saved, page="models", quiet=True,
        )  # fmt: skip

    def _saved(self, path: Path) -> None:
        self._session.notice("models", f"The table of layers is saved as {path}.")

    # -- the plan ----------------------------------------------------------------------------

    def recipe_for(self, layers: Layers) -> Recipe:
        """What the next run would do with this model. Raises: AppError for a value refused."""
        from core.recipe.recipe import make_recipe

        values = dict(self._session.recipe_values)
        if not self.is_planned(layers):
            values.pop("layer_rates", None)  # they belong to the model of the next run
        return make_recipe({**values, "model": layers.question.card.id})

    def plan_for(self, layers: Layers, *, epoch: int | None = None) -> LayerPlan:
        """What trains of these layers, ever or in one epoch.

        Raises: AppError where the recipe is refused or names layers of another model.
        """
        from core.plan.layer_plan import LayerPlan

        return LayerPlan(layers.tree, self.recipe_for(layers), epoch=epoch)

    def is_planned(self, layers: Layers) -> bool:
        """Whether it is the model that the next run trains."""
        return layers.question.card.id == self._session.model_id

    def presets(self, layers: Layers, recipe: Recipe) -> dict[str, bool]:
        """The presets there are for this model → whether the recipe is one of them now."""
        from core.plan.layer_plan import train_same_layers, with_last_groups

        found: dict[str, bool] = {}
        taken: list[Recipe] = []
        for preset, number in _COUNTS.items():
            made = with_last_groups(recipe, number)
            # A model of one layer group has no last two.
            is_new = not any(train_same_layers(made, other, layers.tree) for other in taken)
            if is_new or preset == "all":
                is_now = not any(found.values()) and train_same_layers(recipe, made, layers.tree)
                found[preset] = is_now
                taken.append(made)
        advised = self._advice_for(layers)
        if advised is not None:
            found["advice"] = all(
                getattr(recipe, key) == getattr(advised, key) for key in _OF_THE_ADVICE
            )
        return found

    def remember_advice(self, advice: Advice) -> None:
        """It makes a preset, as long as its dataset is open and its model shown."""
        self._advice = advice.recipe
        self._advised_on = self._session.dataset
        self.advice_remembered.emit()

    def _advice_for(self, layers: Layers) -> Recipe | None:
        advised = self._advice
        if advised is None or self._advised_on is not self._session.dataset:
            return None
        return advised if advised.model == layers.question.card.id else None

    # -- changes -----------------------------------------------------------------------------

    def tick(self, layers: Layers, line: LayerLine, *, trains: bool) -> None:
        """Let a layer, or every member of a run, learn or freeze it. Raises: AppError."""
        from core.plan.layer_plan import with_trained
        from core.plan.layer_text import name_line, paths_of

        recipe = self.recipe_for(layers)
        made = with_trained(recipe, layers.tree, paths_of(line), trains=trains)
        self._take(layers, made, f"{'train' if trains else 'freeze'} {name_line(line)}")

    def set_factor(self, layers: Layers, line: LayerLine, text: str) -> None:
        """A factor on the learning rate of a layer, as a person wrote it. Raises: AppError."""
        from core.plan.layer_plan import read_factor, with_factor
        from core.plan.layer_text import name_line, paths_of

        factor = read_factor(text)
        recipe = self.recipe_for(layers)
        made = with_factor(recipe, layers.tree, paths_of(line), factor)
        name = f"rate × {factor:g} for {name_line(line)}" if factor else f"freeze {name_line(line)}"
        self._take(layers, made, name)

    def choose_preset(self, layers: Layers, preset: str) -> None:
        """Raises: AppError."""
        from core.plan.layer_plan import with_last_groups

        recipe = self.recipe_for(layers)
        advised = self._advice_for(layers)
        if preset != "advice":
            made = with_last_groups(recipe, _COUNTS[preset])
        elif advised is not None:
            made = recipe.with_values(**{key: getattr(advised, key) for key in _OF_THE_ADVICE})
        else:
            return
        self._take(layers, made, f"train {_NAMES[preset]}")

    def clear_rates(self) -> None:
        """Let the strategy alone say what trains."""
        now = self.history.now
        values = {key: value for key, value in now.values.items() if key != "layer_rates"}
        self.history.change("clear the layer rates", PlanRequest(now.model, values))

    def _take(self, layers: Layers, recipe: Recipe, text: str) -> None:
        """Make the recipe's layer fields, and its model, those of the next run: one step."""
        card = layers.question.card
        values = _with_layer_fields(self._session.recipe_values, recipe)
        wanted = PlanRequest(card.id, values)
        if wanted != self.history.now:
            self.history.change(text, wanted)


def _with_layer_fields(values: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    made = with_strategy(values, recipe.strategy)
    made["layer_groups"] = recipe.layer_groups
    made["layer_rates"] = dict(recipe.layer_rates)
    for key in ("gradual", "open_every"):
        if getattr(recipe, key) != values.get(key, type(recipe).model_fields[key].default):
            made[key] = getattr(recipe, key)
    if not recipe.layer_rates:
        del made["layer_rates"]
    if recipe.strategy != "partial" and "layer_groups" not in values:
        del made["layer_groups"]
    return made
