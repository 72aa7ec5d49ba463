"""The recipe: everything that decides how a run trains, in one schema.

The window's form, the TOML file and `--set key=value` all fill this model, so a wrong key or
value is refused once, in the user's words.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from core import places
from core.errors import AppError

Strategy = Literal["feature-extraction", "partial", "full"]
"""What trains: the head alone, the last layer groups with it, or everything."""

_HEAD_EPOCHS, _FINE_TUNING_EPOCHS = 40, 10

DEFAULT_MODEL = "bundled/tf_efficientnet_lite0"


class Recipe(BaseModel):
    """How to train. Frozen: change it with `with_values`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(DEFAULT_MODEL, description="Model id of the pretrained backbone.")
    strategy: Strategy = Field("feature-extraction", description="What trains.")
    epochs: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Most passes over the training images; may end sooner. Empty: 40 for a head "
        "on cached features, 10 for fine-tuning.",
    )
    patience: int = Field(
        8, ge=1, le=1000, description="Epochs without a better selection loss before stopping."
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
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of the splits and of the training.")
    device: Literal["auto", "cpu", "cuda", "mps", "xpu"] = Field(
        "auto", description="Where to compute."
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Number format of the frozen backbone."
    )
    batch_size: int | None = Field(
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
        "next one (0.1: a tenth, 1: all alike).",
    )
    weight_decay: float = Field(
        0.01, ge=0, le=1, description="Fine-tuning: AdamW's weight decay; none on biases and norms."
    )
    warmup: float = Field(
        0.1,
        ge=0,
        le=0.9,
        description="Fine-tuning: share of the steps in which the rate rises; then it falls as a "
        "cosine.",
    )
    weight_average: float = Field(
        0.98,
        ge=0,
        lt=1,
        description="Fine-tuning: what is judged and handed over is a running mean of the weights "
        "that keeps up to so much of itself at each step. 0: the weights of the last step.",
    )
    step_images: int = Field(
        32, ge=1, le=4096, description="Fine-tuning: images per step of the optimizer."
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

    layer_rates: dict[str, Annotated[float, Field(ge=0, le=100)]] = Field(
        {},
        description="Fine-tuning: by a layer's dotted name, a factor on its learning rate. 0 keeps "
        "it frozen, more than 0 lets it learn whatever the strategy says; the longest name that "
        "fits a weight decides.",
    )
    # A table of its own in TOML: it has to stay the last key.

    @field_validator("layer_rates", mode="before")
    @classmethod
    def _read_layer_rates(cls, value: Any) -> Any:
        """`layer4.1=0.5, conv1=0` of the command line as a table."""
        if not isinstance(value, str):
            return value
        pairs = [piece.rpartition("=") for piece in value.split(",") if piece.strip()]
        if any(not name.strip() for name, _, _ in pairs):
            raise ValueError("write it as NAME=FACTOR, NAME=FACTOR")
        return {name.strip(): factor.strip() for name, _, factor in pairs}

    @property
    def most_epochs(self) -> int:
        """`epochs`, or what suits the strategy."""
        if self.epochs is not None:
            return self.epochs
        is_head = self.strategy == "feature-extraction"
        return _HEAD_EPOCHS if is_head else _FINE_TUNING_EPOCHS

    def with_values(self, **values: Any) -> Recipe:
        """A checked copy. Raises: AppError for an unknown key or a wrong value."""
        return make_recipe({**self.model_dump(), **values})

    def to_toml(self) -> str:
        """The recipe as TOML, each key explained in a comment."""
        document = tomlkit.document()
        for name, field in type(self).model_fields.items():
            document.add(tomlkit.comment(field.description or name))
            value = getattr(self, name)
            if value is None:
                document.add(tomlkit.comment(f"{name} ="))
            else:
                document.add(name, value)
            document.add(tomlkit.nl())
        return tomlkit.dumps(document)


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
        key = str(first["loc"][0]) if first["loc"] else "recipe"
        raise AppError(
            f"“{values.get(key)}” is not a value for {key}: {first['msg']}.",
            Recipe.model_fields[key].description or "" if key in known else "",
        ) from error


def new_recipe(values: dict[str, Any]) -> Recipe:
    """`make_recipe` with the person's preferences where the values say nothing.

    Raises: AppError.
    """
    return make_recipe({**places.read_preferences()[0].recipe_values(), **values})


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file. Raises: AppError for a missing, malformed or wrong file."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise AppError(f"The recipe {path} cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise AppError(f"The recipe {path} is not valid TOML: {error}.") from error
    return make_recipe(values)
