"""The recipe: everything that decides how a run trains, in one schema.

The window's form, the TOML file and `--set key=value` all fill this model, so a wrong key or
value is refused once, in the user's words.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from core.errors import AppError
from core.recipe import formats, toml
from core.recipe.messages import read_pairs, requirement
from core.system import paths

Strategy = Literal["feature-extraction", "partial", "full", "scratch"]
"""What trains: the head alone, the last layer groups with it, everything, or everything from
random numbers in place of pretrained weights."""

_HEAD_EPOCHS, _FINE_TUNING_EPOCHS, _SCRATCH_EPOCHS = 40, 10, 30
DEFAULT_BATCH_SIZE = 32
"""Images per step where the number is not found for the machine."""

MAIN_TASK = "label"
"""What the label itself is called among the tasks."""

DEFAULT_MODEL = "bundled/tf_efficientnet_lite0"


class Recipe(BaseModel):
    """How to train. Frozen: change it with `with_values`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(DEFAULT_MODEL, description="Model id of the pretrained backbone.")
    strategy: Strategy = Field("feature-extraction", description="What trains.")
    max_epochs: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Most passes over the training images; may end sooner. Empty: 40 for a head "
        "on cached features, 10 for fine-tuning, 30 from scratch.",
    )
    patience: int = Field(
        8,
        ge=1,
        le=1000,
        description="Epochs without a better result on the selection images before stopping.",
    )
    monitor: Literal["accuracy", "loss", "balanced-accuracy", "macro-f1"] = Field(
        "accuracy",
        description="Fine-tuning: what on the selection images chooses the epoch and ends the run. "
        "Equal ones are told apart by the loss. A head on cached features goes by its loss.",
    )
    selection_folds: int = Field(
        5,
        ge=2,
        le=20,
        description="The training images are cut into so many parts; each in turn is held out "
        "to choose the regularisation and the epoch.",
    )
    l2: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="Weight of the L2 penalty on the head. Empty: chosen on the selection images.",
    )
    processes: int = Field(
        1,
        ge=0,
        le=64,
        description="Processes that train together on this machine, each on a GPU of its own (or "
        "on its part of the cores). 0: one for each GPU. Several machines: torchrun.",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of the splits and of the training.")
    deterministic: bool = Field(
        False,
        description="Only ways of computing that give the same bits each time; slower on a GPU. On "
        "the CPU runs repeat themselves without it.",
    )
    device: Literal["auto", "cpu", "cuda", "mps", "xpu"] = Field(
        "auto", description="Where to compute."
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Number format of the frozen backbone."
    )
    embed_batch_size: int | None = Field(
        None, ge=1, le=4096, description="Images per forward pass. Empty: what suits the device."
    )
    layer_groups: int = Field(
        2,
        ge=0,
        le=100,
        description="Partial fine-tuning: how many of the last layer groups train with the head.",
    )
    gradual: bool = Field(
        False,
        description="Fine-tuning: begin with the head alone and open the layer groups that train "
        "one after the other, the last first.",
    )
    open_every: int = Field(
        3, ge=1, le=100, description="Epochs between two openings of gradual fine-tuning."
    )
    open_at: (
        tuple[Annotated[int, Field(ge=1, le=1000)], ...]
        | dict[str, Annotated[int, Field(ge=1, le=1000)]]
    ) = Field(
        (),
        description="Fine-tuning: the epochs in which layer groups open, the last group's first "
        "(4, 7: the head alone for three epochs, the last group from the 4th, the one before from "
        "the 7th), or group = epoch for each. Groups it does not name stay frozen. Empty: as "
        "`gradual` says.",
    )
    dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Fine-tuning: share of the features that is left out at random before the head "
        "in each step; usual: 0.2 to 0.5. 0: off.",
    )
    learning_rate: float = Field(
        3e-4,
        gt=0,
        le=1,
        description="Fine-tuning: the highest rate of the head. Usual: 1e-5 to 1e-3; 0.1 destroys "
        "what the backbone knows.",
    )
    layer_decay: float = Field(
        0.75,
        gt=0,
        le=1,
        description="Fine-tuning: each older layer group learns at so much of the rate of the "
        "next one (0.1: a tenth, 1: all alike). From scratch all learn alike.",
    )
    late_rate: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Fine-tuning: one rate for the later half of the backbone's layer groups; "
        "usual: a tenth of the head's. Empty: from group to group.",
    )
    early_rate: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Fine-tuning: one rate for the earlier half of the backbone's layer groups; "
        "usual: a hundredth of the head's. Empty: from group to group.",
    )
    optimizer: Literal["adamw", "adam", "sgd", "rmsprop", "lamb", "lion"] = Field(
        "adamw",
        description="Fine-tuning: how gradients become steps. adamw and adam suit most; sgd wants "
        "rates some ten times higher, lion some five times lower, lamb is for large steps.",
    )
    momentum: float = Field(
        0.9,
        ge=0,
        lt=1,
        description="Fine-tuning: how much of the last step sgd and rmsprop go on with.",
    )
    nesterov: bool = Field(
        True, description="Fine-tuning: sgd looks ahead along its momentum (Nesterov)."
    )
    weight_decay: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Fine-tuning: the optimizer's weight decay; none on biases and norms.",
    )
    schedule: Literal["cosine", "step", "one-cycle", "plateau", "constant"] = Field(
        "cosine",
        description="Fine-tuning: how the rates fall. step: by `step_factor` every `step_epochs`; "
        "plateau: by `step_factor` when the selection loss has not improved for `step_epochs`; "
        "one-cycle: up in 30 % of the steps and down again; constant: not at all.",
    )
    step_epochs: int = Field(
        5, ge=1, le=1000, description="Fine-tuning: epochs between drops of step and plateau."
    )
    step_factor: float = Field(
        0.1, gt=0, lt=1, description="Fine-tuning: what a drop of step or plateau leaves of a rate."
    )
    warmup: float = Field(
        0.1,
        ge=0,
        le=0.9,
        description="Fine-tuning: share of the steps in which the rates rise from zero before the "
        "schedule begins; one-cycle has a rise of its own.",
    )
    clip_norm: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="Fine-tuning: gradients longer than this are shortened to it; usual: 1. Empty: "
        "never.",
    )
    ema_decay: float = Field(
        0.98,
        ge=0,
        lt=1,
        description="Fine-tuning: what is judged and handed over is a running mean of the weights "
        "that keeps up to so much of itself at each step. 0: the weights of the last step.",
    )
    batch_size: Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] = Field(
        DEFAULT_BATCH_SIZE,
        description="Fine-tuning: images that are learned from at once. auto: as many as memory "
        "and dataset allow, found by a trial.",
    )
    accumulate: int = Field(
        1,
        ge=1,
        le=1024,
        description="Fine-tuning: so many times `batch_size` make one step of the optimizer, as "
        "if they had been learned from at once, with the memory of one of them.",
    )
    loss: Literal["cross-entropy", "focal"] = Field(
        "cross-entropy",
        description="Fine-tuning: what is minimised. focal: images that are answered well count "
        "less (Lin et al. 2017), for rare classes.",
    )
    focal_gamma: float = Field(
        2.0, ge=0, le=10, description="Fine-tuning: how much less; 0 is the cross-entropy."
    )
    teacher: str | None = Field(
        None,
        description="Fine-tuning: whose answers are learned from beside the labels (knowledge "
        "distillation): a model id, run:NAME, the folder of a run, or file:PATH. A run must know "
        "the same classes; others first get a head for them. Empty: nobody's.",
    )
    distill_temperature: float = Field(
        4.0,
        ge=1,
        le=100,
        description="Fine-tuning with a teacher: what both answers are divided by before they are "
        "compared; higher shows more of how the teacher weighs the wrong classes. Usual: 2 to 8.",
    )
    distill_weight: float = Field(
        0.7,
        ge=0,
        le=1,
        description="Fine-tuning with a teacher: the share of its word in the loss; the labels "
        "have the rest. 0: the teacher is not asked.",
    )
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Fine-tuning: share of each label that is spread over all classes; usual: 0.1.",
    )
    class_weights: (
        Literal["none", "balanced"] | dict[str, Annotated[float, Field(ge=0, le=1000)]]
    ) = Field(
        "none",
        description="Fine-tuning: what an image counts in the loss by its class. balanced: as much "
        "more as its class is rarer; or class = factor, 1 for those not named.",
    )
    sampling: Literal["natural", "balanced"] = Field(
        "natural",
        description="Fine-tuning: natural: each training image once an epoch; balanced: each class "
        "equally often, images of rare classes repeated and varied anew each time.",
    )
    augmentation: Literal["none", "light", "strong"] = Field(
        "light",
        description="Fine-tuning: how training images are varied. light: crops of 60 % or more, "
        "mirrored, slight changes of brightness and contrast; strong: crops of 8 % or more, as "
        "ImageNet models are trained. The keys below say it one by one.",
    )
    crop_area: float | None = Field(
        None,
        ge=0.01,
        le=1,
        description="Fine-tuning: least share of the picture's area that a random crop shows. "
        "Empty: as the augmentation above.",
    )
    flip_horizontal: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Fine-tuning: chance that left and right are swapped. 0 where they differ in "
        "meaning, as in writing. Empty: as the augmentation above.",
    )
    flip_vertical: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Fine-tuning: chance that top and bottom are swapped, for pictures taken from "
        "above or through a microscope. Empty: as the augmentation above.",
    )
    rotation: float | None = Field(
        None,
        ge=0,
        le=180,
        description="Fine-tuning: images are turned by up to so many degrees to either side. "
        "Empty: as the augmentation above.",
    )
    brightness: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Fine-tuning: brightness changes by up to this share. Empty: as the "
        "augmentation above.",
    )
    contrast: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Fine-tuning: contrast changes by up to this share. Empty: as the "
        "augmentation above.",
    )
    saturation: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Fine-tuning: the strength of colours changes by up to this share. Empty: as "
        "the augmentation above.",
    )
    hue: float | None = Field(
        None,
        ge=0,
        le=0.5,
        description="Fine-tuning: colours move along the colour circle by up to this share of it. "
        "Empty: as the augmentation above.",
    )
    auto_augment: Literal["off", "rand", "trivial"] = Field(
        "off",
        description="Fine-tuning: operations drawn for each image, out of 14. rand: RandAugment, "
        "two of the strength of `rand_magnitude`; trivial: TrivialAugment, one of any strength.",
    )
    rand_magnitude: int = Field(
        9, ge=0, le=30, description="Fine-tuning: strength of RandAugment's operations, 0 to 30."
    )
    erasing: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Fine-tuning: chance that a rectangle of 2 to 33 % of the image is erased.",
    )
    mixup: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Fine-tuning: images and labels of a step are blended in pairs by shares of "
        "Beta(x, x); usual: 0.2. 0: off.",
    )
    cutmix: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Fine-tuning: a rectangle of each image and its share of the label come from "
        "another image of the step, sizes by Beta(x, x); usual: 1. 0: off.",
    )

    pixel_memory_gb: float | None = Field(
        None,
        ge=0,
        le=100_000,
        description="Fine-tuning: most memory that decoded pictures take, in GB. Empty: four "
        "tenths of what is free.",
    )
    pixel_disk_gb: float | None = Field(
        None,
        ge=0,
        le=100_000,
        description="Fine-tuning: most disk that decoded pictures take which do not fit in memory, "
        "in GB, until the run ends. Empty: half of what is free in the cache folder.",
    )
    loading: Literal["auto", "threads", "processes"] = Field(
        "auto",
        description="Fine-tuning: who decodes pictures that fit neither in memory nor on the disk. "
        "auto: processes where they prove faster than threads.",
    )

    tasks: Literal["none", "all"] | tuple[str, ...] = Field(
        "none",
        description="Further label columns of a table that are learned along, one head each: all, "
        "none, or their names. The label itself chooses the epoch.",
    )
    task_weights: dict[str, Annotated[float, Field(ge=0, le=1000)]] = Field(
        {},
        description="Fine-tuning: what each task counts in the loss, NAME = factor; the label is "
        "called label. 1 for those not named. Heads on cached features are fitted one by one.",
    )
    layer_rates: dict[str, Annotated[float, Field(ge=0, le=100)]] = Field(
        {},
        description="Fine-tuning: by a layer's dotted name, a factor on its learning rate. 0 keeps "
        "it frozen, more than 0 lets it learn whatever the strategy says; the longest name that "
        "fits a weight decides.",
    )

    @field_validator(
        "layer_rates", "class_weights", "open_at", "tasks", "task_weights", mode="before"
    )
    @classmethod
    def _read_text(cls, value: Any, info: ValidationInfo) -> Any:
        """`layer4.1=0.5, conv1=0` and `4, 7` of the command line as a table and as a list."""
        if not isinstance(value, str) or value in ("none", "balanced", "all"):
            return value
        if info.field_name == "tasks":
            return tuple(name.strip() for name in value.split(",") if name.strip()) or "none"
        if ("=" not in value and "," in value) or value.strip().isdigit():
            return tuple(piece.strip() for piece in value.split(",") if piece.strip())
        if not value.strip():
            return cls.model_fields[info.field_name or ""].default
        return read_pairs(value)

    @property
    def max_epochs_or_default(self) -> int:
        """`max_epochs`, or what suits the strategy."""
        if self.max_epochs is not None:
            return self.max_epochs
        if self.strategy == "scratch":
            return _SCRATCH_EPOCHS
        is_head = self.strategy == "feature-extraction"
        return _HEAD_EPOCHS if is_head else _FINE_TUNING_EPOCHS

    @property
    def batch_size_or_default(self) -> int:
        """`batch_size`, or the usual number as long as none was found."""
        return DEFAULT_BATCH_SIZE if self.batch_size == "auto" else self.batch_size

    def with_values(self, **values: Any) -> Recipe:
        """A checked copy. Raises: AppError for an unknown key or a wrong value."""
        return make_recipe({**self.model_dump(), **values})

    def to_toml(self, like: str = "") -> str:
        """The recipe as TOML, each key explained in a comment; written into `like`, the text of a
        recipe file, its own comments are kept. Raises: AppError where that is not TOML."""
        return toml.to_toml_like(self, like) if like else toml.to_toml(self)


def make_recipe(values: dict[str, Any]) -> Recipe:
    """A recipe from keys and values, e.g. of a form or of `--set`.

    Text is read as the type the key wants. Raises: AppError naming the key, the value and what
    is allowed; an unknown key names the nearest right one.
    """
    known = list(Recipe.model_fields)
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean “{near[0]}”?" if near else f"Known keys: {', '.join(known)}."
            if key in formats.NO_LONGER_KEYS:
                hint = f"It is called “{formats.NO_LONGER_KEYS[key]}” now."
            raise AppError(f"A recipe has no key “{key}”.", hint)
    values = {
        key: None
        if value in ("", "none") and Recipe.model_fields[key].default is None
        else value  # `augmentation` has a “none” of its own
        for key, value in values.items()
    }
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        field = Recipe.model_fields[key]
        raise AppError(
            f"“{values.get(key)}” is not a value for {key}: it must be {requirement(field)}.",
            field.description or "",
        ) from error


def new_recipe(values: dict[str, Any]) -> Recipe:
    """`make_recipe` with the person's preferences where the values say nothing.

    Raises: AppError.
    """
    return make_recipe({**paths.read_preferences()[0].recipe_values(), **values})


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file. Raises: AppError for a missing, malformed or wrong file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AppError(f"The recipe {path} cannot be read: {error}.") from error
    return parse_recipe(text, f"The recipe {path}")


def parse_recipe(text: str, name: str = "The recipe") -> Recipe:
    """The recipe in TOML text of any format. `name`: what a message calls it.

    Raises: AppError where the text is not TOML, and as `make_recipe` and `formats.upgrade`.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise AppError(f"{name} is not valid TOML: {error}.") from error
    return make_recipe(formats.upgrade(document))
