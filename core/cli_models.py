"""The command line's commands on pretrained models: search, layers, the catalog itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from core.arguments import Json
from core.console import (
    answer_console,
    number,
    print_json,
    print_layers,
    progress,
    stop_on_interrupt,
)

if TYPE_CHECKING:
    from core.models.catalog_build import Rebuilt

_LISTED = 12
"""Ids that are named before "and more"."""


def models(
    query: Annotated[str, typer.Argument(help="Words, or a pattern such as *vit*.")] = "",
    source: Annotated[str | None, typer.Option(help="torchvision, timm or bundled.")] = None,
    max_params: Annotated[float | None, typer.Option(help="Millions of parameters.")] = None,
    max_gmacs: Annotated[float | None, typer.Option(help="Billions of multiply-adds.")] = None,
    min_top1: Annotated[float | None, typer.Option(help="ImageNet top-1 in percent.")] = None,
    license: Annotated[str | None, typer.Option(help="Part of the licence's name.")] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Only models whose weights are on this machine.")
    ] = False,
    sort: Annotated[str, typer.Option(help="Column to sort by.")] = "",
    as_json: Json = False,
) -> None:
    """Search the catalog of pretrained models."""
    from core.models import catalog, weights

    cards = catalog.load().search(
        query,
        source=source,
        max_params_m=max_params,
        max_gmacs=max_gmacs,
        min_top1=min_top1,
        license=license,
        sort=sort,
    )
    here = {card.id for card in cards if weights.is_here(card)}
    if offline:
        cards = [card for card in cards if card.id in here]
    if as_json:
        print_json(
            {
                "models": [
                    {
                        "id": card.id,
                        "source": card.source,
                        "family": card.family,
                        "params": card.params,
                        "macs": card.macs,
                        "top1": card.top1,
                        "top5": card.top5,
                        "input_size": card.input_size,
                        "num_classes": card.num_classes,
                        "license": card.license,
                        "weights": card.weights,
                        "weights_here": card.id in here,
                    }
                    for card in cards
                ]
            }
        )
        return
    table = Table(title=f"{len(cards):,} models", title_justify="left")
    for name in ("model", "family"):
        table.add_column(name, overflow="fold")
    for name in ("params M", "GMACs", "top-1 %", "input", "weights"):
        table.add_column(name, justify="right")
    for card in cards:
        table.add_row(
            card.id,
            card.family,
            number(card.params, 1e6),
            number(card.macs, 1e9),
            number(card.top1, 1),
            "×".join(map(str, card.input_size)) if card.input_size else "",
            "here" if card.id in here else "online",
        )
    answer_console().print(table)


def layers(
    model: Annotated[str, typer.Argument(help="Model id.")],
    classes: Annotated[
        int | None, typer.Option("--classes", min=1, help="With a new head for so many classes.")
    ] = None,
    depth: Annotated[int | None, typer.Option(min=1, help="Levels to show.")] = None,
    as_json: Json = False,
) -> None:
    """The layer tree of a model: shapes, parameters, MACs. Needs no weights."""
    from core.models import catalog
    from core.models.layers import layer_tree, to_json

    tree = layer_tree(catalog.load().resolve(model), num_classes=classes, depth=depth)
    if as_json:
        print_json(to_json(tree))
        return
    print_layers(answer_console(), tree)


def catalog(
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make the catalog anew from the installed libraries.")
    ] = False,
    tables: Annotated[
        Path | None, typer.Option(help="Folder with timm's published result tables (CSV).")
    ] = None,
) -> None:
    """The catalog of models: how many there are; --rebuild makes it anew."""
    from core import places

    if rebuild:
        from core.models.catalog_build import rebuild as make

        with progress() as on_progress, stop_on_interrupt() as should_stop:
            rebuilt = make(
                places.resource("catalog.json"),
                tables=tables,
                on_progress=on_progress,
                should_stop=should_stop,
            )
        _print_rebuilt(rebuilt)
        count = rebuilt.cards
    else:
        from core.models import catalog as cards

        count = len(cards.load().cards)
    answer_console().print(f"{count:,} models in the catalog.")


def _print_rebuilt(rebuilt: Rebuilt) -> None:
    out = answer_console()
    for what in ("added", "removed", "changed", "uncounted"):
        ids = getattr(rebuilt, what)
        more = f" and {len(ids) - _LISTED:,} more" if len(ids) > _LISTED else ""
        listed = f": {', '.join(ids[:_LISTED])}{more}" if ids else ""
        out.print(f"{what:>9} {len(ids):,}{listed}", soft_wrap=True)
