"""How long a model takes for one image on this machine: measured once, then remembered.

Random weights serve: the time does not depend on them, so any card can be measured without a
download. Reading what is known loads no torch.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from core.catalog.card import Latency, ModelCard
from core.errors import AppError, ModelError
from core.events import OnProgress, ShouldStop, check_stop, never_stop, no_progress
from core.system import atomic_files, paths

if TYPE_CHECKING:
    import torch
    from torch import nn

_WARM_UP = 3
_PASSES = 30
_FEWEST = 5
_ENOUGH_SECONDS = 6.0
"""After so long a large model is not run more often than `_FEWEST` times."""
_LEFT_FREE_BYTES = 300e6


def known_latencies() -> dict[str, Latency]:
    """The latencies measured on this machine with the installed torch, by card id. Loads no torch.

    Where a card was measured on several devices the last measurement counts.
    """
    here, version = platform.node(), _torch_version()
    found: dict[str, Latency] = {}
    for key, entry in _read().items():
        if not key.startswith(f"{here}|{version}|"):
            continue
        try:
            latency = Latency(**{**entry, "input_size": tuple(entry["input_size"])})
        except (KeyError, TypeError):  # written by another version of the application
            continue
        found[latency.card_id] = latency
    return found


def measure(
    card: ModelCard,
    *,
    device: str = "auto",
    on_progress: OnProgress = no_progress,
    should_stop: ShouldStop = never_stop,
    clock: Callable[[], float] = time.perf_counter,
) -> Latency:
    """Measure the card's model on `device`, remember the result and return it.

    A second or two for most models. Must not run beside a training, nor twice at once: both would
    be measured wrong.
    Raises: AppError where it cannot be run here, ModelError, WeightsError (a hub model whose
    description is not here), Cancelled.
    """
    import torch

    from core.compute.device import accelerator_name, fast_precision, resolve_device
    from core.models import outline, skeleton

    on_progress(0, _PASSES, f"building {card.full_name}")
    place = resolve_device(device)
    card, _ = outline.bare_outline(card)
    _refuse_too_large(card)
    check_stop(should_stop)
    module = skeleton.library_module(card, meta=False).requires_grad_(False)
    check_stop(should_stop)
    # One format for all models of a device, so that they compare.
    precision = "float32" if place.type == "cpu" else fast_precision(place)
    dtype = getattr(torch, precision)
    threads_before = torch.get_num_threads()
    threads = psutil.cpu_count(logical=False) or threads_before
    torch.set_num_threads(threads)
    try:
        module = module.to(place, dtype)
        image = torch.rand_like(skeleton.example_input(card, module), dtype=dtype, device=place)
        memory_format, image = _warm_up(card, module, image, should_stop)
        seconds = _timed(module, image, on_progress, should_stop, clock)
    except torch.OutOfMemoryError as error:
        raise AppError(
            f"{card.full_name} does not fit into the memory of {accelerator_name(place) or place}.",
            "Choose a smaller model.",
        ) from error
    finally:
        torch.set_num_threads(threads_before)
    low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
    height, width = image.shape[2:]
    latency = Latency(
        card_id=card.id,
        median_ms=round(median * 1e3, 3),
        low_ms=round(low * 1e3, 3),
        high_ms=round(high * 1e3, 3),
        passes=len(seconds),
        input_size=(height, width),
        device=place.type,
        device_name=accelerator_name(place),
        precision=precision,
        memory_format=memory_format,
        threads=threads,
        torch_version=_torch_version(),
    )
    _remember(latency)
    return latency


def _refuse_too_large(card: ModelCard) -> None:
    """Refuse a model that does not fit into memory: Linux would kill the process."""
    needed = 4 * (1.2 * (card.params or 0) + (card.activations or 0)) + _LEFT_FREE_BYTES
    available = psutil.virtual_memory().available
    if needed > available:
        raise AppError(
            f"{card.full_name} needs about {needed / 1e9:.1f} GB of memory and "
            f"{available / 1e9:.1f} GB "
            "are free.",
            "Close other programs, or choose a smaller model.",
        )


def _warm_up(
    card: ModelCard, module: nn.Module, image: torch.Tensor, should_stop: ShouldStop
) -> tuple[str, torch.Tensor]:
    """Run the first passes, which choose kernels. Returns the memory format that the model accepts,
    and the image in it."""
    import torch

    wishes = ["contiguous"] if image.device.type in ("mps", "xpu") else []
    wishes = wishes or ["channels_last", "contiguous"]
    for position, wish in enumerate(wishes):
        layout = torch.channels_last if wish == "channels_last" else torch.contiguous_format
        module.to(memory_format=layout)
        laid_out = image.contiguous(memory_format=layout)
        try:
            for _ in range(_WARM_UP):
                check_stop(should_stop)
                _run(module, laid_out)
            return wish, laid_out
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, NotImplementedError) as error:
            if position == len(wishes) - 1:
                raise ModelError(
                    f"{card.full_name} cannot be run on {image.device.type}: {_first_line(error)}.",
                    "Choose another model.",
                ) from error
    raise AssertionError("a layout is always tried")


def _timed(
    module: nn.Module,
    image: torch.Tensor,
    on_progress: OnProgress,
    should_stop: ShouldStop,
    clock: Callable[[], float],
) -> list[float]:
    """Time the passes; returns the seconds of each."""
    seconds: list[float] = []
    while len(seconds) < _PASSES:
        if len(seconds) >= _FEWEST and sum(seconds) > _ENOUGH_SECONDS:
            break
        check_stop(should_stop)
        start = clock()
        _run(module, image)
        seconds.append(clock() - start)
        on_progress(len(seconds), _PASSES, "measuring")
    return seconds


def _run(module: nn.Module, image: torch.Tensor) -> None:
    """Run one pass and wait for the device."""
    import torch

    with torch.inference_mode():
        module(image)
    if image.device.type != "cpu":
        getattr(torch, image.device.type).synchronize()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _torch_version() -> str:
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return ""


def _file() -> Path:
    return paths.cache_dir() / "latencies.json"


def _read() -> dict[str, dict[str, Any]]:
    try:
        document = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _remember(latency: Latency) -> None:
    key = f"{platform.node()}|{latency.torch_version}|{latency.device}|{latency.card_id}"
    entries = _read()
    entries.pop(key, None)  # the last measured stands last
    try:
        atomic_files.write_json(_file(), {**entries, key: asdict(latency)})
    except OSError:
        return  # a full disk costs another measurement next time, nothing else
