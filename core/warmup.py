"""Everything heavy, imported once. The window calls this in a worker right after its first paint:
each of these imports stalls the other threads for up to 200 ms, so none may come later.
"""

from __future__ import annotations

import importlib
import os
import platform
from dataclasses import dataclass

import psutil

from core.events import OnProgress, ShouldStop, check_stop, never_stop, no_progress

_HEAVY = (
    "torch",
    "torchvision",
    "timm",
    "sklearn.model_selection",
    "torchmetrics.functional.classification",
    "core.training.fit",
    "core.classify",
)


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to compute with."""

    cpu: str
    cores: int
    memory_gb: float
    accelerator: str
    """Name of the GPU, or empty."""
    precision: str
    """What a frozen backbone runs in here, e.g. `bfloat16`."""


def warm_up(
    *, on_progress: OnProgress = no_progress, should_stop: ShouldStop = never_stop
) -> Machine:
    """Import what training and classification need, then look at the machine."""
    for done, name in enumerate(_HEAVY):
        check_stop(should_stop)
        on_progress(done, len(_HEAVY), "loading libraries")
        importlib.import_module(name)
    on_progress(len(_HEAVY), len(_HEAVY), "ready")
    return describe_machine()


def describe_machine() -> Machine:
    from core.training import device  # heavy: it imports torch

    chosen = device.resolve_device("auto")
    return Machine(
        cpu=_cpu_name(),
        cores=psutil.cpu_count(logical=False) or os.cpu_count() or 1,
        memory_gb=psutil.virtual_memory().total / 2**30,
        accelerator=device.accelerator_name(chosen),
        precision=device.fast_precision(chosen),
    )


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - a device file
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
