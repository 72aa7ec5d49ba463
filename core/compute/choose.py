"""Where and in which number format a model computes.

Decided by what the chip can do, then by a short timing after warm-up, which is remembered per
machine and model. Nothing here is process-wide but the thread count, which its user puts back.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time

import psutil
import torch

from core.compute.device import Compute, fast_precision, resolve_device
from core.compute.embedder import Embedder
from core.models.build import BuiltModel
from core.recipe.recipe import Recipe
from core.system import atomic_files, paths

_TRIAL_IMAGES = 4
_TRIALS = 3


def resolve_compute(recipe: Recipe, built: BuiltModel) -> Compute:
    """Choose device, number format, threads and batch size for a recipe on this machine.

    Raises: AppError where the machine cannot do what the recipe asks for.
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
    """`fast_precision`, or float32 where that is faster for this model here or the other fails."""
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
