"""The commands `models`, `compare` and `catalog` on pretrained models."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from core.cli.arguments import Json
from core.cli.console import (
    answer_console,
    messages,
    number,
    print_json,
    progress,
    stop_on_interrupt,
)
from core.errors import AppError
from core.words import list_some

if TYPE_CHECKING:
    from core.catalog.card import Latency, ModelCard
    from core.catalog.catalog import Catalog
    from core.catalog.domains import DomainBackbone
    from core.catalog.search import CardFilter
    from core.catalog_build.build import Rebuilt
    from core.evaluation.classifier import LabelProbability

_LISTED = 12
"""Ids that are named before "and more"."""


class RowFormat(StrEnum):
    TABLE = "table"
    MARKDOWN = "markdown"
    CSV = "csv"


def models(
    query: Annotated[
        str, typer.Argument(help="Words to search for, or a pattern such as *vit*.")
    ] = "",
    source: Annotated[
        str | None,
        typer.Option(help="Source of the model: bundled, torchvision, timm, hub, hf-hub or file."),
    ] = None,
    family: Annotated[str | None, typer.Option(help="Family of the model, e.g. ConvNeXt.")] = None,
    max_params: Annotated[float | None, typer.Option(help="Most parameters, in millions.")] = None,
    max_gmacs: Annotated[
        float | None, typer.Option(help="Most multiply-adds, in billions (GMACs).")
    ] = None,
    min_top1: Annotated[
        float | None, typer.Option(help="Lowest ImageNet top-1 accuracy, in percent.")
    ] = None,
    max_size: Annotated[
        int | None, typer.Option(help="Largest input size (longer side), in pixels.")
    ] = None,
    license: Annotated[str | None, typer.Option(help="Part of the licence's name.")] = None,
    pretraining: Annotated[
        str | None, typer.Option(help="Part of the pretraining data, e.g. laion.")
    ] = None,
    classifies: Annotated[
        bool, typer.Option("--classifies", help="Only models with a classifier of their own.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Only models whose weights are on this machine.")
    ] = False,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Filters for a usual need: prototype, accuracy, mobile, features or realtime."
        ),
    ] = None,
    domain: Annotated[
        str | None,
        typer.Option(help="Backbones made for a domain: medical, aerial, microscopy, biology …"),
    ] = None,
    sort: Annotated[str, typer.Option(help="Column to sort by.")] = "",
    row_format: Annotated[
        RowFormat, typer.Option("--format", help="Output format.")
    ] = RowFormat.TABLE,
    as_json: Json = False,
) -> None:
    """Search the catalog of pretrained models."""
    from core.catalog import table_export
    from core.catalog.domains import domain_backbones
    from core.catalog.presets import preset as preset_of
    from core.catalog.search import CardFilter
    from core.compute import benchmark
    from core.models.resolve import with_added
    from core.models.weights import weights

    wanted = CardFilter(
        query=query,
        source=source,
        family=family,
        max_params_m=max_params,
        max_gmacs=max_gmacs,
        min_top1=min_top1,
        max_input_px=max_size,
        license=license,
        pretraining=pretraining,
        classifies=classifies,
    )
    if domain is not None:
        if preset is not None or wanted != CardFilter():
            raise typer.BadParameter("--domain lists a few backbones; it takes no other filter.")
        _print_domain(domain_backbones(domain), as_json=as_json)
        return
    cards_of_all = with_added()
    if preset is not None:
        need = preset_of(preset)
        wanted, sort = _both(need.filter, wanted), sort or need.sort
        messages.print(escape(f"{need.title}: {need.why} Begin with {need.recommended[0]}."))
    cards = cards_of_all.find(wanted, sort=sort)
    here = weights.cards_here(cards)
    if offline:
        cards = [card for card in cards if card.id in here]
    latencies = benchmark.known_latencies()
    if not cards:
        _say_none_fits(cards_of_all, query)
    if as_json:
        print_json({"models": [_card_json(cards_of_all, c, here, latencies) for c in cards]})
    elif row_format is RowFormat.TABLE:
        if cards:
            answer_console().print(_table(cards, here, latencies))
    else:
        write = table_export.to_csv if row_format is RowFormat.CSV else table_export.to_markdown
        typer.echo(write(cards, here, latencies), nl=False)


def _say_none_fits(cards: Catalog, query: str) -> None:
    """Print on stderr why nothing was found; the exit code stays 0."""
    fits_words = bool(query) and bool(cards.search(query))
    what = f" “{query}”" if query and not fits_words else ""
    near = cards.nearest(query) if query and not fits_words else ""
    hint = near or "Leave out a word or a filter."
    messages.print(escape(f"No model fits{what or ' these filters'}. {hint}"), soft_wrap=True)


def _both(need: CardFilter, wanted: CardFilter) -> CardFilter:
    """The filters of the need and the typed ones; a typed bound replaces that of the need."""
    typed = {
        field.name: value
        for field in dataclasses.fields(wanted)
        if (value := getattr(wanted, field.name)) not in (None, "", False)
    }
    query = f"{need.query} {wanted.query}".strip()
    return dataclasses.replace(need, **{**typed, "query": query})


def _card_json(
    cards: Catalog, card: ModelCard, here: frozenset[str], latencies: dict[str, Latency]
) -> dict[str, Any]:
    latency = latencies.get(card.id)
    return {
        **dataclasses.asdict(card),
        "label_set": card.label_set,
        "top1_per_m": card.top1_per_m,
        "accuracy_source": cards.accuracy_source(card),
        "throughput_hardware": cards.throughput_hardware if card.images_per_s else "",
        "weights_here": card.id in here,
        "latency_ms": None if latency is None else latency.median_ms,
        "latency_settings": "" if latency is None else latency.settings,
    }


def _table(cards: list[ModelCard], here: frozenset[str], latencies: dict[str, Latency]) -> Table:
    table = Table(title=f"{len(cards):,} models", title_justify="left")
    for name in ("model", "family"):
        table.add_column(name, overflow="fold")
    shows_latency = any(card.id in latencies for card in cards)
    for name in ("params M", "GMACs", "top-1 %", "input", "weights"):
        table.add_column(name, justify="right")
    if shows_latency:
        table.add_column("ms here", justify="right")
    for card in cards:
        cells = [
            card.id,
            card.family,
            number(card.params, 1e6),
            number(card.macs, 1e9),
            number(card.top1, 1),
            "×".join(map(str, card.input_size)) if card.input_size else "",
            "here" if card.id in here else "online",
        ]
        if shows_latency:
            latency = latencies.get(card.id)
            cells.append(number(latency.median_ms if latency else None, 1))
        table.add_row(*cells)
    return table


def _print_domain(backbones: tuple[DomainBackbone, ...], *, as_json: bool) -> None:
    if as_json:
        print_json({"models": [dataclasses.asdict(backbone) for backbone in backbones]})
        return
    out = answer_console()
    for backbone in backbones:
        terms = f": {backbone.restriction}" if backbone.restriction else ""
        size = "×".join(map(str, backbone.input_size)) + " px, " if backbone.input_size else ""
        out.print(f"[bold]{escape(backbone.id)}[/]  ({', '.join(backbone.domains)})")
        for line in (
            backbone.why,
            f"Pretrained on {backbone.pretraining}.",
            f"{size}licence {backbone.license}{terms}; {backbone.source}",
        ):
            out.print(f"  {escape(line)}", soft_wrap=True)


def compare(
    names: Annotated[list[str], typer.Argument(metavar="MODEL…", help="Model ids.")],
    image: Annotated[
        Path | None, typer.Option(help="A picture that each model classifies.")
    ] = None,
    device: Annotated[
        str, typer.Option(help="Device to measure on: auto, cpu, cuda, mps or xpu.")
    ] = "auto",
    as_json: Json = False,
) -> None:
    """Compare models: size, accuracy, latency measured here, their predictions for a picture.

    The latency of one image is measured with random weights, so nothing is downloaded; the
    guesses come from models whose weights are on this machine.
    """
    from core.catalog import catalog
    from core.compute import benchmark
    from core.images.decode import read_image
    from core.models.resolve import resolve_model
    from core.models.weights import weights

    if image is not None:
        if not image.is_file():
            raise AppError(f"There is no picture {image}.", "Give the path of an image file.")
        read_image(image)  # a broken one is reported before anything is measured
    cards_of_all = catalog.load()
    cards = [resolve_model(name) for name in names]
    latencies: dict[str, Latency] = {}
    errors: dict[str, str] = {}
    guesses: dict[str, tuple[LabelProbability, ...]] = {}
    with progress() as on_progress, stop_on_interrupt() as should_stop:
        for card in cards:
            try:
                latencies[card.id] = benchmark.measure(
                    card, device=device, on_progress=on_progress, should_stop=should_stop
                )
            except AppError as error:
                if len(cards) == 1:
                    raise
                errors[card.id] = str(error)
            if image is not None and card.num_classes and weights.is_here(card):
                guesses[card.id] = _guesses(card.id, image)
    here = frozenset(card.id for card in cards if weights.is_here(card))
    if as_json:
        print_json(
            {
                "models": [
                    {
                        **_card_json(cards_of_all, card, here, latencies),
                        "latency": (
                            dataclasses.asdict(latencies[card.id]) if card.id in latencies else None
                        ),
                        "top": [dataclasses.asdict(guess) for guess in guesses.get(card.id, ())],
                        "error": errors.get(card.id, ""),
                    }
                    for card in cards
                ]
            }
        )
        return
    _print_comparison(cards, latencies, guesses, errors, has_image=image is not None)


def _guesses(model: str, image: Path) -> tuple[LabelProbability, ...]:
    """The five most likely classes of a picture by a model whose weights are here."""
    from core.evaluation.classifier import Classifier

    (answer,) = Classifier.open(model).classify([image])
    return answer.top


def _print_comparison(
    cards: list[ModelCard],
    latencies: dict[str, Latency],
    guesses: dict[str, tuple[LabelProbability, ...]],
    errors: dict[str, str],
    *,
    has_image: bool,
) -> None:
    table = Table()
    table.add_column("model", overflow="fold")
    for name in ("params M", "GMACs", "top-1 %", "ms, median", "middle half"):
        table.add_column(name, justify="right")
    for card in cards:
        found = latencies.get(card.id)
        table.add_row(
            card.id,
            number(card.params, 1e6),
            number(card.macs, 1e9),
            number(card.top1, 1),
            "" if found is None else f"{found.median_ms:,.1f}",
            "" if found is None else f"{found.low_ms:,.1f}–{found.high_ms:,.1f}",
        )
    out = answer_console()
    out.print(table)
    for settings in dict.fromkeys(found.settings for found in latencies.values()):
        out.print(f"Latency of one image, batch 1, random weights: {settings}.", soft_wrap=True)
    for card in cards:
        if card.id in errors:
            out.print(f"[red]{escape(errors[card.id])}[/]", soft_wrap=True)
        if card.id in guesses:
            labels = ", ".join(f"{g.label} {g.probability:.1%}" for g in guesses[card.id])
            out.print(f"{escape(card.id)}: {escape(labels)}", soft_wrap=True)
        elif has_image:
            why = "its weights are not here" if card.num_classes else "it has no classes of its own"
            out.print(f"{escape(card.id)}: no guess, {why}.", soft_wrap=True)


def catalog(
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Rebuild the catalog from the installed libraries.")
    ] = False,
    tables: Annotated[
        Path | None, typer.Option(help="Folder with timm's published result tables (CSV).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what the catalog holds and whether it is up to date; --rebuild builds it again."""
    from core.catalog import catalog as cards
    from core.system import paths

    if not rebuild:
        if tables is not None:
            raise typer.BadParameter("--tables belongs to --rebuild.")
        _print_catalog(cards.load(), as_json=as_json)
        return
    from core.catalog_build.build import rebuild as make

    with progress() as on_progress, stop_on_interrupt() as should_stop:
        rebuilt = make(
            paths.resource("catalog.json"),
            tables=tables,
            on_progress=on_progress,
            should_stop=should_stop,
        )
    if as_json:
        print_json(dataclasses.asdict(rebuilt))
    else:
        _print_rebuilt(rebuilt)


def _print_catalog(cards: Catalog, *, as_json: bool) -> None:
    counts = Counter(card.source for card in cards.cards)
    libraries = {
        name: {"made_with": made_with, "installed": _installed(name)}
        for name, made_with in cards.made_with.items()
    }
    differ = [name for name, v in libraries.items() if v["made_with"] != v["installed"]]
    if as_json:
        print_json(
            {
                "cards": len(cards.cards),
                "sources": counts,
                "families": len(cards.families),
                "without_classes": sum(not card.label_set for card in cards.cards),
                "libraries": libraries,
                "is_up_to_date": not differ,
                "throughput_hardware": cards.throughput_hardware,
            }
        )
        return
    out = answer_console()
    sources = ", ".join(f"{count:,} {source}" for source, count in counts.items())
    out.print(f"{len(cards.cards):,} models in the catalog: {sources}.", soft_wrap=True)
    made_with = ", ".join(f"{name} {version}" for name, version in cards.made_with.items())
    out.print(f"Made with {made_with}.", soft_wrap=True)
    for name in differ:
        out.print(
            f"[yellow]{name} {libraries[name]['installed']} is installed: its models may be "
            "others. `graftwork catalog --rebuild` makes the catalog anew.[/]",
            soft_wrap=True,
        )


def _installed(library: str) -> str:
    """The version of a library without its build, e.g. `+cpu`; empty where it is not installed."""
    try:
        return importlib.metadata.version(library).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return ""


def _print_rebuilt(rebuilt: Rebuilt) -> None:
    out = answer_console()
    out.print(f"{rebuilt.cards:,} models in the catalog.")
    for what in ("added", "removed", "changed", "uncounted"):
        ids = getattr(rebuilt, what)
        listed = f": {list_some(ids, _LISTED)}" if ids else ""
        out.print(f"{what:>9} {len(ids):,}{listed}", soft_wrap=True)
