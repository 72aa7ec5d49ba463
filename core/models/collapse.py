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
    from core.models.layers import Kind, LayerNode, LayerTree

_COLUMNS = ("layer", "type", "kind", "output", "parameters", "trainable", "MACs")


Column = tuple[str, Callable[["LayerLine"], str]]
"""A further column of a table: its heading, and what stands there of a line."""


@dataclass(frozen=True, slots=True)
class LayerLine:
    """A layer, or a run of equal siblings; then `repeats` is more than one.

    Figures of a run are those of all its members together; its children are the members.
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

    @property
    def is_run(self) -> bool:
        return self.repeats > 1

    @property
    def title(self) -> str:
        """`Bottleneck` or `Bottleneck × 6`."""
        return f"{self.type} × {self.repeats}" if self.is_run else self.type


def collapse(nodes: Iterable[LayerNode]) -> tuple[LayerLine, ...]:
    """Lines for these siblings and all below them.

    Siblings are a run where they follow each other and are equal in type, structure, parameters
    and output. What trains of them makes no difference: a tick must not unfold the tree. Single
    layers without children stay as they are: two activations in a row are no block.
    """
    lines: list[LayerLine] = []
    for _, equal in groupby(nodes, key=_structure):
        members = tuple(equal)
        if len(members) == 1 or not members[0].children:
            lines += [_line(node) for node in members]
        else:
            lines.append(_run(members))
    return tuple(lines)


def _structure(node: LayerNode) -> object:
    """Equal for layers that differ in name only."""
    children = tuple(_structure(child) for child in node.children)
    figures = (node.params, node.output_shape)
    return node.type, node.kind, figures, children


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
    )


def walk(lines: Iterable[LayerLine], depth: int = 0) -> Iterator[tuple[int, LayerLine]]:
    """Every line with its depth, each before what is below it."""
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
    headings = ["layer", "type", "output", "parameters", "trains", "MACs", *(h for h, _ in more)]
    sides = ["---", "---", "---:", "---:", "---", "---:", *("---:" for _ in more)]
    rows = [f"| {' | '.join(headings)} |", f"| {' | '.join(sides)} |"]
    for depth, line in lines:
        indent = "&nbsp;&nbsp;" * depth
        cells = (
            f"{indent}{line.name}",
            line.title,
            shape_text(line.output_shape),
            f"{line.params:,}",
            trains_text(line),
            f"{line.macs:,}",
            *(text(line) for _, text in more),
        )
        rows.append(f"| {' | '.join(cells)} |")
    total = (
        f"{tree.model}: {tree.trainable_params:,} of {tree.params:,} parameters train, "
        f"{tree.macs / 1e9:,.2f} GMACs."
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
            figures = (line.params, line.trainable_params, line.macs)
            others = (text(line) for _, text in more)
            writer.writerow([line.path, line.type, line.kind, shape, *figures, *others])
    return out.getvalue()


def trains_text(line: LayerLine) -> str:
    """`all`, `partly` or `frozen`; empty for what has no parameters."""
    if not line.params:
        return ""
    if not line.trainable_params:
        return "frozen"
    return "all" if line.trainable_params >= line.params else "partly"
