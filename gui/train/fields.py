"""Which keys of the recipe the form shows: their captions, where they stand and when. No Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gui.kit.words import strategy_in_words

HEAD = "feature-extraction"
_TUNE, _PARTIAL = ("partial", "full"), ("partial",)
LEARN = (*_TUNE, "scratch")
"""The strategies that make steps."""
_ALL = (HEAD, *LEARN)
_WITH_HEAD = (HEAD, *_TUNE)


@dataclass(frozen=True, slots=True)
class FormField:
    """`section`: of “More settings”; empty: always in sight."""

    key: str
    caption: str
    strategies: tuple[str, ...]
    section: str = ""


TASKS = ("tasks", "task_weights")
"""Of use where the dataset has further label columns."""
CHOICES = {
    "strategy": [(key, strategy_in_words(key)) for key in _ALL],
    "optimizer": [
        ("adamw", "AdamW"),
        ("adam", "Adam"),
        ("sgd", "SGD"),
        ("rmsprop", "RMSprop"),
        ("lamb", "LAMB"),
        ("lion", "Lion"),
    ],
    "schedule": [
        ("cosine", "Cosine"),
        ("step", "In steps"),
        ("one-cycle", "One cycle"),
        ("plateau", "On a plateau"),
        ("constant", "Constant"),
    ],
    "loss": [("cross-entropy", "Cross-entropy"), ("focal", "Focal")],
    "monitor": [
        ("accuracy", "Accuracy"),
        ("loss", "Loss"),
        ("balanced-accuracy", "Balanced accuracy"),
        ("macro-f1", "Macro F1"),
    ],
    "augmentation": [("none", "None"), ("light", "Light"), ("strong", "Strong")],
    "auto_augment": [("off", "Off"), ("rand", "RandAugment"), ("trivial", "TrivialAugment")],
    "teacher": [("", "None")],
    "tasks": [("none", "None"), ("all", "All of them")],
    "sampling": [("natural", "As they come"), ("balanced", "Each class as often")],
}
EMPTY = {
    "l2": "chosen on selection",
    "late_rate": "from group to group",
    "early_rate": "from group to group",
    "open_at": "such as 4, 7",
    "clip_norm": "never",
    "class_weights": "none",
    "task_weights": "1 for each",
}
"""What an empty field says; of the others, that the augmentation decides."""

_LAYERS, _STEPS, _SCHEDULE = "Layers", "Optimizer and steps", "Schedule"
_LOSS, _VARIED, _CHOSEN, _RUN = "Loss and classes", "Augmentation", "What is chosen", "How it runs"
_TAUGHT = "Teacher"
FIELDS: tuple[FormField, ...] = (
    FormField("strategy", "Strategy", _ALL),
    FormField("layer_groups", "Last layer groups that train", _PARTIAL),
    FormField("max_epochs", "Most epochs", _ALL),
    FormField("learning_rate", "Learning rate of the head", LEARN),
    FormField("augmentation", "Augmentation", LEARN),
    FormField("gradual", "Open the layers gradually", _TUNE),
    FormField("tasks", "Label columns learned along", _ALL),
    FormField("task_weights", "Weights of the label columns", LEARN),
    FormField("open_every", "Epochs between openings", _TUNE, _LAYERS),
    FormField("open_at", "Epochs of the openings", _TUNE, _LAYERS),
    FormField("layer_decay", "Rate from group to group", _TUNE, _LAYERS),
    FormField("late_rate", "Rate of the later layers", _TUNE, _LAYERS),
    FormField("early_rate", "Rate of the early layers", _TUNE, _LAYERS),
    FormField("dropout", "Dropout before the head (share)", LEARN, _LAYERS),
    FormField("optimizer", "Optimizer", LEARN, _STEPS),
    FormField("momentum", "Momentum", LEARN, _STEPS),
    FormField("nesterov", "Nesterov momentum", LEARN, _STEPS),
    FormField("weight_decay", "Weight decay", LEARN, _STEPS),
    FormField("batch_size", "Images at once (or auto)", LEARN, _STEPS),
    FormField("accumulate", "Times that make a step", LEARN, _STEPS),
    FormField("clip_norm", "Gradients no longer than", LEARN, _STEPS),
    FormField("ema_decay", "Mean of the weights (share kept)", LEARN, _STEPS),
    FormField("schedule", "Schedule of the rates", LEARN, _SCHEDULE),
    FormField("step_epochs", "Epochs before a drop", LEARN, _SCHEDULE),
    FormField("step_factor", "What a drop leaves (share)", LEARN, _SCHEDULE),
    FormField("warmup", "Warm-up (share of the steps)", LEARN, _SCHEDULE),
    FormField("loss", "Loss", LEARN, _LOSS),
    FormField("focal_gamma", "Focus on hard images", LEARN, _LOSS),
    FormField("label_smoothing", "Label smoothing (share)", LEARN, _LOSS),
    FormField("class_weights", "Weights of the classes", LEARN, _LOSS),
    FormField("sampling", "Classes in an epoch", LEARN, _LOSS),
    FormField("teacher", "Taught by", LEARN, _TAUGHT),
    FormField("distill_weight", "Share of the teacher's word", LEARN, _TAUGHT),
    FormField("distill_temperature", "Temperature", LEARN, _TAUGHT),
    FormField("crop_area", "Crops: least share of the area", LEARN, _VARIED),
    FormField("flip_horizontal", "Mirrored left to right (chance)", LEARN, _VARIED),
    FormField("flip_vertical", "Mirrored top to bottom (chance)", LEARN, _VARIED),
    FormField("rotation", "Turned by up to (degrees)", LEARN, _VARIED),
    FormField("brightness", "Brightness (share)", LEARN, _VARIED),
    FormField("contrast", "Contrast (share)", LEARN, _VARIED),
    FormField("saturation", "Saturation (share)", LEARN, _VARIED),
    FormField("hue", "Hue (share)", LEARN, _VARIED),
    FormField("auto_augment", "Drawn operations", LEARN, _VARIED),
    FormField("rand_magnitude", "Strength of RandAugment", LEARN, _VARIED),
    FormField("erasing", "Erased rectangle (chance)", LEARN, _VARIED),
    FormField("mixup", "Mixup (0: off)", LEARN, _VARIED),
    FormField("cutmix", "CutMix (0: off)", LEARN, _VARIED),
    FormField("monitor", "The best epoch is chosen by", LEARN, _CHOSEN),
    FormField("patience", "Patience (epochs)", _ALL, _CHOSEN),
    FormField("selection_folds", "Selection folds", _ALL, _CHOSEN),
    FormField("l2", "L2 penalty of the head", _WITH_HEAD, _CHOSEN),
    FormField("seed", "Seed", _ALL, _RUN),
    FormField("processes", "Processes (0: one for each GPU)", LEARN, _RUN),
    FormField("deterministic", "Same bits on a GPU too", LEARN, _RUN),
)
_ONLY_WITH: dict[str, tuple[str, tuple[Any, ...]]] = {
    "momentum": ("optimizer", ("sgd", "rmsprop")),
    "nesterov": ("optimizer", ("sgd",)),
    "step_epochs": ("schedule", ("step", "plateau")),
    "step_factor": ("schedule", ("step", "plateau")),
    "warmup": ("schedule", ("cosine", "step", "plateau", "constant")),
    "focal_gamma": ("loss", ("focal",)),
    "rand_magnitude": ("auto_augment", ("rand",)),
    "open_every": ("gradual", (True,)),
}
_ONLY_WITHOUT = {
    "distill_weight": ("teacher", ""),
    "distill_temperature": ("teacher", ""),
    "task_weights": ("tasks", "none"),
}
"""What is of use where the other key has any value but this one."""


def keys_of(strategy: str) -> list[str]:
    """The keys that a recipe of this strategy is made from."""
    return [field.key for field in FIELDS if strategy in field.strategies]


def is_of_use(key: str, values: Mapping[str, Any]) -> bool:
    """Whether a key changes anything beside these values."""
    if key in _ONLY_WITHOUT:
        other, idle = _ONLY_WITHOUT[key]
        return bool(values.get(other) != idle)
    if key not in _ONLY_WITH:
        return True
    other, wanted = _ONLY_WITH[key]
    return values.get(other) in wanted


def as_text(value: Any) -> str:
    """A value as it is typed: `4, 7` and `bee=2, ant=1` for lists and tables."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={number:g}" for name, number in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value or "")
