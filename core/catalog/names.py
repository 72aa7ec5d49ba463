"""What a model is called where a person reads it. Its id is what is typed and stored."""

from __future__ import annotations


def shown_name(model_id: str) -> str:
    """The name shown for a model: `EfficientNet-Lite0`, or the last part of its id."""
    name = model_id.rpartition("/")[2]
    lite = name.removeprefix("tf_efficientnet_lite")
    return f"EfficientNet-Lite{lite}" if lite != name else name


def full_name(model_id: str) -> str:
    """The shown name with the id in brackets; the id alone where it ends with the name."""
    name = shown_name(model_id)
    return model_id if model_id.endswith(name) else f"{name} ({model_id})"
