"""Where and in which number format to compute.

Decided by what the chip can do, then by a short timing after warm-up, which is remembered per
machine and model. Nothing here is process-wide but the thread count, which its user puts back.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil
import torch

from core.errors import AppError
from core.models.build import BuiltModel
from core.recipe.recipe import Recipe
from core.system import atomic_files, paths

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
_TRIAL_IMAGES = 4
_TRIALS = 3


@dataclass(frozen=True, slots=True)
class Compute:
    """How a frozen backbone runs, as resolved; written into the run."""

    device: str
    precision: str
    memory_format: str
    """`channels_last` or `contiguous`."""
    workers: int
    """Threads that each decode and, on the CPU, embed their own batches."""
    threads_per_worker: int
    embed_batch_size: int

    @property
    def dtype(self) -> torch.dtype:
        return _DTYPES[self.precision]

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def resolve_device(wish: str) -> torch.device:
    """The device for `auto` or a device's name.

    Raises: AppError where the machine has no such device.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "xpu": hasattr(torch, "xpu") and torch.xpu.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wish == "auto":
        return torch.device(next(name for name, is_there in there.items() if is_there))
    if not there.get(wish, False):
        found = ", ".join(name for name, is_there in there.items() if is_there)
        raise AppError(
            f"This machine has no device “{wish}” that torch can use.", f"Found: {found}."
        )
    return torch.device(wish)


def accelerator_name(device: torch.device) -> str:
    """What the device is called by its maker; empty for the CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "xpu":
        return str(torch.xpu.get_device_name(device))
    return "Apple GPU" if device.type == "mps" else ""


def fast_precision(device: torch.device) -> str:
    """The number format the chip is built for, before any timing."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    if device.type == "cpu" and _cpu_has_bf16():
        return "bfloat16"
    return "float32"


def _cpu_has_bf16() -> bool:
    """AVX512-BF16 or AMX: without them bf16 on a CPU is slower than float32."""
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        probe: Callable[[], bool] | None = getattr(torch.cpu, name, None)
        if probe is not None and probe():
            return True
    return False


def resolve_compute(recipe: Recipe, built: BuiltModel) -> Compute:
    """Turn the recipe's wishes into what this machine does.

    Raises: AppError where a wish cannot be met.
    """
    device = resolve_device(recipe.device)
    precision: str = recipe.precision
    if precision == "auto":
        precision = _timed_precision(built, device)
    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    if device.type == "cpu":
        # One batch per core at a time, each on one thread: no barrier between cores inside a
        # layer. Measured with Lite0 on two cores: 1.3–1.6 × the images of two OpenMP threads. The
        # small batch keeps the activations in the cache (8 beat 32 by 1.7 ×).
        workers, batch = min(cores, 8), 8
    else:
        workers, batch = min(cores, 8), 64
    return Compute(
        device=str(device),
        precision=precision,
        memory_format="channels_last" if device.type in ("cpu", "cuda") else "contiguous",
        workers=workers,
        threads_per_worker=max(1, cores // workers),
        embed_batch_size=recipe.embed_batch_size or batch,
    )


def _timed_precision(built: BuiltModel, device: torch.device) -> str:
    """`fast_precision`, unless float32 proves faster for this model here, or the model fails."""
    fast = fast_precision(device)
    if fast == "float32" or device.type != "cpu":
        return fast
    key = "|".join(
        (platform.node(), platform.processor(), torch.__version__, built.card.id, str(device))
    )
    remembered = _read_timings()
    if key in remembered:
        return str(remembered[key])
    seconds = {name: _seconds_per_pass(built, name) for name in (fast, "float32")}
    chosen = min(seconds, key=seconds.__getitem__)
    _write_timing(key, chosen)
    return chosen


def _seconds_per_pass(built: BuiltModel, precision: str) -> float:
    """Median seconds of a small pass; infinite where the model cannot run that way."""
    from core.compute.embedder import Embedder  # it imports Compute from here

    compute = Compute("cpu", precision, "channels_last", 1, 1, _TRIAL_IMAGES)
    shape = (_TRIAL_IMAGES, built.preprocessing.height, built.preprocessing.width, 3)
    pixels = torch.zeros(shape, dtype=torch.uint8)
    try:
        embedder = Embedder(built, compute)
        embedder.embed(pixels)
        seconds = []
        for _ in range(_TRIALS):
            start = time.perf_counter()
            embedder.embed(pixels)
            seconds.append(time.perf_counter() - start)
    except RuntimeError:
        return float("inf")
    return statistics.median(seconds)


def _read_timings() -> dict[str, str]:
    try:
        timings: dict[str, str] = json.loads((paths.cache_dir() / "precision.json").read_text())
    except (OSError, ValueError):
        return {}
    return timings


def _write_timing(key: str, precision: str) -> None:
    try:
        atomic_files.write_json(
            paths.cache_dir() / "precision.json", {**_read_timings(), key: precision}
        )
    except OSError:
        return  # a full disk costs another timing next time, nothing else
