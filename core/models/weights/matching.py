"""How the tensors of a file fit one architecture: what is there, missing, strange, misshapen.

The classifier is looked at apart from the rest: it may answer for other classes, be of another
form, or be missing; all other tensors must be there exactly.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from core.catalog.card import ModelCard
from core.words import list_some

_NAMED = 4
"""So many tensors are named in a sentence."""
_OPTIONAL = ("AuxLogits.", "aux1.", "aux2.")
"""Second classifiers of Inception and GoogLeNet, which serve training from scratch only."""

Classifier = Literal["whole", "replaced", "missing"]
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Fit:
    """A comparison's result: `fitting` of the architecture's `expected` tensors are in the file.

    `classifier`: whole, of another form (replaced) or missing; where it is not whole,
    `num_classes` is 0 and the model gives features or is given a new head.
    """

    card: ModelCard
    num_classes: int
    classifier: Classifier
    fitting: int
    expected: int
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    other_shape: tuple[tuple[str, Shape, Shape], ...]
    """(name, shape in the file, shape in the architecture)"""
    left_out: tuple[str, ...]
    """Tensors of a classifier of another form, or of a second one, which are not used."""
    names: dict[str, str]
    """Name in the file → name in the architecture, of the tensors that are used."""

    @property
    def is_usable(self) -> bool:
        """Whether every tensor outside the classifier fits."""
        return bool(self.names) and not (self.missing or self.unexpected or self.other_shape)

    @property
    def share(self) -> float:
        """How much of the architecture and of the file fit each other, 0…1."""
        return self.fitting / max(1, self.expected + len(self.unexpected))

    def chosen(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors that are used, under the architecture's names."""
        return {wanted: state[name] for name, wanted in self.names.items()}

    @property
    def why(self) -> str:
        """What does not fit, with the first names; empty where all does."""
        sentences = []
        if self.missing:
            sentences.append(f"Missing: {list_some(self.missing, _NAMED)}.")
        if self.unexpected:
            sentences.append(f"Not of this architecture: {list_some(self.unexpected, _NAMED)}.")
        if self.other_shape:
            shapes = [
                f"{name} {_size(has)} for {_size(wants)}" for name, has, wants in self.other_shape
            ]
            sentences.append(f"Of another shape: {list_some(shapes, _NAMED)}.")
        return " ".join(sentences)

    def sentences(self) -> list[str]:
        """The comparison in one or two sentences for a reader."""
        counted = f"{self.fitting:,} of the {self.expected:,} tensors of {self.card.arch} are there"
        if not self.is_usable:
            return [f"The nearest is {self.card.arch}: {counted}.", self.why]
        if self.classifier == "whole":
            return [
                f"All {self.expected:,} tensors of {self.card.arch} are there; its classifier "
                f"answers for {self.num_classes:,} classes."
            ]
        form = (
            f"its classifier is of another form ({list_some(self.left_out, _NAMED)}) and is left "
            "out"
            if self.classifier == "replaced"
            else "it has no classifier"
        )
        return [f"{counted}; {form}: it gives features, and can be trained on classes of yours."]


Outline = Callable[[ModelCard], tuple[ModelCard, Any, Any]]
"""`core.models.outline.outline_of`: the card, its module on meta tensors, where its heads are."""


def compare(card: ModelCard, state: dict[str, Tensor], outline_of: Outline) -> Fit | None:
    """Compare `state` with the card's architecture; None where that has no tensors.

    Raises: AppError where the architecture cannot be outlined.
    """
    _, outline, heads = outline_of(card)
    wanted = {
        key: tuple(value.shape)
        for key, value in outline.state_dict().items()
        if not key.startswith(_OPTIONAL)
    }
    if not wanted:
        return None
    has = {key: tuple(value.shape) for key, value in state.items()}
    names = {key: _plain(key, wanted) for key in has}
    of_head = tuple(f"{name}." for name in (*heads.names, *heads.auxiliary))
    head = {key for key in wanted if key.startswith(of_head)} if of_head else set()
    num_classes = _classes({names[key]: shape for key, shape in has.items()}, wanted, head, heads)
    if num_classes:
        for key in head:
            wanted[key] = (num_classes, *wanted[key][1:])
    else:
        wanted = {key: shape for key, shape in wanted.items() if key not in head}

    used: dict[str, str] = {}
    taken: set[str] = set()
    left_out, unexpected = [], []
    around = tuple(_around(name) for name in (*heads.names, *heads.auxiliary))
    for key, name in names.items():
        if name in wanted and name not in taken:
            used[key] = name
            taken.add(name)
        elif key.startswith(_OPTIONAL) or (not num_classes and around and key.startswith(around)):
            left_out.append(key)
        else:
            unexpected.append(key)
    there = {name: key for key, name in used.items()}
    other_shape = tuple(
        (name, has[key], wanted[name]) for name, key in there.items() if has[key] != wanted[name]
    )
    missing = tuple(key for key in wanted if key not in there and "num_batches" not in key)
    form: Classifier = "missing" if not left_out or num_classes else "replaced"
    return Fit(
        card=card,
        num_classes=num_classes,
        classifier="whole" if num_classes else form,
        fitting=len(there) - len(other_shape),
        expected=len(wanted),
        missing=missing,
        unexpected=tuple(unexpected),
        other_shape=other_shape,
        left_out=tuple(left_out),
        names=used,
    )


def _classes(has: dict[str, Shape], wanted: dict[str, Shape], head: set[str], heads: Any) -> int:
    """The number of classes of the file's classifier; 0 where its form is another."""
    counts = set()
    for key in head:
        shape = has.get(key)
        if shape is None or len(shape) != len(wanted[key]) or shape[1:] != wanted[key][1:]:
            return 0
        counts.add(shape[0])
    return counts.pop() if len(counts) == 1 else 0


def _plain(key: str, wanted: dict[str, Shape]) -> str:
    """`fc.1.weight` of a head inside a Sequential is `fc.weight`, if the architecture has that."""
    if key not in wanted:
        inside = re.fullmatch(r"(.+)\.\d+\.(weight|bias)", key)
        if inside and (plain := f"{inside[1]}.{inside[2]}") in wanted:
            return plain
    return key


def _around(head: str) -> str:
    """The prefix under which all of a classifier stands: `classifier.` of `classifier.1`."""
    parent = head.rpartition(".")[0]
    return f"{parent or head}."


def _size(shape: Shape) -> str:
    return "×".join(map(str, shape)) or "a number"
