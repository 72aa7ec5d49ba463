"""What kind of network an architecture is, in four words: what a chart colours its points by.

By family, as the papers describe them; single architectures that are made otherwise than their
family stand in `_BY_NAME`. Families without a line are “other”: nothing is guessed. No torch.
"""

from __future__ import annotations

import functools
import re
from typing import Literal

NetworkType = Literal["convolutional", "transformer", "hybrid", "other"]
NETWORK_TYPES: tuple[NetworkType, ...] = ("convolutional", "transformer", "hybrid", "other")

_FAMILIES: dict[NetworkType, tuple[str, ...]] = {
    "convolutional": (
        "AlexNet", "CSPNet", "ConvMixer", "ConvNeXt", "ConvNeXtV2", "DLA", "DPN", "DenseNet",
        "ECA-ResNet", "EfficientNet", "EfficientNet-Lite", "EfficientNetV2", "FasterNet",
        "FocalNet", "GENet", "GhostNet", "HGNet", "HRNet", "HardCoReNAS", "Inception",
        "Inception-ResNet", "InceptionNeXt", "LCNet", "LCNetV2", "MambaOut", "MixNet",
        "MnasNet and kin", "MobileNet EdgeTPU", "MobileNetV1", "MobileNetV2", "MobileNetV3",
        "MobileNetV4", "MobileOne", "NASNet", "NFNet", "ReXNet", "RegNet", "RepGhostNet", "RepVGG",
        "RepViT", "Res2Net", "ResNeSt", "ResNeXt", "ResNet", "ResNet-RS", "ResNetV2", "SE-ResNet",
        "SKNet", "SelecSLS", "ShuffleNetV2", "SqueezeNet", "StarNet", "TResNet", "TinyNet", "VGG",
        "VoVNet", "Wide ResNet", "Xception",
    ),
    "transformer": (
        "AIMv2", "BEiT", "BEiT v2", "BEiT-3", "CaiT", "ConViT", "CrossViT", "DaViT", "DeiT",
        "DeiT III", "EVA", "EVA-02", "GCViT", "Hiera", "MViTv2", "NaFlexViT", "NesT", "PVT v2",
        "PiT", "Qwen3 ViT", "SAM ViT", "Swin", "Swin V2", "TNT", "Twins", "VOLO", "ViT", "XCiT",
    ),
    "hybrid": (
        "CoaT", "EdgeNeXt", "EfficientFormer", "EfficientFormerV2", "EfficientViT", "FastViT",
        "HaloNet and BoTNet", "LeViT", "MaxViT and CoAtNet", "MetaFormer", "MobileCLIP",
        "MobileNetV5", "MobileViT", "MobileViTv2", "Next-ViT", "SHViT", "SwiftFormer", "TinyViT",
        "ViTamin", "Visformer",
    ),
}  # fmt: skip
"""Hybrid: convolutions and attention both carry a good part of the work."""

_BY_NAME: tuple[tuple[str, NetworkType], ...] = (
    (r"mobilenetv4_hybrid|vit_\w*_r\d+|resnetv2_\w*attn", "hybrid"),
    (r"convformer|efficientnet_lite", "convolutional"),
    (r"poolformer", "other"),
)
_COMPILED = tuple((re.compile(pattern), kind) for pattern, kind in _BY_NAME)
_OF_FAMILY = {family: kind for kind, families in _FAMILIES.items() for family in families}


@functools.cache
def network_type(arch: str, family: str) -> NetworkType:
    """The network type of an architecture of torchvision or timm."""
    for pattern, kind in _COMPILED:
        if pattern.search(arch):
            return kind
    return _OF_FAMILY.get(family, "other")
