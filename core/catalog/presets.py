"""The usual needs, and which models serve them: one list for the command line and the window."""

from __future__ import annotations

from dataclasses import dataclass

from core.catalog.search import CardFilter
from core.errors import ModelError


@dataclass(frozen=True, slots=True)
class Preset:
    """A usual need: the filter finds the family that serves it, `recommended` names the models
    to begin with, by id, the first choice first."""

    key: str
    title: str
    models: str
    """The models in words, for a menu."""
    why: str
    filter: CardFilter
    sort: str
    """A column for `core.catalog.catalog.sorted_cards`."""
    recommended: tuple[str, ...]


PRESETS: tuple[Preset, ...] = (
    Preset(
        "prototype",
        "Learning or prototyping",
        "ResNet-18 and 34",
        "Small, quick to train on any machine, and every tutorial knows them.",
        CardFilter(query="*/resnet[13][84].*"),
        "params",
        ("torchvision/resnet18.IMAGENET1K_V1", "torchvision/resnet34.IMAGENET1K_V1"),
    ),
    Preset(
        "accuracy",
        "Accuracy in production",
        "EfficientNet-B4 and B5",
        "High accuracy for their size, at inputs of 320 px and more.",
        CardFilter(query="*/*efficientnet_b[45].*"),
        "top1",
        ("torchvision/efficientnet_b4.IMAGENET1K_V1", "timm/tf_efficientnet_b5.ns_jft_in1k"),
    ),
    Preset(
        "mobile",
        "Mobile or edge",
        "MobileNetV3",
        "A few million parameters and well under a GMAC: made for phones and small boards.",
        CardFilter(query="*/*mobilenet*v3*"),
        "macs",
        ("torchvision/mobilenet_v3_small.IMAGENET1K_V1", "timm/mobilenetv3_large_100.ra_in1k"),
    ),
    Preset(
        "features",
        "Features",
        "ResNet-50",
        "Features of 2,048 numbers that serve other tasks well, and that all tools know.",
        CardFilter(query="*/resnet50.*"),
        "top1",
        ("torchvision/resnet50.IMAGENET1K_V2", "timm/resnet50.a1_in1k"),
    ),
    Preset(
        "realtime",
        "Video in real time",
        "MobileNetV3-Large",
        "Quick enough for every frame of a video, and nearly as accurate as ResNet-50 V1.",
        CardFilter(query="*/*mobilenet*v3*large*"),
        "macs",
        ("torchvision/mobilenet_v3_large.IMAGENET1K_V2", "timm/mobilenetv3_large_100.ra_in1k"),
    ),
)


def preset(key: str) -> Preset:
    """The usual need of that key. Raises: ModelError naming the keys there are."""
    for found in PRESETS:
        if found.key == key:
            return found
    raise ModelError(
        f"There is no preset “{key}”.",
        f"Presets: {', '.join(f'{p.key} ({p.models})' for p in PRESETS)}.",
    )
