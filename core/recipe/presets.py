"""Presets: named sets of recipe values to start from."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from core.errors import AppError


@dataclass(frozen=True, slots=True)
class RecipePreset:
    """A named set of recipe values."""

    caption: str
    about: str
    """One sentence: what it is for."""
    values: dict[str, Any]


PRESETS: dict[str, RecipePreset] = {
    "textbook": RecipePreset(
        "Textbook",
        "A new head on a frozen backbone as courses teach it: Adam at 1e-3, a tenth of it after "
        "every 5 epochs, 10 epochs, batches of 32, dropout, random crops, mirroring and colour "
        "changes.",
        {
            "strategy": "partial",
            "layer_groups": 0,
            "max_epochs": 10,
            "patience": 10,
            "optimizer": "adam",
            "learning_rate": 1e-3,
            "layer_decay": 1.0,
            "weight_decay": 0.0,
            "schedule": "step",
            "step_epochs": 5,
            "step_factor": 0.1,
            "warmup": 0.0,
            "ema_decay": 0.0,
            "batch_size": 32,
            "dropout": 0.2,
            "loss": "cross-entropy",
            "augmentation": "light",
            "crop_area": 0.08,
            "flip_horizontal": 0.5,
            "brightness": 0.2,
            "contrast": 0.2,
        },
    ),
    "fast": RecipePreset(
        "Fast",
        "The head alone, fitted to features that are computed once: seconds, and hard to beat with "
        "few images.",
        {"strategy": "feature-extraction"},
    ),
    "best": RecipePreset(
        "Best",
        "Time for accuracy: everything learns at rates that fall towards the first layers, over 20 "
        "epochs, with label smoothing and EMA of the weights.",
        {
            "strategy": "full",
            "max_epochs": 20,
            "patience": 8,
            "optimizer": "adamw",
            "learning_rate": 3e-4,
            "layer_decay": 0.75,
            "weight_decay": 0.01,
            "schedule": "cosine",
            "warmup": 0.1,
            "ema_decay": 0.98,
            "label_smoothing": 0.1,
            "clip_norm": 1.0,
            "augmentation": "light",
        },
    ),
}


def preset_values(name: str) -> dict[str, Any]:
    """The recipe values of a preset; keys that it does not name keep their defaults.

    Raises: AppError for an unknown preset, naming those that exist.
    """
    key = name.strip().lower()
    if key not in PRESETS:
        near = difflib.get_close_matches(key, PRESETS, n=1)
        raise AppError(
            f"There is no preset “{name}”.",
            f"Did you mean “{near[0]}”?" if near else f"There are: {', '.join(PRESETS)}.",
        )
    return dict(PRESETS[key].values)
