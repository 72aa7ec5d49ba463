"""Fetching weights: whether their host answers, and one sentence for whatever goes wrong.

Downloads are the libraries' own; every failure in them becomes one `WeightsError`. No torch here.
"""

from __future__ import annotations

import os
import pickle
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlparse

from core.catalog.card import ModelCard
from core.errors import WeightsError
from core.events import ShouldStop, check_stop, never_stop
from core.models.weights.weights import bundled_here, is_here

_CONNECT_SECONDS = 4.0


@contextmanager
def fetching(card: ModelCard) -> Iterator[None]:
    """Run a library's download code in the block; every failure becomes a WeightsError.

    Where the weights are not here the host is tried first, for a few seconds at most: the
    libraries retry for minutes.
    """
    if not is_here(card) and not is_reachable(card):
        raise not_here(card, "the network cannot be reached")
    try:
        yield
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"The weights file of {card.full_name} is refused: reading it could run code.",
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
    """Why a download failed, as the end of a sentence."""
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
    """The error for weights that cannot be fetched; its hint names models that are here."""
    here = bundled_here()
    return WeightsError(
        f"The weights of {card.full_name} are not on this machine and cannot be fetched: {reason}.",
        f"Here without a network: {', '.join(here)}." if here else "",
    )


def address_of(card: ModelCard) -> tuple[str, int]:
    """The host and port that a download of `card` connects to first: a proxy, if one is set."""
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
    """Whether a connection opens in time. Runs in a thread: the name look-up has no time limit.

    Raises: Cancelled.
    """
    answer: list[bool] = []

    def connect() -> None:
        try:
            with socket.create_connection(address, timeout=seconds):
                answer.append(True)
        except OSError:
            answer.append(False)

    thread = threading.Thread(target=connect, name="reachable", daemon=True)
    thread.start()
    until = time.monotonic() + seconds
    while thread.is_alive() and time.monotonic() < until:
        check_stop(should_stop)
        thread.join(0.1)
    return bool(answer and answer[0])
