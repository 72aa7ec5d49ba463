"""The catalog's entry: what is known of one model with one set of weights, and how fast it is here.

No torch here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.catalog.names import full_name, shown_name

LABEL_SETS = {
    1000: "ImageNet-1k",
    11221: "ImageNet-21k, MIIL's part",
    11821: "ImageNet-12k",
    21841: "ImageNet-21k",
    21842: "ImageNet-21k, Microsoft's order",
    21843: "ImageNet-21k, Google's",
}
"""Number of outputs → the classes they stand for. Other numbers are the width of a space that
images share with text, or of features: no classes."""

Source = Literal["bundled", "torchvision", "timm", "hub", "hf-hub", "file"]


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Facts of one model. Unknown is None, never guessed.

    `params` counts every parameter once, `macs` are multiply-adds of one image at `input_size`
    (height, width). `num_classes` is what the pretrained head answers for, 0: no head.
    """

    id: str
    source: Source
    arch: str
    """Name in the source library's own registry, e.g. `resnet50`."""
    tag: str
    """Weights tag: timm's `a1_in1k`, torchvision's `IMAGENET1K_V2`, or empty."""
    family: str
    params: int | None = None
    macs: int | None = None
    top1: float | None = None
    """ImageNet-1k top-1 in percent, as published by the source."""
    top5: float | None = None
    input_size: tuple[int, int] | None = None
    num_classes: int = 1000
    license: str = ""
    weights: str = ""
    """Where the weights come from: a URL, a hub id, or `bundled`."""
    pretraining: str = ""
    """The data it was trained on, in words, e.g. `ImageNet-21k, then ImageNet-1k`."""
    feature_dim: int | None = None
    """How wide the features are that the head is given."""
    layer_groups: int | None = None
    """How many groups can be opened one after the other, stem and head among them."""
    activations: int | None = None
    """Elements that convolutions and matrix products (linear layers, attention) give for one
    image, as fvcore and timm count them: what memory in training goes with."""
    interpolation: str = ""
    crop_pct: float | None = None
    """Which share of the resized image's shorter side the input is."""
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    images_per_s: float | None = None
    """Published throughput; `Catalog.throughput_hardware` says on what."""

    @property
    def shown_name(self) -> str:
        """What it is called where a person reads it."""
        return shown_name(self.id)

    @property
    def full_name(self) -> str:
        """The shown name with the id in brackets, as messages name it."""
        return full_name(self.id)

    @property
    def label_set(self) -> str:
        """The name of the set of classes of its head; empty where it is not known."""
        return LABEL_SETS.get(self.num_classes, "")

    @property
    def top1_per_m(self) -> float | None:
        """Top-1 in percent per million parameters."""
        if self.top1 is None or not self.params:
            return None
        return self.top1 / (self.params / 1e6)


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of a forward pass of one image, batch 1, in eval mode, without decoding.

    `median_ms` with its quartiles `low_ms` and `high_ms` over `passes` passes after warm-up.
    """

    card_id: str
    median_ms: float
    low_ms: float
    high_ms: float
    passes: int
    input_size: tuple[int, int]
    device: str
    device_name: str
    """What its maker calls it; empty where not known."""
    precision: str
    memory_format: str
    threads: int
    torch_version: str

    @property
    def settings(self) -> str:
        """Where and how it was measured, e.g. `cpu, float32, 2 threads, torch 2.15.0`."""
        place = self.device_name or self.device
        threads = f"{self.threads} thread{'s' * (self.threads != 1)}, " * (self.device == "cpu")
        return f"{place}, {self.precision}, {threads}torch {self.torch_version}"
