"""The recipe: everything that decides how a run trains, in one schema.

The window's form, the TOML file and `--set key=value` all fill this model, so a wrong key or
value is refused once, in the user's words. What each key means stands in `explanations`.
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
from core.recipe.explanations import EXPLANATIONS
from core.recipe.messages import read_pairs, requirement
from core.system import paths

Strategy = Literal["feature-extraction", "partial", "full", "scratch"]
"""What is trained: the head alone, the last layer groups too, all layers, or all layers from random
weights."""

_HEAD_EPOCHS, _FINE_TUNING_EPOCHS, _SCRATCH_EPOCHS = 40, 10, 30
DEFAULT_BATCH_SIZE = 32
"""The batch size where no other is given or found for the machine."""

MAIN_TASK = "label"
"""The name of the label itself among the tasks."""

DEFAULT_MODEL = "bundled/tf_efficientnet_lite0"


class Recipe(BaseModel):
    """All settings of a training run. Frozen: `with_values` makes a changed copy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = DEFAULT_MODEL
    strategy: Strategy = "feature-extraction"
    max_epochs: int | None = Field(None, ge=1, le=1000)
    patience: int = Field(8, ge=1, le=1000)
    monitor: Literal["accuracy", "loss", "balanced-accuracy", "macro-f1"] = "accuracy"
    selection_folds: int = Field(5, ge=2, le=20)
    l2: float | None = Field(None, gt=0, le=1000)
    processes: int = Field(1, ge=0, le=64)
    seed: int = Field(0, ge=0, le=2**31 - 1)
    deterministic: bool = False
    device: Literal["auto", "cpu", "cuda", "mps", "xpu"] = "auto"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    embed_batch_size: int | None = Field(None, ge=1, le=4096)
    layer_groups: int = Field(2, ge=0, le=100)
    gradual: bool = False
    open_every: int = Field(3, ge=1, le=100)
    open_at: (
        tuple[Annotated[int, Field(ge=1, le=1000)], ...]
        | dict[str, Annotated[int, Field(ge=1, le=1000)]]
    ) = ()
    dropout: float = Field(0.0, ge=0, lt=1)
    learning_rate: float = Field(3e-4, gt=0, le=1)
    layer_decay: float = Field(0.75, gt=0, le=1)
    late_rate: float | None = Field(None, gt=0, le=1)
    early_rate: float | None = Field(None, gt=0, le=1)
    optimizer: Literal["adamw", "adam", "sgd", "rmsprop", "lamb", "lion"] = "adamw"
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = True
    weight_decay: float = Field(0.01, ge=0, le=1)
    schedule: Literal["cosine", "step", "one-cycle", "plateau", "constant"] = "cosine"
    step_epochs: int = Field(5, ge=1, le=1000)
    step_factor: float = Field(0.1, gt=0, lt=1)
    warmup: float = Field(0.1, ge=0, le=0.9)
    clip_norm: float | None = Field(None, gt=0, le=1000)
    ema_decay: float = Field(0.98, ge=0, lt=1)
    batch_size: Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] = DEFAULT_BATCH_SIZE
    accumulate: int = Field(1, ge=1, le=1024)
    loss: Literal["cross-entropy", "focal"] = "cross-entropy"
    focal_gamma: float = Field(2.0, ge=0, le=10)
    teacher: str | None = None
    distill_temperature: float = Field(4.0, ge=1, le=100)
    distill_weight: float = Field(0.7, ge=0, le=1)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    class_weights: (
        Literal["none", "balanced"] | dict[str, Annotated[float, Field(ge=0, le=1000)]]
    ) = "none"
    sampling: Literal["natural", "balanced"] = "natural"
    augmentation: Literal["none", "light", "strong"] = "light"
    crop_area: float | None = Field(None, ge=0.01, le=1)
    flip_horizontal: float | None = Field(None, ge=0, le=1)
    flip_vertical: float | None = Field(None, ge=0, le=1)
    rotation: float | None = Field(None, ge=0, le=180)
    brightness: float | None = Field(None, ge=0, le=1)
    contrast: float | None = Field(None, ge=0, le=1)
    saturation: float | None = Field(None, ge=0, le=1)
    hue: float | None = Field(None, ge=0, le=0.5)
    auto_augment: Literal["off", "rand", "trivial"] = "off"
    rand_magnitude: int = Field(9, ge=0, le=30)
    erasing: float = Field(0.0, ge=0, le=1)
    mixup: float = Field(0.0, ge=0, le=10)
    cutmix: float = Field(0.0, ge=0, le=10)

    pixel_memory_gb: float | None = Field(None, ge=0, le=100_000)
    pixel_disk_gb: float | None = Field(None, ge=0, le=100_000)
    loading: Literal["auto", "threads", "processes"] = "auto"

    tasks: Literal["none", "all"] | tuple[str, ...] = "none"
    task_weights: dict[str, Annotated[float, Field(ge=0, le=1000)]] = {}
    layer_rates: dict[str, Annotated[float, Field(ge=0, le=100)]] = {}

    @field_validator(
        "layer_rates", "class_weights", "open_at", "tasks", "task_weights", mode="before"
    )
    @classmethod
    def _read_text(cls, value: Any, info: ValidationInfo) -> Any:
        """Read text of the command line: `layer4.1=0.5, conv1=0` as a dict, `4, 7` as a tuple."""
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
        """`max_epochs`, or the default of the strategy."""
        if self.max_epochs is not None:
            return self.max_epochs
        if self.strategy == "scratch":
            return _SCRATCH_EPOCHS
        is_head = self.strategy == "feature-extraction"
        return _HEAD_EPOCHS if is_head else _FINE_TUNING_EPOCHS

    @property
    def batch_size_or_default(self) -> int:
        """`batch_size`, or the default while `auto` has not been resolved."""
        return DEFAULT_BATCH_SIZE if self.batch_size == "auto" else self.batch_size

    def with_values(self, **values: Any) -> Recipe:
        """A validated copy with other values. Raises: AppError for a wrong key or value."""
        return make_recipe({**self.model_dump(), **values})

    def to_toml(self, like: str = "") -> str:
        """The recipe as TOML text, each key explained in a comment. `like`: the text of a recipe
        file whose comments are kept. Raises: AppError where `like` is not TOML."""
        return toml.to_toml_like(self, like) if like else toml.to_toml(self)


def make_recipe(values: dict[str, Any]) -> Recipe:
    """A validated recipe from keys and values, e.g. of a form or of `--set`.

    Text is converted to the type of the key. Raises: AppError naming the key, the value and what
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
            EXPLANATIONS[key],
        ) from error


def new_recipe(values: dict[str, Any]) -> Recipe:
    """A validated recipe, with the person's preferences for keys that the values leave out.

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
