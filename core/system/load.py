"""Measures how busy the machine is while it trains: processors, and an NVIDIA GPU if there is one.

Sampled at most once a second. The GPU's values are None without an NVIDIA GPU, its driver or its
library.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil

_EVERY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """Load since the last sample: `cpu` as a share of all cores, `gpu` as a share of time, 0…1.

    None: unknown.
    """

    cpu: float
    gpu: float | None = None
    gpu_memory_mb: float | None = None
    gpu_total_mb: float | None = None


class LoadSampler:
    """Samples the load, at most once a second however often it is called. For one thread."""

    def __init__(self, device: str = "cpu", clock: Callable[[], float] = time.monotonic) -> None:
        """`device`: the device of the run, as torch names it: `cuda:1`."""
        self._clock = clock
        self._gpu = _open_gpu(device) if device.startswith("cuda") else None
        psutil.cpu_percent()  # each call returns the load since the call before
        self._next = clock() + _EVERY_SECONDS

    def sample(self) -> Load | None:
        """The load since the last sample; None if that is less than a second ago."""
        now = self._clock()
        if now < self._next:
            return None
        self._next = now + _EVERY_SECONDS
        cpu = psutil.cpu_percent() / 100
        if self._gpu is None:
            return Load(cpu)
        library, handle = self._gpu
        try:
            memory = library.nvmlDeviceGetMemoryInfo(handle)
            gpu = library.nvmlDeviceGetUtilizationRates(handle).gpu / 100
        except library.NVMLError:  # the driver was updated, or the GPU fell off the bus
            self._gpu = None
            return Load(cpu)
        return Load(cpu, gpu, memory.used / 2**20, memory.total / 2**20)


def _open_gpu(device: str) -> tuple[Any, Any] | None:
    """NVIDIA's library and its handle of torch's `device`; None where there is none.

    torch counts only the GPUs of CUDA_VISIBLE_DEVICES, NVIDIA's library counts all.
    """
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        index = int(device.partition(":")[2] or 0)
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        name = visible.split(",")[index].strip() if visible else str(index)
        with suppress(ValueError):
            return pynvml, pynvml.nvmlDeviceGetHandleByIndex(int(name))
        return pynvml, pynvml.nvmlDeviceGetHandleByUUID(name)
    except (pynvml.NVMLError, IndexError, ValueError):
        return None
