"""Layers as a person reads them: a run of equal blocks is one line that can be opened.

Pure functions on the layer tree; no torch when imported.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.models.layers.details import Kind
    from core.models.layers.tree import LayerNode, LayerTree

_COLUMNS = (
    "layer", "type", "kind", "detail", "output", "parameters", "shared", "trainable", "MACs",
    "activation_bytes",
)  # fmt: skip
_CONTAINERS = frozenset(("Sequential", "ModuleList", "ModuleDict"))


Column = tuple[str, Callable[["LayerLine"], str]]
"""A further column of a table: its heading, and what stands there of a line."""


@dataclass(frozen=True, slots=True)
class LayerLine:
    """A row of the layer table: one layer, or `repeats` similar ones that follow each other.

    Figures of a run are those of all its members together; its children are the members, and its
    `detail` says where they differ.
    """

    name: str
    path: str
    """Dotted name from the model's root; of the first member where it is a run."""
    type: str
    kind: Kind
    output_shape: tuple[int, ...] | None
    params: int
    trainable_params: int
    macs: int
    children: tuple[LayerLine, ...]
    repeats: int = 1
    detail: str = ""
    activation_bytes: int = 0
    shared_params: int = 0
    """How many of `params` an earlier line has counted already."""

    @property
    def is_run(self) -> bool:
        """Whether the row stands for several layers."""
        return self.repeats > 1

    @property
    def title(self) -> str:
        """`Bottleneck` or `Bottleneck × 6`."""
        return f"{self.type} × {self.repeats}" if self.is_run else self.type


def collapse(nodes: Iterable[LayerNode]) -> tuple[LayerLine, ...]:
    """The rows for these layers and all below them; similar neighbours share a row.

    Siblings that follow each other are a run where they are of one class and give out one shape,
    and are besides
    - equal in all but their names, or
    - equal but for the first (a stage of a ResNet, whose first block changes the size), or
    - made of the same layers at other widths (the layers of a dense block, which grow).
    A mere container has to be equal. What trains of them makes no difference: a tick must not
    unfold the tree. Single layers without children stay as they are: two activations in a row are
    no block.
    """
    lines: list[LayerLine] = []
    for _, alike in groupby(nodes, key=_family):
        members = tuple(alike)
        if members[0].children and _is_run(members):
            lines.append(_run(members))
            continue
        for _, equal in groupby(members, key=_structure):
            same = tuple(equal)
            if len(same) == 1 or not same[0].children:
                lines += [_line(node) for node in same]
            else:
                lines.append(_run(same))
    return tuple(lines)


def _family(node: LayerNode) -> object:
    """What layers need to have in common to share a row."""
    return node.type, node.kind, node.output_shape, bool(node.children)


def _is_run(members: tuple[LayerNode, ...]) -> bool:
    """Whether these neighbours can share a row; the first may differ from the rest."""
    if len(members) == 1 or members[0].type in _CONTAINERS:
        return False
    rest = {_structure(node) for node in members[1:]}
    return len(rest) == 1 or len({_outline(node) for node in members}) == 1


def _structure(node: LayerNode) -> object:
    """Equal for layers that differ in name only."""
    children = tuple(_structure(child) for child in node.children)
    figures = (node.params, node.output_shape)
    return node.type, node.kind, node.detail, figures, children


def _outline(node: LayerNode) -> object:
    """Equal for layers that are made of the same layers, whatever their widths."""
    return node.type, tuple(_outline(child) for child in node.children)


def _line(node: LayerNode) -> LayerLine:
    return LayerLine(
        name=node.name,
        path=node.path,
        type=node.type,
        kind=node.kind,
        output_shape=node.output_shape,
        params=node.total_params,
        trainable_params=node.trainable_params,
        macs=node.macs,
        children=collapse(node.children),
        detail=node.detail,
        activation_bytes=node.activation_bytes,
        shared_params=node.shared_params,
    )


def _run(members: tuple[LayerNode, ...]) -> LayerLine:
    first, last = members[0], members[-1]
    return LayerLine(
        name=f"{first.name} … {last.name}",
        path=first.path,
        type=first.type,
        kind=first.kind,
        output_shape=last.output_shape,
        params=sum(node.total_params for node in members),
        trainable_params=sum(node.trainable_params for node in members),
        macs=sum(node.macs for node in members),
        children=tuple(_line(node) for node in members),
        repeats=len(members),
        detail=_difference(members),
        activation_bytes=sum(node.activation_bytes for node in members),
        shared_params=sum(node.shared_params for node in members),
    )


def _difference(members: tuple[LayerNode, ...]) -> str:
    """How the layers that share a row differ; empty where they do not."""
    first, *rest = members
    if len({_structure(node) for node in members}) == 1:
        return ""
    sizes = [node.total_params for node in rest]
    if len({_structure(node) for node in rest}) > 1:
        low, high = min(first.total_params, *sizes), max(first.total_params, *sizes)
        return f"sizes differ: {low:,} to {high:,} parameters"
    if first.total_params == sizes[0]:
        return "the first differs"
    return f"the first differs: {first.total_params:,} parameters, then {sizes[0]:,} each"


def walk(lines: Iterable[LayerLine], depth: int = 0) -> Iterator[tuple[int, LayerLine]]:
    """All rows with their depth; each row comes before those below it."""
    for line in lines:
        yield depth, line
        yield from walk(line.children, depth + 1)


def line_fits(line: LayerLine, text: str) -> bool:
    """Whether each word of `text` occurs in the path, the type or the kind of a line.

    A run is not found, its members are: else every hit would be counted twice.
    """
    if line.is_run:
        return False
    haystack = f"{line.path} {line.type} {line.kind}".lower()
    return all(word in haystack for word in text.lower().split())


def shape_text(shape: tuple[int, ...] | None) -> str:
    """`64×112×112`; empty where it is unknown."""
    return "" if shape is None else "×".join(map(str, shape))


def to_markdown(
    lines: Iterable[tuple[int, LayerLine]], *, tree: LayerTree, more: Sequence[Column] = ()
) -> str:
    """A table of these lines (as `walk` gives them), with the totals below."""
    headings = [
        "layer", "type", "detail", "output", "parameters", "trains", "MACs", "share",
        "activations MB", *(heading for heading, _ in more),
    ]  # fmt: skip
    words = ("layer", "type", "detail", "trains")
    sides = ["---" if heading in words else "---:" for heading in headings]
    rows = [f"| {' | '.join(headings)} |", f"| {' | '.join(sides)} |"]
    for depth, line in lines:
        indent = "&nbsp;&nbsp;" * depth
        cells = (
            f"{indent}{line.name}",
            line.title,
            line.detail,
            shape_text(line.output_shape),
            f"{line.params:,}",
            trains_text(line),
            f"{line.macs:,}",
            f"{line.macs / tree.macs:.1%}" if tree.macs else "",
            f"{line.activation_bytes / 1e6:.2f}",
            *(text(line) for _, text in more),
        )
        rows.append(f"| {' | '.join(cells)} |")
    total = (
        f"{tree.model}: {tree.trainable_params:,} of {tree.params:,} parameters train, "
        f"{tree.macs / 1e9:,.2f} GMACs, {tree.activation_bytes / 1e6:,.1f} MB of activations "
        "for one image in float32."
    )
    return "\n".join([*rows, "", total, ""])


def to_csv(lines: Iterable[LayerLine], *, more: Sequence[Column] = ()) -> str:
    """Every layer on a line of its own; runs are written out."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*_COLUMNS, *(heading for heading, _ in more)])
    for _, line in walk(lines):
        if not line.is_run:
            shape = "x".join(map(str, line.output_shape or ()))
            texts = (line.path, line.type, line.kind, line.detail, shape)
            figures = (line.params, line.shared_params, line.trainable_params, line.macs)
            others = (text(line) for _, text in more)
            writer.writerow([*texts, *figures, line.activation_bytes, *others])
    return out.getvalue()


def trains_text(line: LayerLine) -> str:
    """`all`, `partly` or `frozen`; empty for what has no parameters."""
    if not line.params:
        return ""
    if not line.trainable_params:
        return "frozen"
    return "all" if line.trainable_params >= line.params else "partly"
