"""What data a set of weights was trained on, in words, as its publisher says it. No torch.

timm's tags name the data in order (`augreg_in21k_ft_in1k`); where a tag says nothing that is
certain, the answer is empty.
"""

from __future__ import annotations

_IN1K = "ImageNet-1k"
_IN21K = "ImageNet-21k"
_NO_LABELS = f"{_IN1K} without labels"

_DATA: dict[str, str] = {
    "in1k": _IN1K,
    "in12k": "ImageNet-12k",
    "in21k": _IN21K,
    "in22k": _IN21K,  # the same pictures; the number counts the class of all the others too
    "inw21k": "ImageNet-W21k",
    "jft": "JFT-300M",
    "ig1b": "Instagram, 1 B images with hashtags",
    "swag": "Instagram, 3.6 B images with hashtags (SWAG)",
    "yfcc100m": "YFCC-100M",
    "yfcc15m": "YFCC-15M",
    "cc12m": "CC-12M",
    "openai": "OpenAI's WIT, 400 M image-text pairs",
    "laion2b": "LAION-2B",
    "laion400m": "LAION-400M",
    "laiona": "LAION-Aesthetic",
    "datacomp1b": "DataComp-1B",
    "datacompxl": "DataComp-XL",
    "dfn2b": "DFN-2B",
    "dfn5b": "DFN-5B",
    "dfndr2b": "DFNDR-2B",
    "merged2b": "Merged-2B",
    "m38m": "Merged-38M",
    "m30m": "Merged-30M",
    "webli": "WebLI",
    "lvd142m": "LVD-142M",
    "lvd1689m": "LVD-1689M",
    "sat493m": "SAT-493M (satellite images)",
    "sa1b": "SA-1B",
    "mae": _NO_LABELS,  # arXiv:2111.06377; Hiera's as well (arXiv:2306.00989)
    "fcmae": _NO_LABELS,  # arXiv:2301.00808
}
"""A word of a tag → the data it stands for."""

_WHOLE: dict[str, str] = {
    "dino": _NO_LABELS,  # arXiv:2104.14294
    "metaclip_400m": "MetaCLIP, 400 M image-text pairs",
    "metaclip_2pt5b": "MetaCLIP, 2.5 B image-text pairs",
}
"""Tags whose words do not name the data, but whose paper does."""

_TABLE: dict[str, str] = {
    "in1k": _IN1K,
    "in1k-adv": _IN1K,
    "in1k-ap": _IN1K,
    "in1k-dist": _IN1K,
    "in21k": f"{_IN21K}, then {_IN1K}",
    "in21k-selfsl": f"{_IN21K}, then {_IN1K}",
    "jft300m-ns": f"JFT-300M, then {_IN1K}",
    "ig1b-wsl": f"{_DATA['ig1b']}, then {_IN1K}",
    "ig1b-swsl": f"{_DATA['ig1b']}, then {_IN1K}",
    "yfc-semisl": f"YFCC-100M, then {_IN1K}",
}
"""The words of timm's `model_metadata-in1k.csv`, whose models all end on ImageNet-1k."""

_EXTRA = frozenset(("plus",))
"""Words that say there was other data too, not which."""


def from_tag(tag: str) -> str:
    """The datasets that a timm tag names, in order; empty where it names none."""
    whole = _WHOLE.get(tag)
    if whole is not None:
        return whole
    words = tag.split("_")
    if _EXTRA & set(words):
        return ""
    steps: list[str] = []
    for word in words:
        data = _DATA.get(word)
        if data is not None and steps[-1:] != [data]:
            steps.append(data)
    if "ft" in words and not any(word in _DATA for word in words[: words.index("ft")]):
        return ""  # tuned from something that the tag does not name
    return ", then ".join(steps)


def from_table(word: str) -> str:
    """The datasets of an entry in timm's table; empty for one that is not known."""
    return _TABLE.get(word, "")


def of_torchvision(tag: str) -> str:
    """The dataset of torchvision's weights, by the name of the variant."""
    if "SWAG" in tag:
        return f"{_DATA['swag']}, then {_IN1K}"
    return _IN1K if tag.startswith("IMAGENET1K") else ""
