"""The recipe: everything that decides how a run trains, in one schema.

The window's form, the TOML file and `--set key=value` all fill this model, so a wrong key or
value is refused once, in the user's words.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any, Literal

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import AppError

Strategy = Literal["feature-extraction"]
"""What the trainer of this version runs."""

DEFAULT_MODEL = "bundled/tf_efficientnet_lite0"


class Recipe(BaseModel):
    """How to train. Frozen: change it with `with_values`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(DEFAULT_MODEL, description="Model id of the pretrained backbone.")
    strategy: Strategy = Field("feature-extraction", description="What trains.")
    epochs: int = Field(
        40, ge=1, le=1000, description="Most passes over the training images; may end sooner."
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
    values = {key: None if value in ("", "none") else value for key, value in values.items()}
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else "recipe"
        raise AppError(
            f"“{values.get(key)}” is not a value for {key}: {first['msg']}.",
            Recipe.model_fields[key].description or "" if key in known else "",
        ) from error


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file. Raises: AppError for a missing, malformed or wrong file."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise AppError(f"The recipe {path} cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise AppError(f"The recipe {path} is not valid TOML: {error}.") from error
    return make_recipe(values)
