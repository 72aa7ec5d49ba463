"""The command `layers`: the layer tree of a model with its costs, and what its layers do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from core.catalog.names import full_name
from core.cli.arguments import Json
from core.cli.console import answer_console, number, print_json
from core.errors import ModelError

if TYPE_CHECKING:
    from core.models.layers.rows import LayerLine
    from core.models.layers.tree import LayerTree


class TreeFormat(StrEnum):
    TABLE = "table"
    MARKDOWN = "markdown"
    CSV = "csv"


Shown = Sequence[tuple[int, "LayerLine"]]
"""Layers with their depth in the tree."""


def layers(
    model: Annotated[str, typer.Argument(help="Model id.")],
    classes: Annotated[
        int | None,
        typer.Option("--classes", min=1, help="Show it with a new head for so many classes."),
    ] = None,
    depth: Annotated[int | None, typer.Option(min=1, help="Number of levels to show.")] = None,
    search: Annotated[
        str, typer.Option(help="Show only layers with these words in path, class or kind.")
    ] = "",
    opens_all: Annotated[
        bool, typer.Option("--all", help="Show every layer; without it, equal blocks share a line.")
    ] = False,
    explains: Annotated[
        bool, typer.Option("--explain", help="Explain what the layers do and what each depth sees.")
    ] = False,
    tree_format: Annotated[
        TreeFormat, typer.Option("--format", help="Output format; csv has every layer.")
    ] = TreeFormat.TABLE,
    as_json: Json = False,
) -> None:
    """Show the layer tree of a model: shapes, parameters, MACs, memory. Needs no weights."""
    from core.models.layers.rows import collapse, line_fits, to_csv, to_markdown, walk
    from core.models.layers.tree import layer_tree, to_json
    from core.models.resolve import resolve_model

    tree = layer_tree(resolve_model(model), num_classes=classes, depth=depth)
    if as_json:
        print_json(to_json(tree))
        return
    lines = collapse(tree.layers)
    shown: Shown
    if search:
        shown = [(0, line) for _, line in walk(lines) if line_fits(line, search)]
        if not shown:
            raise ModelError(
                f"No layer of {full_name(tree.model)} has “{search}” in its path, class or kind.",
                "Kinds: " + ", ".join(_kinds(line for _, line in walk(lines))) + ".",
            )
    elif opens_all:
        shown = list(_unfolded(lines, 0))
    else:
        shown = list(_folded(lines, 0))
    if tree_format is TreeFormat.CSV:
        found = [_alone(line) for _, line in shown] if search else lines
        typer.echo(to_csv(found), nl=False)
    elif tree_format is TreeFormat.MARKDOWN:
        typer.echo(to_markdown(shown, tree=tree), nl=False)
    else:
        _print_tree(answer_console(), tree, shown, is_search=bool(search))
    if explains and tree_format is not TreeFormat.CSV:
        _explain(answer_console(), tree, [line for _, line in shown])


def _folded(lines: Iterable[LayerLine], depth: int) -> Iterable[tuple[int, LayerLine]]:
    """For a row of equal blocks: its line, and the layers of the block that stands for all."""
    for line in lines:
        yield depth, line
        yield from _folded(line.children[-1].children if line.is_run else line.children, depth + 1)


def _unfolded(lines: Iterable[LayerLine], depth: int) -> Iterable[tuple[int, LayerLine]]:
    for line in lines:
        if not line.is_run:
            yield depth, line
        yield from _unfolded(line.children, depth if line.is_run else depth + 1)


def _alone(line: LayerLine) -> LayerLine:
    """The line without those below it, which a search lists by themselves."""
    import dataclasses

    return dataclasses.replace(line, children=())


def _kinds(lines: Iterable[LayerLine]) -> list[str]:
    return list(dict.fromkeys(line.kind for line in lines))


def _print_tree(out: Console, tree: LayerTree, shown: Shown, *, is_search: bool) -> None:
    from core.models.layers.rows import shape_text, trains_text

    table = Table(title=tree.model, title_justify="left")
    table.add_column("layer", overflow="fold")
    for name in ("type", "detail", "output"):
        table.add_column(name)
    for name in ("params", "MMACs", "share", "act. MB", "trains"):
        table.add_column(name, justify="right")
    for depth, line in shown:
        share = line.macs / tree.macs if tree.macs else 0.0
        table.add_row(
            escape(line.path if is_search else "  " * depth + line.name),
            escape(line.title),
            escape(line.detail),
            shape_text(line.output_shape),
            f"{line.params:,}",
            number(line.macs, 1e6),
            f"{share:.1%}" if line.macs else "",
            number(line.activation_bytes, 1e6),
            trains_text(line),
        )
    out.print(table)
    share = tree.trainable_params / tree.params if tree.params else 0
    out.print(
        f"{tree.trainable_params:,} of {tree.params:,} parameters train ({share:.2%}); "
        f"{number(tree.macs, 1e9)} GMACs; activations {number(tree.activation_bytes, 1e6)} MB an "
        "image in float32, at least.",
        soft_wrap=True,
    )


def _explain(out: Console, tree: LayerTree, lines: Sequence[LayerLine]) -> None:
    """The explanations, each once: of the shown layers, then of the layer groups."""
    from core.models.layers.explain import explain_depth, explain_kind

    types_of: dict[str, list[str]] = {}
    for line in lines:
        text = explain_kind(line.kind, f"{line.type} {line.detail}")
        types = types_of.setdefault(text, [])
        if line.type not in types:
            types.append(line.type)
    for text, types in types_of.items():
        out.print(f"[bold]{escape(', '.join(types))}[/]  {escape(text)}", soft_wrap=True)
    names = [name for name, _ in tree.groups]
    depths: dict[str, list[str]] = {}
    for position, name in enumerate(names):
        is_head = position == len(names) - 1
        at = (position + 0.5) / max(1, len(names) - 1)
        depths.setdefault(explain_depth(at, is_head), []).append(name)
    for text, groups in depths.items():
        out.print(f"[bold]{escape(', '.join(groups))}[/]  {escape(text)}", soft_wrap=True)
