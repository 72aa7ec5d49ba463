"""The devices of this machine, and the number format each is built for.

Which of them a recipe uses, and how, is decided in `core.compute.choose`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from core.errors import AppError

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True, slots=True)
class Compute:
    """How a frozen backbone runs on this machine; written into the run."""

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

    @property
    def torch_memory_format(self) -> torch.memory_format:
        is_last = self.memory_format == "channels_last"
        return torch.channels_last if is_last else torch.contiguous_format

    def to_dict(self) -> dict[str, Any]:
        """The fields as a JSON document."""
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
    """The name of the device as its driver gives it; empty for the CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "xpu":
        return str(torch.xpu.get_device_name(device))
    return "Apple GPU" if device.type == "mps" else ""


def fast_precision(device: torch.device) -> str:
    """The fastest number format that the chip supports, without timing."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    if device.type == "cpu" and _cpu_has_bf16():
        return "bfloat16"
    return "float32"


def _cpu_has_bf16() -> bool:
    """Whether the CPU has AVX512-BF16 or AMX: without them bf16 is slower than float32."""
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        probe: Callable[[], bool] | None = getattr(torch.cpu, name, None)
        if probe is not None and probe():
            return True
    return False
