"""Everything heavy, imported once. The window calls this in a worker right after its first paint:
each of these imports stalls the other threads for up to 200 ms, so none may come later.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib.util
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from core.events import OnProgress, ShouldStop, check_stop, never_stop, no_progress

_HEAVY = (
    "torch",
    "torchvision",
    "timm",
    "sklearn.model_selection",
    "torchmetrics.functional.classification",
    "core.training.fit",
    "core.training.torchrun",
    "core.training.queue_runner",
    "core.evaluation.classifier",
    "torch.utils.serialization",
    "torch.utils.tensorboard",
)


_TORCH_LIBRARIES = (
    "libtorch_global_deps.so",
    "libc10.so",
    "libtorch_cpu.so",
    "libc10_cuda.so",
    "libtorch_cuda.so",
    "libtorch_python.so",
)
_BREATH_S = 0.01
"""Between two stalls, so that the window is painted in between."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The hardware of this machine."""

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
    """Import what training and classification need, run it once, and describe the machine."""
    with _without_collecting():
        _load_libraries_of_torch()
        for done, name in enumerate(_HEAVY):
            check_stop(should_stop)
            on_progress(done, len(_HEAVY) + 1, "loading libraries")
            importlib.import_module(name)
        check_stop(should_stop)
        on_progress(len(_HEAVY), len(_HEAVY) + 1, "warming up")
        _run_once()
    on_progress(len(_HEAVY) + 1, len(_HEAVY) + 1, "ready")
    return describe_machine()


def _load_libraries_of_torch() -> None:
    """Load torch's shared libraries one by one: the loader holds the GIL, and `import torch` would
    load them all in one stall of 250–500 ms instead of pieces of 190 at most."""
    found = importlib.util.find_spec("torch")
    if sys.platform != "linux" or found is None or found.origin is None:
        return
    folder = Path(found.origin).parent / "lib"
    for name in _TORCH_LIBRARIES:
        with suppress(OSError):  # torch itself says better what is wrong with it
            _read_through(folder / name)
            ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL if "deps" in name else 0)
        time.sleep(_BREATH_S)


def _read_through(path: Path) -> None:
    """Read a file into the system's cache without the GIL: loaded from a cold disk the largest
    library held up the window for 1.3 s. Already there, 450 MB cost 0.04 s."""
    block = bytearray(1 << 24)
    with path.open("rb", buffering=0) as file:
        while file.readinto(block):
            pass


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Switch garbage collection off while the libraries create a million objects, and exclude those
    from it afterwards: a full collection over them holds the GIL for 100–300 ms."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # at exit the libraries' own objects are collected as usual
        if was_on:
            gc.enable()


def _run_once() -> None:
    """Run one small training: what torch sets up on first use is then done, and the
    number format that suits the default model here is timed and remembered."""
    import torch

    from core.compute.choose import resolve_compute
    from core.compute.embedder import Embedder
    from core.models.build import build
    from core.models.resolve import resolve_model
    from core.recipe.recipe import Recipe
    from core.training.head_solver import fit_head

    recipe = Recipe()
    built = build(resolve_model(recipe.model), num_classes=2)
    compute = resolve_compute(recipe, built)
    size = built.preprocessing
    blank = torch.zeros((compute.embed_batch_size, size.height, size.width, 3), dtype=torch.uint8)
    features = Embedder(built, compute).embed(blank)
    positions = torch.arange(len(features))
    fit_head(features, positions % 2, positions // 2 % 2, classes=2, epochs=2, patience=2)


def describe_machine() -> Machine:
    """The hardware of this machine; imports torch."""
    from core.compute import device  # heavy: it imports torch

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
