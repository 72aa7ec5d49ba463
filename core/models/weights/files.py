"""Weights in a file made elsewhere: the architecture they belong to is found, and they are loaded.

Names and shapes decide, not the file's name; that only breaks ties.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from core.catalog import catalog
from core.catalog.added import FileCard, file_id
from core.catalog.card import ModelCard
from core.errors import AppError, ModelError, WeightsError
from core.events import ShouldStop, check_stop, never_stop
from core.models import skeleton
from core.models.outline import outline_of
from core.models.weights.matching import Fit, compare
from core.models.weights.state_files import MODEL_SUFFIXES, read_state

__all__ = [
    "MODEL_SUFFIXES",
    "FileReport",
    "ModelFile",
    "card_of",
    "module_of",
    "open_model_file",
    "read_state",
    "report_of",
]

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
_HEADS_TRIED = 4
_NEAREST_TRIED = 3
_REPORTED = 3
_HEAD_TENSORS = 8
"""As many tensors at a file's end may belong to a classifier that is not the architecture's."""
_MARKS = {"AuxLogits.": "torchvision/inception_v3", "aux1.": "torchvision/googlenet"}
"""Parts that only these architectures have; their second classifiers confuse the counting."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A recognised file of weights. The keys of `state` are those of the card's architecture."""

    path: Path
    card: ModelCard
    """The catalog's card whose architecture the file has."""
    num_classes: int
    """What the file's classifier answers for, 0: it has none of that architecture's form."""
    state: dict[str, Tensor]
    fit: Fit

    @property
    def file_card(self) -> FileCard:
        """The card of the file itself."""
        return _file_card(self.path, self.card, self.num_classes)


@dataclass(frozen=True, slots=True)
class FileReport:
    """How a file fits the nearest architectures, best first. Empty `fits`: none comes near."""

    path: Path
    tensors: int
    parameters: int
    fits: tuple[Fit, ...]

    @property
    def is_usable(self) -> bool:
        """Whether the file fits an architecture exactly."""
        return bool(self.fits) and self.fits[0].is_usable

    def sentences(self) -> list[str]:
        """The report as a person reads it."""
        lines = [
            f"{self.path.name} holds {self.tensors:,} tensors, {self.parameters:,} parameters."
        ]
        if not self.fits:
            return [*lines, "No architecture of the catalog has names and shapes like these."]
        return lines + self.fits[0].sentences()


def open_model_file(
    path: Path, *, arch: str | None = None, should_stop: ShouldStop = never_stop
) -> ModelFile:
    """Read a file and find its architecture among those of the catalog, or take `arch`.

    Raises: WeightsError for a file that cannot be read or is refused, ModelError where nothing
    fits, naming the nearest; Cancelled.
    """
    state = read_state(path)
    fits = _fits(path, state, arch, should_stop)
    if fits and fits[0].is_usable:
        best = fits[0]
        return ModelFile(path, best.card, best.num_classes, best.chosen(state), best)
    params = _parameters(state)
    content = f"{path.name} holds {len(state):,} tensors with {params:,} parameters"
    if not fits:
        raise ModelError(
            f"{content}, and no architecture of the catalog has names and shapes like these.",
            "Files with weights of timm and torchvision classifiers can be opened.",
        )
    nearest = fits[0]
    counted = f"{nearest.fitting:,} of its {nearest.expected:,} tensors are there"
    if arch is not None:
        raise ModelError(
            f"{content}; they are not those of {nearest.card.arch}: {counted}.", nearest.why
        )
    raise ModelError(
        f"{content}, and no architecture of the catalog has exactly these. The nearest is "
        f"{nearest.card.arch}: {counted}.",
        nearest.why,
    )


def report_of(
    path: Path, *, arch: str | None = None, should_stop: ShouldStop = never_stop
) -> FileReport:
    """Compare the tensors of a file with the nearest architectures, or with `arch`.

    Raises: WeightsError for a file that cannot be read or is refused, ModelError for an unknown
    `arch`, Cancelled.
    """
    state = read_state(path)
    fits = _fits(path, state, arch, should_stop)
    return FileReport(path, len(state), _parameters(state), tuple(fits[:_REPORTED]))


def card_of(
    path: Path, *, arch: str | None = None, should_stop: ShouldStop = never_stop
) -> FileCard:
    """The card of a file. Raises: ModelError where it does not exist, and as `open_model_file`."""
    try:
        about = path.stat()
    except OSError as error:
        raise ModelError(
            f"The file {path.name} is no longer there.", f"It was expected at {path}."
        ) from error
    return _card_of(path.absolute(), about.st_size, about.st_mtime_ns, arch, should_stop)


@functools.lru_cache(maxsize=32)
def _card_of(
    path: Path, size: int, modified_ns: int, arch: str | None, should_stop: ShouldStop
) -> FileCard:
    """Cached by size and time too, so that a changed file is read again."""
    return open_model_file(path, arch=arch, should_stop=should_stop).file_card


def _file_card(path: Path, base: ModelCard, num_classes: int) -> FileCard:
    about = path.stat()
    own_head = num_classes == base.num_classes
    params = base.params
    if params is not None and not own_head and base.feature_dim and base.num_classes:
        params += (num_classes - base.num_classes) * (base.feature_dim + 1)
    return FileCard(
        id=file_id(path),
        source="file",
        arch=base.arch,
        tag="",
        family=base.family,
        params=params,
        macs=base.macs if own_head else None,
        input_size=base.input_size,
        num_classes=num_classes,
        weights=str(path.absolute()),
        feature_dim=base.feature_dim,
        layer_groups=base.layer_groups,
        interpolation=base.interpolation,
        crop_pct=base.crop_pct,
        mean=base.mean,
        std=base.std,
        base=base.id,
        size_bytes=about.st_size,
        modified_ns=about.st_mtime_ns,
    )


def module_of(card: ModelCard) -> nn.Module:
    """The model of a `FileCard` with the file's weights, on the CPU, in eval mode.

    Raises: WeightsError where the file does not exist, is refused, or no longer what it was.
    """
    if not isinstance(card, FileCard):
        raise TypeError(card)
    if not card.path.is_file():
        raise WeightsError(
            f"The file {card.path.name} is no longer there.",
            f"It was at {card.path}. Put it back, or add it again from its new place.",
        )
    state = read_state(card.path)
    fit = compare(_base_of(card), state, outline_of)
    if fit is None or not fit.is_usable or fit.num_classes != card.num_classes:
        raise WeightsError(
            f"The file {card.path.name} is no longer what it was: "
            f"its weights are not those of {card.arch} with {card.num_classes:,} classes.",
            "Add it again.",
        )
    module = skeleton.library_module(card, meta=False)
    skeleton.load(module, fit.chosen(state), strict=False)  # `compare` was strict
    return module


def _base_of(card: FileCard) -> ModelCard:
    return skeleton.base_of(card)


def _parameters(state: dict[str, Tensor]) -> int:
    return sum(value.numel() for key, value in state.items() if _is_parameter(key, value))


def _is_parameter(key: str, value: Tensor) -> bool:
    return value.is_floating_point() and not key.endswith(_STATISTICS)


def _fits(
    path: Path, state: dict[str, Tensor], arch: str | None, should_stop: ShouldStop
) -> list[Fit]:
    """The fits of the state, best first; stops at the first architecture that fits exactly."""
    if arch is not None:
        if arch.lower().startswith(("file:", "hub/", "hf-hub:")):
            raise ModelError(f"“{arch}” is not an architecture of the catalog.")
        base = catalog.load().resolve(arch)
        fit = compare(base, state, outline_of)
        return [fit] if fit is not None else []
    found: list[Fit] = []
    for card in _candidates(state, path.stem.lower()):
        check_stop(should_stop)
        try:
            fit = compare(card, state, outline_of)
        except AppError:  # it cannot be outlined here
            continue
        if fit is not None and fit.fitting:
            found.append(fit)
            if fit.is_usable and fit.num_classes:
                break
    found.sort(key=lambda fit: (not fit.is_usable, -fit.share))
    return found


def _candidates(state: dict[str, Tensor], name: str) -> Iterator[ModelCard]:
    """Cards to compare, each once: by count of parameters with the file's own classifier, without
    any, by the name of the file, then the nearest in size.

    The count of a card without its head must be that of the file without its own.
    """
    cards = _one_per_arch()
    params = _parameters(state)
    heads = list(_possible_heads(state))
    bodies = set(_possible_bodies(state, params))
    exact, bare = [], []
    for card in cards:
        if (card.params == params and card.num_classes) or any(
            _body_params(card, w) == params - n * w for n, w in heads
        ):
            exact.append(card)
        elif _body_params(card, (card.feature_dim or 0) + 1) in bodies:
            bare.append(card)
    marked = [
        card
        for mark, card_id in _MARKS.items()
        for card in cards
        if f"{card.source}/{card.arch}" == card_id and any(key.startswith(mark) for key in state)
    ]

    # A file often carries the name of its architecture; longer names are the more special ones.
    def named(card: ModelCard) -> int:
        return -len(card.arch) if card.arch.lower() in name else 0

    exact.sort(key=named)
    bare.sort(key=named)
    by_name = sorted((card for card in cards if named(card)), key=named)[:_NEAREST_TRIED]
    given: set[str] = set()
    for card in (*exact, *marked, *bare, *by_name):
        if card.id not in given:
            given.add(card.id)
            yield card
    if not exact:
        body = params - (heads[0][0] * heads[0][1] if heads else 0)
        width = heads[0][1] if heads else 0
        near = sorted(cards, key=lambda card: abs(_body_params(card, width) - body))
        yield from (card for card in near[:_NEAREST_TRIED] if card.id not in given)


def _body_params(card: ModelCard, width: int) -> int:
    """Parameters of a card without its head, which has `width` of them per class."""
    return (card.params or 0) - card.num_classes * width


def _possible_bodies(state: dict[str, Tensor], params: int) -> Iterator[int]:
    """Counts of parameters without the last tensors, which may be a classifier of another form."""
    yield params
    for taken, key in enumerate(reversed(state)):
        if taken == _HEAD_TENSORS:
            return
        if _is_parameter(key, state[key]):
            params -= state[key].numel()
            yield params


def _one_per_arch() -> list[ModelCard]:
    """The default card of each architecture that can be built with a head."""
    found: dict[tuple[str, str], ModelCard] = {}
    for card in catalog.load().cards:
        if card.source != "torchvision" or card.num_classes:
            found.setdefault((card.source, card.arch), card)
    return list(found.values())


def _possible_heads(state: dict[str, Tensor]) -> Iterator[tuple[int, int]]:
    """(classes, parameters a class) of the last layers that could be the classifier, the last
    first. Most have a bias."""
    tried = 0
    for key in reversed(state):
        weight, bias = state[key], state.get(f"{key.removesuffix('weight')}bias")
        if not key.endswith("weight") or weight.dim() not in (2, 4):
            continue
        if bias is None and weight.dim() == 4:  # any convolution before a norm
            continue
        if weight.shape[2:].numel() == 1 and (bias is None or bias.shape == weight.shape[:1]):
            yield weight.shape[0], weight.shape[1] + (bias is not None)
            tried += 1
        if tried == _HEADS_TRIED:
            return
