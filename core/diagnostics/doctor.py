"""Checks of this machine, and what to do where something is missing."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from core.catalog import catalog
from core.diagnostics.warmup import describe_machine
from core.models.weights import weights
from core.system import libraries, paths

_LIBRARIES = ("torch", "torchvision", "timm", "PySide6-Essentials", "pyqtgraph", "pillow")
_LOW_DISK_GB = 2.0


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check of the machine."""

    name: str
    status: Literal["ok", "note", "problem"]
    text: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def examine() -> list[Check]:
    """Check all that a training needs; imports torch, so it takes a moment."""
    return [
        Check("python", "ok", f"{platform.python_version()} on {platform.platform()}"),
        _libraries(),
        _compute(),
        _bundled_weights(),
        _window(),
        _preferences(),
        *(_folder(name, folder) for name, folder in _folders().items()),
    ]


def _libraries() -> Check:
    found, missing = [], []
    for name in _LIBRARIES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Check("libraries", "problem", f"missing: {', '.join(missing)}; run make again")
    return Check("libraries", "ok", ", ".join(found))


def _compute() -> Check:
    machine = describe_machine()
    text = f"{machine.cpu}, {machine.cores} cores, {machine.memory_gb:.0f} GB"
    if machine.accelerator:
        return Check("compute", "ok", f"{machine.accelerator} ({machine.precision}); {text}")
    if shutil.which("nvidia-smi") or Path("/proc/driver/nvidia").exists():
        return Check(
            "compute",
            "problem",
            f"an NVIDIA GPU is here, but this build of torch cannot use it: {text}. Install the "
            "torch build for your CUDA version, see “Install PyTorch” on PyTorch's own site",
        )
    return Check("compute", "ok", f"{text}; no GPU; frozen backbones run in {machine.precision}")


def _bundled_weights() -> Check:
    bundled = [card for card in catalog.load().cards if card.source == "bundled"]
    missing = [card.id for card in bundled if not weights.is_here(card)]
    if missing:
        return Check("weights", "problem", f"not installed: {', '.join(missing)}; run make again")
    return Check("weights", "ok", f"bundled, no network needed: {_names(bundled)}")


def _names(cards: list[Any]) -> str:
    return ", ".join(card.arch for card in cards)


def _window() -> Check:
    obstacle = libraries.find_obstacle()
    if not obstacle:
        return Check("window", "ok", "Qt has what it needs")
    # A machine without a display is no fault: training servers have none.
    return Check("window", "problem" if "package" in obstacle else "note", obstacle)


def _preferences() -> Check:
    wishes, trouble = paths.read_preferences()
    if trouble:
        return Check("preferences", "note", trouble)
    named = ", ".join(f"{key} {wish}" for key, wish in wishes.recipe_values().items())
    return Check("preferences", "ok", named or "device and precision are chosen automatically")


def _folders() -> dict[str, Path]:
    return {
        "runs folder": paths.runs_dir(),
        "data folder": paths.data_dir(),
        "cache folder": paths.cache_dir(),
    }


def _folder(name: str, folder: Path) -> Check:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Check(name, "problem", f"{folder} cannot be written: {error.strerror or error}")
    free_gb = shutil.disk_usage(folder).free / 1e9
    status: Literal["ok", "note"] = "note" if free_gb < _LOW_DISK_GB else "ok"
    return Check(name, status, f"{folder}, {free_gb:.1f} GB free")
