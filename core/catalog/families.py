"""Which family an architecture belongs to, in the words of the field, and what is known of it.

By the beginning of the name; the first line that fits decides, so the special stands above the
general. A name without a line is its own family, without its size. The texts on families are in
`resources/families.toml`; a family without an entry is not described.
"""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass

from core.system import paths

_PREFIXES: tuple[tuple[str, str], ...] = (
    (r"(tf_|gc_)?efficientnetv2|efficientnet_v2", "EfficientNetV2"),
    (r"efficientnet_blur|(tf_|eca_)?efficientnet", "EfficientNet"),
    (r"test_", "timm test models"),
    (r"tinynet", "TinyNet"),
    (r"efficientformerv2", "EfficientFormerV2"),
    (r"efficientformer", "EfficientFormer"),
    (r"efficientvit", "EfficientViT"),
    (r"efficientvim", "EfficientViM"),
    (r"mobilenetv5", "MobileNetV5"),
    (r"mobilenetv4", "MobileNetV4"),
    (r"(tf_)?mobilenet_?v3", "MobileNetV3"),
    (r"mobilenet_?v2", "MobileNetV2"),
    (r"mobilenetv1", "MobileNetV1"),
    (r"mobilenet_edgetpu", "MobileNet EdgeTPU"),
    (r"mobilevitv2", "MobileViTv2"),
    (r"mobilevit", "MobileViT"),
    (r"mobileone", "MobileOne"),
    (r"mobileclip|vit_\w*mci", "MobileCLIP"),
    (r"(tf_)?mixnet", "MixNet"),
    (r"mnasnet|semnasnet|spnasnet|fbnet", "MnasNet and kin"),
    (r"hardcorenas", "HardCoReNAS"),
    (r"lcnetv2", "LCNetV2"),
    (r"lcnet", "LCNet"),
    (r"rexnet", "ReXNet"),
    (r"ghostnet", "GhostNet"),
    (r"repghost", "RepGhostNet"),
    (r"legacy_senet|legacy_seres|senet|seresnext|seresnet|seresnextaa|seresnetaa", "SE-ResNet"),
    (r"ecaresnet|ecaresnext", "ECA-ResNet"),
    (r"resnetv2", "ResNetV2"),
    (r"resnetrs", "ResNet-RS"),
    (r"resnest", "ResNeSt"),
    (r"wide_resnet", "Wide ResNet"),
    (r"resnext|gcresnext|eca_resnext|bat_resnext", "ResNeXt"),
    (r"res2net|res2next", "Res2Net"),
    (r"resmlp", "ResMLP"),
    (r"haloregnet", "RegNet"),
    (r"(se|lam)?halo|lambda_|(se)?botnet|eca_(botnext|halonext)", "HaloNet and BoTNet"),
    (r"resnet|gcresnet|eca_resnet", "ResNet"),
    (r"regnet", "RegNet"),
    (r"repvgg", "RepVGG"),
    (r"repvit", "RepViT"),
    (r"vgg", "VGG"),
    (r"alexnet", "AlexNet"),
    (r"squeezenet", "SqueezeNet"),
    (r"shufflenet", "ShuffleNetV2"),
    (r"densenet|rdnet", "DenseNet"),
    (r"googlenet|inception_v[1-4]|adv_inception", "Inception"),
    (r"inception_resnet", "Inception-ResNet"),
    (r"inception_next", "InceptionNeXt"),
    (r"(legacy_)?xception", "Xception"),
    (r"convnextv2", "ConvNeXtV2"),
    (r"convnext", "ConvNeXt"),
    (r"convmixer", "ConvMixer"),
    (r"convformer|caformer|poolformer", "MetaFormer"),
    (r"convit", "ConViT"),
    (r"maxvit|maxxvit|coatnet|coatnext", "MaxViT and CoAtNet"),
    (r"swinv2_cr|swinv2|swin_v2", "Swin V2"),
    (r"swiftformer", "SwiftFormer"),
    (r"swin", "Swin"),
    (r"deit3", "DeiT III"),
    (r"deit", "DeiT"),
    (r"beitv2", "BEiT v2"),
    (r"beit3", "BEiT-3"),
    (r"beit", "BEiT"),
    (r"eva02", "EVA-02"),
    (r"eva", "EVA"),
    (r"naflexvit", "NaFlexViT"),
    (r"vitamin", "ViTamin"),
    (r"visformer", "Visformer"),
    (r"vit_|flexivit", "ViT"),
    (r"aimv2", "AIMv2"),
    (r"qwen3_vit", "Qwen3 ViT"),
    (r"gemma4_vit", "Gemma 4 ViT"),
    (r"deepseek_vit", "DeepSeek ViT"),
    (r"lowformer", "LowFormer"),
    (r"iformer", "iFormer"),
    (r"cpubone", "CPUBone"),
    (r"csatv2", "CSATv2"),
    (r"shvit", "SHViT"),
    (r"starnet", "StarNet"),
    (r"samvit", "SAM ViT"),
    (r"hiera|sam2_hiera", "Hiera"),
    (r"mixer|gmixer", "MLP-Mixer"),
    (r"gmlp", "gMLP"),
    (r"mvitv2", "MViTv2"),
    (r"pvt_v2", "PVT v2"),
    (r"tiny_vit", "TinyViT"),
    (r"xcit", "XCiT"),
    (r"cait", "CaiT"),
    (r"coat", "CoaT"),
    (r"crossvit", "CrossViT"),
    (r"cspresnext|cspresnet|cspdarknet|darknet|cs3|cspnext", "CSPNet"),
    (r"dla", "DLA"),
    (r"dm_nfnet|eca_nfnet|nfnet|nf_", "NFNet"),
    (r"dpn", "DPN"),
    (r"hgnetv2|hgnet", "HGNet"),
    (r"hrnet", "HRNet"),
    (r"levit", "LeViT"),
    (r"nextvit", "Next-ViT"),
    (r"pit_", "PiT"),
    (r"selecsls", "SelecSLS"),
    (r"ese_vovnet|vovnet", "VoVNet"),
    (r"tresnet", "TResNet"),
    (r"skresne", "SKNet"),
    (r"gcvit", "GCViT"),
    (r"gernet", "GENet"),
    (r"davit", "DaViT"),
    (r"edgenext", "EdgeNeXt"),
    (r"fastvit", "FastViT"),
    (r"fasternet", "FasterNet"),
    (r"focalnet", "FocalNet"),
    (r"mambaout", "MambaOut"),
    (r"sequencer2d", "Sequencer2D"),
    (r"twins", "Twins"),
    (r"volo", "VOLO"),
    (r"tnt", "TNT"),
    (r"nest", "NesT"),
    (r"nasnet|pnasnet", "NASNet"),
)  # fmt: skip

_COMPILED = tuple((re.compile(pattern), family) for pattern, family in _PREFIXES)


def family_of(arch: str) -> str:
    """The family of an architecture of torchvision or timm, e.g. `ResNet`."""
    for pattern, family in _COMPILED:
        if pattern.match(arch):
            return family
    return re.split(r"[_\d]", arch, maxsplit=1)[0] or arch


@dataclass(frozen=True, slots=True)
class FamilyText:
    """A description of a family. `year` is that of the paper or of the first publication."""

    year: int
    ideas: str
    use: str


def family_text(family: str) -> FamilyText | None:
    """The description of a family; None where there is none."""
    return described_families().get(family)


@functools.cache
def described_families() -> dict[str, FamilyText]:
    """All descriptions by family, read once per process."""
    text = paths.resource("families.toml").read_text(encoding="utf-8")
    return {family: FamilyText(**entry) for family, entry in tomllib.loads(text).items()}
