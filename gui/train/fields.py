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
        ("step", "Step"),
        ("one-cycle", "One cycle"),
        ("plateau", "Reduce on plateau"),
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
    "sampling": [("natural", "Natural"), ("balanced", "Balanced classes")],
}
EMPTY = {
    "l2": "chosen on the held-out check",
    "late_rate": "by layer-wise LR decay",
    "early_rate": "by layer-wise LR decay",
    "open_at": "such as 4, 7",
    "clip_norm": "never",
    "class_weights": "none",
    "task_weights": "1 for each",
}
"""What an empty field says; of the others, that the augmentation decides."""

_LAYERS, _STEPS, _SCHEDULE = "Layers", "Optimizer and steps", "Schedule"
_LOSS, _VARIED, _CHECK, _RUN = "Loss and classes", "Augmentation", "Held-out check", "Run"
_TAUGHT = "Teacher"
FIELDS: tuple[FormField, ...] = (
    FormField("strategy", "Strategy", _ALL),
    FormField("layer_groups", "Layer groups to fine-tune", _PARTIAL),
    FormField("max_epochs", "Max epochs", _ALL),
    FormField("learning_rate", "Learning rate of the head", LEARN),
    FormField("augmentation", "Augmentation", LEARN),
    FormField("gradual", "Gradual unfreezing", _TUNE),
    FormField("tasks", "Further label columns", _ALL),
    FormField("task_weights", "Task weights", LEARN),
    FormField("open_every", "Epochs between unfreezings", _TUNE, _LAYERS),
    FormField("open_at", "Unfreezing epochs", _TUNE, _LAYERS),
    FormField("layer_decay", "Layer-wise LR decay", _TUNE, _LAYERS),
    FormField("late_rate", "Learning rate, later layers", _TUNE, _LAYERS),
    FormField("early_rate", "Learning rate, early layers", _TUNE, _LAYERS),
    FormField("dropout", "Dropout before the head", LEARN, _LAYERS),
    FormField("optimizer", "Optimizer", LEARN, _STEPS),
    FormField("momentum", "Momentum", LEARN, _STEPS),
    FormField("nesterov", "Nesterov momentum", LEARN, _STEPS),
    FormField("weight_decay", "Weight decay", LEARN, _STEPS),
    FormField("batch_size", "Batch size (or auto)", LEARN, _STEPS),
    FormField("accumulate", "Gradient accumulation (batches)", LEARN, _STEPS),
    FormField("clip_norm", "Gradient clipping (max norm)", LEARN, _STEPS),
    FormField("ema_decay", "EMA decay (0: off)", LEARN, _STEPS),
    FormField("schedule", "Learning rate schedule", LEARN, _SCHEDULE),
    FormField("step_epochs", "Epochs between LR drops", LEARN, _SCHEDULE),
    FormField("step_factor", "LR drop factor (gamma)", LEARN, _SCHEDULE),
    FormField("warmup", "Warm-up (share of the steps)", LEARN, _SCHEDULE),
    FormField("loss", "Loss", LEARN, _LOSS),
    FormField("focal_gamma", "Focal gamma", LEARN, _LOSS),
    FormField("label_smoothing", "Label smoothing", LEARN, _LOSS),
    FormField("class_weights", "Class weights", LEARN, _LOSS),
    FormField("sampling", "Sampling", LEARN, _LOSS),
    FormField("teacher", "Teacher model", LEARN, _TAUGHT),
    FormField("distill_weight", "Distillation weight", LEARN, _TAUGHT),
    FormField("distill_temperature", "Distillation temperature", LEARN, _TAUGHT),
    FormField("crop_area", "Random crop (smallest area)", LEARN, _VARIED),
    FormField("flip_horizontal", "Horizontal flip (probability)", LEARN, _VARIED),
    FormField("flip_vertical", "Vertical flip (probability)", LEARN, _VARIED),
    FormField("rotation", "Rotation (± degrees)", LEARN, _VARIED),
    FormField("brightness", "Brightness (± share)", LEARN, _VARIED),
    FormField("contrast", "Contrast (± share)", LEARN, _VARIED),
    FormField("saturation", "Saturation (± share)", LEARN, _VARIED),
    FormField("hue", "Hue (± share)", LEARN, _VARIED),
    FormField("auto_augment", "Auto-augment", LEARN, _VARIED),
    FormField("rand_magnitude", "RandAugment magnitude", LEARN, _VARIED),
    FormField("erasing", "Random erasing (probability)", LEARN, _VARIED),
    FormField("mixup", "Mixup alpha (0: off)", LEARN, _VARIED),
    FormField("cutmix", "CutMix alpha (0: off)", LEARN, _VARIED),
    FormField("monitor", "Metric for the best epoch", LEARN, _CHECK),
    FormField("patience", "Early stopping patience (epochs)", _ALL, _CHECK),
    FormField("selection_folds", "Folds of the held-out check", _ALL, _CHECK),
    FormField("l2", "L2 penalty of the head", _WITH_HEAD, _CHECK),
    FormField("seed", "Seed", _ALL, _RUN),
    FormField("processes", "Processes (0: one for each GPU)", LEARN, _RUN),
    FormField("deterministic", "Deterministic", LEARN, _RUN),
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
    """Whether a key has an effect next to these values."""
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
