"""Files of weights read safely: never code, training dicts unwrapped, prefixes taken off.

Nothing here knows an architecture (`core.models.weights.files`).
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.errors import AppError, WeightsError

MODEL_SUFFIXES = frozenset((".safetensors", ".pth", ".pt", ".bin"))

_WRAPPERS = ("model_state_dict", "state_dict", "model", "model_ema", "state_dict_ema", "net")
_PREFIXES = ("module.", "_orig_mod.", "model.")
_OBJECTS = re.compile(r"Unsupported (global|class)|not an allowed global", re.IGNORECASE)
"""What torch's safe reader says of a file with Python objects; others are no pickles at all."""
_PAGE = re.compile(rb"\s*(<!doctype|<html|<\?xml|version https://git-lfs)", re.IGNORECASE)


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file, unpacked from training dicts and without name prefixes.

    Raises: WeightsError.
    """
    _refuse_other_files(path)
    try:
        if path.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not _OBJECTS.search(str(error)):
            raise WeightsError(
                f"{path.name} cannot be read as weights: it is no such file."
            ) from error
        raise WeightsError(
            f"{path.name} is refused: it holds Python objects, and reading those could run code.",
            "If you trust it, save its numbers alone where it was made: "
            "torch.save(model.state_dict(), 'weights.pt').",
        ) from error
    except MemoryError as error:
        raise WeightsError(f"{path.name} does not fit into the memory of this machine.") from error
    except Exception as error:  # each of the readers has errors of its own for a broken file
        if isinstance(error, AppError):
            raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(f"{path.name} cannot be read as weights: {reason}") from error
    state = _without_prefixes(_unwrapped(content))
    if not state:
        raise WeightsError(
            f"{path.name} holds no weights.", "It must be a state dict with named tensors."
        )
    return state


def _refuse_other_files(path: Path) -> None:
    """Refuse what is no file of weights, judged by its first bytes. Raises: WeightsError."""
    if path.is_dir():
        raise WeightsError(f"{path.name} is a folder, not a file of weights.")
    try:
        with path.open("rb") as file:
            beginning = file.read(256)
    except FileNotFoundError as error:
        raise WeightsError(f"There is no file {path}.") from error
    except OSError as error:
        raise WeightsError(
            f"{path.name} cannot be read as weights: {error.strerror or error}."
        ) from error
    if not beginning:
        raise WeightsError(f"{path.name} is empty.", "Download or copy it once more.")
    page = _PAGE.match(beginning)
    if page:
        what = "a Git LFS pointer" if b"git-lfs" in page[1] else "a web page"
        raise WeightsError(
            f"{path.name} is {what}, not weights.",
            "Download the file itself: this link leads to a page about it.",
        )


def _unwrapped(content: Any) -> dict[str, Tensor]:
    """Find the state dict in what a training script saved."""
    if not isinstance(content, dict):
        return {}
    for key in _WRAPPERS:
        inner = content.get(key)
        if isinstance(inner, dict) and (found := _unwrapped(inner)):
            return found
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}


def _without_prefixes(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Remove the name prefixes of DataParallel, torch.compile and other wrappers."""
    for prefix in _PREFIXES * 2:
        keys = [key for key in state if key != "n_averaged"]  # torch's AveragedModel counts there
        if keys and all(key.startswith(prefix) for key in keys):
            state = {key.removeprefix(prefix): state[key] for key in keys}
    return state
