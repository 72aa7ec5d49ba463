"""Weights in a file made elsewhere: read safely, and the architecture they belong to found.

Names and shapes decide, not the file's name; that only breaks ties. Nothing here unpickles code.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.errors import AppError, ModelError, WeightsError
from core.events import ShouldStop, check_stop, never_stop
from core.models import catalog
from core.models.build import BuiltModel, build, outline_of
from core.models.card import ModelCard

MODEL_SUFFIXES = frozenset((".safetensors", ".pth", ".pt", ".bin"))

_WRAPPERS = ("model_state_dict", "state_dict", "model", "model_ema", "state_dict_ema", "net")
_PREFIXES = ("module.", "_orig_mod.", "model.")
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
_OBJECTS = re.compile(r"Unsupported (global|class)|not an allowed global", re.IGNORECASE)
"""What torch's safe reader says of a file with Python objects; others are no pickles at all."""
_HEADS_TRIED = 4
_NEAREST_TRIED = 3


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What a file of weights is. `state` is under the names of the card's architecture."""

    path: Path
    card: ModelCard
    num_classes: int
    state: dict[str, Tensor]

    def build(self) -> BuiltModel:
        """The model with the file's weights, on the CPU, in eval mode."""
        built = build(self.card, num_classes=self._new_head, pretrained=False)
        built.module.load_state_dict(self.state, strict=False)
        return built

    @property
    def _new_head(self) -> int | None:
        return None if self.num_classes == self.card.num_classes else self.num_classes


def open_model_file(path: Path, *, should_stop: ShouldStop = never_stop) -> ModelFile:
    """Read a file and find its architecture among those of the catalog.

    Raises: WeightsError for a file that cannot be read or is refused, ModelError where nothing
    fits, naming the nearest; Cancelled.
    """
    state = read_state(path)
    params = sum(value.numel() for key, value in state.items() if _is_parameter(key, value))
    nearest: tuple[int, int, str] = (-1, 0, "")
    for card, num_classes in _candidates(state, params, path.stem.lower()):
        check_stop(should_stop)
        fit = _compare(card, num_classes, state)
        if fit is None:
            continue
        renamed, fitting, expected = fit
        if renamed is not None:
            return ModelFile(path, card, num_classes, renamed)
        nearest = max(nearest, (fitting, expected, card.arch))
    said = f"{path.name} holds {len(state):,} tensors with {params:,} parameters"
    if nearest[0] > 0:
        raise ModelError(
            f"{said}, and no architecture of the catalog has exactly these. The nearest is "
            f"{nearest[2]}: {nearest[0]:,} of its {nearest[1]:,} tensors are there.",
            "A changed architecture, or weights without their classifier, cannot be opened.",
        )
    raise ModelError(
        f"{said}, and no architecture of the catalog has names and shapes like these.",
        "Files with weights of timm and torchvision classifiers can be opened.",
    )


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file under their plain names: out of training dicts, without prefixes.

    Raises: WeightsError.
    """
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
    except Exception as error:  # each of the readers has errors of its own for a broken file
        if isinstance(error, AppError):
            raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(f"{path.name} cannot be read as weights: {reason}") from error
    state = _without_prefixes(_unwrapped(content))
    if not state:
        raise WeightsError(
            f"{path.name} holds no weights.", "A state dict with named tensors is wanted."
        )
    return state


def _unwrapped(content: Any) -> dict[str, Tensor]:
    """The state dict within what a training script saved."""
    if not isinstance(content, dict):
        return {}
    for key in _WRAPPERS:
        inner = content.get(key)
        if isinstance(inner, dict) and (found := _unwrapped(inner)):
            return found
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}


def _without_prefixes(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without what DataParallel, torch.compile and wrappers put before every name."""
    for prefix in _PREFIXES * 2:
        keys = [key for key in state if key != "n_averaged"]  # torch's AveragedModel counts there
        if keys and all(key.startswith(prefix) for key in keys):
            state = {key.removeprefix(prefix): state[key] for key in keys}
    return state


def _is_parameter(key: str, value: Tensor) -> bool:
    return value.is_floating_point() and not key.endswith(_STATISTICS)


def _candidates(
    state: dict[str, Tensor], params: int, name: str
) -> Iterator[tuple[ModelCard, int]]:
    """Cards and numbers of classes to compare, the exact ones by count of parameters first.

    The count of a card without its head must be that of the file without its own.
    """
    cards = _one_per_arch()
    heads = list(_possible_heads(state))
    exact: list[tuple[ModelCard, int]] = []
    for card in cards:
        if card.params == params and card.num_classes:
            exact.append((card, card.num_classes))
            continue
        for classes, width in heads:
            if _body_params(card, width) == params - classes * (width + 1):
                exact.append((card, classes))
                break
    # A file often carries the name of its architecture; longer names are the more special ones.
    exact.sort(key=lambda found: -len(found[0].arch) if found[0].arch.lower() in name else 0)
    yield from exact
    if heads and not exact:
        classes, width = heads[0]
        body = params - classes * (width + 1)
        near = sorted(cards, key=lambda card: abs(_body_params(card, width) - body))
        yield from ((card, classes) for card in near[:_NEAREST_TRIED])


def _body_params(card: ModelCard, width: int) -> int:
    """Parameters of a card without its head, if that is a linear layer on so wide features."""
    return (card.params or 0) - (card.num_classes * (width + 1) if card.num_classes else 0)


def _one_per_arch() -> list[ModelCard]:
    """The default card of each architecture that can be built with a head."""
    found: dict[tuple[str, str], ModelCard] = {}
    for card in catalog.load().cards:
        if card.source != "torchvision" or card.num_classes:
            found.setdefault((card.source, card.arch), card)
    return list(found.values())


def _possible_heads(state: dict[str, Tensor]) -> Iterator[tuple[int, int]]:
    """(classes, width) of the last layers that could be the classifier, the last first."""
    tried = 0
    for key in reversed(state):
        weight, bias = state[key], state.get(f"{key.removesuffix('weight')}bias")
        if bias is None or not key.endswith("weight") or weight.dim() not in (2, 4):
            continue
        if weight.shape[2:].numel() == 1 and bias.shape == weight.shape[:1]:
            yield weight.shape[0], weight.shape[1]
            tried += 1
        if tried == _HEADS_TRIED:
            return


def _compare(
    card: ModelCard, num_classes: int, state: dict[str, Tensor]
) -> tuple[dict[str, Tensor] | None, int, int] | None:
    """(the state under the card's names or None, tensors that fit, tensors expected).

    None where the architecture cannot be outlined.
    """
    new_head = None if num_classes == card.num_classes else num_classes
    try:
        _, outline, heads = outline_of(card, num_classes=new_head)
    except AppError:
        return None
    expected = outline.state_dict()
    names = {key: _plain_head(key, heads.names) for key in state}
    renamed = {names[key]: value for key, value in state.items()}
    fitting = sum(
        1 for key, like in expected.items() if key in renamed and renamed[key].shape == like.shape
    )
    missing = [key for key in expected if key not in renamed and "num_batches" not in key]
    strange = [key for key in renamed if key not in expected]
    is_exact = not missing and not strange and fitting == sum(key in renamed for key in expected)
    return renamed if is_exact else None, fitting, len(expected)


def _plain_head(key: str, heads: tuple[str, ...]) -> str:
    """`fc.1.weight` of a head inside a Sequential is `fc.weight`."""
    for head in heads:
        inside = re.fullmatch(rf"{re.escape(head)}\.\d+\.(weight|bias)", key)
        if inside:
            return f"{head}.{inside[1]}"
    return key
